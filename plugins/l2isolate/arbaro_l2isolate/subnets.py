# SPDX-License-Identifier: Apache-2.0
"""What neutron-server knows of subnets: asked for once, then kept until neutron says that one has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from neutron.api.rpc.callbacks import resources
from neutron.api.rpc.callbacks.consumer import registry
from neutron.api.rpc.handlers import resources_rpc
from neutron_lib import rpc

from arbaro_l2isolate.ports import Subnet


class Subnets:
    """A cache over neutron's generic pull and push of resources: no message at all for a port in a known subnet."""

    def __init__(self, context):
        self._context = context
        self._puller = resources_rpc.ResourcesPullRpcApi()
        self._known: dict[str, Subnet] = {}

    def get(self, ids: Iterable[str]) -> dict[str, Subnet]:
        """Return the subnets by id, with at most one message; one that is IPv6 or has been deleted is left out."""
        wanted = set(ids)
        unknown = wanted - self._known.keys()
        if unknown:
            pulled = self._puller.bulk_pull(self._context, resources.SUBNET, filter_kwargs={"id": sorted(unknown)})
            self._known.update({subnet.id: _ours(subnet) for subnet in pulled if subnet.ip_version == 4})
        return {id_: self._known[id_] for id_ in wanted & self._known.keys()}

    def forget(self) -> None:
        """Ask again for everything: messages may have been lost."""
        self._known = {}

    def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed` with a subnet's id whenever neutron tells that it was changed or deleted."""

        def handle(_context, _kind, pushed, _event):
            for subnet in pushed:
                if self._known.pop(subnet.id, None):
                    changed(subnet.id)

        registry.register(handle, resources.SUBNET)
        self._connection = rpc.Connection()
        topic = resources_rpc.resource_type_versioned_topic(resources.SUBNET)
        self._connection.create_consumer(topic, [resources_rpc.ResourcesPushRpcCallback()], fanout=True)
        self._connection.consume_in_threads()


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
