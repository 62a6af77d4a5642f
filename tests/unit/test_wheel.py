# SPDX-License-Identifier: Apache-2.0
"""A plug-in's wheel holds package and entry points, and the same tree makes the same bytes."""

import subprocess
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def wheel(out: Path) -> Path:
    command = [ROOT / "plugins/wheel", ROOT / "plugins/l2isolate", out]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def test_the_wheel_of_l2isolate(tmp_path: Path) -> None:
    made = wheel(tmp_path / "one")
    with zipfile.ZipFile(made) as archive:
        names = set(archive.namelist())
        points = archive.read("arbaro_l2isolate-0.1.0.dist-info/entry_points.txt").decode()
    assert {"arbaro_l2isolate/agent.py", "arbaro_l2isolate/firewall/rules.py"} <= names
    assert (
        "[neutron.ml2.mechanism_drivers]\nl2isolate = arbaro_l2isolate.mech_driver:L2IsolateMechanismDriver" in points
    )
    assert made.read_bytes() == wheel(tmp_path / "two").read_bytes()
