# SPDX-License-Identifier: Apache-2.0
"""Each check of a cloud is silent where all is well, and names what is ill with what to type; one cause is told as one."""

import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbaro.checks import NOTE, UNKNOWN, WARNING, Check, Finding, Spot, causes, consequences, judge, troubles
from arbaro.cluster import evidence as collector
from arbaro.cluster.checks import CHECKS
from arbaro.cluster.checks.guests import CHAIN, broken_link, commands
from arbaro.cluster.checks.machines import MACHINE_NOT_OFFERED
from arbaro.cluster.drivers import L2ISOLATE, LINUXBRIDGE
from arbaro.cluster.evidence import AGGREGATES, MACHINE_STATES, OFFERED_MACHINES, OPENSTACK, REPORTS, answer
from arbaro.cluster.spec import CloudSpec
from arbaro.doctor.links import LINKS
from arbaro.envs import health
from arbaro.evidence import Evidence, NotSeen, Seen, load_evidence
from arbaro.settings import files_dir

SPEC = CloudSpec("lab", "zed", 2, "l2isolate", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"), 2)
CONSOLE = """\
arbaro: 1.9 kernel 6.1.0 up
arbaro: 3.1 address 198.18.1.40/24 by DHCP
arbaro: 3.4 metadata reached
arbaro: 3.9 ssh ready
arbaro: 4.0 user script done (exit 0)
"""


def reporting(wanted: Mapping[str, Mapping[str, Mapping[str, str]]]) -> dict[str, dict[str, str]]:
    """What nova and neutron say when all that must report does."""
    found: dict[str, dict[str, str]] = {}
    for own in wanted.values():
        for one in own.values():
            found.setdefault(one["host"], {})[one["name"]] = "up"
    return found


def whole() -> Evidence:
    """All of a cloud with two computes and two machines, as it is when all is well; and a server in it."""
    apis = list(collector.wanted_apis())
    reports = collector.wanted_reports(SPEC)
    machines = [{"id": n, "name": n, "state": "available", "maintenance": "", "fault": ""} for n in ("pm1", "pm2")]
    aggregate = {"id": "1", "name": "racks", "in_nova": ["compute1"], "in_placement": ["compute1"]}
    openstack = {
        REPORTS: reporting(reports),
        AGGREGATES: [aggregate],
        MACHINE_STATES: machines,
        OFFERED_MACHINES: ["pm1", "pm2"],
    }
    facts: dict[str, dict[str, Any]] = {
        host.name: {
            "state": "running",
            "image": "new",
            "SSH": "answers",
            "units": dict.fromkeys(collector.wanted_units(SPEC, host), "active"),
            "BGP sessions": dict.fromkeys(collector.wanted_of(SPEC, host).get("BGP sessions", ()), "Established"),
        }
        for host in SPEC.hosts
    }
    facts["controller"]["APIs"] = dict.fromkeys(apis, "up")
    facts[OPENSTACK] = openstack | {answer(what): "given" for what in (REPORTS, AGGREGATES, MACHINE_STATES)}
    facts["first-vm"] = {"console": CONSOLE, "ping": True, "login": True}
    wanted = {host.name: {"state": "running", "image": "new"} | collector.wanted_of(SPEC, host) for host in SPEC.hosts}
    wanted["controller"]["APIs"] = apis
    for host, own in reports.items():
        wanted[host][REPORTS] = own
    wanted[OPENSTACK] = {answer(what): "given" for what in (REPORTS, AGGREGATES, MACHINE_STATES)} | {
        "client": "openstack"
    }
    wanted["first-vm"] = {"commands": commands("lab", L2ISOLATE, "compute1", "openstack", "first-vm")}
    return Evidence(
        "lab", {place: {what: Seen(value, 1.0) for what, value in of.items()} for place, of in facts.items()}, wanted
    )


WHOLE = whole()


def but(place: str, what: str, value: Any = None, *, error: str = "", of: Evidence = WHOLE) -> Evidence:
    """The same evidence, but for one fact."""
    facts = {**of.facts, place: {**of.facts[place], what: Seen(value, 1.0, error)}}
    return replace(of, facts=facts)


def lists(what: str, **change: Any) -> Evidence:
    """The same evidence, but for the first one in a list of OpenStack's."""
    first, *others = WHOLE.value(OPENSTACK, what)
    return but(OPENSTACK, what, [first | change, *others])


def units(host: str, **states: str) -> Evidence:
    """The same evidence, but for the states of these units; `_` stands for `-`."""
    return but(host, "units", WHOLE.value(host, "units") | {n.replace("_", "-"): s for n, s in states.items()})


def silent_report(name: str, *hosts: str) -> Evidence:
    """The same evidence, but for services that are down in OpenStack's lists; `*` stands for all of a host."""
    seen = WHOLE.value(OPENSTACK, REPORTS)
    changed = {
        host: {n: "down" if name in (n, "*") and host in hosts else s for n, s in own.items()}
        for host, own in seen.items()
    }
    return but(OPENSTACK, REPORTS, changed)


def console(lacks: str) -> Evidence:
    """The same evidence, but for lines of the guest's console that say this."""
    return but("first-vm", "console", "".join(line for line in CONSOLE.splitlines(True) if lacks not in line))


#: Check → evidence of something ill that this check must find, as the one cause.
ILL: Mapping[str, Evidence] = {
    "host-down": but("compute1", "state", "exited"),
    "host-unreachable": but("compute1", "SSH", error="No route to host"),
    "unit-down": units("controller", neutron_server="failed"),
    "session-down": but("compute1", "BGP sessions", {"tor1": "Established", "tor2": "Idle"}),
    "api-silent": but("controller", "APIs", WHOLE.value("controller", "APIs") | {"nova": "Connection refused"}),
    "openstack-refuses": but(OPENSTACK, answer(REPORTS), "HTTP 500"),
    "service-silent": silent_report("nova-compute", "compute2"),
    "aggregate-lacks-host": lists(AGGREGATES, in_placement=[]),
    "aggregate-left-behind": lists(AGGREGATES, in_nova=[]),
    "machine-failed": lists(MACHINE_STATES, state="clean-failed", maintenance="cleaning failed", fault="vda is broken"),
    "machine-in-maintenance": lists(MACHINE_STATES, maintenance="fan 3"),
    "machine-not-offered": but(OPENSTACK, OFFERED_MACHINES, ["pm2"]),
    "host-outdated": but("compute1", "image", "old"),
    "guest-kernel": console("kernel"),
    "guest-address": console("DHCP"),
    "guest-metadata": console("metadata"),
    "guest-sshd": console("ssh ready"),
    "guest-script": console("script done"),
    "guest-ping": but("first-vm", "ping", False),
    "guest-login": but("first-vm", "login", False),
}
ALL: tuple[Check, ...] = (*CHECKS, MACHINE_NOT_OFFERED, *CHAIN)


def test_a_whole_cloud_is_silent() -> None:
    assert judge(ALL, WHOLE) == []


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.id)
def test_each_check_finds_its_ill_case_with_what_to_type(check: Check) -> None:
    (cause,) = [finding for finding in causes(judge(ALL, ILL[check.id])) if finding.check == check.id]
    assert cause.severity == check.severity and cause.saw and cause.run and "{" not in cause.run


