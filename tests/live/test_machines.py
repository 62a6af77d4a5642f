# SPDX-License-Identifier: Apache-2.0
"""A whole physical machine by the command that gives a virtual one, from its empty disk to the user script's output.

The machines are emulated (libvirt behind sushy-tools' Redfish, an empty disk each), all else is real: keystone, nova, placement,
neutron, glance, the machine service with its database in MariaDB, the ramdisk.
"""

import base64
import contextlib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import websocket

from arbaro.cluster.rack import IMAGE

from .metal import Metal, Stranger, phases, wait_for
from .troubles import TROUBLES, break_it, spoil_image

#: The step in which a machine is on, and its ramdisk has not spoken yet.
BOOTING = "hear-first-word"
SCRIPT = '#!/bin/sh\necho "SCRIPT SAYS {word} from $(hostname)"\n'


def hear(console: websocket.WebSocket, wanted: str, seconds: float) -> str:
    """Listen to a console until it has said this; returns all that was heard."""
    heard, deadline = "", time.monotonic() + seconds
    while wanted not in heard:
        console.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            said = console.recv()
        except websocket.WebSocketTimeoutException:
            pytest.fail(f"the console did not say {wanted!r} within {seconds:.0f} s: {heard[-1500:]!r}")
        if not said:
            raise websocket.WebSocketConnectionClosedException(f"closed after {heard[-500:]!r}")
        heard += said.decode(errors="replace") if isinstance(said, bytes) else said
    return heard


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def script(directory: Path, word: str) -> Path:
    file = directory / "userscript.sh"
    file.write_text(SCRIPT.format(word=word))
    return file


def test_machines_are_in_the_stock(metal: Metal) -> None:
    machines = metal.rack.machines().values()
    assert [machine["state"] for machine in machines] == ["available"] * 2
    assert {machine["properties"]["cpu_arch"] for machine in machines} == {"x86_64"}, "as nova calls it"


def test_machine_runs_the_user_script_and_tells_it_by_ssh(metal: Metal, tmp_path: Path) -> None:
    began, clock = datetime.now(UTC), time.monotonic()
    metal.create("testpm", script(tmp_path, "hello"))
    server = metal.built("testpm")
    active = time.monotonic() - clock
    assert "SCRIPT SAYS hello from testpm" in metal.script_log(server, "SCRIPT SAYS")
    total = time.monotonic() - clock
    events = metal.events(server["OS-EXT-SRV-ATTR:hypervisor_hostname"], began.strftime("%Y-%m-%dT%H:%M:%SZ"))
    print(f"\nACTIVE after {active:.1f} s, script's output by SSH after {total:.1f} s\n{phases(events, began, total)}")
    assert not metal.is_blank(metal.machine_of(server))


def test_serial_console_shows_the_login_and_then_a_boot(metal: Metal) -> None:
    """By the URL that nova gives: nova-serialproxy, and behind it the line of the machine itself."""
    url = metal.openstack("console", "url", "show", "--serial", "testpm")["url"]
    assert url.startswith(f"ws://{metal.rack.spec.public_address}:6083/?token=")
    with contextlib.closing(websocket.create_connection(url, timeout=20)) as console:
        console.send_binary(b"\r")
        hear(console, "login:", 20)
        # Its own reboot, not the BMC's: that is off and on, and the line goes dead.
        metal.ssh(metal.address("testpm"), "reboot", code=None)
        hear(console, "SCRIPT SAYS hello from testpm", 60)
    forged = re.sub("token=.*", "token=11111111-2222-3333-4444-555555555555", url)
    with (
        contextlib.closing(websocket.create_connection(forged, timeout=20)) as console,
        pytest.raises(websocket.WebSocketConnectionClosedException),
    ):
        hear(console, "login:", 10)


def test_switched_and_rebooted_by_nova(metal: Metal) -> None:
    server, address = metal.server("testpm"), metal.address("testpm")
    machine, last = metal.machine_of(server), metal.booted_anew(address)
    for how in ("--soft", "--hard"):
        since, began = now(), time.monotonic()
        metal.do("server", "reboot", how, "--wait", "testpm")
        last = metal.booted_anew(address, last)
        print(f"\n{how}: up again after {time.monotonic() - began:.1f} s")
        steps = [event["text"] for event in metal.events(server["OS-EXT-SRV-ATTR:hypervisor_hostname"], since)]
        assert any("switch-off-softly" in step for step in steps) == (how == "--soft"), steps
    metal.do("server", "stop", "testpm")
    wait_for("testpm to be off", lambda: metal.server("testpm")["status"] == "SHUTOFF", 90)
    assert metal.on("rack", f"virsh domstate {machine}").strip() == "shut off"
    metal.do("server", "start", "testpm")
    metal.booted_anew(address, last)
    metal.built("testpm", 30)


@pytest.fixture(scope="module")
def guest(metal: Metal) -> Iterator[Stranger]:
    """A virtual server of another project."""
    metal.do("project", "create", "--or-show", "strangers")
    metal.do("role", "add", "--project", "strangers", "--user", "admin", "member")
    user = "--os-project-name=strangers"
    group = metal.openstack(user, "security", "group", "create", "open")["id"]
    metal.do(user, "security", "group", "rule", "create", "--ingress", "--protocol", "tcp", "--dst-port", "22", group)
    base = ["--image", "tiny", "--flavor", "tiny", "--network", "provider", "--security-group", group]
    metal.openstack(user, "server", "create", *base, "--key-name", "arbaro", "stranger")
    server = metal.built("stranger")
    stranger = Stranger(metal, metal.address("stranger"))
    wait_for("SSH to the stranger", lambda: "up" in metal.ssh(stranger.address, "echo up", code=None), 120)
    yield stranger
    metal.do("server", "delete", "--wait", server["id"])


