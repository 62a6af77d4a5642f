# SPDX-License-Identifier: Apache-2.0
"""A machine as nova's resource tracker and placement want it described. It is given out whole, by its class."""

from __future__ import annotations

from typing import Any

from nova import exception
from nova.objects import fields
from oslo_log import log as logging

from arbaro_nova.machines.machine import Machine

LOG = logging.getLogger(__name__)
HYPERVISOR_TYPE = "arbaro-machines"
#: What it is made of counts for nothing.
NOTHING = dict.fromkeys(("vcpus", "vcpus_used", "memory_mb", "memory_mb_used", "local_gb", "local_gb_used"), 0)


def described(machine: Machine) -> dict[str, Any]:
    """Describe a machine as a node."""
    arch = _arch(machine)
    return {
        "uuid": machine.id,
        "hypervisor_hostname": machine.id,
        "hypervisor_type": HYPERVISOR_TYPE,
        "hypervisor_version": 1,
        "resource_class": machine.resource_class,
        "cpu_info": "",
        "supported_instances": [(arch, fields.HVType.BAREMETAL, fields.VMMode.HVM)] if arch else [],
        # Where it stands, for the scheduler (scheduler/spread.py).
        "stats": {"machine": machine.name, "room": machine.room, "rack": machine.rack},
        "numa_topology": None,
        **NOTHING,
    }


def inventory_of(machine: Machine) -> dict[str, dict[str, Any]]:
    """One unit of its class; reserved unless the machine is free: placement offers no other."""
    unit = {"total": 1, "min_unit": 1, "max_unit": 1, "step_size": 1, "allocation_ratio": 1.0}
    return {machine.resource_class: {**unit, "reserved": 0 if machine.free else 1}}


def _arch(machine: Machine) -> str | None:
    """Return a machine's architecture as nova calls it; one that nova does not know is as good as none."""
    try:
        return fields.Architecture.canonicalize(machine.cpu_arch)
    except exception.InvalidArchitectureName as error:
        LOG.warning("machine %s: %s", machine.name, error)
        return None
