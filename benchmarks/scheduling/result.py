# SPDX-License-Identifier: Apache-2.0
"""What the answers come to: pure functions of what was asked and answered."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crowd import Crowd
from kinds import Kind

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """The requests of one kind, and what was answered to them; to fewer than were wanted where time ran out."""

    kind: Kind
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
        pairs = zip(self.kind.wanted, self.answers, strict=False)
        return sum(
            number is not None and a["host"] is not None and a["host"] not in hosts[number] for number, a in pairs
        )


def collected(kinds: Sequence[Kind], asked: Sequence[tuple[int, Answer]]) -> dict[str, Run]:
    """Sort answers by their kinds: title → run. Kinds to which nothing was answered are left out."""
    found = {kind.title: Run(kind, [answer for n, answer in asked if kinds[n] is kind]) for kind in kinds}
    return {title: run for title, run in found.items() if run.answers}


def table(runs: Iterable[Run], crowd: Crowd) -> str:
    """The runs as a table in Markdown."""
    lines = ["| requests | number | p50 | p99 | refused | outside |", "|---|---:|---:|---:|---:|---:|"]
    for run in runs:
        times = f"{run.median:.2f} s | {run.seconds(0.99):.2f} s"
        lines.append(f"| {run.kind.title} | {len(run.answers)} | {times} | {run.refused} | {run.outside(crowd)} |")
    return "\n".join(lines)


def comparisons(runs: Mapping[str, Run], own_microseconds: float) -> list[str]:
    """Say in sentences what the rows of the table are to one another."""
    found = [
        f"{new.capitalize()} it is {runs[old].median / runs[new].median:.1f} times as fast as {old}."
        for new, old in (
            ("with a hint, just started", "no hint, just started"),
            ("with a hint", "no hint"),
            ("with a hint", "with a hint, all services read"),
        )
        if new in runs and old in runs
    ]
    if "no hint" in runs:
        free = runs["no hint"].median
        part = own_microseconds / free / 1e4
        found.append(
            f"Without a hint our plug-in takes {own_microseconds:.0f} microseconds, {part:.4f} % of a request."
        )
        if bare := runs.get("no hint, nova without our plug-in"):
            found.append(f"In whole requests, asked in turn, it is {(free / bare.median - 1) * 100:+.1f} % with noise.")
    return found


def shortfalls(runs: Mapping[str, Run], crowd: Crowd, *, faster: float, own_microseconds: float = 0) -> list[str]:
    """Say what is not as it was wanted."""
    found = []
    alone = [run for run in runs.values() if run.kind.variant == "alone"]
    others = [run for run in runs.values() if run not in alone]
    if refused := sum(run.refused for run in others):
        found.append(f"{refused} requests were refused although there was room")
    if outside := sum(run.outside(crowd) for run in runs.values()):
        found.append(f"{outside} servers landed outside the aggregate")
    if alone and not any(run.refused for run in alone):
        found.append("the filter alone refused nothing: by chance placement offers its host; restart it and try again")
    found += [
        f"time ran out: {len(run.answers)} of {len(run.kind.wanted)} {run.kind.title}"
        for run in runs.values()
        if len(run.answers) < len(run.kind.wanted)
    ]
    if not {"no hint", "with a hint"} <= runs.keys():
        return [*found, "time ran out before anything could be compared"]
    hinted, free = runs["with a hint"].median, runs["no hint"].median
    if free < faster * hinted:
        found.append(f"a hint makes it {free / hinted:.1f} times as fast, {faster:g} were wanted")
    if own_microseconds > free * 1e4:
        found.append(f"our plug-in takes {own_microseconds:.0f} microseconds of a request without a hint, over 1 %")
    return found
