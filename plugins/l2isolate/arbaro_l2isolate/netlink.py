# SPDX-License-Identifier: Apache-2.0
"""The hands: reads taps from the kernel and changes them, over netlink.

`find_taps` asks for full dumps (notifications get lost, a dump does not); for few taps the kernel filters them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import socket
import sys
from collections.abc import Callable, Collection, Iterable, Iterator

import pyroute2
from pyroute2 import netlink
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP
from pyroute2.netlink.rtnl.ndmsg import NUD_PERMANENT

from arbaro_l2isolate import messages, names, privileged
from arbaro_l2isolate.planner import Action, FoundTap, Route

SCOPE_LINK = 253
# Numbers of attributes: linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h, linux/neighbour.h.
IFLA_ADDRESS, IFLA_MTU, IFLA_AF_SPEC, IFLA_INET_CONF = 1, 4, 26, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_PRIORITY = 1, 4, 6
NDA_DST, NDA_LLADDR = 1, 2
NOTHING = bytes(4)
# Above so many taps one dump of everything is cheaper than a question for each.
FEW = 8
GONE = {errno.ENODEV, errno.ENXIO}
# The kernel is already as we want it.
ALREADY = {
    "add_address": {errno.EEXIST},
    "delete_address": {errno.EADDRNOTAVAIL},
    "delete_route": {errno.ESRCH, errno.ENOENT},
    "delete_neighbour": {errno.ENOENT},
}


def tap_names() -> set[str]:
    """Return the names of all taps of nova's on this host, in milliseconds also for thousands."""
    return set(tap_indices())


def tap_indices() -> dict[str, int]:
    """Return each tap's interface index: a tap that was made anew under its old name has another one."""
    return {
        name: index
        for index, name in socket.if_nameindex()
        if name.startswith(names.TAP_PREFIX) and len(name) == names.TAP_NAME_LENGTH
    }


def frames_sent(wanted: Collection[str]) -> dict[str, int]:
    """Return how many frames the guests behind the named taps have sent; a tap that is not there is left out.

    From /proc, which shows the namespace of who asks, where /sys shows that of who mounted it.
    """
    lines = pathlib.Path("/proc/thread-self/net/dev").read_text().splitlines()
    counted = (line.partition(":") for line in lines if line.partition(":")[0].strip() in wanted)
    # Received by the host: bytes, then packets.
    return {name.strip(): int(numbers.split()[1]) for name, _, numbers in counted}


def find_taps(wanted: Iterable[str] | None = None) -> dict[str, FoundTap]:
    """Return what the kernel knows of the named taps (default: of all); one that is not there is left out."""
    indices = tap_indices()
    if wanted is not None:
        indices = {name: indices[name] for name in wanted if name in indices}
    # Names and plain types only: the answer comes through privsep's socket as msgpack.
    return {name: _unpack(name, packed) for name, packed in _dump(indices).items()}


def change_taps(actions: Iterable[Action]) -> list[tuple[Action, str]]:
    """Do the actions in order; return those refused, and why. That a tap has gone is no failure."""
    refused = _touch([tuple(action) for action in actions])
    return [(Action(verb, tap, tuple(value)), os.strerror(code)) for verb, tap, value, code in refused]


@privileged.network.entrypoint
def _dump(indices):
    found = {}
    with pyroute2.IPRoute() as ipr:
        messages.read_plainly(ipr)
        for asked in _questions(indices):
            by_index = _answers(ipr, **asked)
            for name, index in indices.items():
                if index in by_index[0]:
                    with contextlib.suppress(FileNotFoundError):
                        found[name] = [_proxy_delay(name), *(answer.get(index, []) for answer in by_index)]
    return found


def _questions(indices) -> Iterator[dict]:
    """Yield the filters to dump with: one for each of few taps, an empty one for many."""
    if len(indices) <= FEW:
        yield from ({"index": index} for index in indices.values())
    else:
        yield {}


def _answers(ipr, **asked):
    """Return links, addresses, our routes, permanent neighbours, each by interface; empty if the tap has gone."""
    try:
        links = {link["index"]: _link(link) for link in messages.dump_links(ipr, **asked)}
        addresses = messages.dump_addresses(ipr, **asked)
        routes = messages.dump_routes(ipr, names.ROUTE_PROTOCOL, **asked)
        neighbours = [n for n in messages.dump_neighbours(ipr, **asked) if n["state"] & NUD_PERMANENT]
    except netlink.exceptions.NetlinkError as error:
        if error.code in GONE:
            return [{}, {}, {}, {}]
        raise
    return [
        links,
        _by_index(addresses, lambda a: (a["index"], _address(a))),
        _by_index(routes, lambda r: (_number(r["attrs"].get(RTA_OIF, NOTHING)), _route(r))),
        _by_index(neighbours, lambda n: (n["ifindex"], _neighbour(n))),
    ]


