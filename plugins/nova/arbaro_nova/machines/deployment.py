# SPDX-License-Identifier: Apache-2.0
"""From a reserved machine to a running server: ports, config drive, image, and what nova is told when it fails."""

from __future__ import annotations

from typing import Any, NamedTuple

import oslo_messaging
from nova import exception
from nova.compute import task_states
from oslo_log import log as logging

from arbaro_nova.machines import config_drive, ports
from arbaro_nova.machines.client import MachinesClient
from arbaro_nova.machines.errors import ApiError, MachineFailed
from arbaro_nova.machines.machine import Machine

LOG = logging.getLogger(__name__)


class FirstBoot(NamedTuple):
    """What nova hands over for a server's first boot."""

    injected_files: Any
    admin_password: str | None
    network_info: Any


def begin(client: MachinesClient, context, instance, machine: Machine, first_boot: FirstBoot) -> Machine:
    """Have the server's image and config drive written to its machine; return the machine as it then is."""
    if not instance.image_ref:
        raise MachineFailed(
            "A physical machine starts from its disk: create the server from an image.", elsewhere=False
        )
    vifs = list(first_boot.network_info or ())
    # First: the config drive has the ports' addresses as they then are.
    ports.plug(context, machine, vifs)
    files = config_drive.files_for(instance, first_boot.injected_files, first_boot.admin_password, vifs)
    body = {
        "image": {"id": instance.image_ref},
        "config_drive": {"files": files},
        "network": ports.addresses(vifs),
    }
    machine = client.deploy(machine.id, instance.uuid, body, context.request_id)
    LOG.info("Machine %s is being deployed", machine.name, instance=instance)
    return machine


def show_config_drive(instance) -> None:
    """Say with the server that it has a config drive: every machine gets one, asked for or not."""
    if not instance.config_drive:
        instance.config_drive = "True"
        instance.save()


def stop_if_deleted(instance) -> None:
    """Stop when the user wants the server no longer: its deletion waits for us.

    Nova's database or conductor may be away for a moment in the minutes that a deployment takes; that ends none.
    """
    try:
        instance.refresh()
    except oslo_messaging.MessagingException as error:
        LOG.warning("Whether the server is wanted still cannot be asked now: %s", error, instance=instance)
        return
    if instance.task_state == task_states.DELETING:
        raise exception.UnexpectedDeletingTaskStateError(
            instance_uuid=instance.uuid, expected={"task_state": []}, actual={"task_state": [task_states.DELETING]}
        )


def build_error(client: MachinesClient, instance, machine: Machine | None, error: ApiError) -> exception.NovaException:
    """Choose what nova does next: try another machine, or tell the user.

    Nova forgets the cause when no other machine is left ("Exhausted all hosts"), so that is looked up first.
    """
    if error.elsewhere and other_machines(client, machine):
        return exception.InstanceDeployFailure(str(error))
    return exception.BuildAbortException(instance_uuid=instance.uuid, reason=str(error))


def other_machines(client: MachinesClient, machine: Machine | None) -> bool:
    """Whether nova would find another free machine of this kind; if that cannot be said, it may look."""
    try:
        return machine is None or client.free(machine.resource_class) > 0
    except ApiError as error:
        LOG.warning("Cannot say whether other machines are free: %s", error)
        return True
