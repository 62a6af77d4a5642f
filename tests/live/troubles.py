# SPDX-License-Identifier: Apache-2.0
"""What may break while a server is put on a machine, broken for real on the host `rack`, and what its user is to read then."""

import runpy
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .conftest import ROOT
from .drills import Drill, broken
from .metal import Metal, wait_for

MACHINE = "pm1"
#: What the service's own page says to do, by fault.
NEXT_STEPS: dict[str, str] = runpy.run_path(str(ROOT / "services/machines/arbaro_machines/faults.py"))["NEXT_STEPS"]
#: Of this machine, every packet that it sends into the rack's network is lost.
CUT_OFF = (
    "nft add table bridge trouble; nft add chain bridge trouble in '{ type filter hook prerouting priority 0; }'; "
    "nft add rule bridge trouble in ether saddr 52:54:00:70:6d:01 drop"
)
KEEP = f"virsh dumpxml --inactive {MACHINE} >/run/before.xml"
#: Its definition as it was; the machine is off, or is switched off before anything else is done with it.
AS_BEFORE = "virsh -q define /run/before.xml"


@dataclass(frozen=True, kw_only=True)
class Trouble(Drill):
    """What breaks on the host `rack`, named by the fault's code; what it `expects` is in the cause that the server's user reads.

    It breaks before the deployment, or when that has come to the step `at`; the server is in ERROR within `seconds` of its own.
    """

    seconds: float
    at: str = ""


TROUBLES = (
    Trouble(
        name="bmc-unreachable",
        expects="does not answer",
        breaks="systemctl stop rack-bmc",
        mends="systemctl start rack-bmc",
        seconds=60,
    ),
    Trouble(
        name="bmc-credentials",
        expects="refuses these credentials",
        breaks="sed -i s/^/x/ /etc/rack/password; systemctl restart rack-bmc",
        mends="sed -i s/^x// /etc/rack/password; systemctl restart rack-bmc",
        seconds=0,
    ),
    Trouble(
        name="media-refused",
        expects="does not take the CD",
        breaks="nft add table ip trouble; nft add chain ip trouble out '{ type filter hook output priority 0; }'; "
        "nft add rule ip trouble out tcp dport 8781 reject with tcp reset",
        mends="nft delete table ip trouble",
        seconds=60,
    ),
    Trouble(
        name="boot-ignored",
        expects="the ramdisk on it did not say a word",
        breaks=CUT_OFF,
        mends="nft delete table bridge trouble",
        seconds=300,
    ),
    Trouble(
        name="callback-missing",
        expects="then silent for",
        breaks=CUT_OFF,
        mends="nft delete table bridge trouble",
        seconds=75,
        at="write-image",
    ),
    Trouble(
        name="power-lost",
        expects="was switched on and is off",
        breaks=f"virsh -q destroy {MACHINE}",
        seconds=60,
        at="write-image",
    ),
    Trouble(
        name="no-disk",
        expects="there is no disk in this machine",
        breaks=f"{KEEP}; virsh -q detach-disk {MACHINE} vda --config",
        mends=AS_BEFORE,
        seconds=0,
    ),
    Trouble(
        name="disk-too-small",
        expects=" bytes, ",
        breaks=f"{KEEP}; truncate --size 16M /var/lib/rack/disks/small.raw; "
        f"sed s/{MACHINE}.raw/small.raw/ /run/before.xml >/run/small.xml; virsh -q define /run/small.xml",
        mends=AS_BEFORE,
        seconds=0,
    ),
)
#: A server's way to the machine, the machine's to the ramdisk, and nova's way back.
OVERHEAD = 60


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


def check_told(found: Any, code: str, cause: str) -> None:
    """See that `openstack server show` says which machine and fault, the cause, and the next step as far as nova has room."""
    message, step = found["fault"]["message"], NEXT_STEPS[code]
    head, _, told = message.partition(f"{code}: ")
    assert head.endswith(f"{MACHINE}: "), message
    said, begun, rest = told.partition(step[:40])
    assert begun, f"no next step ({step}) in {message!r}"
    # Cause and next step are cut where they are too long for nova's 255 characters; each says so.
    assert step.startswith((begun + rest).removesuffix("…").rstrip()) and (begun + rest == step or rest.endswith("…"))
    assert cause in said, message


def break_it(metal: Metal, script: Path, trouble: Trouble) -> None:
    """Have a server fail on the machine by this trouble, read why, mend it, and have all machines free again."""
    server, began = f"bad-{trouble.name}", time.monotonic()
    if trouble.at:
        metal.create(server, script, *on_this_machine(metal))
        reach(metal, trouble.at)
    with broken(trouble, lambda line: metal.on("rack", line)):
        if not trouble.at:
            metal.create(server, script, *on_this_machine(metal))
        found = failed(metal, server, trouble.seconds + OVERHEAD)
        print(f"\n{trouble.name}: ERROR after {time.monotonic() - began:.0f} s: {found['fault']['message']}")
    check_told(found, trouble.name, trouble.expects)
    metal.do("server", "delete", "--wait", server)
    bring_back(metal)


def spoil_image(metal: Metal, script: Path, file: Path, code: str) -> None:
    """Have a server fail by its image: glance's file has other bytes than were uploaded, or they are no image at all."""
    form, cause = {"checksum-wrong": ("raw", "The image has sha"), "image-unusable": ("qcow2", "says:")}[code]
    server = f"bad-{code}"
    file.write_bytes(secrets.token_bytes(2**20))
    image = metal.openstack("image", "create", "--disk-format", form, "--file", str(file), server)["id"]
    if code == "checksum-wrong":
        metal.on("controller", f"printf spoiled | dd of=/var/lib/glance/images/{image} conv=notrunc status=none")
    metal.create(server, script, *on_this_machine(metal), image=server)
    found = failed(metal, server, OVERHEAD)
    print(f"\n{code}: {found['fault']['message']}")
    check_told(found, code, cause)
    metal.do("server", "delete", "--wait", server)
    metal.do("image", "delete", image)
    bring_back(metal)
