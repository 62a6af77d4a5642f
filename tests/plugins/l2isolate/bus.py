# SPDX-License-Identifier: Apache-2.0
"""A message bus for tests: neutron's RPC clients and consumers joined by topic, in one process and without threads.

Real: neutron's clients, endpoints, topics, versions' names and serialisation of arguments. Stands in: oslo.messaging's transport (JSON
there and back). A client whose topic nobody listens to is told nothing, as with a real fanout.
"""

import contextlib
import uuid
from unittest import mock

import oslo_messaging
from neutron_lib import rpc
from oslo_serialization import jsonutils


class Bus:
    """State: who listens to which topic, and what was sent."""

    def __init__(self, context):
        self.context, self.endpoints, self.sent = context, {}, []
        self.is_away = False

    @contextlib.contextmanager
    def joined(self):
        """Join whatever clients and connections are made inside."""
        bus = self

        class Connection:
            def create_consumer(self, topic, endpoints, fanout=False):
                bus.endpoints.setdefault(topic, []).extend(endpoints)

            def consume_in_threads(self):
                return []

        with mock.patch.object(rpc, "get_client", self._client), mock.patch.object(rpc, "Connection", Connection):
            yield self

    def _client(self, target, **_):
        return Client(self, target.topic, target.namespace)


class Client:
    """What neutron_lib.rpc.get_client returns."""

    timeout = None

    def __init__(self, bus, topic, namespace):
        self.bus, self.topic, self.namespace = bus, topic, namespace

    def prepare(self, topic=None, **_):
        return Client(self.bus, topic or self.topic, self.namespace)

    def call(self, _context, method, **arguments):
        """Return the first listener's answer; none comes while neutron-server is away."""
        if self.bus.is_away:
            raise oslo_messaging.MessagingTimeout(f"Timed out waiting for a reply to message ID {uuid.uuid4().hex}")
        answers = list(self._deliver(method, arguments))
        assert answers, f"nobody listens to {self.topic} for {method}"
        return answers[0]

    def cast(self, _context, method, **arguments):
        list(self._deliver(method, arguments))

    def _deliver(self, method, arguments):
        self.bus.sent.append((self.topic, method))
        for endpoint in self.bus.endpoints.get(self.topic, ()):
            target = getattr(endpoint, "target", None)
            if getattr(target, "namespace", None) == self.namespace and hasattr(endpoint, method):
                told = jsonutils.loads(jsonutils.dumps(arguments))
                yield jsonutils.loads(jsonutils.dumps(getattr(endpoint, method)(self.bus.context, **told)))
