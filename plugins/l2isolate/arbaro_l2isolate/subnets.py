# SPDX-License-Identifier: Apache-2.0
"""What neutron-server knows of subnets: asked for once, then kept until neutron says that one has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from neutron.api.rpc.callbacks import resources
from neutron.api.rpc.handlers import resources_rpc

from arbaro_l2isolate.ports import Subnet


class Subnets:
    """A cache over neutron's generic pull of resources: no message at all for a port in a known subnet.

    An answer counts as long as no message has come since the question: one that comes before the answer may tell of
    something that the answer does not have yet.
    """

    def __init__(self, context):
        self._context = context
        self._puller = resources_rpc.ResourcesPullRpcApi()
        self._known: dict[str, Subnet | None] = {}
        self._messages: Counter[str] = Counter()
        self._messages_when_asked: dict[str, int] = {}

    def get(self, ids: Iterable[str]) -> dict[str, Subnet]:
        """Return the subnets by id, with at most one message; one that is IPv6 or has been deleted is left out."""
        wanted = set(ids)
        unsure = {id_: self._messages[id_] for id_ in wanted if not self._is_sure_of(id_)}
        if unsure:
            pulled = self._puller.bulk_pull(self._context, resources.SUBNET, filter_kwargs={"id": sorted(unsure)})
            ours = {subnet.id: _ours(subnet) for subnet in pulled if subnet.ip_version == 4}
            self._known.update({id_: ours.get(id_) for id_ in unsure})
            self._messages_when_asked.update(unsure)
        return self.remembered(wanted)

    def remembered(self, ids: Iterable[str]) -> dict[str, Subnet]:
        """Return what was known last, without a message."""
        return {id_: subnet for id_ in ids if (subnet := self._known.get(id_))}

    def forget(self) -> None:
        """Ask again for everything: messages may have been lost."""
        self._messages_when_asked = {}

    def has_changed(self, id_: str) -> None:
        """Take neutron's message about a subnet."""
        self._messages[id_] += 1

    def changed(self) -> set[str]:
        """Return the subnets that have changed since they were asked for."""
        return {id_ for id_ in list(self._messages_when_asked) if not self._is_sure_of(id_)}

    def _is_sure_of(self, id_):
        return self._messages_when_asked.get(id_) == self._messages[id_]


def _ours(subnet) -> Subnet:
    """Make ours of neutron's versioned object."""
    return Subnet(
        id=subnet.id,
        cidr=str(subnet.cidr),
        gateway=str(subnet.gateway_ip or ""),
        dhcp=subnet.enable_dhcp,
        dns=tuple(str(server.address) for server in subnet.dns_nameservers),
        routes=tuple((str(route.destination), str(route.nexthop)) for route in subnet.host_routes),
    )
