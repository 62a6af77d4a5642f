# SPDX-License-Identifier: Apache-2.0
"""`arbaro drill`: what is printed, and how it ends."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from arbaro import locks, settings
from arbaro.checks import Finding
from arbaro.cli import cli, drill
from arbaro.cluster.cloud import Cloud
from arbaro.drills import probes, running, state
from arbaro.drills.catalogue import Drill, load_drills
from arbaro.errors import ArbaroError


@pytest.fixture(autouse=True)
def at_home(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(drill, "find_cloud", lambda _: cloud)
    monkeypatch.setattr(locks, "DIRECTORY", tmp_path)
    monkeypatch.setattr(settings, "log_file", lambda name, verb: tmp_path / "log" / f"{name}-{verb}.log")
    monkeypatch.setattr(probes, "look", lambda *_: "")


def arbaro(*words: str) -> Result:
    return CliRunner().invoke(cli, ["drill", *words], standalone_mode=False, catch_exceptions=False)


def test_ls_tells_no_cause() -> None:
    rows = json.loads(arbaro("ls", "--json").output)
    assert len(rows) == len(load_drills())
    assert set(rows[0]) == {"drill", "level", "minutes", "layer", "points", "title"}
    assert [row["level"] for row in rows] == sorted(row["level"] for row in rows)
    names = {one.name for one in load_drills().values()}
    assert not [name for name in names if name in arbaro("ls").output]


def test_a_drill_from_ticket_to_points(drills: dict[str, Drill], marks: Path) -> None:
    begun = arbaro("start", "z01", "lab", "--seed", "7")
    assert "seed 7" in begun.output and "on compute1 are in ERROR" in begun.output
    assert "$" not in begun.output
    assert arbaro("hint", "lab").output.startswith("Hint 1 of 4: ")
    lacks = arbaro("check", "lab")
    assert lacks.return_value == 1 and "1 still in place" in lacks.output and "gone" in lacks.output
    assert (marks / "Z01").exists(), "a check mends nothing"
    (marks / "Z01").unlink()
    good = arbaro("check", "lab")
    # One hint and one check that found something.
    assert good.return_value == 0 and "80 points" in good.output and "Everything is as it was." in good.output
    assert json.loads(arbaro("ls", "--json").output)[0]["points"] == 80
    assert json.loads(arbaro("score", "--json").output) == {
        "layers": [{"layer": "build", "drills": 3, "solved": 1, "points": 80}],
        "next": "Z02",
    }


def test_stop_may_be_repeated(cloud: Cloud, drills: dict[str, Drill], marks: Path) -> None:
    arbaro("start", "Z09", "lab")
    assert sorted(path.name for path in marks.iterdir()) == ["Z01", "Z02"]
    assert "Everything is as it was." in arbaro("stop", "lab").output
    assert not list(marks.iterdir())
    again = arbaro("stop", "lab")
    assert (again.return_value, again.output) == (0, "No drill runs in the cloud lab.\n")
    assert json.loads(arbaro("score", "--json").output)["layers"][0]["solved"] == 0


def test_solve_shows_the_way_and_gives_no_points(drills: dict[str, Drill], marks: Path) -> None:
    arbaro("start", "Z01", "lab")
    shown = arbaro("solve", "lab").output
    assert "arbaro ssh lab compute1 -- systemctl start neutron-l2isolate-agent" in shown
    assert not list(marks.iterdir())
    assert json.loads(arbaro("ls", "--json").output)[0]["points"] == 0


def test_what_is_left_after_a_drill_is_told(
    drills: dict[str, Drill], marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arbaro("start", "Z01", "lab")
    monkeypatch.setattr(running, "HEAL", 0)
    monkeypatch.setattr(running, "findings", lambda _: [Finding("tor1", "frr is inactive")])
    with pytest.raises(ArbaroError, match="not well yet") as error:
        arbaro("stop", "lab")
    assert error.value.why == "tor1: frr is inactive"
    assert not list(marks.iterdir())


def test_without_a_drill_there_is_nothing_to_hint_at(cloud: Cloud) -> None:
    for verb in ("hint", "check", "solve"):
        with pytest.raises(ArbaroError, match="No drill runs"):
            arbaro(verb, "lab")


def test_the_easiest_one_comes_first_and_random_ones_are_drawn(cloud: Cloud, drills: dict[str, Drill]) -> None:
    arbaro("start")
    running_one = state.load(cloud.keeper.directory)
    assert running_one and running_one.drill == "Z01"
    arbaro("stop")
    chosen = set()
    for seed in range(8):
        arbaro("start", "--random", "--seed", str(seed))
        begun = state.load(cloud.keeper.directory)
        assert begun
        chosen.add(begun.drill)
        arbaro("stop")
    assert len(chosen) > 1


def test_a_broken_line_of_progress_is_told_and_stops_nothing(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "drills.jsonl").write_text('{"drill": "B0')
    done = arbaro("score")
    assert done.return_value == 0
    assert "cannot be read and are left out: 1" in done.output
