# SPDX-License-Identifier: Apache-2.0
"""A machine that fails in the middle of a build: one error that names the thing, and nothing half-made stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, Tool


def up_with(tool: Tool, apt_options: str, tmp_path: Path, *environment: str) -> str:
    """Run `up` for a new cloud with other apt options, for which there is no image yet; returns what it says."""
    options = tmp_path / "apt.conf"
    options.write_text(apt_options)
    printed = tool.run(["env", f"APT_CONFIG={options}", *environment, str(ROOT / "arbaro"), "up", "broken"], code=2)
    assert "Traceback" not in printed
    assert "broken" not in tool.arbaro("ls")
    assert "arbaro-build" not in tool.run(
        ["sh", "-c", "podman ps --all; podman network ls; find /dev/shm ~/.cache/arbaro -type f"]
    )
    return printed


@pytest.fixture
def small_disk(tool: Tool, tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    tool.run(["mount", "-t", "tmpfs", "-o", "size=200m", "small", str(place)])
    yield place
    tool.run(["umount", str(place)])


def test_a_mirror_that_cannot_be_reached(cloud: Tool, tmp_path: Path) -> None:
    said = up_with(cloud, 'Acquire::http::Proxy "http://127.0.0.1:9"; Acquire::Retries "0";', tmp_path)
    assert "mmdebstrap could not build a Debian bookworm" in said
    assert "127.0.0.1" in said
    assert "apt-get update" in said


def test_a_disk_that_is_full(cloud: Tool, small_disk: Path, tmp_path: Path) -> None:
    said = up_with(cloud, 'Acquire::Retries "7";', tmp_path, f"TMPDIR={small_disk}")
    assert "No space left on device" in said
    assert str(small_disk) in said
