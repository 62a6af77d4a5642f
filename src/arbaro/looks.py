# SPDX-License-Identifier: Apache-2.0
"""Looking at hosts: read-only commands, all those for one host in one SSH session, each with its own time limit."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arbaro.errors import CommandError
from arbaro.evidence import Seen
from arbaro.reach import Reach, Unreachable
from arbaro.runs import AT_ONCE, current_run

#: The fact that a host answers at all.
SSH = "SSH"
#: Seconds that the session, on a busy machine, has in addition to its slowest command.
PATIENCE = 15.0


@dataclass(frozen=True)
class Look:
    """One command that changes nothing, and how its output becomes a fact: `read` raises ValueError or KeyError."""

    what: str
    command: Sequence[str]
    read: Callable[[str], Any] = str
    seconds: float = 10.0


def look_at_hosts(
    wanted: Sequence[tuple[Reach, Sequence[Look]]], *, at_once: int = AT_ONCE
) -> dict[str, dict[str, Seen]]:
    """Look at these hosts, so many at once; returns host → what → fact."""
    seen = current_run().side_by_side(lambda one: look_at(*one), wanted, at_once=at_once) if wanted else []
    return {reach.name: facts for (reach, _), facts in zip(wanted, seen, strict=True)}


def look_at(reach: Reach, looks: Sequence[Look]) -> dict[str, Seen]:
    """Look at one host; a fact that could not be looked at says why. The fact `SSH` is whether it answers."""
    limit = max((look.seconds for look in looks), default=0) + PATIENCE
    trouble = ""
    try:
        printed = reach.run(["python3", "-I", "-"], stdin=_program(looks), timeout=limit)
    except CommandError as error:
        # What had ended before the session broke was told.
        printed, trouble = error.output, _last_line(error)
        if isinstance(error, Unreachable) and not _answers(printed):
            return dict.fromkeys((SSH, *(look.what for look in looks)), Seen(at=time.time(), error=trouble))
    at, answers = time.time(), _answers(printed)
    facts = {look.what: _fact(look, answers.get(look.what), at, trouble) for look in looks}
    return {SSH: Seen("answers", at), **facts}


def _program(looks: Sequence[Look]) -> str:
    commands = [[look.what, list(look.command), look.seconds] for look in looks]
    source = Path(__file__).with_name("looks_there.py").read_text()
    return f"{source}\nmain(json.loads({json.dumps(commands)!r}))\n"


def _answers(printed: str) -> Mapping[str, tuple[int | None, str, str]]:
    found: dict[str, tuple[int | None, str, str]] = {}
    for line in printed.splitlines():
        try:
            name, code, output, errors = json.loads(line)
        except (ValueError, TypeError):
            # ssh's own words, or a line that was cut.
            continue
        found[name] = code, output, errors
    return found


def _fact(look: Look, answer: tuple[int | None, str, str] | None, at: float, trouble: str) -> Seen:
    if answer is None:
        return Seen(at=at, error=trouble or "it was not answered")
    code, output, errors = answer
    if code is None:
        return Seen(at=at, error=f"`{look.command[0]}` took more than {look.seconds:g} s")
    if code != 0:
        said = (errors.strip() or output.strip()).splitlines()
        return Seen(at=at, error=f"`{look.command[0]}` ended with code {code}" + (f": {said[-1]}" if said else ""))
    try:
        return Seen(look.read(output), at)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Seen(at=at, error=f"`{look.command[0]}` printed something else than expected")


def _last_line(error: CommandError) -> str:
    return error.why.splitlines()[-1] if error.why and not error.timed_out else error.what
