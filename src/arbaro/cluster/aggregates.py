# SPDX-License-Identifier: Apache-2.0
"""Aggregates as nova has them, beside the same ones as placement has them.

nova-api tells placement when a host comes or goes. If that fails, or somebody writes to either one directly, servers
that ask for an aggregate are refused although there is room, or hosts are offered that nova then refuses.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openstack.connection import Connection


def look_at_aggregates(connection: "Connection") -> list[dict[str, Any]]:
    """Ask nova for its aggregates, and placement for the members of each; nothing more if there is no aggregate.

    Only hosts with a hypervisor are compared: placement keeps other things in aggregates too, such as shared storage.
    """
    aggregates = list(connection.compute.aggregates())
    if not aggregates:
        return []
    hypervisors = connection.compute.hypervisors(details=True)
    hosts = {hypervisor.id: hypervisor.service_details["host"] for hypervisor in hypervisors}
    known = set(hosts.values())

    def in_placement(uuid: str) -> list[str]:
        found = connection.placement.resource_providers(member_of=uuid)
        return sorted(hosts[provider.id] for provider in found if provider.id in hosts)

    return [
        {
            "id": str(one.id),
            "name": one.name,
            "in_nova": sorted(known.intersection(one.hosts)),
            "in_placement": in_placement(one.uuid),
        }
        for one in aggregates
    ]