@pytest.fixture
def on_machine(metal: Metal) -> Stranger:
    """A server on a physical machine, on the network that the ramdisks have too."""
    return Stranger(metal, metal.address("testpm"))


@pytest.mark.parametrize(
    ("who", "method"), [(("guest", "on_machine"), "virtual-media"), (("guest",), "network")], ids=["media", "network"]
)
def test_strangers_who_ask_all_the_time_learn_nothing(
    metal: Metal, request: pytest.FixtureRequest, who: tuple[str, ...], method: str
) -> None:
    """While a machine is deployed for another project, by its MAC, on both ports, whatever it boots from.

    A server on a machine is not asked about network boot: there a MAC is all that a machine is known by (decision 14).
    """
    strangers: list[Stranger] = [request.getfixturevalue(one) for one in who]
    machines = metal.rack.machines()
    free = next(one for one in machines.values() if one["state"] == "available")
    path = f"/v1/machines/{free['id']}"
    secret = base64.b64encode(b"#!/bin/sh\necho hunter2\n").decode()
    body = {
        "image": {"id": metal.openstack("image", "show", IMAGE)["id"]},
        "config_drive": {"files": {"openstack/latest/user_data": secret}},
    }
    macs = [interface["mac"] for one in machines.values() for interface in one["interfaces"]]
    metal.change(free["id"], boot={"method": method, "firmware": "bios"})
    for stranger in strangers:
        stranger.begin(macs)
    try:
        metal.ask("POST", f"{path}/reserve", {"project_id": metal.openstack("project", "show", "admin")["id"]})
        metal.ask("POST", f"{path}/deploy", body)
        if method == "network":
            wait_for("its start", lambda: (metal.machine(free["name"])["task"] or {}).get("step") == BOOTING, 120)
            for stranger in strangers:
                stranger.asks_all_again()
            # It was there to be learnt: the rack's own host, in agent_networks, gets it, and only the first time.
            url = f"http://{metal.rack.spec.public_address}:8781/v1/agent/boot.ipxe?mac={free['interfaces'][0]['mac']}"
            ask = f"python3 -c 'import urllib.request as r; print(r.urlopen(\"{url}\").read())'"
            assert "arbaro.token=" in metal.on("rack", ask)
            assert "arbaro.token=" not in metal.on("rack", ask)
        else:
            wait_for("the deployment", lambda: metal.machine(free["name"])["state"] == "active" or None, 300)
        learnt = [heard for stranger in strangers for heard in stranger.end().items()]
    finally:
        # First: the wipe starts it once more.
        metal.change(free["id"], boot={"method": "virtual-media", "firmware": "bios"})
        metal.ask("POST", f"{path}/release", {})
        wait_for("the machine", lambda: metal.machine(free["name"])["state"] == "available" or None, 300)
    for port, heard in learnt:
        assert f"asked all of {port}" in heard
        for word in ("token=", "hunter2", "initrd", "arbaro_machines{", free["id"], "sha256", "verb="):
            assert word not in heard, f"{port}: {heard[:2000]}"
    assert all("404" in heard for port, heard in learnt if port == 8780), "it was reached, and had nothing of the kind"


def test_deleted_servers_machine_is_wiped_and_given_to_another_project(metal: Metal, tmp_path: Path) -> None:
    first = metal.machine_of(metal.server("testpm"))
    other = next(name for name in metal.rack.spec.machine_names if name != first)
    metal.do("server", "delete", "--wait", "testpm")
    print(f"\nwiped, and offered again after {metal.all_free():.1f} s")
    assert metal.is_blank(first)
    metal.do("project", "create", "--or-show", "other")
    metal.do("role", "add", "--project", "other", "--user", "admin", "member")
    # So that it is this very machine.
    metal.ask("PUT", f"/v1/machines/{other}/maintenance", {"reason": "a test"})
    try:
        (told,) = (finding for finding in metal.tool.findings() if finding.where == other)
        assert (told.check, told.severity) == ("machine-in-maintenance", "warning")
        assert told.run.endswith(f"--os-cloud arbaro-test machine maintenance unset {other}")
        metal.create("otherpm", script(tmp_path, "welcome"), "--os-project-name=other")
        server = metal.built("otherpm")
        assert metal.machine_of(server) == first
        assert server["project_id"] != metal.openstack("project", "show", "admin")["id"]
        assert "SCRIPT SAYS welcome from otherpm" in metal.script_log(server, "SCRIPT SAYS")
    finally:
        metal.ask("DELETE", f"/v1/machines/{other}/maintenance")
    metal.do("server", "delete", "--wait", server["id"])
    metal.all_free()


@pytest.mark.parametrize("code", ["bmc-credentials"])
def test_fault_at_the_bmc_says_its_cause_and_what_to_do(metal: Metal, tmp_path: Path, code: str) -> None:
    """One that is found at once; all ten are in test_machines_faults.py."""
    break_it(metal, script(tmp_path, "never"), next(trouble for trouble in TROUBLES if trouble.name == code))


def test_spoiled_image_says_its_cause_and_what_to_do(metal: Metal, tmp_path: Path) -> None:
    spoil_image(metal, script(tmp_path, "never"), tmp_path / "image", "checksum-wrong")
