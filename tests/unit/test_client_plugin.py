# SPDX-License-Identifier: Apache-2.0
"""The openstack client in the tool's virtualenv knows `openstack machine`, without another package."""

import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

from arbaro import settings

ROOT = Path(__file__).parents[2]


def entry_points(project: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = tomllib.loads(project.read_text())["project"]["entry-points"]
    return {group: points for group, points in found.items() if group.startswith("openstack.")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_tool_brings_each_command_of_the_plugin() -> None:
    wanted = entry_points(ROOT / "services/machines/pyproject.toml")
    assert entry_points(ROOT / "pyproject.toml") == wanted
    installed = distribution("arbaro").entry_points
    for group, points in wanted.items():
        assert {point.name: point.value for point in installed.select(group=group)} == points
        for point in installed.select(group=group):
            point.load()


@pytest.mark.parametrize("theirs", [True, False])
def test_machines_are_shown_by_a_client_that_knows_them(
    theirs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Path(sys.executable).with_name("openstack")
    found = tmp_path / "openstack"
    if theirs:
        found.write_text("#!/bin/sh\n")
        found.chmod(0o755)
    else:
        found.symlink_to(ours)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert settings.openstack_command() == "openstack"
    assert settings.openstack_command(with_machines=True) == (str(ours) if theirs else "openstack")
