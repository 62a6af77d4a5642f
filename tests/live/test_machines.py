# SPDX-License-Identifier: Apache-2.0
"""A whole physical machine by the command that gives a virtual one, from its empty disk to the user script's output.

The machines are emulated (libvirt behind sushy-tools' Redfish, an empty disk each), all else is real: keystone, nova, placement,
neutron, glance, the machine service with its database in MariaDB, the ramdisk.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import websocket

from arbaro.cluster.identity import write_private
from arbaro.cluster.rack import IMAGE, wanted_enrolment

from .conftest import Tool
from .metal import NAME, PRIVATE, QUIET_SDK, Metal, bring_up, phases, wait_for
from .test_docs import commands
from .troubles import TROUBLES, break_it, spoil_image

pytestmark = QUIET_SDK

SCRIPT = '#!/bin/sh\necho "SCRIPT SAYS {word} from $(hostname)"\n'
#: Says what a script sees of where it runs, but for the server's name.
SAME = """#!/bin/sh
echo "as $(id -u) in $(pwd), home $HOME, $# arguments, $(readlink /proc/self/fd/0)"
sha256sum <"$0"
printf '%s\\n' 'quotes ", $HOME, ümlaut,	tab, and a space at the end '
"""
#: The last one of the image's file system.
FREE_SECTOR = 31 * 2048 - 1


@pytest.fixture(scope="module")
def metal(tool: Tool, pytestconfig: pytest.Config) -> Iterator[Metal]:
    yield from bring_up(tool, keep=pytestconfig.getoption("--keep"))


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


def without_times(log: str) -> list[str]:
    return [line for line in log.splitlines() if not line.startswith("arbaro: ")]


def script(directory: Path, word: str) -> Path:
    file = directory / "userscript.sh"
    file.write_text(SCRIPT.format(word=word))
    return file


def test_a_second_up_skips_all_steps(tool: Tool, metal: Metal) -> None:
    machines = metal.rack.machines().values()
    assert [machine["state"] for machine in machines] == ["available"] * 2
    assert {machine["properties"]["cpu_arch"] for machine in machines} == {"x86_64"}, "as nova calls it"
    began = time.monotonic()
    tool.arbaro("up", NAME)
    assert time.monotonic() - began < 30
    assert tool.status(NAME)["findings"] == []


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


def test_rescued_and_back(metal: Metal) -> None:
    """The deploy ramdisk is the rescue system: the server's key opens it, and its disk is there and left alone."""
    machine, began = metal.machine_of(metal.server("testpm")), time.monotonic()
    metal.on("rack", f": >/var/lib/rack/consoles/{machine}")
    metal.do("server", "rescue", "testpm")
    wait_for(
        "testpm to be rescued", lambda: metal.server("testpm")["status"] == "RESCUE" or metal.console(machine), 180
    )
    print(f"\nrescued after {time.monotonic() - began:.1f} s")
    # It has its address by the rack's DHCP, and says it on the console.
    (rescue,) = re.findall(r"rescue: ssh root@([\d.]+)", metal.console(machine))
    seen = metal.ssh(
        rescue, "cat /proc/cmdline /proc/partitions; dd if=/dev/vda bs=512 skip=1 count=1 2>/dev/null | head -c 8"
    )
    assert "arbaro.token=" in seen
    assert re.search(r"\bvda1\b", seen)
    assert seen.endswith("EFI PART"), "the partition table that the image brought"
    metal.do("server", "unrescue", "testpm")
    server = metal.built("testpm", 120)
    assert "SCRIPT SAYS hello from testpm" in metal.script_log(server, "SCRIPT SAYS")
    assert "arbaro.token=" not in metal.ssh(metal.address("testpm"), "cat /proc/cmdline")


