# SPDX-License-Identifier: Apache-2.0
"""Messages of neutron-server to the agent. They name a port and carry no state: what holds is asked for afterwards.

Messages may be lost, doubled or out of order; a state that came with one could be older than what we know.
"""

import oslo_messaging
from neutron.api.rpc.handlers import securitygroups_rpc
from neutron.plugins.ml2.drivers.agent import _agent_manager_base as base
from oslo_config import cfg

from arbaro_l2isolate import names


class L2IsolateCallbacks(securitygroups_rpc.SecurityGroupAgentRpcCallbackMixin, base.CommonAgentManagerRpcCallBackBase):
    """Marks devices for the loop's next turn; only a server's move between hosts is dealt with at once."""

    # 1.4 network_update, 1.5 binding_activate and binding_deactivate (neutron/plugins/ml2/rpc.py, AgentNotifierApi).
    target = oslo_messaging.Target(version="1.5")

    def port_update(self, context, **kwargs):
        """Look at a port again."""
        self._heard_of(names.tap_of(kwargs["port"]["id"]))

    def port_delete(self, context, **kwargs):
        """Serve a port no longer that was deleted while its server still has the tap."""
        self._heard_of(names.tap_of(kwargs["port_id"]))

    def _heard_of(self, device):
        """Ask about a device in the next turn; what this turn's list says of it is older than the message."""
        self.agent.plugin_rpc.listing.forget(device)
        self.updated_devices.add(device)

    def network_update(self, context, **kwargs):
        """Look at all ports of a network again: its MTU may have changed."""
        self.look_again(port["device"] for port in self.agent.network_ports.get(kwargs["network"]["id"], ()))

    def look_again(self, devices):
        """Ask about devices in the next turn."""
        self.updated_devices |= set(devices)

    def binding_deactivate(self, context, **kwargs):
        """Withdraw the routes to a server that is now active on another host."""
        if kwargs.get("host") == cfg.CONF.host:
            device = names.tap_of(kwargs["port_id"])
            # Also in the next turn: an answer to this one may be on its way that was true before the message.
            self._heard_of(device)
            self.agent.mgr.withdraw(device)

    def binding_activate(self, context, **kwargs):
        """Serve a server that has just become active here, without waiting for the loop's next turn."""
        if kwargs.get("host") != cfg.CONF.host:
            return
        device = names.tap_of(kwargs["port_id"])
        # First, so that the loop makes good what fails below.
        self._heard_of(device)
        if device in self.agent.mgr.get_all_devices():
            self.agent.mgr.elevate(device)
            self.agent.treat_devices_added_updated({device})