def test_no_ill_case_has_lost_its_check() -> None:
    assert set(ILL) == {check.id for check in ALL}
    assert len({check.id for check in ALL}) == len(ALL)


def test_each_check_is_documented_with_its_severity() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z]+) \|", (files_dir() / "docs/reference/findings.md").read_text(), re.M)
    of_the_doctor = [check for check in LINKS if check.id not in {one.id for one in ALL}]
    assert rows == [(check.id, check.severity) for check in (*ALL, *health.CHECKS, *of_the_doctor)]


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.id)
def test_needs_name_checks_and_spots_that_there_are(check: Check) -> None:
    """A need that is written wrong would never be broken. Units that a host does not have are none."""
    known = {(one.id, spot) for one in ALL for spot in one.spots(WHOLE)}
    for spot in check.spots(WHOLE):
        for need, where in check.needs(WHOLE, spot):
            assert (need, where) in known or (
                need == "unit-down" and where.thing not in WHOLE.should(where.host, "units", {})
            )


def test_needs_do_not_go_round_in_a_ring() -> None:
    needs = {(check.id, spot): set(check.needs(WHOLE, spot)) for check in ALL for spot in check.spots(WHOLE)}
    while free := {node for node, wanted in needs.items() if not wanted & set(needs)}:
        needs = {node: wanted for node, wanted in needs.items() if node not in free}
    assert needs == {}


def said(found: list[Finding]) -> list[str]:
    """What a person is told: causes, each with what to type."""
    return [f"{cause} | {cause.run}" for cause in causes(found)]