def _by_index(messages_, key: Callable) -> dict[int, list]:
    """Group what `key` takes from each message by interface."""
    grouped: dict[int, list] = {}
    for message in messages_:
        index, value = key(message)
        grouped.setdefault(index, []).append(value)
    return grouped


def _address(message):
    return socket.inet_ntoa(message["attrs"].get(IFA_LOCAL) or message["attrs"][IFA_ADDRESS])


def _route(message):
    return [socket.inet_ntoa(message["attrs"][RTA_DST]), _number(message["attrs"].get(RTA_PRIORITY, NOTHING))]


def _neighbour(message):
    return [socket.inet_ntoa(message["attrs"][NDA_DST]), message["attrs"][NDA_LLADDR].hex(":")]


def _link(message):
    """Return [mac, mtu, up, settings] of a link; one without IPv4 (loopback's like) has no settings."""
    attributes = message["attrs"]
    inet = dict(messages.attributes(attributes.get(IFLA_AF_SPEC, b""))).get(socket.AF_INET, b"")
    numbers = dict(messages.attributes(inet)).get(IFLA_INET_CONF, b"")
    settings = [[name, _number(numbers, number - 1)] for number, name in messages.DEVCONF if numbers]
    mac, mtu = attributes.get(IFLA_ADDRESS, b"").hex(":"), _number(attributes[IFLA_MTU])
    return [mac, mtu, bool(message["flags"] & IFF_UP), settings]


def _number(value: bytes, place: int = 0) -> int:
    """Return one of the 32-bit numbers that an attribute holds."""
    return int.from_bytes(value[4 * place : 4 * place + 4], sys.byteorder)


def _proxy_delay(name) -> int:
    """Return the delay in the kernel's ticks; readable in /proc also where it is not writable."""
    return int(pathlib.Path(f"/proc/sys/net/ipv4/neigh/{name}/proxy_delay").read_text())


def _unpack(name, packed) -> FoundTap:
    delay, (mac, mtu, up, settings), addresses, routes, neighbours = packed
    conf, permanent = (frozenset(tuple(pair) for pair in pairs) for pairs in (settings, neighbours))
    ours = frozenset(Route(*route) for route in routes)
    return FoundTap(name, mac, mtu, up, conf, delay, frozenset(addresses), ours, permanent)


@privileged.network.entrypoint
def _touch(actions):
    refused = []
    with pyroute2.IPRoute() as ipr:
        for verb, tap, value in actions:
            code = _try(ipr, verb, tap, value)
            if code and code not in GONE and code not in ALREADY.get(verb, ()):
                refused.append([verb, tap, list(value), code])
    return refused


def _try(ipr, verb, tap, value) -> int:
    """Do one action; return the error's number, or 0."""
    try:
        VERBS[verb](ipr, socket.if_nametoindex(tap), value)
    except netlink.exceptions.NetlinkError as error:
        return error.code
    except OSError as error:
        return error.errno or errno.ENODEV
    return 0


def _address_request(index, value):
    return {"index": index, "address": value[0], "mask": 32, "scope": SCOPE_LINK}


def _route_request(index, value):
    destination, metric = value
    request = {"dst": f"{destination}/32", "oif": index, "priority": metric, "scope": SCOPE_LINK}
    return {**request, "proto": names.ROUTE_PROTOCOL}


def _neighbour_request(index, value):
    return {"ifindex": index, "dst": value[0], "lladdr": value[1], "state": NUD_PERMANENT}


# Scope link keeps the gateway's address out of the choice of source addresses, and FRR away from it.
VERBS = {
    "set_mac": lambda ipr, index, value: ipr.link("set", index=index, address=value[0]),
    "set_mtu": lambda ipr, index, value: ipr.link("set", index=index, mtu=value[0]),
    "set_conf": messages.send_settings,
    "set_proxy_delay": lambda ipr, index, value: messages.send_proxy_delay(ipr, index, value[0]),
    "set_up": lambda ipr, index, value: ipr.link("set", index=index, state="up" if value[0] else "down"),
    "add_address": lambda ipr, index, value: ipr.addr("add", **_address_request(index, value)),
    "delete_address": lambda ipr, index, value: ipr.addr("delete", **_address_request(index, value)),
    "set_route": lambda ipr, index, value: ipr.route("replace", **_route_request(index, value)),
    "delete_route": lambda ipr, index, value: ipr.route("delete", **_route_request(index, value)),
    "set_neighbour": lambda ipr, index, value: ipr.neigh("replace", **_neighbour_request(index, value)),
    "delete_neighbour": lambda ipr, index, value: ipr.neigh("delete", **_neighbour_request(index, value)),
}
