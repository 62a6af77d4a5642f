# SPDX-License-Identifier: Apache-2.0
"""What is collected of a cloud: what each part says, and that a part which cannot be asked hides no other."""

import json
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.fakes.hosts import InMemory

from arbaro.checks import causes, judge
from arbaro.cli import cli, look, options
from arbaro.cli.table import rows
from arbaro.cluster import evidence, identity
from arbaro.cluster.checks import CHECKS
from arbaro.cluster.cloud import Cloud
from arbaro.cluster.evidence import OPENSTACK, collect, parse_sessions, parse_units, wanted_of
from arbaro.cluster.images import HostImages
from arbaro.cluster.spec import CloudSpec
from arbaro.errors import ArbaroError
from arbaro.reach import Reach, Unreachable
from arbaro.steps import flatten

SPEC = CloudSpec("lab", "zed", 1, "l2isolate", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cloud:
    """A cloud whose hosts are in memory: SSH, the APIs and OpenStack's answers are stood in for."""
    monkeypatch.setattr(identity, "clouds_dir", lambda: tmp_path)
    monkeypatch.setattr(HostImages, "name", lambda _, host: f"new {host.role}")
    monkeypatch.setattr(Reach, "run", answers)
    monkeypatch.setattr(evidence, "api_state", lambda *_: "up")
    monkeypatch.setattr(evidence, "_admin", lambda _: None)
    wanted = [one for own in evidence.wanted_reports(SPEC).values() for one in own.values()]
    reports = {
        host: {one["name"]: "up" for one in wanted if one["host"] == host} for host in {o["host"] for o in wanted}
    }
    monkeypatch.setattr(evidence, "heartbeats", lambda _: reports)
    monkeypatch.setattr(evidence, "look_at_aggregates", lambda _: [])
    made = Cloud(SPEC, InMemory())
    made.keeper.directory.mkdir(parents=True)
    drawn = identity.new_identity(SPEC.addresses)
    identity.write_private(made.keeper.identity_file(), json.dumps(drawn))
    for step in flatten(made.provider.ground(SPEC)):
        step.apply(lambda _: None)
    for host in SPEC.hosts:
        made.provider.create_host(SPEC, host, made.images.name(host), {})
        made.provider.start_host("lab", host.name)
    return made


def answers(reach: Reach, words: Sequence[str], *, stdin: str, timeout: float) -> str:
    """What a host that is well answers."""
    (host,) = (host for host in SPEC.hosts if host.name == reach.name)
    wanted = wanted_of(SPEC, host)
    shown = "\n\n".join(f"Id={name}.service\nActiveState=active" for name in wanted["units"])
    peers = {interface: {"state": "Established"} for interface in wanted.get("BGP sessions", ())}
    summary = json.dumps({"ipv4Unicast": {"peers": peers}})
    told = [["units", 0, shown, ""], *([["BGP sessions", 0, summary, ""]] if peers else [])]
    return "".join(json.dumps(line) + "\n" for line in told)


def test_a_cloud_that_is_well_is_silent(cloud: Cloud) -> None:
    seen = collect(cloud)
    assert judge(CHECKS, seen) == []
    assert {row["kind"] for row in rows(seen)} == {"host", "api", "unit", "session", "report"}
    assert not [row for row in rows(seen) if row["state"] not in ("running", "up", "active", "Established")]


def test_no_secret_is_in_evidence(cloud: Cloud, tmp_path: Path) -> None:
    collect(cloud).save(tmp_path / "evidence.json")
    text = (tmp_path / "evidence.json").read_text()
    secrets = {value for key, value in cloud.keeper.identity().items() if key not in SPEC.addresses}
    assert secrets and not [secret for secret in secrets if secret in text]


def test_hosts_that_do_not_run_are_not_asked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(reach: Reach, *words: Any, **options: Any) -> str:
        asked.append(reach.name)
        return answers(reach, *words, **options)

    monkeypatch.setattr(Reach, "run", run)
    cloud.provider.stop_host("lab", "compute1")
    found = judge(CHECKS, collect(cloud))
    assert sorted(asked) == ["controller", "tor1", "tor2"]
    assert [str(cause) for cause in causes(found)] == ["compute1: the host is exited"]


def test_a_host_that_cannot_be_asked_hides_no_other(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(reach: Reach, words: Sequence[str], **options: Any) -> str:
        if reach.name == "tor1":
            raise Unreachable(words, where="tor1", code=255, output="ssh: connect to host tor1: No route to host")
        return answers(reach, words, **options)

    monkeypatch.setattr(Reach, "run", run)
    seen = collect(cloud)
    assert [str(cause) for cause in causes(judge(CHECKS, seen))] == [
        "tor1: could not look at it by SSH: ssh: connect to host tor1: No route to host"
    ]
    assert {row["state"] for row in rows(seen) if row["host"] == "tor1"} == {"running", "unknown"}


def test_a_cloud_whose_apis_answer_but_refuse_is_looked_at_all_the_same(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise ArbaroError("OpenStack refused a request.", why="HTTP 500")

    monkeypatch.setattr(evidence, "heartbeats", refuse)
    (cause,) = causes(judge(CHECKS, collect(cloud)))
    assert str(cause) == "OpenStack: it refuses to tell its reports: HTTP 500"


def test_without_apis_openstack_is_not_asked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "api_state", lambda *_: "Connection refused")
    monkeypatch.setattr(evidence, "heartbeats", lambda _: pytest.fail("it was asked"))
    seen = collect(cloud)
    assert seen.facts[OPENSTACK]["reports"].error == "no answer from keystone, nova, neutron, placement"
    assert {cause.check for cause in causes(judge(CHECKS, seen))} == {"api-silent"}


def test_without_secrets_openstack_could_not_be_looked_at(cloud: Cloud) -> None:
    cloud.keeper.identity_file().unlink()
    (cause,) = causes(judge(CHECKS, collect(cloud)))
    assert (cause.severity, cause.where) == ("unknown", "OpenStack") and "the secrets are not in" in cause.saw


def test_hosts_of_an_older_image_are_noted(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        HostImages, "name", lambda _, host: "newer" if host.name == "controller" else f"new {host.role}"
    )
    (note,) = judge(CHECKS, collect(cloud))
    assert (note.check, note.where) == ("host-outdated", "controller")


def test_status_says_the_cause_first_and_counts_what_follows(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.provider.stop_host("lab", "compute1")
    for module in (options, look):
        monkeypatch.setattr(module, "find_cloud", lambda _: cloud)
    done = CliRunner().invoke(cli, ["status", "lab"], standalone_mode=False)
    last = done.output.splitlines()[-3:]
    assert last[0] == "compute1: the host is exited   → arbaro start lab"
    assert last[1] == "    and 3 consequences: compute1"
    assert last[2] == "Why: arbaro doctor --cloud lab"
    assert done.return_value == 1
    told = json.loads(CliRunner().invoke(cli, ["status", "lab", "--json"], standalone_mode=False).output)
    assert (told["name"], told["healthy"], told["notes"]) == ("lab", False, [])
    cause, *others = told["findings"]
    assert {"where", "saw", "means", "run", "check", "severity", "host", "key"} <= set(cause)
    assert (cause["key"], cause["consequence_of"]) == ("host-down/compute1", [])
    assert cause["cause_of"] == [other["key"] for other in others]
    assert all(other["consequence_of"] == ["host-down/compute1"] for other in others)


def test_a_note_leaves_a_cloud_well(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostImages, "name", lambda _, host: "newer")
    monkeypatch.setattr(look, "find_cloud", lambda _: cloud)
    done = CliRunner().invoke(cli, ["status", "lab"], standalone_mode=False)
    assert done.return_value == 0
    assert done.output.splitlines()[-1] == "All is well."
    assert "Note: compute1: made from an older image than `up` would use now   → arbaro down lab" in done.output
    told = json.loads(CliRunner().invoke(cli, ["status", "lab", "--json"], standalone_mode=False).output)
    assert told["healthy"] and told["findings"] == [] and {note["check"] for note in told["notes"]} == {"host-outdated"}


def test_only_a_cloud_with_machines_is_asked_for_them(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evidence.of_machines(cloud).facts == {}
    with_machines = Cloud(replace(SPEC, machines=1), cloud.provider)
    monkeypatch.setattr("arbaro.cluster.rack.Rack.ask", lambda *_: pages.pop(0))
    one = {"id": "1", "name": "pm1", "state": "active", "maintenance": None, "fault": None, "bmc": {"username": "u"}}
    pages = [
        {"machines": [one], "links": {"next": "/v1/machines?marker=pm1"}},
        {
            "machines": [one | {"name": "pm2", "maintenance": {"reason": "fan"}, "fault": {"cause": "x"}}],
            "links": {"next": None},
        },
    ]
    assert evidence.of_machines(with_machines).value(OPENSTACK, "machines") == [
        {"id": "1", "name": "pm1", "state": "active", "maintenance": "", "fault": ""},
        {"id": "1", "name": "pm2", "state": "active", "maintenance": "fan", "fault": "x"},
    ]


def test_systemds_answer_is_read() -> None:
    text = "Id=a.service\nActiveState=active\n\nId=b.service\nActiveState=failed\n"
    assert dict(parse_units(text)) == {"a": "active", "b": "failed"}


def test_frrs_answer_is_read() -> None:
    text = '{"ipv4Unicast": {"peers": {"tor1": {"state": "Established"}, "tor2": {"state": "Connect"}}}}'
    assert parse_sessions(text) == {"tor1": "Established", "tor2": "Connect"}
    assert parse_sessions("{}") == {}


def test_each_end_of_a_cable_knows_the_other() -> None:
    wanted = {host.name: wanted_of(SPEC, host).get("BGP sessions", {}) for host in SPEC.hosts}
    assert wanted == {
        "controller": {},
        "tor1": {"peer": "tor2", "port1": "compute1"},
        "tor2": {"peer": "tor1", "port1": "compute1"},
        "compute1": {"tor1": "tor1", "tor2": "tor2"},
    }
