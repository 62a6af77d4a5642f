# SPDX-License-Identifier: Apache-2.0
"""From an empty disk to a script's output, with the real ramdisk in real (emulated) machines; then wiped, really.

Seen green without KVM, also with a load of 15 on two cores; Debian's own start is what takes long then.
"""

import base64
import itertools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..site import wait_for
from .metal import Metal

SECRET = "correct-horse-battery"


def user_data(text: str) -> dict[str, Any]:
    script = f"#!/bin/sh\necho {SECRET} >/root/secret\necho 'SCRIPT SAYS {text}' >/dev/console\n"
    return {"files": {"openstack/latest/user_data": base64.b64encode(script.encode()).decode()}}


def deploy(metal: Metal, number: int, image: dict[str, Any], text: str, seconds: float) -> None:
    """Deploy, wait for the script's output, and print when each phase began and how long it took."""
    name, start, seen = f"m{number}", time.monotonic(), {"asked for": 0.0}
    metal.alice.call(
        "POST", f"/v1/machines/{name}/deploy", {"image": image, "config_drive": user_data(text)}, status=202
    )

    def step() -> bool:
        machine = metal.show(name)
        assert machine["state"] in ("deploying", "active"), machine["fault"]
        if machine["task"] and machine["task"]["step"]:
            seen.setdefault(machine["task"]["step"], time.monotonic() - start)
        return machine["state"] == "active"

    wait_for(f"{name} to be active", step, seconds, lambda: metal.show(name))
    seen["its own system starts"] = time.monotonic() - start
    wait_for(
        "the script's output",
        lambda: f"SCRIPT SAYS {text}" in metal.console(number),
        seconds,
        lambda: metal.console(number)[-2000:],
    )
    total = time.monotonic() - start
    print(f"\n{text}, script's output after {total:.1f} s\n   began     took")
    for (what, began), (_, ended) in itertools.pairwise([*seen.items(), ("", total)]):
        print(f"{began:6.1f} s {ended - began:6.1f} s  {what}")


def data_on(disk: Path) -> str:
    """All text on a disk, as somebody who gets the machine next could read it."""
    found = subprocess.run(["grep", "-a", "-c", SECRET, disk], capture_output=True, text=True).stdout.strip()
    used = subprocess.run(["cmp", "-s", "-n", str(disk.stat().st_size), disk, "/dev/zero"]).returncode
    return "secret" if found != "0" else "something" if used else "zeros"


def test_real_ramdisk_brings_a_machine_into_the_stock(metal: Metal) -> None:
    start = time.monotonic()
    metal.stocked(0, seconds=300)
    machine = metal.show("m0")
    print(f"\n{time.monotonic() - start:6.1f} s  inspected and cleaned")
    assert machine["properties"]["disk_gb"] == 4
    assert machine["properties"]["memory_mb"] == 1024
    assert "wiping vda" in metal.console(0)


@pytest.fixture
def alices(metal: Metal) -> str:
    metal.alice.call("POST", "/v1/machines/m0/reserve", {}, status=200)
    return "m0"


def test_tiny_image_from_empty_disk_to_script_then_wiped(
    metal: Metal, images: Callable[[str], Any], alices: str
) -> None:
    deploy(metal, 0, images("tiny"), "tiny hello", 300)
    metal.alice.call("POST", "/v1/machines/m0/power", {"target": "off"}, status=202)
    metal.wait("m0", "active")
    assert data_on(metal.disk(0)) == "secret", "the config drive holds the script"
    metal.alice.call("POST", "/v1/machines/m0/release", status=202)
    metal.wait("m0", "available", seconds=300)
    assert data_on(metal.disk(0)) == "zeros"


def test_debian_with_real_cloud_init(metal: Metal, images: Callable[[str], Any], alices: str) -> None:
    deploy(metal, 0, images("debian-12"), "debian hello", 900)
    console = metal.console(0)
    assert "Debian GNU/Linux 12" in console
