# SPDX-License-Identifier: Apache-2.0
"""The tool works installed as well as from the checkout: everything that it needs is in the wheel."""

import os
from pathlib import Path

from .conftest import ROOT, Tool


def test_an_installed_arbaro_has_its_roles_and_recipes(tool: Tool, tmp_path: Path) -> None:
    tool.run(["/usr/bin/python3", "-m", "venv", str(tmp_path / "venv")])
    pip = [str(tmp_path / "venv/bin/pip"), "install", "--quiet", "--no-compile", "-c", str(ROOT / "constraints.txt")]
    tool.run([*pip, str(ROOT)])
    arbaro = str(tmp_path / "venv/bin/arbaro")
    assert "arbaro up" in tool.run([arbaro, "--help"])
    # The client beside it knows physical machines.
    assert "openstack machine list" in tool.run([str(tmp_path / "venv/bin/openstack"), "machine", "list", "--help"])
    files = next((tmp_path / "venv/lib").glob("python3*/site-packages/arbaro/_files"))
    assert (files / "ansible/playbooks/site.yml").exists()
    for recipe in ("hosts/base", "guests/tiny", "guests/debian-12"):
        assert os.access(files / "images" / recipe / "build", os.X_OK)
    assert "would do" in tool.run([arbaro, "up", "--dry-run", "nosuch"])