def test_what_is_told_of_each_kind() -> None:
    logs = "arbaro logs lab"
    assert {check: said(judge(CHECKS, ILL[check])) for check in ("unit-down", "session-down", "api-silent")} == {
        "unit-down": [f"controller: neutron-server is failed | {logs} controller neutron-server"],
        "session-down": [
            "compute1: the BGP session on tor2 is Idle | arbaro ssh lab compute1 -- vtysh -c \"'show bgp summary'\""
        ],
        "api-silent": [f"nova: the API does not answer: Connection refused | {logs} controller"],
    }
    assert said(judge(CHECKS, but("compute1", "state", "missing"))) == ["compute1: the host is missing | arbaro up lab"]
    assert said(judge(CHECKS, silent_report("nova-compute", "machines-controller"))) == [
        f"machines-controller: nova-compute is down | {logs} controller nova-compute-machines"
    ]


def test_a_compute_that_is_down_is_one_cause() -> None:
    """As it is seen then: the host says nothing, its neighbours and OpenStack miss it."""
    gone = but("compute1", "state", "exited")
    for what in ("SSH", "units", "BGP sessions"):
        gone = but("compute1", what, error="nobody looked", of=gone)
    for tor in ("tor1", "tor2"):
        gone = but(tor, "BGP sessions", gone.value(tor, "BGP sessions") | {"port1": "Active"}, of=gone)
    silent = silent_report("*", "compute1").value(OPENSTACK, REPORTS)
    found = judge(CHECKS, but(OPENSTACK, REPORTS, silent, of=gone))
    assert said(found) == ["compute1: the host is exited | arbaro start lab"]
    assert {finding.where for finding in consequences(found[0], found)} == {"compute1", "tor1", "tor2"}


@pytest.mark.parametrize("unit", ["keystone", "mariadb"])
def test_a_dead_keystone_or_database_is_one_cause(unit: str) -> None:
    states = {"keystone": "Connection refused"} if unit == "keystone" else {"keystone": "HTTP 500", "nova": "HTTP 500"}
    ill = but(
        "controller", "APIs", WHOLE.value("controller", "APIs") | states, of=units("controller", **{unit: "failed"})
    )
    for what in (REPORTS, AGGREGATES, MACHINE_STATES):
        for fact in (what, answer(what)):
            ill = but(OPENSTACK, fact, error="no answer from keystone", of=ill)
    found = judge(CHECKS, ill)
    assert said(found) == [f"controller: {unit} is failed | arbaro logs lab controller {unit}"]


def test_a_database_that_dies_while_versions_are_told_is_one_cause() -> None:
    ill = units("controller", mariadb="failed", nova_conductor="activating")
    ill = but(OPENSTACK, REPORTS, error="HTTP 500", of=but(OPENSTACK, answer(REPORTS), "HTTP 500", of=ill))
    found = judge(CHECKS, ill)
    assert said(found) == ["controller: mariadb is failed | arbaro logs lab controller mariadb"]
    assert len(found) > 2


def test_two_faults_are_two_causes() -> None:
    failed = units("compute2", neutron_l2isolate_agent="failed").value("compute2", "units")
    ill = but("compute2", "units", failed, of=but("tor1", "state", "exited"))
    assert [cause.where for cause in causes(judge(CHECKS, ill))] == ["tor1", "compute2"]


def test_a_unit_explains_its_own_report_and_nothing_else() -> None:
    silent = silent_report("nova-compute", "compute1", "compute2").value(OPENSTACK, REPORTS)
    found = judge(CHECKS, but(OPENSTACK, REPORTS, silent, of=units("compute1", nova_compute="failed")))
    assert {(cause.check, cause.host) for cause in causes(found)} == {
        ("unit-down", "compute1"),
        ("service-silent", "compute2"),
    }


def test_a_host_that_could_not_be_looked_at_is_neither_well_nor_broken() -> None:
    hole = but("compute1", "SSH", error="Connection timed out")
    for what in ("units", "BGP sessions"):
        hole = but("compute1", what, error="Connection timed out", of=hole)
    found = judge(CHECKS, hole)
    assert said(found) == [
        "compute1: could not look at it by SSH: Connection timed out | arbaro ssh lab compute1 -- systemctl --failed"
    ]
    assert {finding.severity for finding in found} == {UNKNOWN}
    # Both kinds of things that it hides are told as that, once each.
    assert [finding.check for finding in found] == ["host-unreachable", "unit-down", "session-down"]


