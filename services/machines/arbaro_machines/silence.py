# SPDX-License-Identifier: Apache-2.0
"""BMCs that do not answer: how long a task waits for one, and what becomes of the step's own time meanwhile.

Somebody waits for a deployment, and wants to hear soon that it failed. Nobody waits for a wipe: a machine whose BMC is
silent for an hour is as good as new an hour later, and would else be out of use until a person finds it.
"""

import datetime
from typing import Any

from arbaro_machines.database.models import Machine, Task, moment, now
from arbaro_machines.faults import BmcTrouble

#: Under which a task's notes keep what it waits for.
NOTE = "silence"


def is_waited_out(task: Task, machine: Machine, trouble: BmcTrouble) -> bool:
    """Say whether this trouble is waited out, however long it takes; a person ends that by setting maintenance."""
    return trouble.silent and task.verb == "clean" and not machine.maintenance


def begun(task: Task, trouble: BmcTrouble, since: datetime.datetime, pause: float | None = None) -> dict[str, Any]:
    """The columns of a task whose BMC is in trouble: since when, why, and how much time the step had used before."""
    elapsed = (now() - task.step_since).total_seconds()
    known = task.notes.get(NOTE, {"elapsed": elapsed})
    note = known | {"code": trouble.code, "cause": trouble.cause, "since": moment(since)}
    if pause is not None:
        note["pause"] = pause
    return {"trouble_since": since, "notes": task.notes | {NOTE: note}}


def is_known(task: Task) -> bool:
    """Say whether it is waited for already beyond the first minute."""
    return "pause" in task.notes.get(NOTE, {})


def next_pause(task: Task, first: float, longest: float) -> float:
    """How long until the BMC is asked again: twice as long as last time."""
    return float(min(longest, task.notes.get(NOTE, {}).get("pause", first / 2) * 2))


def leave_out(task: Task) -> None:
    """Before a step looks again: time in which a wipe's BMC was silent is not the step's.

    What was asked of the BMC before counts no more: it may have been asked of one that was not listening.
    """
    note = task.notes.get(NOTE)
    if note is not None and task.verb == "clean":
        task.step_since = now() - datetime.timedelta(seconds=note["elapsed"])
        task.notes = {name: value for name, value in task.notes.items() if name != "asked"}


def over(task: Task) -> dict[str, Any]:
    """The columns of a task whose BMC has answered."""
    if NOTE not in task.notes:
        return {}
    return {
        "step_since": task.step_since,
        "notes": {name: value for name, value in task.notes.items() if name != NOTE},
    }


def shown(task: Task) -> dict[str, Any] | None:
    """What the API tells of it."""
    note = task.notes.get(NOTE)
    return note and {name: note[name] for name in ("code", "cause", "since")}
