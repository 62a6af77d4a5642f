# SPDX-License-Identifier: Apache-2.0
"""The machines API, as far as the driver speaks it: the one place that knows its addresses.

A lost answer costs nothing: keystoneauth sends a request again when the connection broke, and each verb here may be
said twice. What was already done by the lost one is recognised by the machine's state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keystoneauth1 import exceptions as keystone_errors
from oslo_log import log as logging

from arbaro_nova.machines.errors import ApiRefused, ApiSilent
from arbaro_nova.machines.machine import Machine

LOG = logging.getLogger(__name__)
PAGE = 1000


class MachinesClient:
    """Requests through one keystoneauth adapter."""

    def __init__(self, adapter):
        """Take what opens connections, adds the token and tries again."""
        self._adapter = adapter

    def list(self, **filters: Any) -> Iterator[Machine]:
        """Yield all machines that the filters let through, page by page."""
        answer = self._ask("GET", "/v1/machines", params={"limit": PAGE, **filters})
        while True:
            yield from map(Machine.of, answer["machines"])
            following = answer["links"]["next"]
            if not following:
                return
            answer = self._ask("GET", following)

    def get(self, machine_id: str) -> Machine:
        """Return one machine as it is now."""
        return Machine.of(self._ask("GET", f"/v1/machines/{machine_id}"))

    def held_for(self, server_id: str) -> list[Machine]:
        """Return the machines that a server has: one, or none."""
        return list(self.list(server_id=server_id))

    def free(self, resource_class: str | None) -> int:
        """Return how many machines of this class are free."""
        answer = self._ask("GET", "/v1/stock", params={"resource_class": resource_class, "by": "resource_class"})
        return sum(line["free"] for line in answer["stock"])

    def reserve(self, machine_id: str, project_id: str, server_id: str, request_id: str | None = None) -> Machine:
        """Take this machine for this server; saying it again is the same reservation."""
        body = {"project_id": project_id, "server_id": server_id}
        return self._verb(machine_id, "reserve", body, request_id)

    def deploy(
        self, machine_id: str, server_id: str, body: Mapping[str, Any], request_id: str | None = None
    ) -> Machine:
        """Have an image and a config drive written to it."""
        return self._verb_once(machine_id, "deploy", body, server_id, "deploying", request_id)

    def release(self, machine_id: str, server_id: str, request_id: str | None = None) -> Machine | None:
        """Give it back, if the server still has it."""
        try:
            return self._verb(machine_id, "release", {}, request_id)
        except ApiRefused as refusal:
            # Perhaps the answer of an earlier attempt was lost.
            if refusal.status not in (404, 409) or any(m.id == machine_id for m in self.held_for(server_id)):
                raise
            return None

    def power(self, machine_id: str, target: str) -> Machine:
        """Ask for another power state: on, off, soft-off, reboot, soft-reboot."""
        return self._verb(machine_id, "power", {"target": target})

    def rescue(self, machine_id: str, server_id: str, public_keys: list[str], password: str | None) -> Machine:
        """Have the rescue system started instead of its disk."""
        body = {"public_keys": public_keys, **({"password": password} if password else {})}
        return self._verb_once(machine_id, "rescue", body, server_id, "rescuing")

    def unrescue(self, machine_id: str, server_id: str) -> Machine:
        """Have it started from its own disk again."""
        return self._verb_once(machine_id, "unrescue", {}, server_id, "unrescuing")

    def console(self, machine_id: str) -> Mapping[str, Any]:
        """Say where its serial console is."""
        return self._ask("GET", f"/v1/machines/{machine_id}/console")

    def _verb_once(self, machine_id, verb, body, server_id, state, request_id=None):
        try:
            return self._verb(machine_id, verb, body, request_id)
        except ApiRefused as refusal:
            if refusal.code != "illegal-move":
                raise
            machine = self.get(machine_id)
            if machine.state != state or not machine.held_for(server_id):
                raise
            LOG.info("%s of machine %s is going on already", verb, machine.name)
            return machine

    def _verb(self, machine_id, verb, body, request_id=None):
        return Machine.of(self._ask("POST", f"/v1/machines/{machine_id}/{verb}", json=body, request_id=request_id))

    def _ask(self, method, path, request_id=None, **more):
        headers = {"X-Openstack-Request-Id": request_id} if request_id else {}
        try:
            answer = self._adapter.request(path, method, headers=headers, raise_exc=False, **more)
        except keystone_errors.ClientException as error:
            raise ApiSilent(f"The machines API does not answer ({error})") from error
        if answer.status_code >= 400:
            raise ApiRefused.of(answer)
        return answer.json()
