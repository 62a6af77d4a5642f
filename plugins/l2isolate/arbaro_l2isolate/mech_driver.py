# SPDX-License-Identifier: Apache-2.0
"""ML2 mechanism driver `l2isolate`: binds a port to a tap on any host where our agent is alive."""

from neutron.plugins.ml2.drivers import mech_agent
from neutron_lib.api.definitions import portbindings

from arbaro_l2isolate import names
from arbaro_l2isolate.planner import host_mac

# nova.network.model.VIF_DETAILS_TAP_MAC_ADDRESS; neutron has no name for it.
TAP_MAC_ADDRESS = "mac_address"


class L2IsolateMechanismDriver(mech_agent.SimpleAgentMechanismDriverBase):
    """Nova makes a tap for VIF type `tap` and attaches it to nothing; the agent does the rest."""

    def __init__(self):
        super().__init__(names.AGENT_TYPE, portbindings.VIF_TYPE_TAP, {portbindings.CAP_PORT_FILTER: True})

    @property
    def connectivity(self):
        """Say that ports share layer 3 only."""
        return portbindings.CONNECTIVITY_L3

    def get_allowed_network_types(self, agent=None):
        """Return the one type of network that our agent serves."""
        return [names.NETWORK_TYPE]

    def get_mappings(self, agent):
        """Return no bridge: every host reaches the whole network."""
        return {}

    def get_vif_details(self, context, agent, segment):
        """Add the MAC that nova gives the host's side of the tap: the same as libvirt's and the agent's."""
        return {**self.vif_details, TAP_MAC_ADDRESS: host_mac(context.current["mac_address"])}
