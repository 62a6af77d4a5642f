# SPDX-License-Identifier: Apache-2.0
"""What a cloud stands on is the admin's own: what other projects call the same is neither taken for it nor in its way."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from types import SimpleNamespace
from typing import Any

import pytest
from tests.fakes import neutron
from tests.fakes.neutron import ADMIN

from arbaro.cluster.ground import Ground
from arbaro.cluster.guests import Guest
from arbaro.cluster.identity import Keeper
from arbaro.cluster.machine_parts import disk
from arbaro.cluster.rack import Rack
from arbaro.cluster.spec import CloudSpec

#: What openstacksdk says to itself.
pytestmark = pytest.mark.filterwarnings("ignore::openstack.warnings._RemovedInSDKWarning")
SPEC = CloudSpec("lab", "zed", 1, "l2isolate", IPv4Network("198.18.4.0/24"), IPv4Network("198.18.5.0/24"), 1)
NAMES = {
    "networks": ("provider", "pm"),
    "subnets": ("provider", "pm"),
    "security_groups": ("ping-and-ssh",),
    "subnetpools": ("guests",),
}


def of(project: str) -> neutron.Things:
    """Things of a project that are called as ours are."""
    return {
        kind: [
            {"id": f"{project}-{kind}-{name}", "name": name, "project_id": project, "security_group_rules": []}
            for name in names
        ]
        for kind, names in NAMES.items()
    }


@pytest.fixture
def things() -> neutron.Things:
    return of("demo")


@pytest.fixture
def ground(things: neutron.Things, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    compute = SimpleNamespace(
        find_flavor=lambda *_, **__: SimpleNamespace(extra_specs={"a": "b"}), find_keypair=lambda _: True
    )
    ground = Ground(SPEC, Keeper("lab"), Guest("tiny"))
    with neutron.running(things) as network:
        image = SimpleNamespace(images=lambda **_: [])
        connection = SimpleNamespace(network=network, compute=compute, image=image, current_project_id=ADMIN)
        monkeypatch.setattr(Ground, "connection", connection)
        yield ground


def ours(things: neutron.Things, kind: str) -> list[dict[str, Any]]:
    return [thing for thing in things[kind] if thing["project_id"] == ADMIN]


def test_what_another_project_has_is_not_taken_for_ours(ground: Ground, things: neutron.Things) -> None:
    assert ground.is_incomplete()
    ground.prepare(lambda _: None)
    rack = Rack(SPEC, ground, disk(ground.guest))
    rack._make_network()
    for kind, names in NAMES.items():
        assert [thing["name"] for thing in ours(things, kind)] == list(names), kind
    # And each belongs to the other.
    networks = {thing["name"]: thing["id"] for thing in ours(things, "networks")}
    assert {thing["name"]: thing["network_id"] for thing in ours(things, "subnets")} == networks


def test_what_another_project_has_is_not_in_the_way_of_a_second_run(ground: Ground, things: neutron.Things) -> None:
    ground.prepare(lambda _: None)
    for thing in ours(things, "security_groups"):
        thing["security_group_rules"] = [
            *({"direction": "egress", "ethertype": version} for version in ("IPv4", "IPv6")),
            {"direction": "ingress", "protocol": "icmp", "port_range_min": None},
            {"direction": "ingress", "protocol": "tcp", "port_range_min": 22},
        ]
    assert not ground.is_incomplete()
    before = {kind: len(found) for kind, found in things.items()}
    ground.prepare(lambda _: None)
    assert {kind: len(found) for kind, found in things.items()} == before
