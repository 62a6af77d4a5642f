# SPDX-License-Identifier: Apache-2.0
"""A cloud whose hosts are this machine, and made-up drills: their lines run in a real bash, on files."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.hosts import InMemory
from tests.unit.drills.made_up import BASE, SPEC, here, made_up
from tests.unit.drills.values import VALUES

from arbaro.cluster import identity
from arbaro.cluster.cloud import Cloud
from arbaro.drills import catalogue, progress, running
from arbaro.drills.catalogue import Drill
from arbaro.reach import Reach


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Where the lines of the made-up drills leave what they did."""
    made = tmp_path / "marks"
    made.mkdir()
    return made


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cloud:
    """A cloud that is well and whose hosts are this machine."""
    monkeypatch.setattr(identity, "clouds_dir", lambda: tmp_path)
    monkeypatch.setattr(running, "findings", lambda _: [])
    monkeypatch.setattr(running, "set_scene", lambda *_: dict(VALUES))
    monkeypatch.setattr(running, "HOLD", 0)
    monkeypatch.setattr(progress, "progress_file", lambda: tmp_path / "drills.jsonl")
    monkeypatch.setattr(Reach, "run", here)
    made = Cloud(SPEC, InMemory())
    made.keeper.directory.mkdir()
    return made


@pytest.fixture
def drills(marks: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Drill]:
    found = {name: made_up(marks, name) for name in ("Z01", "Z02")}
    double = {"both": ("Z02", "Z01"), "breaks": "", "proves": "", "mends": "", "expects": ()}
    found["Z09"] = replace(BASE, id="Z09", **double)  # type: ignore[arg-type]
    monkeypatch.setattr(catalogue, "load_drills", lambda: found)
    return found
