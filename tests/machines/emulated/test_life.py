# SPDX-License-Identifier: Apache-2.0
"""A machine's whole life: real service, real Redfish emulator; only what runs on the machine stands in (standin.py)."""

import base64
import subprocess
from typing import Any

import pytest

from ..site import Site, wait_for
from .conftest import CONTENT

pytestmark = pytest.mark.emulator


def test_from_enrolment_to_a_running_system_and_back(site: Site, number: int, image: dict[str, Any]) -> None:
    name = site.stocked(number)
    machine = site.show(name)
    assert machine["properties"]["disk_gb"] == 8, "the ramdisk has seen the disk"
    assert machine["properties"]["macs_seen"] == [f"52:54:00:00:00:{number:02x}"]
    made = site.alice.call("POST", "/v1/reservations", {"resource_class": "CUSTOM_PM_SMALL"}, status=201)
    assert [one["name"] for one in made["machines"]] == [name]
    script = base64.b64encode(b"#!/bin/sh\necho hello\n").decode()
    body = {"image": image, "config_drive": {"files": {"openstack/latest/user_data": script}}}
    site.alice.call("POST", f"/v1/machines/{name}/deploy", body, status=202)
    active = site.wait(name, "active", "deploy-failed")
    assert (active["state"], active["power"], active["fault"]) == ("active", "on", None)
    disk = site.hardware.disks[name]
    unpacked = subprocess.run(["zstd", "-dc"], input=disk["image"], capture_output=True, check=True).stdout
    assert unpacked == CONTENT
    assert b"echo hello" in disk["drive"]
    assert b"config-2" in disk["drive"][32768:34816]
    site.alice.call("POST", f"/v1/machines/{name}/release", status=202)
    assert site.wait(name, "available")["power"] == "off"
    assert site.hardware.disks[name]["wiped"] == 1
    told = [
        event["text"]
        for event in site.operator.call("GET", f"/v1/events?machine_id={active['id']}&type=state", status=200)["events"]
    ]
    assert told == [
        "cleaning → available",
        "active → cleaning",
        "deploying → active",
        "reserved → deploying",
        "available → reserved",
        "cleaning → available",
        "inspected → cleaning",
        "inspecting → inspected",
        "enrolled → inspecting",
    ]


def test_reserved_but_never_written_is_not_wiped(site: Site, number: int) -> None:
    name = site.held(number)
    boots = site.hardware.boots.get(name)
    site.alice.call("POST", f"/v1/machines/{name}/release", status=202)
    site.wait(name, "available")
    assert site.hardware.boots.get(name) == boots


def test_power_as_asked(site: Site, number: int, image: dict[str, Any]) -> None:
    name = site.held(number)
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    site.wait(name, "active")
    for target, power in (("soft-off", "off"), ("on", "on"), ("reboot", "on"), ("off", "off"), ("soft-reboot", "on")):
        site.alice.call("POST", f"/v1/machines/{name}/power", {"target": target}, status=202)
        machine = site.wait(name, "active")
        assert (target, machine["power"], machine["fault"]) == (target, power, None)


def test_rescue_and_back(site: Site, number: int, image: dict[str, Any]) -> None:
    name = site.held(number)
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    site.wait(name, "active")
    site.alice.call("POST", f"/v1/machines/{name}/rescue", {"public_keys": ["ssh-ed25519 AAAA alice"]}, status=202)
    site.wait(name, "rescued")
    assert site.hardware.disks[name]["rescue"] == {"verb": "rescue", "key0": "ssh-ed25519 AAAA alice"}
    assert site.hardware.disks[name]["written"] == 1, "its disk is as it was"
    site.alice.call("POST", f"/v1/machines/{name}/unrescue", status=202)
    assert site.wait(name, "active")["power"] == "on"


def test_giving_back_in_the_middle_of_a_deployment(site: Site, number: int, image: dict[str, Any]) -> None:
    name = site.held(number)
    site.hardware.behave[name] = lambda ramdisk, _: ramdisk.say(phase="started")
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    wait_for("the ramdisk", lambda: site.show(name)["task"]["step"] == "write-image")
    del site.hardware.behave[name]
    site.alice.call("POST", f"/v1/machines/{name}/release", status=202)
    site.wait(name, "available")
    assert site.hardware.disks[name]["wiped"] == 1, "because writing had begun"


def test_no_secret_in_any_log_or_answer(site: Site, number: int) -> None:
    site.stocked(number)
    for log in site.directory.glob("*.log"):
        assert "calvin-1" not in log.read_text()
    token = site.operator.call("GET", "/v1/events?limit=1000", status=200)
    assert "calvin-1" not in str(token)
