# SPDX-License-Identifier: Apache-2.0
"""A true Debian 12 with cloud-init boots in the cloud and runs a script, as docs/how-to/real-debian-guest.md says."""

import subprocess
import time
from pathlib import Path

import pytest

from arbaro.cluster.guests import guest

from .conftest import Tool


@pytest.mark.soak
def test_cloud_init_runs_the_script(cloud: Tool, tmp_path: Path) -> None:
    cloud.arbaro("images", "build", "debian-12")
    disk = guest("debian-12").directory / "disk.qcow2"
    cloud.openstack(
        "image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", str(disk),
        "--property", "hw_rng_model=virtio", "--property", "hw_machine_type=pc", "debian-12",
    )  # fmt: skip
    cloud.openstack("flavor", "create", "--ram", "1024", "--disk", "2", "debian")
    script = tmp_path / "script.sh"
    script.write_text(
        '#!/bin/sh\necho "proof: $(cloud-init --version 2>&1) on $(. /etc/os-release; echo $PRETTY_NAME)" >/dev/console\n'
    )
    cloud.openstack(
        "server", "create", "--image", "debian-12", "--flavor", "debian", "--network", "provider", "--key-name", "arbaro",
        "--security-group", "ping-and-ssh", "--user-data", str(script), "real-debian",
    )  # fmt: skip
    deadline = time.monotonic() + 600
    console = ""
    while "proof: " not in console and time.monotonic() < deadline:
        time.sleep(10)
        client = [
            "./.venv/bin/openstack",
            "--os-cloud",
            "arbaro-test",
            "console",
            "log",
            "show",
            "--lines",
            "200",
            "real-debian",
        ]
        console = subprocess.run(client, capture_output=True, text=True).stdout
    assert "proof: /usr/bin/cloud-init 2" in console
    assert "Debian GNU/Linux 12" in console
    cloud.run(["./.venv/bin/openstack", "--os-cloud", "arbaro-test", "server", "delete", "--wait", "real-debian"])
