# SPDX-License-Identifier: Apache-2.0
"""The story of a drill: what refuses to begin, what is kept, and that everything is put back whatever happens.

The lines run in a real bash, on files: what stands in is the way to the hosts, which here is this machine.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.drills.made_up import SPEC, made_up
from tests.unit.drills.values import VALUES

from arbaro.checks import Finding
from arbaro.cluster.cloud import Cloud
from arbaro.drills import probes, progress, running, state
from arbaro.drills.catalogue import Cause, Drill, find_drill
from arbaro.drills.scene import Server, draw, variables
from arbaro.drills.state import Running
from arbaro.errors import ArbaroError
from arbaro.reach import Reach, Unreachable

SERVERS = [
    Server(f"web{n}", f"uuid{n}", f"compute{1 + n % 2}", f"port{n}-1111-2222", f"198.18.1.{40 + n}") for n in range(6)
]
COMPUTES, TORS = ["compute1", "compute2"], ["tor1", "tor2"]


def test_a_drill_breaks_and_is_put_back(cloud: Cloud, drills: dict[str, Drill], marks: Path) -> None:
    begun = running.start(cloud, drills["Z01"], 7)
    assert (marks / "Z01").exists()
    assert state.load(cloud.keeper.directory) == begun
    assert running.state_of(cloud).variables == VALUES
    for _ in range(2):
        running.put_back(cloud, begun)
        assert not (marks / "Z01").exists() and state.load(cloud.keeper.directory) is None


def test_it_is_written_down_before_anything_is_broken(cloud: Cloud, drills: dict[str, Drill], marks: Path) -> None:
    file = cloud.keeper.directory / state.FILE
    drills["Z01"] = made_up(marks, breaks=f"cp {file} {marks}/Z01")
    running.start(cloud, drills["Z01"], 7)
    assert json.loads((marks / "Z01").read_text())["drill"] == "Z01"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_second_drill_is_refused(cloud: Cloud, drills: dict[str, Drill], marks: Path) -> None:
    running.start(cloud, drills["Z01"], 7)
    with pytest.raises(ArbaroError, match="runs in the cloud lab already: Z01") as error:
        running.start(cloud, drills["Z02"], 7)
    assert "arbaro drill stop lab" in error.value.hint
    assert not (marks / "Z02").exists()


def test_a_cloud_that_is_not_well_is_refused(
    cloud: Cloud, drills: dict[str, Drill], marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "findings", lambda _: [Finding("compute1", "nova-compute is failed")])
    with pytest.raises(ArbaroError, match="not well"):
        running.start(cloud, drills["Z01"], 7)
    assert not list(marks.iterdir()) and state.load(cloud.keeper.directory) is None


def test_a_cloud_with_another_network_driver_is_refused(cloud: Cloud, drills: dict[str, Drill]) -> None:
    other = Cloud(replace(SPEC, network="linuxbridge"), cloud.provider)
    with pytest.raises(ArbaroError, match="l2isolate"):
        running.start(other, drills["Z01"], 7)


def test_what_is_so_already_is_not_broken(cloud: Cloud, drills: dict[str, Drill], marks: Path) -> None:
    (marks / "Z01").touch()
    with pytest.raises(ArbaroError, match="already"):
        running.start(cloud, drills["Z01"], 7)
    assert (marks / "Z01").exists() and state.load(cloud.keeper.directory) is None


@pytest.mark.parametrize("lines", ["false", "touch {marks}/half; false", "true"])
def test_what_cannot_be_broken_or_proved_is_put_back(
    cloud: Cloud, drills: dict[str, Drill], marks: Path, lines: str
) -> None:
    drills["Z01"] = made_up(marks, breaks=lines.format(marks=marks), mends=f"rm -f {marks}/half")
    with pytest.raises(ArbaroError):
        running.start(cloud, drills["Z01"], 7)
    assert not list(marks.iterdir()) and state.load(cloud.keeper.directory) is None


def test_of_a_double_fault_the_other_one_is_mended_if_one_cannot_be(
    cloud: Cloud, drills: dict[str, Drill], marks: Path
) -> None:
    begun = running.start(cloud, drills["Z09"], 7)
    assert sorted(path.name for path in marks.iterdir()) == ["Z01", "Z02"]
    drills["Z01"] = made_up(marks, mends="exit 4")
    with pytest.raises(ArbaroError) as error:
        running.put_back(cloud, begun)
    assert error.value.hint == "arbaro drill stop lab"
    assert [path.name for path in marks.iterdir()] == ["Z01"]
    assert state.load(cloud.keeper.directory) == begun, "it may be stopped again"


def test_what_is_not_mended_by_its_lines_is_told(cloud: Cloud, drills: dict[str, Drill], marks: Path) -> None:
    begun = running.start(cloud, drills["Z01"], 7)
    drills["Z01"] = made_up(marks, mends="true")
    with pytest.raises(ArbaroError, match="could not be put back") as error:
        running.put_back(cloud, begun)
    assert "Z01" in error.value.why and state.load(cloud.keeper.directory)


def test_a_host_that_does_not_answer_proves_nothing(
    cloud: Cloud, drills: dict[str, Drill], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = running.start(cloud, drills["Z01"], 7)

    def lost(reach: Reach, words: Sequence[str], **_: Any) -> str:
        raise Unreachable(words, where=reach.name, code=255, output="No route to host")

    monkeypatch.setattr(Reach, "run", lost)
    with pytest.raises(Unreachable):
        running.check(cloud, begun)
    with pytest.raises(Unreachable):
        running.put_back(cloud, begun)
    assert state.load(cloud.keeper.directory) == begun


def test_a_check_says_which_of_three_things_lacks(
    cloud: Cloud, drills: dict[str, Drill], marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = running.start(cloud, drills["Z09"], 7)
    monkeypatch.setattr(probes, "look", lambda *_: "100% packet loss")
    other = Finding("tor1", "frr is inactive")
    monkeypatch.setattr(running, "findings", lambda _: [other])
    assert running.check(cloud, begun) == running.Verdict(("100% packet loss",), (other,), 2)
    (marks / "Z01").unlink()
    monkeypatch.setattr(running, "findings", lambda _: [])
    assert running.check(cloud, begun) == running.Verdict(("100% packet loss",), (), 1)
    (marks / "Z02").unlink()
    assert not running.check(cloud, begun).is_good, "the user is not helped yet"
    monkeypatch.setattr(probes, "look", lambda *_: "")
    assert running.check(cloud, begun).is_good


def test_hints_come_one_after_the_other(cloud: Cloud, drills: dict[str, Drill]) -> None:
    running.start(cloud, drills["Z01"], 7)
    told = [running.take_hint(cloud, running.state_of(cloud))[1] for _ in range(5)]
    assert told == [*drills["Z01"].hints, drills["Z01"].hints[-1]]
    assert running.state_of(cloud).hints == 4


def test_a_finished_drill_is_written_into_the_persons_progress(cloud: Cloud, drills: dict[str, Drill]) -> None:
    begun = running.start(cloud, drills["Z01"], 7)
    running.count_check(cloud, begun)
    running.finish(cloud, running.state_of(cloud), solved=True)
    (record,), broken = progress.read()
    assert (record.drill, record.cloud, record.seed, record.checks, record.solved, broken) == (
        "Z01",
        "lab",
        7,
        1,
        True,
        [],
    )
    with pytest.raises(ArbaroError, match="No drill runs"):
        running.state_of(cloud)


@pytest.mark.parametrize("seed", range(3))
def test_broken_always_mends(cloud: Cloud, drills: dict[str, Drill], marks: Path, seed: int) -> None:
    with pytest.raises(ZeroDivisionError), running.broken(cloud, drills["Z01"], seed) as values:
        assert values["COMPUTE"] == "compute1" and (marks / "Z01").exists()
        raise ZeroDivisionError
    assert not (marks / "Z01").exists() and state.load(cloud.keeper.directory) is None


def test_a_state_that_is_cut_is_told_and_no_drill_begins(cloud: Cloud, drills: dict[str, Drill], marks: Path) -> None:
    running.start(cloud, drills["Z01"], 7)
    (marks / "Z01").unlink()
    file = cloud.keeper.directory / state.FILE
    whole = file.read_bytes()
    for cut in (b"", whole[:20], whole[:-1], b"[]", b'{"drill": "Z01"}', b"\xff\xfe"):
        file.write_bytes(cut)
        with pytest.raises(ArbaroError, match="cannot be read"):
            running.start(cloud, drills["Z01"], 7)
    assert not list(marks.iterdir())
    file.write_bytes(whole)
    assert running.state_of(cloud).drill == "Z01"


def test_a_draft_that_a_kill_left_behind_is_no_state(tmp_path: Path) -> None:
    (tmp_path / f".{state.FILE}.new").write_text('{"dri')
    assert state.load(tmp_path) is None
    begun = Running("B01", 7, 1.0, {"VM": "a"})
    state.save(tmp_path, begun)
    assert state.load(tmp_path) == begun


def test_expected_causes_name_the_hosts_that_were_drawn() -> None:
    assert running.expected(find_drill("R10"), VALUES) == [Cause("address-twice", "compute2")]
    assert running.expected(find_drill("S04"), VALUES) == [Cause("allocations-orphaned", "compute1")]
    assert running.expected(find_drill("D04"), VALUES) == [
        Cause("compute-disabled", ""),
        Cause("process-stopped", "controller"),
    ]


def test_the_same_seed_draws_the_same_scene() -> None:
    first = [draw(seed, ["server"], COMPUTES, TORS, SERVERS) for seed in range(40)]
    assert first == [draw(seed, ["server"], COMPUTES, TORS, SERVERS[::-1]) for seed in range(40)]
    assert {drawn.server for drawn in first} == set(SERVERS) and {drawn.tor for drawn in first} == set(TORS)
    for drawn in first:
        assert drawn.server and drawn.compute == drawn.server.host and {drawn.compute, drawn.other} == set(COMPUTES)


def test_what_a_drill_needs_must_be_there() -> None:
    with pytest.raises(ArbaroError, match="needs a server"):
        draw(1, ["server"], COMPUTES, TORS, [])
    with pytest.raises(ArbaroError, match="two computes") as error:
        draw(1, ["two-computes"], ["compute1"], TORS, [])
    assert error.value.hint == "arbaro up --computes 2"
    assert draw(1, [], ["compute1"], TORS, []).other == ""


def test_the_lines_are_told_all_that_was_drawn(cloud: Cloud) -> None:
    drawn = draw(3, ["server"], COMPUTES, TORS, SERVERS)
    asked = dict.fromkeys(("IMAGE", "NET", "GROUP", "DEFAULT_GROUP", "PROJECT"), "id")
    made = variables(cloud, 3, drawn, asked)
    assert set(made) == set(VALUES)
    assert drawn.server and made["TAP"] == f"tap{drawn.server.port[:11]}" and made["NOBODY"] == "198.18.0.5"


def test_progress_counts_the_best_and_tells_broken_lines(tmp_path: Path) -> None:
    file = tmp_path / "state" / "drills.jsonl"
    record = progress.Record("B01", "lab", 7, 60.0, 0, 0, True, 1.0)
    progress.add(replace(record, hints=2), file)
    with file.open("a") as text:
        text.write('not json\n{"drill": "B01"}\n{"drill": "B0')
    progress.add(record, file)
    records, broken = progress.read(file)
    assert [one.hints for one in records] == [2, 0] and broken == [2, 3, 4]
    drills = {"B01": find_drill("B01"), "S11": find_drill("S11")}
    assert progress.best_points(records, drills) == {"B01": 100}
    assert progress.next_drill(records, drills.values()) == drills["S11"]
    assert progress.score(records, drills) == [
        {"layer": "build", "drills": 1, "solved": 1, "points": 100},
        {"layer": "schedule", "drills": 1, "solved": 0, "points": 0},
    ]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, 100),
        ({"hints": 1}, 85),
        ({"hints": 4}, 40),
        ({"checks": 2}, 90),
        ({"seconds": 1200.0}, 30),
        ({"seconds": 900.0}, 65),
        ({"seconds": 99999.0, "hints": 4, "checks": 9}, 0),
        ({"solved": False}, 0),
    ],
)
def test_points(changes: dict[str, Any], wanted: int) -> None:
    record = progress.Record("B01", "lab", 7, 60.0, 0, 0, True, 1.0)
    assert progress.points(replace(record, **changes), minutes=10) == wanted


def test_what_a_probe_cannot_ask_is_told_as_what_the_user_sees(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise ArbaroError("OpenStack refused a request.", why="HTTP 503")

    monkeypatch.setitem(probes.PROBES, "apis", refuse)  # type: ignore[arg-type]
    assert probes.look(cloud, "apis", VALUES) == "OpenStack refused a request.\nHTTP 503"
    assert probes.look(cloud, "ping", {**VALUES, "A": "no.such.host.invalid"}).startswith("ping no.such.host.invalid: ")
