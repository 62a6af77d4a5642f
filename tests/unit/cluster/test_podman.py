# SPDX-License-Identifier: Apache-2.0
"""Containers' states are read so that nothing that has ever run is made anew, and files travel with their modes."""

from pathlib import Path

from arbaro.cluster.providers import netavark
from arbaro.cluster.providers.podman import _state, _write

NEVER = -62135596800


def test_a_container_that_ran_is_never_called_new() -> None:
    assert _state({"State": "created", "StartedAt": NEVER}) == "created"
    assert _state({"State": "created", "StartedAt": 1795468927}) == "exited"
    assert _state({"State": "running", "StartedAt": 1795468927}) == "running"


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
