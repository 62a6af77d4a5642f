# SPDX-License-Identifier: Apache-2.0
"""The filter that spreads a group's physical machines over failure domains:

    openstack server group create --policy anti-affinity --rule max_server_per_host=100 web

Nova's own filter counts a group's servers by nova-compute, of which each serves hundreds of machines: the rule lets it.
This one keeps them out of each other's racks. Virtual machines are nova's filter's business alone.
"""

from nova import context as nova_context
from nova import objects
from nova.scheduler import filters
from nova.scheduler.client import report
from oslo_log import log

from arbaro_nova.machines.resources import HYPERVISOR_TYPE

LOG = log.getLogger(__name__)
#: Where the machine driver's nodes say what they stand in.
DOMAIN = ("room", "rack")


class MachineSpreadFilter(filters.BaseHostFilter):
    """Let only machines pass in whose rack no other server of the group has a machine."""

    # A rebuild leaves the server where it is.
    RUN_ON_REBUILD = False

    def filter_all(self, filter_obj_list, spec_obj):
        """Filter hosts; whoever asks for no such group, or for no machine, pays for one look."""
        group = spec_obj.instance_group
        if group is None or group.policy != "anti-affinity":
            return filter_obj_list
        hosts = list(filter_obj_list)
        if not any(domain_of(host) for host in hosts):
            return hosts
        taken = domains_of_servers(set(group.members) - {spec_obj.instance_uuid})
        LOG.debug("Servers of group %s have machines in %s", group.uuid, taken)
        return [host for host in hosts if domain_of(host) not in taken]


def domain_of(node):
    """Return the room and rack of a machine, be it the scheduler's host state or nova's record; None if it is none."""
    if node.hypervisor_type != HYPERVISOR_TYPE:
        return None
    stats = node.stats or {}
    return tuple(stats.get(name, "") for name in DOMAIN)


def domains_of_servers(servers):
    """Look up where servers have their machines, be it for a moment only.

    Placement knows it first: what is chosen is claimed there before the next server is looked at, also within one
    request for several.
    """
    context, nodes = nova_context.get_admin_context(), set()
    placement = getattr(report, "report_client_singleton", report.SchedulerReportClient)()
    for server in servers:
        nodes.update(placement.get_allocs_for_consumer(context, server)["allocations"])
    if not nodes:
        return set()
    found = nova_context.scatter_gather_skip_cell0(context, objects.ComputeNodeList.get_all_by_uuids, list(nodes))
    answers = [answer for answer in found.values() if not nova_context.is_cell_failure_sentinel(answer)]
    return {domain_of(node) for answer in answers for node in answer} - {None}
