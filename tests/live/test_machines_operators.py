# SPDX-License-Identifier: Apache-2.0
"""What operators and patient users do with a machine: rescue, rebuild, and by hand what the how-to says."""

import hashlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arbaro.cluster.identity import write_private
from arbaro.cluster.rack import IMAGE, wanted_enrolment

from .metal import PRIVATE, Metal, wait_for
from .test_docs import commands
from .test_machines import now, script

# Soak: five more deployments.
pytestmark = pytest.mark.soak

#: Says what a script sees of where it runs, but for the server's name.
SAME = """#!/bin/sh
echo "as $(id -u) in $(pwd), home $HOME, $# arguments, $(readlink /proc/self/fd/0)"
sha256sum <"$0"
printf '%s\\n' 'quotes ", $HOME, ümlaut,	tab, and a space at the end '
"""
#: The last one of the image's file system.
FREE_SECTOR = 31 * 2048 - 1


def without_times(log: str) -> list[str]:
    return [line for line in log.splitlines() if not line.startswith("arbaro: ")]


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


@pytest.fixture(scope="module")
def testpm(metal: Metal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a machine."""
    metal.create("testpm", script(tmp_path_factory.mktemp("script"), "hello"))
    assert "SCRIPT SAYS hello from testpm" in metal.script_log(metal.built("testpm"), "SCRIPT SAYS")
    yield "testpm"
    metal.do("server", "delete", "--wait", "testpm")
    metal.all_free()


def test_rescued_and_back(metal: Metal, testpm: str) -> None:
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
    metal: Metal, testpm: str, tmp_path: Path
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
