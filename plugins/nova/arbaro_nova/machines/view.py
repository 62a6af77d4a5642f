# SPDX-License-Identifier: Apache-2.0
"""What one nova-compute knows of the machines and of its peers, and what it therefore serves."""

from __future__ import annotations

from collections.abc import Iterator

from nova import context as nova_context
from nova import objects
from oslo_log import log as logging

from arbaro_nova.machines import peers, takeover
from arbaro_nova.machines.client import MachinesClient
from arbaro_nova.machines.inventory import Inventory
from arbaro_nova.machines.machine import Machine
from arbaro_nova.machines.resources import HYPERVISOR_TYPE
from arbaro_nova.machines.ring import Ring

LOG = logging.getLogger(__name__)


class View:
    """The last look's result. All of it is in the API and in nova's database: a restart loses nothing."""

    def __init__(self, client: MachinesClient, settings, host: str):
        """Know nothing but oneself."""
        self.inventory = Inventory(client, settings.relist_interval)
        self.busy: set[str] = set()
        self._client, self._settings, self._host = client, settings, host
        self._ring = Ring([host])
        self._mine: set[str] = set()
        self._started = False

    def look(self) -> None:
        """Look at the machines, then at the peers, then at what was left undone."""
        context = nova_context.get_admin_context()
        self.inventory.refresh()
        # After the machines: a server that came in between has its machine in our view or not at all.
        seen = peers.look(context, self._host, HYPERVISOR_TYPE, self._settings.takeover_after)
        if self._ring.hosts != seen.live:
            LOG.info("Sharing the machines among %s", ", ".join(sorted(seen.live)))
            self._ring = Ring(seen.live)
        self._take_up(context, seen.dead)
        self._mine = set(objects.InstanceList.get_uuids_by_host(context, self._host))

    def _take_up(self, context, dead) -> None:
        """Go on with what others left undone, but not with the first look: nova is then about to judge its builds."""
        if self._started:
            takeover.adopt(context, dead, self._ring, self._host)
            takeover.reopen(context, self._client, self.inventory, self._host, self.busy)
            takeover.go_on(context, self._client, self.inventory, self._host, self.busy)
        self._started = True

    def served(self) -> Iterator[Machine]:
        """Yield the machines that are ours: our servers', and of those that no server has our share."""
        for machine in self.inventory:
            ours = machine.server_id in self._mine if machine.server_id else self._in_share(machine)
            if ours and machine.resource_class:
                yield machine

    def own_servers(self) -> list[str]:
        """List our own servers that have a machine."""
        return [m.server_id for m in self.inventory if m.server_id in self._mine]

    def servers_to_answer_for(self) -> list[str]:
        """List these, and the servers on machines of our share: a deleted one among them has nobody else any more."""
        held = (m for m in self.inventory if m.server_id)
        return [m.server_id for m in held if m.server_id in self._mine or self._in_share(m)]

    def _in_share(self, machine: Machine) -> bool:
        return self._ring.owner(machine.id) == self._host
