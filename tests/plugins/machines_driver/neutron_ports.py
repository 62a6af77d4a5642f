# SPDX-License-Identifier: Apache-2.0
"""Nova's stand-in for neutron, taught two of neutron's rules: a port may be bound to no host, and then takes another address
that is unique in its network."""

import copy

from neutronclient.common import exceptions
from nova.tests import fixtures as nova_fixtures


class Neutron(nova_fixtures.NeutronFixture):
    """Ports that are bound to no host."""

    def update_port(self, port_id, body=None):
        """Change a port as neutron would."""
        port, change = self._ports[port_id], copy.deepcopy(body["port"])
        if mac := change.get("mac_address"):
            if port.get("binding:host_id"):
                raise exceptions.Conflict(f"Unable to complete operation on port {port_id}, port is already bound")
            others = (p["mac_address"] for p in self._ports.values() if p is not port)
            if mac in others:
                raise exceptions.MacAddressInUseClient(
                    f"Unable to complete operation. The mac address {mac} is in use."
                )
        elif "mac_address" in change:
            change["mac_address"] = "fa:16:3e:00:00:01"
        if not change.get("binding:host_id", True):
            change["binding:vif_type"] = "unbound"
        port.update(change)
        return {"port": copy.deepcopy(port)}
