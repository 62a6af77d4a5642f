# SPDX-License-Identifier: Apache-2.0
"""What neutron says of ports and groups (neutron/agent/firewall.py has the words), as frozen values.

IPv4 only: the network has no IPv6 yet, and what is not IPv4 is dropped.
"""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from neutron_lib import constants

INGRESS, EGRESS = constants.INGRESS_DIRECTION, constants.EGRESS_DIRECTION
WITH_PORTS = frozenset(constants.IP_PROTOCOL_MAP[name] for name in ("tcp", "udp", "sctp", "dccp", "udplite"))
ICMP = constants.PROTO_NUM_ICMP


@dataclass(frozen=True)
class Rule:
    """One rule that lets something through; None means any. For ICMP, `low` is the type and `high` the code."""

    direction: str
    protocol: int | None = None
    low: int | None = None
    high: int | None = None
    remote: str = ""
    remote_group: str = ""


@dataclass(frozen=True)
class Port:
    """A tap with its guest; `sources` are the (MAC, address or CIDR) that it may send from."""

    tap: str
    mac: str
    addresses: frozenset[str]
    sources: frozenset[tuple[str, str]]
    groups: tuple[str, ...] = ()
    secured: bool = True

    @property
    def mark(self) -> int:
        """Return what conntrack notes of a flow that this tap's guest began; the same after any restart, never 0.

        Two of a thousand taps share one with a chance of 1 to 10,000; one's flows are then judged by the other's rules.
        """
        return zlib.crc32(self.tap.encode()) or 1

    @property
    def traces(self) -> frozenset[str | int]:
        """Return what tracked flows show of this port: its addresses at either end, its mark where it began them."""
        return self.addresses | {self.mark}


@dataclass(frozen=True)
class Policy:
    """All that the firewall of one host is to do; `gateways` are the addresses that each tap has on the host's side."""

    ports: Mapping[str, Port] = field(default_factory=dict)
    groups: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    stateless: frozenset[str] = frozenset()
    gateways: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def rules(self, port: Port, direction: str) -> Iterable[Rule]:
        """Yield a port's rules in one direction."""
        return (rule for group in port.groups for rule in self.groups.get(group, ()) if rule.direction == direction)

    def is_stateless(self, port: Port) -> bool:
        """Return whether a port's answers need rules too. Neutron mixes stateless groups with no others on a port.

        One is enough: neutron does not say of a group without rules whether it is stateless.
        """
        return port.secured and not self.stateless.isdisjoint(port.groups)


def port_of(device: Mapping) -> Port:
    """Return what concerns us of neutron's dictionary of a port."""
    mac = device["mac_address"].lower()
    addresses = frozenset(address for address in device.get("fixed_ips", ()) if _is_ipv4(address))
    pairs = [pair for pair in device.get("allowed_address_pairs", ()) if _is_ipv4(pair["ip_address"])]
    by_mac: dict[str, set[str]] = {mac: set(addresses)}
    for pair in pairs:
        by_mac.setdefault((pair.get("mac_address") or mac).lower(), set()).add(pair["ip_address"])
    return Port(
        tap=device["device"],
        mac=mac,
        addresses=addresses,
        sources=frozenset((owner, source) for owner, sources in by_mac.items() for source in disjoint(sources)),
        groups=tuple(sorted(device.get("security_groups", ()))),
        secured=device.get("port_security_enabled", True),
    )


def rules_of(rules: Iterable[Mapping]) -> tuple[Rule, ...]:
    """Return a group's IPv4 rules, each once, in a stable order."""
    ours = {_rule(rule) for rule in rules if rule.get("ethertype", constants.IPv4) == constants.IPv4}
    return tuple(sorted(ours, key=repr))


def _rule(rule: Mapping) -> Rule:
    prefix = rule.get("source_ip_prefix" if rule["direction"] == INGRESS else "dest_ip_prefix") or ""
    protocol = protocol_number(rule.get("protocol"))
    limits = (
        (rule.get("port_range_min"), rule.get("port_range_max")) if protocol in {*WITH_PORTS, ICMP} else (None, None)
    )
    return Rule(
        direction=rule["direction"],
        protocol=protocol,
        low=None if limits[0] is None else int(limits[0]),
        high=None if limits[1] is None else int(limits[1]),
        remote="" if prefix in {"", "0.0.0.0/0"} else _plain(prefix),
        remote_group=rule.get("remote_group_id") or rule.get("remote_address_group_id") or "",
    )


def protocol_number(protocol: str | int | None) -> int | None:
    """Return a protocol's number, or None for any; neutron says "tcp", "6", 6, "any" or nothing."""
    if protocol in (None, "", "any", "0", 0):
        return None
    return int(constants.IP_PROTOCOL_MAP.get(str(protocol), protocol))


def is_stateless(rules: Iterable[Mapping]) -> bool:
    """Return whether a group is stateless; one without rules is not."""
    rules = list(rules)
    return bool(rules) and not any(rule.get("stateful", True) for rule in rules)


def members_of(ips: Mapping[str, Iterable]) -> frozenset[str]:
    """Return a group's IPv4 members; neutron says (address or CIDR, MAC), older ones say the address alone."""
    return disjoint(member if isinstance(member, str) else member[0] for member in ips.get(constants.IPv4, ()))


def disjoint(addresses: Iterable[str]) -> frozenset[str]:
    """Return the same addresses without overlap: nftables refuses intervals that do. Single addresses stay single."""
    plain = {_plain(address) for address in addresses}
    wide = ipaddress.collapse_addresses(ipaddress.IPv4Network(address) for address in plain if is_range(address))
    return frozenset({address for address in plain if not is_range(address)} | {str(network) for network in wide})


def is_range(address: str) -> bool:
    """Return whether an address stands for several."""
    return "/" in address


def _is_ipv4(address: str) -> bool:
    return ipaddress.ip_network(address, strict=False).version == 4


def _plain(address: str) -> str:
    """Return an address or network in its one way to write it; a /32 is an address. ValueError for anything else."""
    network = ipaddress.ip_network(address, strict=False)
    return str(network.network_address) if network.num_addresses == 1 else str(network)
