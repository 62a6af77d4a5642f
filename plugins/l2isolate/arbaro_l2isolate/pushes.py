# SPDX-License-Identifier: Apache-2.0
"""What neutron-server pushes to whoever listens, in place of a message to agents: changed subnets, address groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from neutron.api.rpc.callbacks import resources
from neutron.api.rpc.callbacks.consumer import registry
from neutron.api.rpc.handlers import resources_rpc
from neutron_lib import rpc

SUBNET = resources.SUBNET
# Neutron has had them since Wallaby.
ADDRESS_GROUP = getattr(resources, "ADDRESSGROUP", None)


def listen(listeners: Mapping[str | None, Callable[[str], None]]) -> rpc.Connection:
    """Call each listener with the id of whatever of its kind is made, changed or deleted; keep what is returned."""
    connection = rpc.Connection()
    for kind, listener in listeners.items():
        if kind:
            _register(kind, listener)
            topic = resources_rpc.resource_type_versioned_topic(kind)
            connection.create_consumer(topic, [resources_rpc.ResourcesPushRpcCallback()], fanout=True)
    connection.consume_in_threads()
    return connection


def _register(kind, listener):
    def handle(_context, _kind, pushed, _event):
        for thing in pushed:
            listener(thing.id)

    registry.register(handle, kind)
