# SPDX-License-Identifier: Apache-2.0
"""Finish what another process began: this nova-compute before its restart, or another one that died.

What was going on is read from nova's and the API's own records, so it does not matter how often anybody is killed.
Nova itself finishes deletions and power changes after a restart, but calls a build lost (`_init_instance` sets ERROR).
It is not: the API goes on. Such a server goes back to BUILD, each periodic look looks at it, and it becomes ACTIVE or
ERROR.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Set

from nova import exception, objects
from nova.compute import power_state, rpcapi, task_states, vm_states
from nova.compute import utils as compute_utils
from oslo_log import log as logging
from oslo_utils import timeutils

from arbaro_nova.machines.client import MachinesClient
from arbaro_nova.machines.errors import ApiError, MachineFailed, failure, told
from arbaro_nova.machines.inventory import Inventory
from arbaro_nova.machines.machine import Machine
from arbaro_nova.machines.ring import Ring

LOG = logging.getLogger(__name__)
POWER = {"on": power_state.RUNNING, "off": power_state.SHUTDOWN}
#: A machine is being written for a server in one of these.
WRITING = (task_states.SPAWNING, task_states.REBUILD_SPAWNING)


def adopt(context, dead: Iterable[str], ring: Ring, me: str) -> None:
    """Become the host of dead nova-computes' servers, as far as their machines are ours by the ring."""
    for host in sorted(dead):
        for instance in objects.InstanceList.get_by_host(context, host):
            if instance.node and ring.owner(instance.node) == me:
                LOG.warning("Taking this server over from %s, which is dead", host, instance=instance)
                take_over(context, instance, me)


def take_over(context, instance, me: str) -> None:
    """Become one server's host. What was asked of it is done again if that is harmless; else its user may ask again."""
    instance.host = me
    doing = instance.task_state
    if doing == task_states.DELETING:
        instance.save()
        bdms = objects.BlockDeviceMappingList.get_by_instance_uuid(context, instance.uuid)
        rpcapi.ComputeAPI().terminate_instance(context, instance, bdms)
        return
    if instance.vm_state == vm_states.BUILDING and doing != task_states.SPAWNING:
        instance.vm_state, instance.task_state = vm_states.ERROR, None
    elif doing not in WRITING:
        instance.task_state = None
    instance.save()


def reopen(context, client: MachinesClient, inventory: Inventory, me: str, busy: Set[str]) -> None:
    """Take builds and rebuilds up again that nova called lost when it started; tell who has lost one."""
    filters = {"host": me, "vm_state": vm_states.ERROR}
    for instance in objects.InstanceList.get_by_filters(context, filters):
        if instance.task_state is not None or instance.uuid in busy:
            continue
        machine = inventory.held_for(instance.uuid)
        with each_by_itself(instance):
            if was_interrupted(instance, machine):
                reopen_one(instance)
            elif instance.launched_at is None and not is_explained(context, instance):
                give_up(context, client, instance, machine)


def was_interrupted(instance, machine: Machine | None) -> bool:
    """Whether the API was told to deploy this server's machine since the server last started; pure."""
    if machine is None or machine.deployed_at is None or machine.state not in ("deploying", "active"):
        return False
    return instance.launched_at is None or moment(machine.deployed_at) > timeutils.normalize_time(instance.launched_at)


def is_explained(context, instance) -> bool:
    """Whether its user is told why already."""
    return objects.InstanceFault.get_latest_for_instance(context, instance.uuid) is not None


def reopen_one(instance) -> None:
    """Put one server back to what it was in."""
    rebuilt = instance.launched_at is not None
    instance.vm_state = vm_states.ACTIVE if rebuilt else vm_states.BUILDING
    instance.task_state = task_states.REBUILD_SPAWNING if rebuilt else task_states.SPAWNING
    instance.save(expected_task_state=[None])
    LOG.info("Its machine is still being deployed: going on", instance=instance)


def go_on(context, client: MachinesClient, inventory: Inventory, me: str, busy: Set[str]) -> None:
    """Look at servers whose machine is being written but for which nobody in this process (`busy`) waits."""
    filters = {"host": me, "task_state": list(WRITING)}
    for instance in objects.InstanceList.get_by_filters(context, filters):
        if instance.uuid not in busy:
            with each_by_itself(instance):
                machine = next(iter(client.held_for(instance.uuid)), None)
                inventory.remember(machine)
                settle(context, client, instance, machine)


def settle(context, client: MachinesClient, instance, machine: Machine | None) -> None:
    """Finish one server if its machine is ready; give up if it will never be."""
    if machine is None or machine.state not in ("deploying", "active"):
        give_up(context, client, instance, machine)
    elif machine.state == "active" and machine.task is None:
        began = instance.task_state
        instance.vm_state, instance.task_state = vm_states.ACTIVE, None
        instance.power_state = POWER.get(machine.power, power_state.NOSTATE)
        instance.launched_at = timeutils.utcnow(with_timezone=True)
        instance.save(expected_task_state=[began])
        LOG.info("Machine %s is deployed: done", machine.name, instance=instance)


def give_up(context, client: MachinesClient, instance, machine: Machine | None) -> None:
    """Set a server to ERROR with the cause. A new server's machine goes back; a rebuilt one keeps it."""
    if machine is not None and machine.state == "deploy-failed":
        error = failure(machine.name, machine.fault, "deployment")
    else:
        error = MachineFailed(
            told("nova-compute was stopped before it wrote to a machine", "Delete the server, create it again.")
        )
    began = instance.task_state
    instance.vm_state, instance.task_state = vm_states.ERROR, None
    instance.save(expected_task_state=[began])
    fault = exception.BuildAbortException(instance_uuid=instance.uuid, reason=str(error))
    compute_utils.add_instance_fault_from_exc(context, instance, fault)
    if machine is not None and instance.launched_at is None:
        client.release(machine.id, instance.uuid)


@contextlib.contextmanager
def each_by_itself(instance):
    """Let one server's trouble be no other's: its user changed it, or the API refused. The next look comes soon."""
    try:
        yield
    except (exception.InstanceNotFound, exception.InstanceUpdateConflict, ApiError) as error:
        LOG.warning("Not finished yet: %s", error, instance=instance)


def moment(text: str):
    """Read a time of the API."""
    return timeutils.normalize_time(timeutils.parse_isotime(text))
