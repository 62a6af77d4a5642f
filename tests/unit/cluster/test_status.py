# SPDX-License-Identifier: Apache-2.0
"""A whole cloud yields no finding; each thing that is wrong yields one that says what to type."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from arbaro.cluster import status
from arbaro.cluster.aggregates import Aggregate
from arbaro.cluster.identity import Keeper
from arbaro.cluster.providers import HostState
from arbaro.cluster.spec import CloudSpec
from arbaro.cluster.status import Evidence, Service, Unit, findings, parse_units
from arbaro.errors import ArbaroError

WHOLE = Evidence(
    "lab",
    [HostState("controller", "running", "")],
    ["controller"],
    [Unit("controller", "neutron-server", "active")],
    {"nova": "up"},
    [Service("nova-compute", "compute1", "up")],
    [("nova-compute", "compute1")],
)


def test_a_whole_cloud_is_silent() -> None:
    assert findings(WHOLE) == []


def test_everything_that_is_wrong_is_named() -> None:
    broken = Evidence(
        "lab",
        [HostState("controller", "exited", "")],
        ["controller", "compute1"],
        [Unit("controller", "neutron-server", "failed")],
        {"nova": "Connection refused"},
        [Service("nova-compute", "compute1", "down")],
        [("nova-compute", "compute1"), ("x", "compute1")],
        "HTTP 500",
    )
    said = [f"{finding.saw} | {finding.run}" for finding in findings(broken)]
    assert said == [
        "the host is exited | arbaro start lab",
        "the host is missing | arbaro up lab",
        "neutron-server is failed | arbaro logs lab controller neutron-server",
        "the API does not answer: Connection refused | arbaro logs lab controller",
        "it refuses: HTTP 500 | arbaro logs lab controller",
        "nova-compute is down | arbaro logs lab compute1",
        "x is not reporting yet | arbaro logs lab compute1",
    ]


def test_an_aggregate_that_placement_sees_otherwise_is_named_with_what_mends_it() -> None:
    same = Aggregate("1", "same", frozenset({"compute1"}), frozenset({"compute1"}))
    drifted = Aggregate("2", "racks", frozenset({"compute1"}), frozenset({"compute2"}))
    assert findings(replace(WHOLE, aggregates=[same])) == []
    missing, extra = findings(replace(WHOLE, aggregates=[same, drifted]))
    assert str(missing) == (
        "aggregate 2 (racks): placement does not know that compute1 belongs to it"
        " (servers that ask for it are refused there)"
    )
    assert missing.run == "arbaro ssh lab controller -- runuser -u nova -- nova-manage placement sync_aggregates"
    assert extra.saw == "placement still counts compute2 in, nova does not"
    assert extra.run.endswith("aggregate remove host 2 compute2")


def test_systemds_answer_is_read() -> None:
    text = "Id=a.service\nActiveState=active\n\nId=b.service\nActiveState=failed\n"
    assert list(parse_units("h", text)) == [Unit("h", "a", "active"), Unit("h", "b", "failed")]


def test_a_cloud_whose_apis_answer_but_refuse_is_looked_at_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ArbaroError("OpenStack refused a request.", why="HTTP 500")

    class Hosts:
        def list_hosts(self, _: str) -> list[HostState]:
            return [HostState("controller", "running", "")]

    monkeypatch.setattr(status, "units_of", lambda *_: [Unit("controller", "mariadb", "failed")])
    monkeypatch.setattr(status, "api_state", lambda *_: "up")
    monkeypatch.setattr(status, "heartbeats", refuse)
    spec = CloudSpec("lab", "zed", 0, "linuxbridge", IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/24"))
    found = [finding.saw for finding in findings(status.collect(spec, Hosts(), Keeper("lab")))]
    assert found == ["mariadb is failed", "it refuses: HTTP 500"]
