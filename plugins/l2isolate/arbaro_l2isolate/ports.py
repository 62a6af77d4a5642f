# SPDX-License-Identifier: Apache-2.0
"""Neutron's words made ours: device details (neutron/plugins/ml2/rpc.py) and subnets become frozen values; pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neutron_lib.api.definitions import portbindings
from neutron_lib.constants import NO_ACTIVE_BINDING

from arbaro_l2isolate.planner import WantedTap


@dataclass(frozen=True)
class Subnet:
    """What guests are told about an IPv4 subnet; `routes` are (destination, next hop), `gateway` may be empty."""

    id: str
    cidr: str
    gateway: str = ""
    dhcp: bool = True
    dns: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()


def is_here(details: Mapping) -> bool:
    """Return whether neutron wants the device served on this host; else it is unknown or active elsewhere."""
    return "port_id" in details


def is_inactive(details: Mapping) -> bool:
    """Return whether a device's port is active on another host: its server has left, or is on its way here."""
    return NO_ACTIVE_BINDING in details


def is_unknown(details: Mapping) -> bool:
    """Return whether neutron has no port of a device's name: it was deleted."""
    return not is_here(details) and not is_inactive(details)


def subnet_ids(details: Mapping) -> set[str]:
    """Return the subnets that a device has addresses in."""
    return {fixed["subnet_id"] for fixed in details.get("fixed_ips", ())}


def ipv4_addresses(details: Mapping) -> Iterator[tuple[str, str]]:
    """Yield (subnet id, address) for each IPv4 address of a device, in neutron's order."""
    for fixed in details.get("fixed_ips", ()):
        if ipaddress.ip_address(fixed["ip_address"]).version == 4:
            yield fixed["subnet_id"], fixed["ip_address"]


def is_coming(port: Mapping, host: str) -> bool:
    """Return whether nova is moving a server to this host, and will attach it to a tap of ours.

    The profile is the active binding's; nova sets its `migrating_to` when the target is prepared, and takes it away
    when the server has moved or the move has failed (nova/network/neutron.py, setup_networks_on_host).
    """
    migrating_to = (port.get(portbindings.PROFILE) or {}).get("migrating_to")
    return migrating_to == host and port.get(portbindings.VIF_TYPE) == portbindings.VIF_TYPE_TAP


def coming_tap(port: Mapping) -> WantedTap:
    """Return how the tap of a server on its way should be, from what the firewall was told of its port.

    That is neutron/plugins/ml2/db.py, make_port_dict_with_security_groups: addresses without their subnets, so that the
    gateway has to wait for activation; the guest has its MAC, which is the same on all hosts.
    """
    return WantedTap(
        name=port["device"],
        guest_mac=port["mac_address"].lower(),
        addresses=frozenset(address for address in port["fixed_ips"] if ipaddress.ip_address(address).version == 4),
        gateways=frozenset(),
        up=port.get("admin_state_up", True),
        strict_source=_is_strict(port),
    )


def wanted_tap(details: Mapping, subnets: Mapping[str, Subnet]) -> WantedTap:
    """Return how a device that is served here should be; a subnet that is not among `subnets` adds no gateway.

    Address pairs may be sent from, but are not routed: a tenant could otherwise take any address of the fabric.
    """
    mine = [subnets[subnet] for subnet, _ in ipv4_addresses(details) if subnet in subnets]
    return WantedTap(
        name=details["device"],
        guest_mac=details["mac_address"].lower(),
        addresses=frozenset(address for _, address in ipv4_addresses(details)),
        gateways=frozenset(subnet.gateway for subnet in mine if subnet.gateway),
        mtu=details.get("mtu") or 0,
        up=details["admin_state_up"],
        strict_source=_is_strict(details),
    )


def _is_strict(port):
    return port.get("port_security_enabled", True) and not port.get("allowed_address_pairs")
