# SPDX-License-Identifier: Apache-2.0
"""A true Debian 12 on a physical machine: cloud-init reads the config drive, and does all parts of the user data that it is given."""

import time
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pytest

from arbaro.cluster.guests import guest

from .conftest import Tool
from .metal import Metal, wait_for

# Soak: without KVM, unpacking the image and Debian's first start take minutes.
pytestmark = pytest.mark.soak

IMAGE = "debian-12"
#: As for the same image in `make machines-live`, on a busy machine; seen there: 225 s.
SECONDS = 900
SCRIPT = """#!/bin/bash
echo "SCRIPT SAYS hello from $(hostname), $(. /etc/os-release; echo "$PRETTY_NAME")" >/var/log/by-script
"""
CONFIG = """#cloud-config
write_files:
  - path: /etc/by-cloud-config
    content: |
      CONFIG SAYS hello
    permissions: "0640"
groups: [foresters]
"""


@pytest.fixture(scope="module")
def image(tool: Tool, metal: Metal) -> str:
    """The guest, built if it is not there, in glance as docs/how-to/real-debian-guest.md puts it there."""
    tool.arbaro("images", "build", IMAGE)
    disk = guest(IMAGE).directory / "disk.qcow2"
    form = ["--disk-format", "qcow2", "--container-format", "bare", "--min-ram", "512", "--min-disk", "2"]
    found: str = metal.openstack("image", "create", IMAGE, "--public", *form, "--file", str(disk))["id"]
    return found


def parts(*texts: tuple[str, str]) -> str:
    """One message of several parts, as cloud-init's documentation has it."""
    message = MIMEMultipart()
    for kind, text in texts:
        message.attach(MIMEText(text, kind, "us-ascii"))
    return message.as_string()


def test_script_and_cloud_config_in_one_file(metal: Metal, image: str, tmp_path: Path) -> None:
    file = tmp_path / "user-data"
    file.write_text(parts(("x-shellscript", SCRIPT), ("cloud-config", CONFIG)))
    began = time.monotonic()
    metal.create("deb", file, image=image)
    server = metal.built("deb", SECONDS)
    active = time.monotonic() - began
    address, last = metal.address("deb"), [""]
    look_for = "sudo cat /var/log/by-script /etc/by-cloud-config; getent group foresters; cloud-init status"

    def look() -> object:
        last[0] = metal.ssh(address, look_for, code=None, user="debian")
        return "SCRIPT SAYS" in last[0] or last[0] or metal.last_words(server)

    wait_for(f"the script's output by SSH from {address}", look, SECONDS - active)
    print(f"\nACTIVE after {active:.0f} s, script's output by SSH after {time.monotonic() - began:.0f} s\n{last[0]}")
    assert "SCRIPT SAYS hello from deb, Debian GNU/Linux 12" in last[0]
    assert "CONFIG SAYS hello" in last[0]
    assert "foresters:" in last[0]
    metal.do("server", "delete", "--wait", "deb")
    metal.all_free()
