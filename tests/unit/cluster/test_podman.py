# SPDX-License-Identifier: Apache-2.0
"""Containers' states are read so that nothing that has ever run is made anew, and files travel with their modes."""

import os
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from arbaro.cluster.providers import netavark
from arbaro.cluster.providers.networks import leads_to
from arbaro.cluster.providers.podman import _state, _write

NEVER = -62135596800
ID = "a" * 64


def test_a_container_that_ran_is_never_called_new() -> None:
    assert _state({"State": "created", "StartedAt": NEVER, "Pid": 0, "Id": ID}) == "created"
    assert _state({"State": "created", "StartedAt": 1795468927, "Pid": 0, "Id": ID}) == "exited"
    own = Path("/proc/self/cgroup").read_text()
    assert _state({"State": "running", "StartedAt": 1795468927, "Pid": os.getpid(), "Id": own}) == "running"


def test_a_container_that_died_without_podman_seeing_it_has_ended() -> None:
    assert _state({"State": "running", "StartedAt": 1795468927, "Pid": 4194305, "Id": ID}) == "exited"
    with subprocess.Popen(["true"]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        groups = Path(f"/proc/{zombie.pid}/cgroup").read_text()
        assert _state({"State": "running", "StartedAt": 1795468927, "Pid": zombie.pid, "Id": groups}) == "exited"
    # Another process has its number now.
    assert _state({"State": "stopping", "StartedAt": 1795468927, "Pid": os.getpid(), "Id": ID}) == "exited"


def test_files_keep_their_modes(tmp_path: Path) -> None:
    for name, mode in (("identity.new.json", 0o600), ("hosts", 0o644)):
        path = tmp_path / "etc" / name
        _write(path, mode, b"{}")
        assert (path.stat().st_mode & 0o777, path.read_bytes()) == (mode, b"{}")


def test_only_tables_in_which_nothing_is_left_are_removed() -> None:
    assert netavark.is_empty("*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")
    assert not netavark.is_empty("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j X\nCOMMIT\n")
    assert not netavark.is_empty("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n")
    assert not netavark.is_empty("*nat\n:MINE - [0:0]\nCOMMIT\n")


def test_a_route_is_the_whole_network_by_the_whole_address() -> None:
    network, via = IPv4Network("198.18.5.0/24"), IPv4Address("198.18.4.4")
    others = [
        {"dst": "default", "gateway": "198.18.4.4"},
        {"dst": "198.18.5.0/24", "gateway": "198.18.4.40"},
        {"dst": "198.18.5.0/24", "dev": "eth0", "prefsrc": "198.18.4.4"},
        {"dst": "198.18.5.0/25", "gateway": "198.18.4.4"},
    ]
    assert not leads_to(others, network, via)
    assert leads_to([*others, {"dst": "198.18.5.0/24", "gateway": "198.18.4.4", "dev": "podman1"}], network, via)
