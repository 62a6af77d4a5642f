# SPDX-License-Identifier: Apache-2.0
"""Several of a kind: servers of a group on machines in different racks, and nova-computes that take over from one another."""

import time
from pathlib import Path

import pytest

from .conftest import Tool
from .metal import Metal, wait_for
from .test_cloud import play

# Soak: a takeover is waited for, and that takes three minutes.
pytestmark = pytest.mark.soak

SCRIPT = "#!/bin/sh\necho SCRIPT SAYS here\n"
#: Host of nova → host of the cloud. The second one is a compute that has the role besides.
HOSTS = {"machines-controller": "controller", "machines-compute1": "compute1"}
MORE = "all: {children: {machines_compute: {hosts: {compute1: {}}}}}\n"
#: [machines] takeover_after, nova's own turn, and a look of each.
TAKEOVER = 180 + 60


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "userscript.sh"
    file.write_text(SCRIPT)
    return file


def seen(metal: Metal, host: str) -> str:
    """Say how nova sees a nova-compute: up, down, or nothing."""
    found = metal.openstack("compute", "service", "list", "--service", "nova-compute", "--host", host)
    return str(found[0]["State"]) if found else ""


def nodes(metal: Metal) -> dict[str, str]:
    """Say which nova-compute serves each machine."""
    asked = metal.rack.ground.connection.compute.hypervisors(details=True)
    machines = {found["id"]: name for name, found in metal.rack.machines().items()}
    return {machines[one.name]: one.service_details["host"] for one in asked if one.name in machines}


def tried(metal: Metal, server: str, script: Path, *more: str) -> object:
    """Create a server; take it away again if nova finds no machine for it, and return what it said."""
    metal.create(server, script, *more)
    wait_for(
        f"{server} to get a machine or none",
        lambda: (
            metal.server(server)["OS-EXT-SRV-ATTR:hypervisor_hostname"] is not None
            or metal.server(server)["status"] == "ERROR"
        ),
        60,
    )
    found = metal.server(server)
    if found["status"] != "ERROR":
        return True
    metal.do("server", "delete", "--wait", server)
    return found["fault"]["message"]


def test_group_is_on_machines_in_different_racks(metal: Metal, script: Path, tmp_path: Path) -> None:
    rule = ["--policy", "anti-affinity", "--rule", "max_server_per_host=100"]
    group = metal.openstack("--os-compute-api-version", "2.64", "server", "group", "create", *rule, "web")["id"]
    member = ["--hint", f"group={group}"]
    metal.create("web1", script, *member)
    first = metal.machine_of(metal.built("web1"))
    (other,) = {"pm1", "pm2"} - {first}
    # Both stand in the one rack of this cloud.
    metal.create("web2", script, *member)
    wait_for("web2 to find no machine", lambda: metal.server("web2")["status"] == "ERROR" or metal.server("web2"), 60)
    assert "No valid host" in metal.server("web2")["fault"]["message"]
    metal.operator(tmp_path, f"openstack machine set --rack b07 {other}")
    metal.do("server", "delete", "--wait", "web2")

    # nova looks at the machines every ten seconds; until then it refuses.
    wait_for("web3 to find a machine", lambda: tried(metal, "web3", script, *member), 120)
    assert metal.machine_of(metal.built("web3")) == other
    metal.do("server", "delete", "--wait", "web1", "web3")
    metal.do("server", "group", "delete", group)
    metal.operator(tmp_path, f"openstack machine set --rack a01 {other}")
    metal.all_free()


@pytest.fixture(scope="module")
def two(tool: Tool, metal: Metal, tmp_path_factory: pytest.TempPathFactory) -> Metal:
    """A second nova-compute for the machines, as docs/how-to/physical-machines-with-nova.md says."""
    place = tmp_path_factory.mktemp("inventory")
    more = place / "more.yml"
    more.write_text(MORE)
    words = ["-i", str(more), "--limit", "compute1"]
    assert play(tool, "machines.yml", place, *words)["compute1"]["changed"] > 0
    assert play(tool, "machines.yml", place, *words)["compute1"]["changed"] == 0
    assert "machines-compute1" in metal.on("controller", "runuser -u nova -- nova-manage cell_v2 list_hosts")
    return metal


def test_a_dead_ones_machines_go_on_being_served(two: Metal, script: Path) -> None:
    metal = two
    for number in (1, 2):
        metal.create(f"kept{number}", script)
    servers = [metal.built(f"kept{number}") for number in (1, 2)]
    dead = servers[0]["OS-EXT-SRV-ATTR:host"]
    (living,) = HOSTS.keys() - {dead}
    print(f"\nkept1: {dead}, kept2: {servers[1]['OS-EXT-SRV-ATTR:host']}")
    metal.on(HOSTS[dead], "systemctl stop nova-compute-machines")
    began = time.monotonic()
    try:
        wait_for(
            f"{living} to have the server",
            lambda: host_of(metal, "kept1") == living or host_of(metal, "kept1"),
            TAKEOVER,
        )
        print(f"taken over after {time.monotonic() - began:.0f} s")
        assert seen(metal, dead) == "down"
        metal.do("server", "stop", "kept1")
        wait_for("kept1 to be off", lambda: metal.server("kept1")["status"] == "SHUTOFF", 90)
        assert metal.machine(metal.machine_of(servers[0]))["power"] == "off"
        metal.do("server", "start", "kept1")
        metal.built("kept1", 90)
        assert "SCRIPT SAYS here" in metal.script_log(servers[0], "SCRIPT SAYS")
        metal.do("server", "delete", "--wait", "kept1", "kept2")
        metal.all_free()
        assert nodes(metal) == dict.fromkeys(("pm1", "pm2"), living)
    finally:
        metal.on(HOSTS[dead], "systemctl start nova-compute-machines")
    wait_for(f"{dead} to be back", lambda: seen(metal, dead) == "up" or seen(metal, dead), 90)
    # What it gets back by the ring it gives out again, where it is host of a machine at all.
    metal.create("again", script)
    metal.built("again")
    metal.do("server", "delete", "--wait", "again")
    metal.all_free()


def host_of(metal: Metal, server: str) -> str:
    return str(metal.server(server)["OS-EXT-SRV-ATTR:host"])
