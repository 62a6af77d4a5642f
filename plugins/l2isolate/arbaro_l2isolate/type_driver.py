# SPDX-License-Identifier: Apache-2.0
"""ML2 type driver `l2isolate`: a network that is neither VLAN nor tunnel, so its segments carry no number."""

from neutron_lib import exceptions
from neutron_lib.plugins import utils
from neutron_lib.plugins.ml2 import api
from oslo_config import cfg

from arbaro_l2isolate import names


class L2IsolateTypeDriver(api.ML2TypeDriver):
    """Keeps no state: there is nothing to reserve, and operators alone make such networks.

    Their addresses are routed beside one another, so a tenant's network with a subnet of its choice would take another
    server's addresses. Hence no tenant segments.
    """

    def get_type(self):
        """Return the network type's name."""
        return names.NETWORK_TYPE

    def initialize(self):
        """Do nothing: no table to fill."""

    def initialize_network_segment_range_support(self):
        """Do nothing: no ranges."""

    def update_network_segment_range_allocations(self):
        """Do nothing: no ranges."""

    def get_network_segment_ranges(self):
        """Return no ranges."""
        return {}

    def is_partial_segment(self, segment):
        """Return whether something is still to be chosen: never."""
        return False

    def validate_provider_segment(self, segment):
        """Refuse a physical network or segmentation id (InvalidInput): a routed network has neither."""
        for key, value in segment.items():
            if value and key != api.NETWORK_TYPE:
                raise exceptions.InvalidInput(
                    error_message=f"{key} prohibited for {names.NETWORK_TYPE} provider network"
                )

    def reserve_provider_segment(self, context, segment, filters=None):
        """Return the segment as it is: nothing to reserve."""
        return segment

    def allocate_tenant_segment(self, context, filters=None):
        """Return None: see the class."""

    def release_segment(self, context, segment):
        """Do nothing: nothing was reserved."""

    def get_mtu(self, physical_network=None):
        """Return the MTU of the fabric in bytes: nothing is wrapped around a packet."""
        mtus = [mtu for mtu in (utils.get_deployment_physnet_mtu(), cfg.CONF.ml2.path_mtu) if mtu]
        return min(mtus) if mtus else 0
