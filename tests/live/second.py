# SPDX-License-Identifier: Apache-2.0
"""A second cloud beside the shared one: its `up` is killed over and over and gone on with, and it leaves no trace."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass

from .conftest import ROOT, Tool

#: Seconds after which `up` is killed.
KILLS = (3, 6, 12, 30)
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


@dataclass(frozen=True)
class Second:
    """The second cloud; `before` is what was seen on this machine before it, and `printed` what the last `up` said."""

    tool: Tool
    name: str
    before: set[str]
    printed: str


def make(tool: Tool, name: str) -> Second:
    """Kill its `up` at several moments, then let it go on to its end."""
    before = look_around(tool)
    for seconds in KILLS:
        kill_up_after(seconds, name)
    return Second(tool, name, before, tool.arbaro("up", name, "--computes", "1"))


def kill_up_after(seconds: float, name: str) -> None:
    process = subprocess.Popen(
        [ROOT / "arbaro", "up", name, "--computes", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
