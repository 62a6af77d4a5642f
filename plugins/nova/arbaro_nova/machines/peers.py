# SPDX-License-Identifier: Apache-2.0
"""The nova-computes that share the machines: which of them live, by nova's own service records."""

from __future__ import annotations

from dataclasses import dataclass

from nova import objects, servicegroup
from oslo_utils import timeutils


@dataclass(frozen=True)
class Peers:
    """Hosts that serve machines, and hosts whose servers need another host."""

    live: frozenset[str]
    dead: frozenset[str]


def look(context, me: str, hypervisor_type: str, takeover_after: float) -> Peers:
    """Ask nova once. A host that died a moment ago is neither: it may be a restart, and then nothing needs to move.

    Only enabled services count: a disabled one gets no new machines, and goes on with the servers that it has.
    """
    group = servicegroup.API()
    live, dead = {me}, set()
    for service in objects.ServiceList.get_all_computes_by_hv_type(context, hypervisor_type):
        if group.service_is_up(service):
            live.add(service.host)
        elif service.host != me and silent_for(service) >= takeover_after:
            dead.add(service.host)
    return Peers(frozenset(live), frozenset(dead))


def silent_for(service) -> float:
    """Return the seconds since a service last said that it lives."""
    seen = service.last_seen_up or service.created_at
    return timeutils.delta_seconds(timeutils.normalize_time(seen), timeutils.utcnow())
