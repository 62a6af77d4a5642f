# SPDX-License-Identifier: Apache-2.0
"""What a hypervisor's taps should be like, what they are like, and the difference as actions: pure functions.

Three answers are possible for a tap: neutron wants it like this (`WantedTap`), neutron says that it is not to be served
here (`None`: no route to it), or neutron has not said anything yet (no entry: it stays as it is, so that a start
without neutron-server changes nothing).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Optional

from arbaro_l2isolate import names

# net.ipv4.conf.<tap>.*: route what the guest sends, answer ARP for everything that we can route, let nobody send as
# somebody else, and never tell a guest that there is a shorter way.
CONF = (("forwarding", 1), ("proxy_arp", 1), ("send_redirects", 0), ("accept_redirects", 0), ("rp_filter", 1))
STRICT, LOOSE = 1, 2


class Route(NamedTuple):
    """One /32 of ours in the main table; the kernel holds at most one for each destination and metric."""

    destination: str
    metric: int


@dataclass(frozen=True)
class WantedTap:
    """A tap as neutron wants it; IPv4 in dotted form, MACs in lower case, mtu in bytes (0: as it is)."""

    name: str
    guest_mac: str
    addresses: frozenset[str]
    gateways: frozenset[str]
    mtu: int = 0
    up: bool = True
    # False where the guest may send from more addresses than are routed to it; nftables then checks the source alone.
    strict_source: bool = True
    elevated: bool = False


@dataclass(frozen=True)
class FoundTap:
    """A tap as the kernel has it; of the routes only ours, of the neighbours only permanent ones."""

    name: str
    mac: str
    mtu: int
    up: bool
    conf: frozenset[tuple[str, int]] = frozenset()
    proxy_delay: int = 0
    addresses: frozenset[str] = frozenset()
    routes: frozenset[Route] = frozenset()
    neighbours: frozenset[tuple[str, str]] = frozenset()


class Action(NamedTuple):
    """One change of one tap: `verb` is a function of netlink.py, `value` its argument."""

    verb: str
    tap: str
    value: tuple


Wanted = Mapping[str, Optional[WantedTap]]  # Evaluated when imported: Python 3.9 has no `|` there.


def host_mac(guest_mac: str) -> str:
    """Return the MAC of a tap's host side: libvirt's choice, so that a migrated guest's ARP entry stays true."""
    return "fe" + guest_mac[2:]


def wanted_conf(tap: WantedTap) -> frozenset[tuple[str, int]]:
    """Return the interface's IPv4 settings as (name, value)."""
    return frozenset({**dict(CONF), "rp_filter": STRICT if tap.strict_source else LOOSE}.items())


def wanted_routes(tap: WantedTap | None) -> frozenset[Route]:
    """Return the routes to a tap: none where the guest is not, or not to be reached."""
    if tap is None or not tap.up:
        return frozenset()
    metrics = (names.ELEVATED_METRIC, names.ROUTE_METRIC) if tap.elevated else (names.ROUTE_METRIC,)
    return frozenset(Route(address, metric) for address in tap.addresses for metric in metrics)


def told_here(wanted: Wanted, tap: WantedTap) -> dict[str, WantedTap | None]:
    """Return what is wanted after neutron's word that `tap` is to be served here.

    Neutron gives an address to one port at a time: another tap that still claims one of them is out of date.
    """
    robbed = {
        name: replace(other, addresses=other.addresses - tap.addresses)
        for name, other in wanted.items()
        if other is not None and not other.addresses.isdisjoint(tap.addresses)
    }
    return {**wanted, **robbed, tap.name: tap}


def told_not_here(wanted: Wanted, name: str) -> dict[str, WantedTap | None]:
    """Return what is wanted after neutron's word that a tap is not to be served here (deleted, or active elsewhere)."""
    return {**wanted, name: None}


def forgotten(wanted: Wanted, gone: Iterable[str]) -> dict[str, WantedTap | None]:
    """Return what is wanted after taps have left this host: nothing is said about them any more."""
    left = set(gone)
    return {name: tap for name, tap in wanted.items() if name not in left}


def settled(wanted: Wanted, name: str) -> dict[str, WantedTap | None]:
    """Return what is wanted once a server that moved here needs no preference over its old host any more."""
    tap = wanted.get(name)
    return dict(wanted) if tap is None else {**wanted, name: replace(tap, elevated=False)}


def plan(wanted: Wanted, found: Mapping[str, FoundTap]) -> list[Action]:
    """Return the actions that make `found` like `wanted`, in an order that interrupts no server that stays.

    Routes come in before others go out: a route that moves between two taps is replaced, never deleted and added.
    """
    taps = [(wanted[name], found[name]) for name in sorted(wanted) if name in found]
    homes = {route: tap.name for tap, _ in taps if tap for route in wanted_routes(tap)}
    actions: list[Action] = []
    for tap, there in taps:
        if tap is not None:
            actions += _plan_link(tap, there)
    for tap, there in taps:
        if tap is not None:
            actions += _plan_arrivals(tap, there)
    for tap, there in taps:
        actions += _plan_departures(tap, there, homes)
    return actions


def _plan_link(tap: WantedTap, found: FoundTap) -> Iterator[Action]:
    """Yield what the interface itself lacks; settings come before `up`, so that no packet passes without them."""
    if found.mac != host_mac(tap.guest_mac):
        yield Action("set_mac", tap.name, (host_mac(tap.guest_mac),))
    if tap.mtu and found.mtu != tap.mtu:
        yield Action("set_mtu", tap.name, (tap.mtu,))
    if not wanted_conf(tap) <= found.conf:
        yield Action("set_conf", tap.name, tuple(sorted(wanted_conf(tap))))
    if found.proxy_delay:
        # The kernel's default waits up to 0.8 s before it answers ARP for others.
        yield Action("set_proxy_delay", tap.name, (0,))
    if found.up != tap.up:
        yield Action("set_up", tap.name, (tap.up,))


def _plan_arrivals(tap: WantedTap, found: FoundTap) -> Iterator[Action]:
    """Yield what is to be added."""
    for gateway in sorted(tap.gateways - found.addresses):
        yield Action("add_address", tap.name, (gateway,))
    if not tap.up:
        return
    # The kernel forgets an interface's neighbours, permanent ones too, when its MAC changes.
    kept = found.neighbours if found.mac == host_mac(tap.guest_mac) else frozenset()
    for neighbour in sorted(frozenset((address, tap.guest_mac) for address in tap.addresses) - kept):
        yield Action("set_neighbour", tap.name, neighbour)
    for route in sorted(wanted_routes(tap) - found.routes):
        yield Action("set_route", tap.name, tuple(route))


def _plan_departures(tap: WantedTap | None, found: FoundTap, homes: Mapping[Route, str]) -> Iterator[Action]:
    """Yield what is to go; a route that has just been replaced by one to another tap is no longer there to delete."""
    going_down = tap is not None and not tap.up
    for route in sorted(found.routes - wanted_routes(tap)):
        if homes.get(route, found.name) == found.name and not going_down:
            yield Action("delete_route", found.name, tuple(route))
    addresses = tap.addresses if tap else frozenset()
    for address, mac in sorted(found.neighbours):
        if address not in addresses and not going_down:
            yield Action("delete_neighbour", found.name, (address, mac))
    if tap is not None:
        for gateway in sorted(found.addresses - tap.gateways):
            yield Action("delete_address", found.name, (gateway,))
