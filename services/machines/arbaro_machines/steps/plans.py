# SPDX-License-Identifier: Apache-2.0
"""Each task's steps, in order: the one place that says how a machine is inspected, cleaned, deployed and rescued."""

from arbaro_machines.database.models import Machine, Task
from arbaro_machines.steps.inspect import LOOK
from arbaro_machines.steps.power import OFF, START, SWITCHES
from arbaro_machines.steps.ramdisk import BOOT_RAMDISK, POINT_AT_DISK, WAIT_FOR_OFF
from arbaro_machines.steps.work import Step
from arbaro_machines.steps.write import BE_READY, FETCH_IMAGE, WIPE, WRITE_IMAGE

DEPLOY = (FETCH_IMAGE, *BOOT_RAMDISK, WRITE_IMAGE, WAIT_FOR_OFF, POINT_AT_DISK, START)
CLEAN = (*BOOT_RAMDISK, WIPE, WAIT_FOR_OFF, POINT_AT_DISK)
#: Nothing was written since the last wipe, so there is nothing to wipe.
STILL_CLEAN = (OFF,)
RESCUE = (*BOOT_RAMDISK, BE_READY)
UNRESCUE = (OFF, POINT_AT_DISK, START)
INSPECT = (LOOK,)


def steps_of(task: Task, machine: Machine) -> tuple[Step, ...]:
    """The steps of this task."""
    match task.verb:
        case "power":
            return SWITCHES[task.request["target"]]
        case "clean":
            return CLEAN if machine.written else STILL_CLEAN
        case verb:
            return {"inspect": INSPECT, "deploy": DEPLOY, "rescue": RESCUE, "unrescue": UNRESCUE}[verb]