def test_rebuilt_on_its_machine_and_the_same_file_says_the_same_in_a_virtual_machine(
    metal: Metal, tmp_path: Path
) -> None:
    file, before = tmp_path / "same.sh", metal.server("testpm")
    file.write_text(SAME)
    # What another system left on the disk, where the image has zeros.
    address = metal.address("testpm")
    metal.ssh(address, f"echo left | dd of=/dev/vda bs=512 seek={FREE_SECTOR} conv=sync,fsync 2>/dev/null")
    sector = f"dd if=/dev/vda bs=512 skip={FREE_SECTOR} count=1 2>/dev/null | tr -d '\\0'"
    assert metal.ssh(address, sector).strip() == "left"
    api = ["--os-compute-api-version", "2.90"]
    metal.do(*api, "server", "rebuild", "--image", IMAGE, "--user-data", str(file), "testpm")
    base = ["--image", "tiny", "--flavor", "tiny", "--network", "provider", "--security-group", "ping-and-ssh"]
    metal.openstack("server", "create", *base, "--key-name", "arbaro", "--user-data", str(file), "testvm")
    servers = metal.built("testpm"), metal.built("testvm")
    said = [metal.script_log(server, "script done") for server in servers]
    metal.do("server", "delete", "--wait", "testvm")
    assert metal.machine_of(servers[0]) == metal.machine_of(before)
    assert metal.ssh(address, sector).strip() == "", "the disk was written anew"
    assert hashlib.sha256(SAME.encode()).hexdigest() in said[0], "byte for byte"
    # But for the boot's own lines, which tell seconds.
    assert without_times(said[0]) == without_times(said[1])


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
    break_it(metal, script(tmp_path, "never"), next(trouble for trouble in TROUBLES if trouble.code == code))


def test_spoiled_image_says_its_cause_and_what_to_do(metal: Metal, tmp_path: Path) -> None:
    spoil_image(metal, script(tmp_path, "never"), tmp_path / "image", "checksum-wrong")


def test_operators_commands_as_the_page_has_them(metal: Metal, tmp_path: Path) -> None:
    """docs/how-to/physical-machines.md: a machine is enrolled, counted, given out by hand, rescued, given back."""
    secret = tmp_path / "bmc-password"
    write_private(secret, metal.rack.ground.keeper.identity()["machines_bmc_password"])
    since, told = now(), wanted_enrolment(metal.rack.spec, "pm2", "")
    image = metal.openstack("image", "show", IMAGE)["id"]
    # The password is asked for in curl's line, and the list in two lines is a file's content: these are not typed.
    stands_for = {
        "icn1-a07-03": "pm2",
        "https://10.0.0.7": told["bmc"]["address"],
        "/redfish/v1/Systems/1 ": f"{told['bmc']['system']} ",
        "--bmc-username arbaro": f"--bmc-username {told['bmc']['username']}",
        "--bmc-password-file bmc-password": f"--bmc-password-file {secret}",
        "52:54:00:77:00:01": told["interfaces"][0]["mac"],
        "--firmware uefi": f"--firmware {told['boot']['firmware']}",
        # There is one rack, and the other machine is not for this.
        "--count 3": "--count 1",
        "IMAGE_ID": image,
        "userscript.sh": str(script(tmp_path, "by hand")),
        "~/.ssh/id_ed25519.pub": str(PRIVATE / "id_ed25519.pub"),
    }
    metal.ask("PUT", "/v1/machines/pm1/maintenance", {"reason": "a test"})
    try:
        metal.operator(tmp_path, "openstack machine delete pm2")
        typed = commands("how-to/physical-machines.md", "curl ", "name,resource_class", "icn1-a07-03,CUSTOM")
        for word, meant in stands_for.items():
            assert word in typed, f"the page says {word!r} no longer"
            typed = typed.replace(word, meant)
        printed = metal.operator(tmp_path, typed)
    finally:
        metal.ask("DELETE", "/v1/machines/pm1/maintenance")
    events = metal.events(metal.machine("pm2")["id"], since)
    states = [event["text"].rpartition(" → ")[2] for event in events if event["type"] == "state"]
    way = ["inspecting", "inspected", "cleaning", "available", "reserved", "deploying", "active"]
    way += ["rescuing", "rescued", "unrescuing", "active", "cleaning"]
    assert states[: len(way)] == way, f"{states}\n{printed}"
    metal.all_free()
    assert metal.is_blank("pm2")
    # As `up` enrolled it.
    place = f"--model {told['model']} --room {told['room']} --rack {told['rack']}"
    metal.operator(tmp_path, f"openstack machine set {place} --console-url {told['console_url']} pm2")
