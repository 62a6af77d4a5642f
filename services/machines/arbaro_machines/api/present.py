# SPDX-License-Identifier: Apache-2.0
"""Rows of the database as JSON. Plain dictionaries: a page of 1,000 machines is not validated a second time."""

from typing import Any

from arbaro_machines import silence, states
from arbaro_machines.caller import Caller
from arbaro_machines.database.models import Event, Machine, Task, moment
from arbaro_machines.download import told


def present_machine(machine: Machine, caller: Caller) -> dict[str, Any]:
    """A machine, as this caller may see it."""
    return {
        "id": machine.id,
        "name": machine.name,
        "revision": machine.revision,
        "state": machine.state,
        "power": machine.power,
        "maintenance": machine.maintenance_note,
        "resource_class": machine.resource_class,
        "model": machine.model,
        "room": machine.room,
        "rack": machine.rack,
        "properties": machine.properties,
        "interfaces": [{"mac": one.mac, "name": one.name, "boot": one.boot} for one in machine.interfaces],
        "boot": {"method": machine.boot_method, "firmware": machine.firmware},
        "bmc": _bmc(machine) if caller.operator else None,
        "console_url": machine.console_url if caller.operator else None,
        "holder": _holder(machine) if machine.state in states.HELD else None,
        "deployment": _deployment(machine, caller),
        "task": machine.task and _task(machine.task),
        "fault": machine.fault,
        "verbs": states.legal_verbs(
            machine.state,
            operator=caller.operator,
            busy=machine.task is not None,
            maintenance=machine.maintenance,
        )
        if caller.member
        else [],
        "created_at": moment(machine.created_at),
        "updated_at": moment(machine.updated_at),
    }


def _bmc(machine: Machine) -> dict[str, Any]:
    return {
        "address": machine.bmc_address,
        "system": machine.bmc_system,
        "username": machine.bmc_username,
        "verify_tls": machine.bmc_verify_tls,
    }


def _deployment(machine: Machine, caller: Caller) -> dict[str, Any] | None:
    """What is written to it; of an operator's URL others see no signature, which is as good as a password."""
    image = (machine.deployment or {}).get("image", {})
    if caller.operator or "url" not in image:
        return machine.deployment
    return {**(machine.deployment or {}), "image": {**image, "url": told(image["url"])}}


def _holder(machine: Machine) -> dict[str, Any]:
    names = ("project_id", "user_id", "server_id", "reservation_id", "group")
    return {name: getattr(machine, name) for name in names} | {"since": moment(machine.held_since)}


def _task(task: Task) -> dict[str, Any]:
    return {
        "verb": task.verb,
        "step": task.step,
        "started_at": moment(task.created_at),
        "deadline": task.notes.get("deadline"),
        "progress": task.word.get("progress"),
        "waits_for": silence.shown(task),
    }


def present_event(event: Event) -> dict[str, Any]:
    """An event."""
    return {
        "id": event.id,
        "at": moment(event.at),
        "machine_id": event.machine_id,
        "machine": event.machine,
        "type": event.type,
        "text": event.text,
        "by": event.by,
        "request_id": event.request_id,
        "detail": event.detail,
    }
