# SPDX-License-Identifier: Apache-2.0
"""What the answers come to: pure functions of what was asked and answered."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crowd import Crowd

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One kind of request: which aggregate each one named (None: none), and what was answered."""

    kind: str
    wanted: Sequence[int | None]
    answers: Sequence[Answer]

    def seconds(self, part: float) -> float:
        """The time below which this part of the requests was answered."""
        ordered = sorted(answer["seconds"] for answer in self.answers)
        return float(ordered[min(len(ordered) - 1, int(part * len(ordered)))])

    @property
    def median(self) -> float:
        """The time in the middle."""
        return statistics.median(answer["seconds"] for answer in self.answers)

    @property
    def refused(self) -> int:
        """How many were refused. All could have been served: each host has room for all of them."""
        return sum(answer["host"] is None for answer in self.answers)

    def outside(self, crowd: Crowd) -> int:
        """How many landed on a host that is not in the aggregate that they named."""
        hosts = crowd.hosts()
        pairs = zip(self.wanted, self.answers, strict=True)
        return sum(
            number is not None and a["host"] is not None and a["host"] not in hosts[number] for number, a in pairs
        )


def spread(count: int, crowd: Crowd, lonely: int) -> list[int]:
    """Choose aggregates for so many requests: each in turn, and at even distances so many for the lonely one."""
    step = max(1, count // max(1, lonely))
    others = crowd.aggregates - 1
    return [crowd.lonely if i % step == step - 1 else i % others + 1 for i in range(count)]


def table(runs: Sequence[Run], crowd: Crowd) -> str:
    """The runs as a table in Markdown."""
    lines = ["| requests | number | p50 | p99 | refused | outside |", "|---|---:|---:|---:|---:|---:|"]
    for run in runs:
        times = f"{run.median:.2f} s | {run.seconds(0.99):.2f} s"
        lines.append(f"| {run.kind} | {len(run.answers)} | {times} | {run.refused} | {run.outside(crowd)} |")
    return "\n".join(lines)


def shortfalls(hinted: Run, free: Run, alone: Run, crowd: Crowd, faster: float) -> list[str]:
    """Say what is not as it was wanted."""
    found = []
    if hinted.refused or free.refused:
        found.append(f"{hinted.refused + free.refused} requests were refused although there was room")
    if outside := hinted.outside(crowd) + alone.outside(crowd):
        found.append(f"{outside} servers landed outside the aggregate")
    if not alone.refused:
        found.append("the filter alone refused nothing, so this run shows nothing: fewer candidates are needed")
    if free.median < faster * hinted.median:
        found.append(f"a hint makes it {free.median / hinted.median:.1f} times as fast, {faster:g} were wanted")
    return found
