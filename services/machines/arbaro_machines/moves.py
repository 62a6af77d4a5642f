# SPDX-License-Identifier: Apache-2.0
"""The verbs: each checks the table of legal moves, changes the state, and puts a task on the machine."""

from typing import Any

from sqlalchemy.orm import Session

from arbaro_machines import events, states, tasks
from arbaro_machines.caller import Caller
from arbaro_machines.database.models import Machine, moment, now
from arbaro_machines.errors import Refusal


def check_legal(machine: Machine, verb: str, caller: Caller) -> None:
    """Refuse a verb that is not legal now."""
    if verb in states.OPERATORS_VERBS and not caller.operator:
        raise Refusal("forbidden", f"{verb} is for operators.")
    busy = machine.task is not None
    if verb in states.legal_verbs(machine.state, operator=caller.operator, busy=busy, maintenance=machine.maintenance):
        return
    if machine.maintenance and verb in states.REFUSED_IN_MAINTENANCE:
        reason = (machine.maintenance_note or {}).get("reason", "")
        raise Refusal(
            "in-maintenance",
            f"{machine.name} is in maintenance: {reason}",
            f"Take another machine, or when it is mended: openstack machine maintenance unset {machine.name}",
        )
    now_doing = f", and {machine.task.verb} is going on" if machine.task else ""
    raise Refusal(
        "illegal-move",
        f"{machine.name} is {machine.state}{now_doing}; {verb} is legal in {', '.join(states.states_where(verb))}.",
        "Wait until its task is done." if busy else "Look at its `verbs` for what is legal now.",
    )


def move(
    session: Session,
    machine: Machine,
    verb: str,
    caller: Caller,
    *,
    request: dict[str, Any] | None = None,
    sealed: str | None = None,
) -> None:
    """Do the verb: the machine is on its way, a worker does the rest."""
    check_legal(machine, verb, caller)
    target = states.MOVES[machine.state][verb]
    busy_until = tasks.give_up(session, machine)
    _change_state(session, machine, target, verb, caller)
    if verb == "release":
        events.record(session, machine, "changed", "given back", by=caller.by, request_id=caller.request_id)
        _forget_holder(machine)
    if verb == "deploy":
        # From here on its disk is not clean, whatever becomes of the deployment.
        machine.written = True
    task_verb = "clean" if target == states.CLEANING else verb
    tasks.start(session, machine, task_verb, caller, request=request, sealed=sealed, after=busy_until)


def take(session: Session, machine: Machine, caller: Caller, holder: dict[str, Any]) -> None:
    """Reserve this very machine."""
    check_legal(machine, "reserve", caller)
    for name, value in holder.items():
        setattr(machine, name, value)
    machine.held_since = now()
    _change_state(session, machine, states.RESERVED, "reserve", caller)


def switch(session: Session, machine: Machine, target: str, caller: Caller) -> None:
    """Ask for another power state."""
    check_legal(machine, "power", caller)
    _clear_fault(machine)
    events.record(session, machine, "power", f"asked for {target}", by=caller.by, request_id=caller.request_id)
    tasks.start(session, machine, "power", caller, request={"target": target})


def set_maintenance(session: Session, machine: Machine, reason: str | None, caller: Caller) -> None:
    """Take a machine out of use with a reason, or (None) back into it."""
    if reason is None and not machine.maintenance:
        return
    machine.maintenance = reason is not None
    note = {"reason": reason, "by": caller.user, "since": moment(now())}
    machine.maintenance_note = note if reason is not None else None
    machine.updated_at = now()
    text = f"into maintenance: {reason}" if reason is not None else "out of maintenance"
    events.record(session, machine, "maintenance", text, by=caller.by, request_id=caller.request_id)


def _change_state(session: Session, machine: Machine, target: str, verb: str, caller: Caller) -> None:
    text = f"{machine.state} → {target}"
    machine.state = target
    _clear_fault(machine)
    events.record(session, machine, "state", text, by=caller.by, request_id=caller.request_id, verb=verb)


def _clear_fault(machine: Machine) -> None:
    machine.fault_code = None
    machine.fault = None
    machine.updated_at = now()


def _forget_holder(machine: Machine) -> None:
    for name in ("project_id", "user_id", "server_id", "reservation_id", "group", "held_since", "deployment"):
        setattr(machine, name, None)
