# SPDX-License-Identifier: Apache-2.0
"""What a person has done: one JSON line for each drill that was finished, in a file of the person's own."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from arbaro.drills.catalogue import Drill

#: A hint costs this part of the points, and a check that finds something costs so many points.
HINT, CHECK = 0.15, 5
#: The part of the points that is lost when it took twice the time, and what is left however long it took.
OVERTIME, LEAST = 0.7, 0.3


@dataclass(frozen=True)
class Record:
    """One drill that was finished; `solved` is false where the person had the solution shown."""

    drill: str
    cloud: str
    seed: int
    seconds: float
    hints: int
    checks: int
    solved: bool
    #: Seconds since 1970.
    at: float


def progress_file() -> Path:
    """The file with the finished drills."""
    return platformdirs.user_state_path("arbaro") / "drills.jsonl"


def add(record: Record, path: Path | None = None) -> None:
    """Append one line."""
    path = path or progress_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = path.read_text(errors="replace") if path.exists() else ""
    # A line that was cut must not spoil the next one.
    begin = "" if not text or text.endswith("\n") else "\n"
    with path.open("a") as file:
        file.write(f"{begin}{json.dumps(asdict(record))}\n")


def read(path: Path | None = None) -> tuple[list[Record], list[int]]:
    """Read all records; returns the numbers of lines that are none in addition."""
    path = path or progress_file()
    form, records, broken = TypeAdapter(Record), list[Record](), list[int]()
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            records.append(form.validate_json(line))
        except ValidationError:
            broken.append(number)
    return records, broken


def points(record: Record, minutes: int) -> int:
    """How well it was done, 0 to 100; `minutes` is what the drill is to take."""
    if not record.solved:
        return 0
    over = max(0.0, record.seconds - minutes * 60) / (minutes * 60)
    best = 100 * (1 - HINT * record.hints) * max(LEAST, 1 - over * OVERTIME)
    return max(0, round(best) - CHECK * record.checks)


def best_points(records: Iterable[Record], drills: Mapping[str, Drill]) -> dict[str, int]:
    """The best result of each drill that was finished. A drill that there is no more counts nothing."""
    best: dict[str, int] = {}
    for record in records:
        if record.drill in drills:
            best[record.drill] = max(best.get(record.drill, 0), points(record, drills[record.drill].minutes))
    return best


def next_drill(records: Iterable[Record], drills: Iterable[Drill], level: int | None = None) -> Drill | None:
    """The easiest drill that was not solved yet, of this level if one is asked for."""
    solved = {record.drill for record in records if record.solved}
    left = [one for one in drills if one.id not in solved and level in (None, one.level)]
    return min(left, key=lambda one: (one.level, one.minutes, one.id), default=None)


def score(records: Sequence[Record], drills: Mapping[str, Drill]) -> list[dict[str, Any]]:
    """One row for each layer: how many drills there are, how many are solved, and the points of those."""
    best = best_points(records, drills)
    solved = {record.drill for record in records if record.solved}
    rows = []
    for layer in dict.fromkeys(one.layer for one in drills.values()):
        own = [one.id for one in drills.values() if one.layer == layer]
        gained = sum(best.get(one, 0) for one in own)
        rows.append({"layer": layer, "drills": len(own), "solved": len(solved & set(own)), "points": gained})
    return rows
