# SPDX-License-Identifier: Apache-2.0
"""Answers about many devices out of one list of this host's ports, in place of one question for each device.

Neutron-server takes about 0.1 s for each device that it is asked about (its groups, its details, a status written), and
2 ms for a port that it lists (decision 0011.15). So a start, or a burst of new servers, begins with the list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings, provider_net

from arbaro_l2isolate import names

#: So many ports are listed in the time of one device's own questions.
LISTED_WHILE_ONE_IS_ASKED = 40


def is_worth_it(asked: Collection, present: Collection) -> bool:
    """Return whether listing all ports of a host is faster than asking for some of its devices."""
    return len(asked) * LISTED_WHILE_ONE_IS_ASKED > len(present)


class Listing:
    """The ports bound to this host by our driver, as they were when the loop's turn began; empty if none was made."""

    def __init__(self, ports: Iterable[Mapping] = (), host: str = "", with_active: bool = True):
        """Take neutron's ports (get_ports_by_vnic_type_and_host); those that are bound elsewhere are left out.

        Without `with_active` also those whose status is ACTIVE already: a tap of theirs that is new has to be asked for
        by the stock call, which sets BUILD, so that nova hears of its becoming ACTIVE (hard reboot, rebuild).
        """
        self._ports = {
            names.tap_of(port["id"]): port
            for port in ports
            if _is_bound_here(port, host) and (with_active or not _is_active(port))
        }
        #: The sets of security groups that have been asked about since.
        self.told: set[frozenset[str]] = set()

    def forget(self, device: str) -> None:
        """Answer no more for a device: neutron has said something of it since."""
        self._ports.pop(device, None)

    def is_up(self, device: str) -> bool:
        """Return whether neutron already calls a device's port active."""
        return device in self._ports and _is_active(self._ports[device])

    def details(self, devices: Iterable[str], network_of: Callable[[str], Mapping]) -> list[Mapping]:
        """Return what get_devices_details_list would answer for those that are listed."""
        return [_details(device, self._ports[device], network_of) for device in devices if device in self._ports]

    def groups(self, devices: Iterable[str]) -> dict[str, frozenset[str]]:
        """Return the security groups of those that are listed."""
        listed = {device: self._ports[device] for device in devices if device in self._ports}
        return {device: frozenset(port["security_groups"]) for device, port in listed.items()}

    def filtered(self, devices: Iterable[str]) -> dict[str, Mapping]:
        """Return by port id what security_group_info_for_devices would answer for those that are listed.

        But for what no firewall of ours reads: the rules that each port has of its own (DHCP), and the groups that its
        rules refer to.
        """
        listed = {device: self._ports[device] for device in devices if device in self._ports}
        return {
            port["id"]: {**port, "device": device, "fixed_ips": [fixed["ip_address"] for fixed in port["fixed_ips"]]}
            for device, port in listed.items()
        }


def _is_active(port):
    return port["status"] == constants.PORT_STATUS_ACTIVE


def _is_bound_here(port, host):
    drivers = (port.get(portbindings.VIF_DETAILS) or {}).get("bound_drivers", {})
    return port.get(portbindings.HOST_ID) == host and names.NETWORK_TYPE in drivers.values()


def _details(device, port, network_of):
    network = network_of(port["network_id"])
    return {
        "device": device,
        "port_id": port["id"],
        "network_id": port["network_id"],
        "network_type": network[provider_net.NETWORK_TYPE],
        "physical_network": network[provider_net.PHYSICAL_NETWORK],
        "segmentation_id": network[provider_net.SEGMENTATION_ID],
        "mtu": network["mtu"],
        "mac_address": port["mac_address"],
        "admin_state_up": port["admin_state_up"],
        "fixed_ips": port["fixed_ips"],
        "device_owner": port["device_owner"],
        "allowed_address_pairs": port["allowed_address_pairs"],
        "port_security_enabled": port.get("port_security_enabled", True),
        "qos_policy_id": port.get("qos_policy_id"),
        "qos_network_policy_id": network.get("qos_policy_id"),
        "profile": port[portbindings.PROFILE],
        "propagate_uplink_status": port.get("propagate_uplink_status", False),
    }
