# SPDX-License-Identifier: Apache-2.0
"""ML2 mechanism driver `l2isolate`: binds a port to a tap on any host where our agent is alive."""

from neutron.plugins.ml2.drivers import mech_agent
from neutron_lib import exceptions
from neutron_lib.api.definitions import allowedaddresspairs, extra_dhcp_opt, portbindings
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api

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

    def create_port_precommit(self, context):
        """Refuse what no guest would be told (InvalidInput)."""
        self._refuse_dhcp_options(context, before=None)

    def update_port_precommit(self, context):
        """Refuse what no guest would be told (InvalidInput)."""
        self._refuse_dhcp_options(context, before=context.original.get(extra_dhcp_opt.EXTRADHCPOPTS))

    def _refuse_dhcp_options(self, context, before):
        wanted = context.current.get(extra_dhcp_opt.EXTRADHCPOPTS)
        types = {segment[api.NETWORK_TYPE] for segment in context.network.network_segments}
        if wanted and wanted != before and names.NETWORK_TYPE in types:
            raise exceptions.InvalidInput(
                error_message=f"A port of a network of type {names.NETWORK_TYPE} has no DHCP options of its own "
                f"({extra_dhcp_opt.EXTRADHCPOPTS}). Its subnet's DNS servers and routes are what a server is told."
            )

    def update_port_postcommit(self, context):
        """Tell agents that a group's members have changed with a member's address pairs, of which ML2 says nothing."""
        pairs = [port.get(allowedaddresspairs.ADDRESS_PAIRS) for port in (context.original, context.current)]
        if pairs[0] != pairs[1] and context.current.get("security_groups"):
            notifier = directory.get_plugin().notifier
            notifier.security_groups_member_updated(context._plugin_context, context.current["security_groups"])
