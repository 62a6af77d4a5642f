# SPDX-License-Identifier: Apache-2.0
"""How drills are shown: rows of a table, the ticket, the verdict, the points."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arbaro.drills.catalogue import Drill
    from arbaro.drills.progress import Record
    from arbaro.drills.running import Verdict
    from arbaro.drills.state import Running


def row(one: "Drill", points: int | None) -> dict[str, Any]:
    """What `ls` tells of a drill; never its cause."""
    return {
        "drill": one.id,
        "level": one.level,
        "minutes": one.minutes,
        "layer": one.layer,
        "points": "" if points is None else points,
        "title": one.title,
    }


def print_ticket(begun: "Running", chosen: "Drill") -> None:
    """Print what a user says."""
    from arbaro import output
    from arbaro.drills import running
    from arbaro.drills.catalogue import filled

    words = running.words(chosen, begun.variables)
    output.say(f"Drill {chosen.id} (level {chosen.level}, about {chosen.minutes} minutes, seed {begun.seed})")
    output.say(f"\n  {chosen.title}\n\n  {filled(chosen.ticket.strip(), words)}")


def as_json(verdict: "Verdict") -> dict[str, Any]:
    """A verdict for a program."""
    from arbaro.cli import findings

    return {
        "good": verdict.is_good,
        "symptoms": list(verdict.symptoms),
        "findings": findings.as_json(verdict.findings),
        "causes": verdict.causes,
    }


def print_verdict(verdict: "Verdict") -> None:
    """Say of each of the three things whether it holds; never how to mend it."""
    from arbaro import output

    output.say(f"The user's symptom: {'; '.join(verdict.symptoms) or 'gone'}")
    output.say(f"The whole cloud:    {'; '.join(map(str, verdict.findings[:4])) or 'well'}")
    output.say(f"The cause:          {f'{verdict.causes} still in place' if verdict.causes else 'mended'}")


def print_points(record: "Record") -> None:
    """Print what a drill was, now that it is over, and how well it was done."""
    from arbaro import output
    from arbaro.drills import progress
    from arbaro.drills.catalogue import find_drill

    found = find_drill(record.drill)
    reached = progress.points(record, found.minutes)
    output.say(f"\nSolved: {found.id} {found.name} in {output.seconds(record.seconds)}, {reached} points.")