def test_one_command_that_hung_is_a_hole_of_its_own() -> None:
    (hole,) = judge(CHECKS, but("compute1", "BGP sessions", error="`vtysh` took more than 5 s"))
    assert str(hole) == "compute1: could not look at BGP sessions: `vtysh` took more than 5 s"
    assert hole.severity == UNKNOWN


def test_a_machine_that_could_not_be_wiped_is_one_finding_with_the_way_back() -> None:
    cause, consequence = judge(CHECKS, ILL["machine-failed"])
    assert f"{cause} | {cause.run}" == (
        "pm1: the machine is clean-failed (vda is broken)"
        " | openstack machine maintenance unset pm1 && openstack machine provide --wait pm1"
    )
    assert consequence.check == "machine-in-maintenance"


def test_a_machine_in_maintenance_is_a_warning() -> None:
    (finding,) = judge(CHECKS, ILL["machine-in-maintenance"])
    assert finding.severity == WARNING
    assert (str(finding), finding.run) == (
        "pm1: the machine is in maintenance (fan 3)",
        "openstack machine maintenance unset pm1",
    )


@pytest.mark.parametrize("state", ["inspect-failed", "deploy-failed", "rescue-failed"])
def test_every_failed_state_of_a_machine_is_found(state: str) -> None:
    (finding,) = judge(CHECKS, lists(MACHINE_STATES, state=state, fault="why"))
    assert finding.check == "machine-failed"


def test_an_older_image_is_a_note() -> None:
    (note,) = judge(CHECKS, ILL["host-outdated"])
    assert note.severity == NOTE and troubles([note]) == []


def test_free_machines_must_be_offered_and_no_others() -> None:
    for state, maintenance in (("active", ""), ("cleaning", ""), ("available", "fan 3")):
        seen = but(OPENSTACK, OFFERED_MACHINES, ["pm2"], of=lists(MACHINE_STATES, state=state, maintenance=maintenance))
        assert judge([MACHINE_NOT_OFFERED], seen) == []


def test_the_first_broken_link_of_a_guest_is_the_cause() -> None:
    silent = but("first-vm", "ping", False, of=but("first-vm", "login", False, of=console("DHCP")))
    broken = broken_link(silent)
    assert broken and broken.check == "guest-address" and broken.run == "arbaro logs lab compute1 l2isolate-dhcp"
    assert broken_link(WHOLE) is None


@pytest.mark.parametrize("driver", [L2ISOLATE, LINUXBRIDGE])
def test_each_link_has_a_command_whatever_the_driver(driver: Any) -> None:
    run = commands("lab", driver, "compute1", "openstack", "first-vm")
    assert {check.id for check in CHAIN} == set(run) and not [line for line in run.values() if "{" in line]


places = [(place, what) for place, of in WHOLE.facts.items() for what in of]


@given(st.sets(st.sampled_from(places), max_size=6), st.sets(st.sampled_from(sorted(ILL)), max_size=3))
def test_whatever_was_not_seen_no_cause_needs_anything_broken(holes: set[tuple[str, str]], ills: set[str]) -> None:
    ill = WHOLE
    for place, what in places:
        for check in ills:
            if (seen := ILL[check].facts[place][what]) != WHOLE.facts[place][what]:
                ill = but(place, what, seen.value, error=seen.error, of=ill)
    for place, what in holes:
        ill = but(place, what, error="timed out", of=ill)
    found = {finding.key: finding for finding in judge(ALL, ill)}
    roots = {cause.key for cause in causes(found.values())}
    assert bool(roots) == bool(found)
    assert all(set(finding.consequence_of) <= roots for finding in found.values())
    broken = {key for key, finding in found.items() if finding.severity != UNKNOWN}
    for check in ALL:
        for spot in spots_seen(check, ill):
            if f"{check.id}/{spot}" in roots:
                assert not broken & {f"{need}/{where}" for need, where in check.needs(ill, spot)}


def spots_seen(check: Check, ill: Evidence) -> list[Spot]:
    """Where a check looks, if that can be seen."""
    try:
        return list(check.spots(ill))
    except NotSeen:
        return []


@pytest.mark.parametrize("check", sorted(ILL))
def test_saved_evidence_gives_the_same_findings(check: str, tmp_path: Path) -> None:
    ILL[check].save(tmp_path / "evidence.json")
    assert judge(ALL, load_evidence(tmp_path / "evidence.json")) == judge(ALL, ILL[check])
