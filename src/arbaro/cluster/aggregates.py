# SPDX-License-Identifier: Apache-2.0
"""Aggregates as nova has them, beside the same ones as placement has them.

nova-api tells placement when a host comes or goes. If that fails, or somebody writes to either one directly, servers
that ask for an aggregate are refused although there is room, or hosts are offered that nova then refuses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arbaro.checks import Finding

if TYPE_CHECKING:
    from openstack.connection import Connection


@dataclass(frozen=True)
class Aggregate:
    """An aggregate, and which compute hosts are in it, as each of the two sees it."""

    id: str
    name: str
    in_nova: frozenset[str]
    in_placement: frozenset[str]


def look_at_aggregates(connection: "Connection") -> list[Aggregate]:
    """Ask nova for its aggregates, and placement for the members of each; nothing more if there is no aggregate.

    Only hosts with a hypervisor are compared: placement keeps other things in aggregates too, such as shared storage.
    """
    aggregates = list(connection.compute.aggregates())
    if not aggregates:
        return []
    hypervisors = connection.compute.hypervisors(details=True)
    hosts = {hypervisor.id: hypervisor.service_details["host"] for hypervisor in hypervisors}
    known = frozenset(hosts.values())

    def in_placement(uuid: str) -> frozenset[str]:
        found = connection.placement.resource_providers(member_of=uuid)
        return frozenset(hosts[provider.id] for provider in found if provider.id in hosts)

    return [Aggregate(str(a.id), a.name, known.intersection(a.hosts), in_placement(a.uuid)) for a in aggregates]


def drifts(cloud: str, aggregates: Sequence[Aggregate]) -> Iterator[Finding]:
    """Find aggregates that placement sees otherwise than nova does."""
    for aggregate in aggregates:
        where = f"aggregate {aggregate.id} ({aggregate.name})"
        if missing := sorted(aggregate.in_nova - aggregate.in_placement):
            yield Finding(
                where,
                f"placement does not know that {', '.join(missing)} belongs to it",
                means="servers that ask for it are refused there",
                run=f"arbaro ssh {cloud} controller -- runuser -u nova -- nova-manage placement sync_aggregates",
            )
        for host in sorted(aggregate.in_placement - aggregate.in_nova):
            # sync_aggregates only adds.
            client = f"openstack --os-cloud arbaro-{cloud} aggregate"
            yield Finding(
                where,
                f"placement still counts {host} in, nova does not",
                means="it is offered to servers that ask for the aggregate, and then refused",
                run=f"{client} add host {aggregate.id} {host} && {client} remove host {aggregate.id} {host}",
            )
