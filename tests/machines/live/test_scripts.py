# SPDX-License-Identifier: Apache-2.0
"""The real ramdisk's programs and scripts, in a chroot with a file for a disk: quicker than a boot, and no QEMU.

Real: the unpacked initrd, the service, its plans and tokens. Made up: /sys/block, /dev/vda, the kernel's command line, the BMC.
"""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from arbaro_machines.database.models import Task
from arbaro_machines.sealing import Seal
from sqlalchemy import select

from ..site import Site, wait_for
from ..standin import AUTH
from .metal import run
from .recipes import built

DISK_BYTES = 96 * 2**20


class Chroot:
    """A machine that runs the ramdisk's scripts when told to."""

    def __init__(self, directory: Path, site: Site) -> None:
        self._root, self._site = directory / "root", site
        self.disk = self._root / "dev/vda"
        self._root.mkdir()
        initrd = built("agents/deploy") / "initrd"
        subprocess.run(f"lz4 -dc {initrd} | cpio -idm --quiet", shell=True, cwd=self._root, check=True)
        for name in ("dev", "proc", "run", "tmp", "root/.ssh"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        self.show_disk("vda")
        for name, minor in (("zero", "5"), ("null", "3"), ("urandom", "9")):
            run("mknod", "-m", "666", self._root / "dev" / name, "c", "1", minor)
        self.disk.write_bytes(b"what somebody else left " * (DISK_BYTES // 24))
        for script, end in (("run", "poweroff -f"), ("api", "exec sleep 2147483647")):
            file = self._root / "etc/deploy" / script
            assert end in file.read_text()
            file.write_text(file.read_text().replace(end, "exit 0"))
        run("mount", "-t", "proc", "proc", self._root / "proc")

    def show_disk(self, name: str, *, write_protected: bool = False) -> None:
        """Let the kernel tell of a disk."""
        place = self._root / "sys/block" / name
        for directory in ("device", "queue"):
            (place / directory).mkdir(parents=True)
        facts = {
            "removable": 0,
            "ro": int(write_protected),
            "size": DISK_BYTES // 512,
            "queue/write_zeroes_max_bytes": 0,
        }
        for fact, value in facts.items():
            (place / fact).write_text(f"{value}\n")

    def boot(self) -> str:
        """Run the ramdisk for the task that waits; returns what it said on the console."""
        with self._site.store.reading() as session:
            task_id = session.scalar(select(Task.id))
        token = Seal.from_file(self._site.directory / "key").token(str(task_id))
        command_line = self._root.parent / "cmdline"
        command_line.write_text(f"quiet arbaro.url={self._site.agent}/v1/agent arbaro.token={token}\n")
        console = self._root / "dev/console"
        console.write_text("")
        run("mount", "--bind", command_line, self._root / "proc/cmdline")
        chroot = ["timeout", "60", "chroot", self._root, "/bin/busybox", "sh", "/etc/deploy/run"]
        subprocess.run(chroot, env={"PATH": "/bin:/sbin"}, check=False)
        run("umount", self._root / "proc/cmdline")
        system = f"{self._site.bmc}/redfish/v1/Systems/{self._site.system(0)}"
        requests.post(f"{system}/Actions/ComputerSystem.Reset", json={"ResetType": "ForceOff"}, auth=AUTH, timeout=10)
        return console.read_text()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for command in (["link", "set", "lo", "up"], ["route", "replace", "192.0.2.0/24", "dev", "lo"]):
        run("ip", *command)
    (tmp_path / "site").mkdir()
    one = Site(tmp_path / "site", 1, first_word=60, silence=20)
    one.start("emulator", "api", "worker")
    yield one
    one.stop()


@pytest.fixture
def image(site: Site, tmp_path: Path) -> tuple[dict[str, Any], bytes]:
    """A GPT disk of 40 MiB, in glance."""
    (tmp_path / "images").mkdir()
    raw = tmp_path / "images/disk.raw"
    raw.write_bytes(bytes(40 * 2**20))
    table = "label: gpt\nstart=1MiB, size=38MiB, type=linux\n"
    subprocess.run(["sfdisk", "-q", raw], input=table, text=True, check=True)
    with raw.open("r+b") as disk:
        disk.seek(5 * 2**20)
        disk.write(b"the image's own data" * 100_000)
    content = raw.read_bytes()
    return site.cloud.add(content), content


def test_image_and_config_drive_are_written_then_all_is_wiped(site: Site, image, tmp_path: Path) -> None:
    asked, content = image
    name = site.held(0)
    site.hardware.behave[name] = None
    machine = Chroot(tmp_path, site)
    script = base64.b64encode(b"#!/bin/sh\necho from the script\n").decode()
    drive = {"files": {"openstack/latest/user_data": script}}
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": asked, "config_drive": drive}, status=202)
    wait_for("the ramdisk's turn", lambda: site.show(name)["task"]["step"] == "hear-first-word")
    said = machine.boot()
    site.wait(name, "active")
    written = machine.disk.read_bytes()
    partition = slice(2**20, 39 * 2**20)
    assert written[partition] == content[partition], said
    assert b"from the script" in written
    listed = subprocess.run(["sfdisk", "--json", machine.disk], capture_output=True, text=True, check=True).stdout
    assert '"name": "config-2"' in listed
    site.alice.call("POST", f"/v1/machines/{name}/release", status=202)
    wait_for("the ramdisk's turn", lambda: site.show(name)["task"]["step"] == "hear-first-word")
    said = machine.boot()
    site.wait(name, "available")
    assert not any(machine.disk.read_bytes()), said


def asked_for(site: Site, image: dict[str, Any]) -> str:
    """A machine whose deployment waits for its ramdisk."""
    name = site.held(0)
    site.hardware.behave[name] = None
    site.alice.call("POST", f"/v1/machines/{name}/deploy", {"image": image}, status=202)
    wait_for("the ramdisk's turn", lambda: site.show(name)["task"]["step"] == "hear-first-word")
    return name


def test_image_that_is_changed_on_its_way_is_a_checksum_wrong(site: Site, image, tmp_path: Path) -> None:
    asked, content = image
    machine = Chroot(tmp_path, site)
    name = asked_for(site, asked)
    (cached,) = (site.directory / "images").glob("*.zst")
    other = content[:-1] + b"!"
    cached.write_bytes(subprocess.run(["zstd", "-c"], input=other, capture_output=True, check=True).stdout)
    said = machine.boot()
    fault = site.wait(name, "deploy-failed")["fault"]
    assert (fault["code"], fault["step"]) == ("checksum-wrong", "write-image"), said
    assert "the image came with sha256" in fault["cause"]


def to_be_wiped(site: Site, image: dict[str, Any]) -> str:
    """A machine whose release waits for its ramdisk."""
    name = asked_for(site, image)
    site.alice.call("POST", f"/v1/machines/{name}/release", status=202)
    wait_for("the ramdisk's turn", lambda: (site.show(name)["task"] or {}).get("step") == "hear-first-word")
    return name


def test_write_protected_disk_is_a_wipe_failed(site: Site, image, tmp_path: Path) -> None:
    name = to_be_wiped(site, image[0])
    machine = Chroot(tmp_path, site)
    machine.show_disk("sdb", write_protected=True)
    said = machine.boot()
    failed = site.wait(name, "clean-failed")
    assert failed["fault"]["code"] == "wipe-failed", said
    assert "sdb is write-protected" in failed["maintenance"]["reason"]


def test_disk_that_takes_no_zeros_is_a_wipe_failed_and_out_of_use(site: Site, image, tmp_path: Path) -> None:
    name = to_be_wiped(site, image[0])
    machine = Chroot(tmp_path, site)
    machine.disk.unlink()
    run("mknod", machine.disk, "c", "1", "7")  # /dev/full: each write fails
    said = machine.boot()
    failed = site.wait(name, "clean-failed")
    assert (failed["fault"]["code"], failed["fault"]["step"]) == ("wipe-failed", "wipe"), said
    assert "vda cannot be written" in failed["maintenance"]["reason"]
