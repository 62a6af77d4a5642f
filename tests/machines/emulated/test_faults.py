# SPDX-License-Identifier: Apache-2.0
"""Each failure ends within its time, with cause and next step. The times are short here (site.py); their sum is checked."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from arbaro_machines.database.models import Machine
from arbaro_machines.faults import NEXT_STEPS
from sqlalchemy import update

from ..site import TIMES, Site, free_port, wait_for
from ..standin import Ramdisk, obey
from .conftest import CONTENT

pytestmark = pytest.mark.emulator

Say = Callable[[Ramdisk, dict[str, Any]], None]


def starts_and_dies(ramdisk: Ramdisk, _: Any) -> None:
    ramdisk.say(phase="started")


def starts_and_loses_power(ramdisk: Ramdisk, _: Any) -> None:
    ramdisk.say(phase="started")
    ramdisk.power_off()


def never_starts_and_loses_power(ramdisk: Ramdisk, _: Any) -> None:
    wait_for("the service to listen", lambda: ramdisk.step() == "hear-first-word")
    ramdisk.power_off()


def fails_with(code: str) -> Say:
    def say(ramdisk: Ramdisk, _: Any) -> None:
        ramdisk.say(phase="started")
        ramdisk.say(phase="failed", code=code, cause="as the test wants it")

    return say


def deploy(site: Site, name: str, image: dict[str, Any], within: float) -> dict[str, Any]:
    """Deploy, and expect the failure within the time."""
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    failed = site.wait(name, "deploy-failed", seconds=within)
    assert failed["holder"]["project_id"] == "p-web", "it is still the holder's, to try again or to give back"
    assert failed["fault"]["next_step"] == NEXT_STEPS[failed["fault"]["code"]]
    assert failed["fault"]["cause"]
    newest = site.operator.call("GET", f"/v1/events?machine_id={failed['id']}&type=fault&limit=1", status=200)["events"]
    assert newest[0]["detail"] == {"code": failed["fault"]["code"]}
    return failed["fault"]


@pytest.mark.parametrize(
    ("behaviour", "code", "within"),
    [
        (None, "boot-ignored", TIMES["first_word"]),
        (starts_and_dies, "callback-missing", TIMES["silence"] + TIMES["doubt"]),
        (starts_and_loses_power, "power-lost", TIMES["silence"]),
        (never_starts_and_loses_power, "power-lost", TIMES["first_word"]),
        (fails_with("disk-too-small"), "disk-too-small", 2),
        (fails_with("no-disk"), "no-disk", 2),
        (fails_with("checksum-wrong"), "checksum-wrong", 2),
        (fails_with("image-unreachable"), "image-unreachable", 2),
        (fails_with("config-drive-failed"), "config-drive-failed", 2),
        (fails_with("something-unheard-of"), "internal", 2),
    ],
)
def test_what_the_machine_does(site: Site, number: int, image, behaviour, code: str, within: float) -> None:
    name = site.held(number)
    site.hardware.behave[name] = behaviour
    fault = deploy(site, name, image, within + 60)  # a minute for all the steps before, on a busy machine
    assert fault["code"] == code


def test_image_with_another_checksum_is_never_written(site: Site, number: int) -> None:
    name = site.held(number)
    fault = deploy(site, name, site.cloud.add(CONTENT, os_hash_value="0" * 128), 60)
    assert (fault["code"], fault["step"]) == ("checksum-wrong", "fetch-image")
    assert name not in site.hardware.disks


def test_image_that_is_not_there(site: Site, number: int) -> None:
    name = site.held(number)
    assert deploy(site, name, site.cloud.add(None), 60)["code"] == "image-unreachable"


def test_image_larger_than_the_disk(site: Site, number: int, image) -> None:
    name = site.held(number)
    machine = site.show(name)
    site.operator.call(
        "PATCH", f"/v1/machines/{name}", {"properties": {"disk_gb": 0}}, If_Match=f'"{machine["revision"]}"'
    )
    assert deploy(site, name, image, 60)["code"] == "disk-too-small"


def test_bmc_gone(site: Site, number: int) -> None:
    name = site.enrol(number, bmc={"address": f"http://127.0.0.1:{free_port()}"})
    site.operator.call("POST", f"/v1/machines/{name}/inspect", status=202)
    fault = site.wait(name, "inspect-failed", seconds=TIMES["bmc_patience"] + 60)["fault"]
    assert fault["code"] == "bmc-unreachable"


def test_wrong_credentials_then_right_ones(site: Site, number: int) -> None:
    name = site.enrol(number, bmc={"password": "wrong-password"})
    site.operator.call("POST", f"/v1/machines/{name}/inspect", status=202)
    failed = site.wait(name, "inspect-failed", seconds=60)
    assert failed["fault"]["code"] == "bmc-credentials"
    assert "wrong-password" not in str(failed)
    site.operator.call("PATCH", f"/v1/machines/{name}", {"bmc": {"password": "calvin-1"}}, If_Match="*")
    site.operator.call("POST", f"/v1/machines/{name}/inspect", status=202)
    assert site.wait(name, "inspected")["fault"] is None


def test_failed_cleaning_ends_in_maintenance_and_is_not_repeated(site: Site, number: int, image) -> None:
    name = site.held(number)
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    site.wait(name, "active")
    site.hardware.behave[name] = fails_with("wipe-failed")
    site.alice.call("POST", f"/v1/machines/{name}/release", status=202)
    failed = site.wait(name, "clean-failed")
    assert "as the test wants it" in failed["maintenance"]["reason"]
    boots = site.hardware.boots[name]
    time.sleep(3)
    assert site.hardware.boots[name] == boots
    assert site.show(name)["state"] == "clean-failed"
    site.hardware.behave[name] = obey
    site.operator.call("DELETE", f"/v1/machines/{name}/maintenance", status=200)
    site.operator.call("POST", f"/v1/machines/{name}/provide", status=202)
    assert site.wait(name, "available")["maintenance"] is None


def test_bmc_that_is_silent_while_its_machine_is_wiped_is_waited_for(site: Site, number: int, image) -> None:
    """Longer than any other task would wait, and then the machine comes into the stock as if nothing had been."""
    name = site.held(number)
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    site.wait(name, "active")
    gone = {"bmc": {"address": f"http://127.0.0.1:{free_port()}"}}
    site.operator.call("PATCH", f"/v1/machines/{name}", gone, status=200, If_Match="*")
    site.alice.call("POST", f"/v1/machines/{name}/release", status=202)
    waits = wait_for("it to be waited for", lambda: site.show(name)["task"]["waits_for"])
    assert (waits["code"], "does not answer" in waits["cause"]) == ("bmc-unreachable", True)
    time.sleep(TIMES["power"] + TIMES["bmc_patience"])
    waiting = site.show(name)
    assert (waiting["state"], waiting["maintenance"]) == ("cleaning", None)
    line = next(one for one in site.stock() if one["resource_class"] == waiting["resource_class"])
    assert line["cleaning"] >= 1
    back = {"bmc": {"address": site.bmc}}
    site.operator.call("PATCH", f"/v1/machines/{name}", back, status=200, If_Match="*")
    free = site.wait(name, "available")
    assert (free["fault"], site.hardware.disks[name]["wiped"]) == (None, 1)
    events = site.operator.call("GET", f"/v1/events?machine_id={free['id']}&type=step", status=200)["events"]
    assert sum("waits until the BMC answers" in event["text"] for event in events) == 1, "told once"


def test_person_ends_the_waiting_by_maintenance(site: Site, number: int) -> None:
    name = site.enrol(number, bmc={"address": f"http://127.0.0.1:{free_port()}"})
    with site.store.writing() as session:
        session.execute(update(Machine).where(Machine.name == name).values(state="inspected"))
    site.operator.call("POST", f"/v1/machines/{name}/provide", status=202)
    wait_for("it to be waited for", lambda: site.show(name)["task"]["waits_for"])
    time.sleep(TIMES["bmc_patience"] + 1)
    assert site.show(name)["state"] == "cleaning"
    site.operator.call("PUT", f"/v1/machines/{name}/maintenance", {"reason": "its BMC is dead"}, status=200)
    failed = site.wait(name, "clean-failed")
    assert failed["fault"]["code"] == "bmc-unreachable"


def test_refusal_of_a_bmc_is_not_waited_out(site: Site, number: int) -> None:
    name = site.enrol(number, bmc={"password": "wrong-password"})
    with site.store.writing() as session:
        session.execute(update(Machine).where(Machine.name == name).values(state="inspected"))
    site.operator.call("POST", f"/v1/machines/{name}/provide", status=202)
    assert site.wait(name, "clean-failed")["fault"]["code"] == "bmc-credentials"
