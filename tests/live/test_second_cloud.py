# SPDX-License-Identifier: Apache-2.0
"""A second cloud beside the first: killed in the middle, gone on with, and taken away without a trace."""

import os
import signal
import subprocess
import time

from .conftest import ROOT, Tool

LOOKS = {
    "links": "ip -o link | awk -F': ' '{print $2}' | cut -d@ -f1 | grep -v ^veth | sort",
    "rules": "nft list ruleset | sed -E 's/packets [0-9]+ bytes [0-9]+//; s/ # .*//'",
    "mounts": "awk '{print $2}' /proc/mounts | grep -v -E 'overlay|/proc/' | sort",
    "containers": "podman ps -a --format '{{.Names}}' | sort",
    "volumes": "podman volume ls -q",
    "networks": "podman network ls --format '{{.Name}}' | sort",
    "files": "find ~/.local/share/arbaro ~/.config/openstack /run/lock /etc -newermt '2000-01-01' ! -path '*/test/*' | sort",
    "clouds.yaml": "cat ~/.config/openstack/clouds.yaml ~/.config/openstack/secure.yaml",
    "namespaces": "ip netns | sort",
}


def look_around(tool: Tool) -> set[str]:
    """Return each row that is seen, with its subject."""
    looks = {what: tool.run(["bash", "-c", command], code=None).splitlines() for what, command in LOOKS.items()}
    return {f"{what}: {row}" for what, rows in looks.items() for row in rows}


def test_killed_then_gone_on_with_then_gone_without_a_trace(cloud: Tool) -> None:
    before = look_around(cloud)
    for seconds in (3, 6, 12, 30):
        kill_up_after(seconds)
    assert "Hello from first-vm" in cloud.arbaro("up", "second", "--computes", "1")
    assert {row["name"] for row in clouds(cloud)} == {"test", "second"}
    assert cloud.status("test")["findings"] == cloud.status("second")["findings"] == []
    began = time.monotonic()
    cloud.arbaro("down", "second")
    assert time.monotonic() - began < 10
    assert sorted(look_around(cloud) ^ before) == []
    assert cloud.status("test")["findings"] == []


def kill_up_after(seconds: float) -> None:
    process = subprocess.Popen(
        [ROOT / "arbaro", "up", "second", "--computes", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def clouds(cloud: Tool) -> list[dict[str, str]]:
    import json

    found: list[dict[str, str]] = json.loads(cloud.arbaro("ls", "--json"))
    return found
