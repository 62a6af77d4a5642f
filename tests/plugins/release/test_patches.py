# SPDX-License-Identifier: Apache-2.0
"""Each patch of the queue against what Debian's package really installs, applied to copies by the module that hosts use."""

import importlib.machinery
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PACKAGES = Path("/usr/lib/python3/dist-packages")
RELEASE = yaml.safe_load((ROOT / "ansible/releases/zed.yml").read_text())["release"]
QUEUES = {role: [ROOT / "patches/zed" / name for name in names] for role, names in RELEASE["patches"].items()}


def patched(role, directory):
    """Copy the files that a role's queue changes, and apply the queue to the copies; returns their names."""
    names = {name for patch in QUEUES[role] for name in re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.MULTILINE)}
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PACKAGES / name, directory / name)
    arguments = {"directory": str(directory), "patches": list(map(str, QUEUES[role]))}
    # Ansible is in the tool's own virtualenv.
    command = [ROOT / ".venv/bin/python", ROOT / "ansible/library/patch_queue.py"]
    given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
    told = json.loads(subprocess.run(command, input=given, capture_output=True, text=True, check=False).stdout)
    assert told.get("changed"), told
    return names


@pytest.mark.parametrize("role", QUEUES)
def test_the_queue_applies_to_the_package(role, tmp_path):
    for name in patched(role, tmp_path):
        compile((tmp_path / name).read_text(), name, "exec")


def test_nova_tells_libvirt_whose_a_tap_is(tmp_path):
    patched("nova_compute", tmp_path)
    loader = importlib.machinery.SourceFileLoader("patched_config", str(tmp_path / "nova/virt/libvirt/config.py"))
    config = importlib.util.module_from_spec(importlib.util.spec_from_loader("patched_config", loader))
    loader.exec_module(config)
    interface = config.LibvirtConfigGuestInterface()
    interface.mac_addr, interface.target_dev, interface.source_dev = "52:54:00:00:00:01", "tap1", "br1"
    for net_type, managed in (("ethernet", "no"), ("bridge", None)):
        interface.net_type = net_type
        assert interface.format_dom().find("target").get("managed") == managed
