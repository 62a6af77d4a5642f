# SPDX-License-Identifier: Apache-2.0
"""kill -9 in each state: another process goes on, nothing is lost, nothing is done twice."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..site import TIMES, Site, wait_for
from ..standin import Ramdisk, obey
from .conftest import CONTENT

pytestmark = pytest.mark.emulator
#: Long enough for an API that is started anew on a busy machine: its imports alone have taken more than a minute there.
PATIENT = {"first_word": 300.0, "bmc_patience": 20.0, "power": 60.0, "doubt": 15.0}


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[Site]:
    """A site for one test, whose processes die."""
    one = Site(tmp_path, machines=4, **PATIENT)
    one.start("emulator", "api", "worker1")
    yield one
    one.stop()


@pytest.fixture
def image(fragile: Site) -> dict[str, Any]:
    """An image in the glance of that site."""
    return fragile.cloud.add(CONTENT)


def step_of(site: Site, name: str) -> str:
    task = site.show(name)["task"]
    return task["step"] if task else "done"


@pytest.mark.parametrize("victims", [("worker1",), ("worker1", "api")], ids="+".join)
def test_killed_again_and_again_in_one_deployment(
    fragile: Site, image: dict[str, Any], victims: tuple[str, ...]
) -> None:
    """Each time the deployment comes to another step, what works on it is killed and started again."""
    name = fragile.held(0)
    fragile.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    seen: set[str] = set()
    while (step := wait_for("a new step", lambda: (now := step_of(fragile, name)) not in seen and now)) != "done":
        seen.add(step)
        fragile.kill(*victims)
        fragile.start(*victims)
    machine = fragile.wait(name, "active")
    assert machine["power"] == "on"
    assert fragile.hardware.disks[name]["written"] == 1, "killed before: written once; the ramdisk went on by itself"
    assert len(seen) >= 3, f"only killed in {seen}"
    events = fragile.operator.call("GET", f"/v1/events?machine_id={machine['id']}&type=state", status=200)["events"]
    assert [event["text"] for event in events].count("deploying → active") == 1


def test_ramdisk_that_was_silent_because_the_api_was_down_is_heard(fragile: Site, image: dict[str, Any]) -> None:
    def patient(ramdisk: Ramdisk, disks: dict[str, Any]) -> None:
        ramdisk.say(phase="started")
        fragile.kill("api")
        time.sleep(TIMES["silence"] + PATIENT["doubt"] + 2)  # longer than the silence that would be a fault
        fragile.start("api")
        obey(ramdisk, disks)

    name = fragile.held(0)
    fragile.hardware.behave[name] = patient
    fragile.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    wait_for("it to be active", lambda: fragile.show(name)["state"] == "active", 400)


def test_two_workers_share_and_one_takes_over(fragile: Site, image: dict[str, Any]) -> None:
    """Two workers; one dies in the middle: all machines are deployed, each written once."""
    go_on = threading.Event()

    def held_up(ramdisk: Ramdisk, disks: dict[str, Any]) -> None:
        ramdisk.say(phase="started")
        # Not so long that the silence would be a fault.
        while not go_on.wait(0.5):
            ramdisk.say(phase="writing", done=0, total=100)
        obey(ramdisk, disks)

    fragile.start("worker2")
    names = [fragile.held(number) for number in range(4)]
    for name in names:
        fragile.hardware.behave[name] = held_up
        fragile.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    wait_for("all to be written", lambda: {step_of(fragile, name) for name in names} == {"write-image"}, 60)
    fragile.kill("worker1")
    go_on.set()
    for name in names:
        fragile.wait(name, "active", seconds=60)
    assert [fragile.hardware.disks[name]["written"] for name in names] == [1, 1, 1, 1]


def test_cleaning_and_rescue_survive_too(fragile: Site, image: dict[str, Any]) -> None:
    name = fragile.held(0)
    fragile.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    fragile.wait(name, "active")
    for verb, body, state in (
        ("rescue", {"password": "x"}, "rescued"),
        ("unrescue", {}, "active"),
        ("release", {}, "available"),
    ):
        fragile.alice.call("POST", f"/v1/machines/{name}/{verb}", body, status=202)
        fragile.kill("worker1", "api")
        fragile.start("api", "worker1")
        fragile.wait(name, state)
    assert fragile.hardware.disks[name]["wiped"] == 1
