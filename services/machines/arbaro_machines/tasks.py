# SPDX-License-Identifier: Apache-2.0
"""Tasks and their leases: a worker works on a task only while the database says that it is this worker's.

Taking, keeping and ending are single conditional statements, so that it does not matter how many workers there are, on
which hosts, and in which moment one dies.
"""

import datetime
import uuid
from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from arbaro_machines import events, states
from arbaro_machines.caller import Caller
from arbaro_machines.database.models import Machine, Task, moment, now
from arbaro_machines.faults import Fault


class LeaseLost(Exception):
    """The task is no longer this worker's: it was given up, or another worker took it."""


def start(
    session: Session,
    machine: Machine,
    verb: str,
    caller: Caller,
    *,
    request: dict[str, Any] | None = None,
    sealed: str | None = None,
    after: datetime.datetime | None = None,
) -> Task:
    """Put a task on a machine that has none; workers look at it not before `after`."""
    task = Task(
        id=str(uuid.uuid4()),
        machine_id=machine.id,
        verb=verb,
        request=request or {},
        sealed=sealed,
        step="",
        notes={},
        word={},
        by=caller.by,
        request_id=caller.request_id,
        wake_at=after or now(),
    )
    session.add(task)
    session.flush()
    session.expire(machine, ["task"])
    return task


def give_up(session: Session, machine: Machine) -> datetime.datetime | None:
    """Take the machine's task away; returns the moment until which a worker may still have its hands on the machine."""
    task = session.scalar(select(Task).where(Task.machine_id == machine.id).with_for_update())
    if task is None:
        return None
    busy_until = task.lease_until if task.worker else None
    session.delete(task)
    session.flush()
    session.expire(machine, ["task"])
    return busy_until


def claim(session: Session, worker: str, lease: float, limit: int) -> list[str]:
    """Take up to `limit` tasks that wait for a worker, or whose worker has died."""
    moment = now()
    free = or_(Task.worker.is_(None), Task.lease_until < moment)
    found = session.scalars(select(Task.id).where(Task.wake_at <= moment, free).order_by(Task.wake_at).limit(limit))
    mine = []
    for task_id in list(found):
        until = moment + datetime.timedelta(seconds=lease)
        taken = session.execute(update(Task).where(Task.id == task_id, free).values(worker=worker, lease_until=until))
        if taken.rowcount == 1:
            mine.append(task_id)
    return mine


def keep(session: Session, worker: str, lease: float, in_hand: Collection[str]) -> None:
    """Say that this worker has these tasks in hand; one that it has dropped is free when its lease ends."""
    until = now() + datetime.timedelta(seconds=lease)
    mine = update(Task).where(Task.worker == worker, Task.id.in_(in_hand))
    session.execute(mine.values(lease_until=until))


def save(session: Session, task: Task, worker: str, /, **values: Any) -> None:
    """Write down how far the task is. Raises LeaseLost when it is no longer this worker's."""
    saved = session.execute(update(Task).where(Task.id == task.id, Task.worker == worker).values(**values))
    if saved.rowcount != 1:
        raise LeaseLost(task.id)


def let_go(session: Session, task: Task, worker: str, wake_in: float, **values: Any) -> None:
    """Give the lease back; somebody looks again in `wake_in` seconds, or as soon as the ramdisk has said something."""
    moment = now() + datetime.timedelta(seconds=wake_in)
    save(session, task, worker, worker=None, lease_until=None, wake_at=moment, **values)


def end(session: Session, task: Task, worker: str, fault: Fault | None, **changes: Any) -> None:
    """End the task: the machine reaches the state that it was on its way to, or the failed one with the fault."""
    machine = session.get_one(Machine, task.machine_id, with_for_update=True, populate_existing=True)
    gone = session.execute(delete(Task).where(Task.id == task.id, Task.worker == worker))
    if gone.rowcount != 1:
        raise LeaseLost(task.id)
    for name, value in changes.items():
        setattr(machine, name, value)
    _move_on(session, machine, task, fault)
    machine.updated_at = now()


def _move_on(session: Session, machine: Machine, task: Task, fault: Fault | None) -> None:
    before = machine.state
    if before in states.ENDS:
        machine.state = states.ENDS[before][1 if fault else 0]
    machine.fault_code = fault.code if fault else None
    machine.fault = fault and {
        "code": fault.code,
        "cause": fault.cause,
        "next_step": fault.next_step,
        "step": task.step,
        "at": moment(now()),
    }
    if fault:
        events.record(
            session,
            machine,
            "fault",
            f"{task.verb}, {task.step}: {fault.cause}",
            request_id=task.request_id,
            code=fault.code,
        )
    if machine.state != before:
        events.record(session, machine, "state", f"{before} → {machine.state}", request_id=task.request_id)
    if machine.state == states.CLEAN_FAILED:
        _set_aside(session, machine, task, machine.fault or {})
    if machine.state == states.AVAILABLE:
        machine.written = False


def _set_aside(session: Session, machine: Machine, task: Task, fault: dict[str, Any]) -> None:
    reason = f"cleaning failed: {fault['cause']}"
    machine.maintenance = True
    machine.maintenance_note = {"reason": reason, "by": "arbaro-machines", "since": fault["at"]}
    events.record(session, machine, "maintenance", reason, request_id=task.request_id)
