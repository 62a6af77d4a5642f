# SPDX-License-Identifier: Apache-2.0
"""What a finished task says about its machine."""

from typing import Any

from arbaro_machines.database.models import Machine, Task

#: Verb → how the machine is left, as its last step saw it.
POWER = {"deploy": "on", "unrescue": "on", "rescue": "on", "clean": "off"}
SWITCHED = {"on": "on", "reboot": "on", "soft-reboot": "on", "off": "off", "soft-off": "off"}


def changes_of(task: Task, machine: Machine) -> dict[str, Any]:
    """The columns of the machine that the finished task changes."""
    changes: dict[str, Any] = {}
    power = SWITCHED[task.request["target"]] if task.verb == "power" else POWER.get(task.verb)
    if power:
        changes["power"] = power
    seen = dict(task.notes.get("facts", {}))
    macs = seen.pop("macs", [])
    if macs:
        # The interfaces themselves are the operator's: which one boots, only they know.
        seen["macs_seen"] = macs
    disk_bytes = str(task.word.get("disk_bytes", ""))
    if disk_bytes.isdigit():
        # The ramdisk has seen the disk itself, which BMCs often do not.
        seen["disk_gb"] = int(disk_bytes) // 10**9
    if seen:
        changes["properties"] = machine.properties | seen
    return changes
