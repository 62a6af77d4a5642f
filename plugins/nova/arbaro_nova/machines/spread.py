# SPDX-License-Identifier: Apache-2.0
"""Look a last time whether a group is spread: the scheduler chose a while ago, or this is its second choice."""

from __future__ import annotations

import nova.conf
import oslo_messaging as messaging
from nova import exception, objects
from oslo_log import log as logging

from arbaro_nova.machines.client import MachinesClient
from arbaro_nova.machines.errors import MachineFailed, told
from arbaro_nova.machines.machine import Machine

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF


def check(context, client: MachinesClient, instance, machine: Machine) -> None:
    """Refuse a machine reserved for a server of an anti-affinity group, if another server of it is in the same rack.

    Two that come at the same moment both see the other one, and both go elsewhere.
    """
    members = others_in_group(context, instance)
    near = members and [m for m in client.list(room=machine.room, rack=machine.rack) if m.server_id in members]
    if near:
        cause = f"{machine.name} is in one rack with {near[0].name}, which another server of the group has"
        raise MachineFailed(told(cause, "openstack machine stock list: how many racks have free ones?"))


def others_in_group(context, instance) -> set[str]:
    """Ask nova for the other servers of a group that is to be spread; like nova, not where that is switched off."""
    if CONF.workarounds.disable_group_policy_check_upcall:
        return set()
    try:
        group = objects.InstanceGroup.get_by_instance_uuid(context, instance.uuid)
    except exception.InstanceGroupNotFound:
        return set()
    except messaging.RemoteError as error:
        # A cell whose conductor cannot open the API's database.
        LOG.warning("Cannot ask for the server's group: %s", error.exc_type, instance=instance)
        return set()
    return set(group.members) - {instance.uuid} if group.policy == "anti-affinity" else set()
