# SPDX-License-Identifier: Apache-2.0
"""Bad input ends in one sentence that names the thing and the next step, with exit code 2."""

import os
from pathlib import Path

import pytest

from .conftest import ROOT, Tool


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "Bad_Name"], "cannot be a cloud's name"),
        (["up", "--release", "essex"], "There is no release 'essex'"),
        (["up", "--network", "ethernet"], "There is no network driver 'ethernet'"),
        (["up", "nosuch", "--computes", "99"], "1 to 20 computes"),
        (["up", "--user-data", "/no/such/file"], "/no/such/file"),
        (["status", "nosuch"], "There is no cloud 'nosuch'"),
        (["images", "build", "windows"], "There is no guest image 'windows'"),
    ],
)
def test_it_is_named(tool: Tool, words: list[str], said: str) -> None:
    printed = tool.arbaro(*words, code=2)
    assert said in printed
    assert "Traceback" not in printed


def test_a_range_without_a_free_network_is_named(tool: Tool, tmp_path: Path) -> None:
    config = tmp_path / "arbaro"
    config.mkdir()
    (config / "settings.toml").write_text('underlay = "127.0.0.0/16"')
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    printed = tool.run(
        ["env", f"XDG_CONFIG_HOME={env['XDG_CONFIG_HOME']}", str(ROOT / "arbaro"), "up", "nosuch", "--dry-run"], code=2
    )
    assert "No free network is left in 127.0.0.0/16" in printed
