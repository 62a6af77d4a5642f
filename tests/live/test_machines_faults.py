# SPDX-License-Identifier: Apache-2.0
"""What may break while a server is put on a machine, broken for real: at the BMC, the disk, the network, the image, the services.

Each fault ends in ERROR within its time (docs/reference/machines-api.md), with cause and next step in `openstack server show`, and the
machine is back in the stock when it is mended. Kills are gone on from.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import Tool
from .metal import QUIET_SDK, Metal, bring_up, wait_for

# Soak, for the time that ten faults and five kills take.
pytestmark = [pytest.mark.soak, QUIET_SDK]

MACHINE = "pm1"
SCRIPT = "#!/bin/sh\necho SCRIPT SAYS still here\n"
#: Of this machine, every packet that it sends into the rack's network is lost.
CUT_OFF = (
    "nft add table bridge trouble; nft add chain bridge trouble in '{ type filter hook prerouting priority 0; }'; "
    "nft add rule bridge trouble in ether saddr 52:54:00:70:6d:01 drop"
)
KEEP = f"virsh dumpxml --inactive {MACHINE} >/run/before.xml"
#: Its definition as it was; the machine is off, or is switched off before anything else is done with it.
AS_BEFORE = "virsh -q define /run/before.xml"


@dataclass(frozen=True)
class Trouble:
    """What breaks on the host `rack`, when (at which step of the deployment; before it if empty), and how it is mended."""

    code: str
    breaks: str
    mends: str
    seconds: float
    at: str = ""


TROUBLES = (
    Trouble("bmc-unreachable", "systemctl stop rack-bmc", "systemctl start rack-bmc", 60),
    Trouble(
        "bmc-credentials",
        "sed -i s/^/x/ /etc/rack/password; systemctl restart rack-bmc",
        "sed -i s/^x// /etc/rack/password; systemctl restart rack-bmc",
        0,
    ),
    Trouble(
        "media-refused",
        "nft add table ip trouble; nft add chain ip trouble out '{ type filter hook output priority 0; }'; "
        "nft add rule ip trouble out tcp dport 8780 reject with tcp reset",
        "nft delete table ip trouble",
        60,
    ),
    Trouble("boot-ignored", CUT_OFF, "nft delete table bridge trouble", 300),
    Trouble("callback-missing", CUT_OFF, "nft delete table bridge trouble", 75, at="write-image"),
    Trouble("power-lost", f"virsh -q destroy {MACHINE}", "true", 60, at="write-image"),
    Trouble("no-disk", f"{KEEP}; virsh -q detach-disk {MACHINE} vda --config", AS_BEFORE, 0),
    Trouble(
        "disk-too-small",
        f"{KEEP}; truncate --size 16M /var/lib/rack/disks/small.raw; "
        f"sed s/{MACHINE}.raw/small.raw/ /run/before.xml >/run/small.xml; virsh -q define /run/small.xml",
        AS_BEFORE,
        0,
    ),
)
#: A server's way to the machine, the machine's to the ramdisk, and nova's way back.
OVERHEAD = 60


@pytest.fixture(scope="module")
def metal(tool: Tool, pytestconfig: pytest.Config) -> Iterator[Metal]:
    yield from bring_up(tool, keep=pytestconfig.getoption("--keep"))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "userscript.sh"
    file.write_text(SCRIPT)
    return file


def on_this_machine(metal: Metal) -> tuple[str, str]:
    """Ask nova for this very machine: then it does not try another one."""
    return "--availability-zone", f"nova:machines-controller:{metal.machine(MACHINE)['id']}"


def reach(metal: Metal, *steps: str, seconds: float = 120) -> None:
    """Wait until the deployment has come to one of these steps."""

    def look() -> object:
        task = metal.machine(MACHINE)["task"] or {}
        return task.get("step") in steps or task

    wait_for(f"{MACHINE} to come to {steps}", look, seconds)


def failed(metal: Metal, server: str, seconds: float) -> Any:
    """Wait until a server is in ERROR."""
    last: list[Any] = []

    def look() -> object:
        last[:] = [metal.server(server)]
        return last[0]["status"] == "ERROR" or (last[0]["status"], metal.machine(MACHINE))

    wait_for(f"{server} to be in ERROR", look, seconds)
    return last[0]


def bring_back(metal: Metal) -> None:
    """Mend what failed, as the how-to says, and have all machines free again."""

    def idle() -> object:
        machine = metal.machine(MACHINE)
        return machine["task"] is None or machine

    wait_for("the machine's task to end", idle, 420)
    if metal.machine(MACHINE)["state"] == "clean-failed":
        machine = metal.machine(MACHINE)
        assert machine["maintenance"], "what could not be wiped is nobody's"
        metal.ask("DELETE", f"/v1/machines/{MACHINE}/maintenance")
        metal.ask("POST", f"/v1/machines/{MACHINE}/provide", {})
    metal.all_free()


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.code)
def test_fault_ends_in_error_with_its_cause(metal: Metal, script: Path, trouble: Trouble) -> None:
    server = f"bad-{trouble.code}"
    if not trouble.at:
        metal.on("rack", trouble.breaks)
    began = time.monotonic()
    try:
        metal.create(server, script, *on_this_machine(metal))
        if trouble.at:
            reach(metal, trouble.at)
            metal.on("rack", trouble.breaks)
        found = failed(metal, server, trouble.seconds + OVERHEAD)
        print(f"\n{trouble.code}: ERROR after {time.monotonic() - began:.0f} s: {found['fault']['message']}")
    finally:
        metal.on("rack", trouble.mends)
    assert trouble.code in found["fault"]["message"]
    metal.do("server", "delete", "--wait", server)
    bring_back(metal)


@pytest.mark.parametrize("code", ["checksum-wrong", "image-unusable"])
def test_bad_image_ends_in_error_with_its_cause(metal: Metal, script: Path, tmp_path: Path, code: str) -> None:
    file, server = tmp_path / "image", f"bad-{code}"
    file.write_bytes(secrets.token_bytes(2**20))
    form = {"checksum-wrong": "raw", "image-unusable": "qcow2"}[code]
    image = metal.openstack("image", "create", "--disk-format", form, "--file", str(file), server)["id"]
    if code == "checksum-wrong":
        metal.on("controller", f"printf spoiled | dd of=/var/lib/glance/images/{image} conv=notrunc status=none")
    metal.create(server, script, image=server)
    found = failed(metal, server, OVERHEAD)
    print(f"\n{code}: {found['fault']['message']}")
    assert code in found["fault"]["message"]
    metal.do("server", "delete", "--wait", server)
    metal.do("image", "delete", image)
    bring_back(metal)


@pytest.mark.parametrize(
    "units",
    [
        ("arbaro-machines-worker",),
        ("arbaro-machines-api",),
        ("nova-compute-machines",),
        ("arbaro-machines-worker", "arbaro-machines-api", "nova-compute-machines"),
        ("mariadb",),
    ],
    ids=lambda units: "+".join(units),
)
def test_killed_at_each_step_of_a_deployment_it_is_gone_on_with(
    metal: Metal, script: Path, units: tuple[str, ...]
) -> None:
    """kill -9 whenever the deployment has come to another step: the server becomes ACTIVE, its machine was written once."""
    server, seen = "tough", set()
    metal.create(server, script, *on_this_machine(metal))
    began = time.monotonic()
    metal.on("rack", f": >/var/lib/rack/consoles/{MACHINE}")
    while (machine := look_patiently(metal))["state"] != "active" or machine["task"]:
        step = (machine["task"] or {}).get("step")
        if machine["state"] == "deploying" and step and step not in seen:
            seen.add(step)
            metal.on("controller", f"systemctl kill --signal=KILL {' '.join(units)}")
        assert machine["state"] in ("available", "reserved", "deploying", "active"), machine
        assert time.monotonic() < began + 300, machine
        time.sleep(0.2)
    # nova says ERROR for a moment, after nova-compute has started anew.
    wait_for("the server to be ACTIVE", lambda: metal.server(server)["status"] == "ACTIVE", 120)
    found = metal.server(server)
    assert "still here" in metal.script_log(found, "SCRIPT SAYS")
    print(f"\nkilled at {', '.join(sorted(seen))}: done after {time.monotonic() - began:.0f} s")
    assert len(seen) >= 3
    assert metal.console(MACHINE).count("task: deploy") == 1
    metal.do("server", "delete", "--wait", server)
    bring_back(metal)


def look_patiently(metal: Metal) -> dict[str, Any]:
    """Look at the machine while its API may just be starting."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return metal.machine(MACHINE)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
