# SPDX-License-Identifier: Apache-2.0
"""The agent's calls to neutron-server: neutron's own, but for many devices with few messages."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from neutron.agent import rpc
from neutron_lib.api.definitions import portbindings
from oslo_config import cfg

from arbaro_l2isolate.listing import Listing, is_worth_it
from arbaro_l2isolate.reports import Reports


class PluginApi(rpc.PluginApi):
    """The stock calls, but a large turn begins with a list of this host's ports, and reports go in the background."""

    def __init__(self, context, topic, agent_id):
        """Take the agent's context and id, and the topic of neutron-server's plug-in."""
        super().__init__(topic)
        self._context, self._agent_id = context, agent_id
        self.listing = Listing()
        self.reports = Reports(self._tell)
        self.reports.start()

    def begin_turn(self, devices, present, is_resync: bool) -> None:
        """List this host's ports if so many devices, of all that are present, are to be asked about."""
        self.listing = Listing()
        if is_worth_it(devices, present):
            host = cfg.CONF.host
            listed = self.get_ports_by_vnic_type_and_host(self._context, portbindings.VNIC_NORMAL, host)
            self.listing = Listing(listed, host, with_active=is_resync)

    def details(self, devices) -> Iterator[list]:
        """Yield neutron's answers about devices: first those out of the list, then the others in batches."""
        listed = self.listing.details(sorted(devices), functools.cache(self._network))
        if listed:
            yield listed
        others = sorted(devices - {details["device"] for details in listed})
        step = cfg.CONF.rpc_resources_processing_step
        for start in range(0, len(others), step):
            batch = others[start : start + step]
            yield self.get_devices_details_list(self._context, batch, self._agent_id, cfg.CONF.host)

    def _network(self, network_id):
        return self.get_network_details(self._context, network_id, self._agent_id, cfg.CONF.host)

    def update_device_up(self, context, device, agent_id, host=None):
        """Report a device as up, in the background; not if neutron has just said the same."""
        if not self.listing.is_up(device):
            self.reports.add(device, True)

    def update_device_down(self, context, device, agent_id, host=None):
        """Report a device as down, in the background; return nothing, which the loop takes for an unknown device."""
        self.reports.add(device, False)

    def _tell(self, up, down):
        told = self.update_device_list(self._context, up, down, self._agent_id, cfg.CONF.host)
        return [*told["failed_devices_up"], *told["failed_devices_down"]]
