# SPDX-License-Identifier: Apache-2.0
"""Netlink messages that pyroute2 has no call for: an interface's IPv4 settings, its proxy ARP delay, filtered dumps.

Over netlink and not /proc/sys, because /proc/sys is read-only in the agent's container (linux/if_link.h,
linux/neighbour.h).
"""

import socket
import struct
from collections.abc import Iterator

from pyroute2 import netlink
from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl import ifaddrmsg, ifinfmsg, ndmsg, ndtmsg, rtmsg

RTM_SETNEIGHTBL = 67
SOL_NETLINK, NETLINK_GET_STRICT_CHK = 270, 12  # linux/netlink.h
# Numbers of linux/ip.h, IPV4_DEVCONF_*.
DEVCONF = ((1, "forwarding"), (3, "proxy_arp"), (4, "accept_redirects"), (6, "send_redirects"), (8, "rp_filter"))
SKIP_STATISTICS = 1 << 3  # RTEXT_FILTER_SKIP_STATS: counters are most of what a dump of links says.
NO_LINK_LOCAL = 1  # IN6_ADDR_GEN_MODE_NONE
HEADER = struct.Struct("=IHHII")


class _SettingsMessage(netlink.nlmsg):
    """RTM_SETLINK with nothing but IFLA_AF_SPEC."""

    fields = (("family", "B"), ("__align", "x"), ("ifi_type", "H"), ("index", "i"), ("flags", "I"), ("change", "I"))
    nla_map = ((26, "IFLA_AF_SPEC", "specification"),)

    class specification(netlink.nla):  # noqa: N801 - pyroute2 finds a nested attribute's class by the name in nla_map
        nla_map = ((socket.AF_INET, "AF_INET", "inet"), (socket.AF_INET6, "AF_INET6", "inet6"))

        class inet(netlink.nla):  # noqa: N801
            nla_map = ((1, "IFLA_INET_CONF", "settings"),)

            class settings(netlink.nla):  # noqa: N801
                nla_map = tuple((number, name, "uint32") for number, name in DEVCONF)

        class inet6(netlink.nla):  # noqa: N801
            nla_map = ((8, "IFLA_INET6_ADDR_GEN_MODE", "uint8"),)


def send_settings(ipr, index, settings):
    """Set an interface's IPv4 settings ((name, value), …), and that it makes itself no IPv6 address."""
    message = _SettingsMessage()
    message["index"] = index
    inet = {"attrs": [("IFLA_INET_CONF", {"attrs": list(settings)})]}
    inet6 = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", NO_LINK_LOCAL)]}
    message["attrs"] = [("IFLA_AF_SPEC", {"attrs": [("AF_INET", inet), ("AF_INET6", inet6)]})]
    ipr.nlm_request(message, msg_type=rtnl.RTM_SETLINK, msg_flags=netlink.NLM_F_REQUEST | netlink.NLM_F_ACK)


def send_proxy_delay(ipr, index, milliseconds):
    """Set how long the kernel waits at most before it answers ARP on behalf of others."""
    message = ndtmsg.ndtmsg()
    message["family"] = socket.AF_INET
    parms = {"attrs": [("NDTPA_IFINDEX", index), ("NDTPA_PROXY_DELAY", milliseconds)]}
    message["attrs"] = [("NDTA_NAME", "arp_cache"), ("NDTA_PARMS", parms)]
    ipr.nlm_request(message, msg_type=RTM_SETNEIGHTBL, msg_flags=netlink.NLM_F_REQUEST | netlink.NLM_F_ACK)


class _Answer(dict):
    """An answer of the kernel; "attrs" are its attributes as bytes, by their numbers.

    pyroute2 makes an object of each attribute, forty of them for a link: a second for a thousand taps. This is what its
    socket asks of a message (pyroute2/netlink/nlsocket.py, Marshal.parse).
    """

    body: struct.Struct
    names: tuple[str, ...]

    def __init__(self, data, offset=0):
        super().__init__()
        self.data, self.offset, self.length = data, offset, 0

    def decode(self):
        self.length, kind, flags, sequence, pid = HEADER.unpack_from(self.data, self.offset)
        self["header"] = {"type": kind, "flags": flags, "sequence_number": sequence, "pid": pid, "error": None}
        begin = self.offset + HEADER.size
        self.update(zip(self.names, self.body.unpack_from(self.data, begin)))
        self["attrs"] = dict(attributes(self.data[begin + self.body.size : self.offset + self.length]))


class _Link(_Answer):
    body, names = struct.Struct("=BxHiII"), ("family", "type", "index", "flags", "change")


class _Address(_Answer):
    body, names = struct.Struct("=BBBBI"), ("family", "prefixlen", "flags", "scope", "index")


class _Route(_Answer):
    body, names = struct.Struct("=4xBB2xI"), ("table", "proto", "flags")


class _Neighbour(_Answer):
    body, names = struct.Struct("=B3xiHBB"), ("family", "ifindex", "state", "flags", "type")


PLAIN = {
    rtnl.RTM_NEWLINK: _Link,
    rtnl.RTM_NEWADDR: _Address,
    rtnl.RTM_NEWROUTE: _Route,
    rtnl.RTM_NEWNEIGH: _Neighbour,
}


def read_plainly(ipr) -> None:
    """Have this socket's answers to the dumps below as `_Answer`, and the kernel filter them."""
    # pyroute2 has a word for it (strict_check) since 0.7 only; Victoria ships 0.5.
    ipr.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
    ipr.marshal.msg_map = {**ipr.marshal.msg_map, **PLAIN}


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number, value) of netlink attributes, in their order."""
    offset = 0
    while offset + 4 <= len(data):
        length, number = struct.unpack_from("=HH", data, offset)
        yield number & ~(netlink.NLA_F_NESTED | netlink.NLA_F_NET_BYTEORDER), data[offset + 4 : offset + length]
        offset += max(length + 3 & ~3, 4)


def dump_links(ipr, index=0):
    """Return the link with this index, or all links; without counters."""
    return _ask(
        ipr, ifinfmsg.ifinfmsg(), rtnl.RTM_GETLINK, {"index": index}, IFLA_EXT_MASK=SKIP_STATISTICS, dump=not index
    )


def dump_addresses(ipr, index=0):
    """Return the IPv4 addresses of one interface, or of all."""
    return _ask(ipr, ifaddrmsg.ifaddrmsg(), rtnl.RTM_GETADDR, {"family": socket.AF_INET, "index": index})


def dump_routes(ipr, protocol, index=0):
    """Return the IPv4 routes of one protocol through one interface, or through all."""
    through = {"RTA_OIF": index} if index else {}
    return _ask(ipr, rtmsg.rtmsg(), rtnl.RTM_GETROUTE, {"family": socket.AF_INET, "proto": protocol}, **through)


def dump_neighbours(ipr, index=0):
    """Return the IPv4 neighbours behind one interface, or behind all."""
    behind = {"NDA_IFINDEX": index} if index else {}
    return _ask(ipr, ndmsg.ndmsg(), rtnl.RTM_GETNEIGH, {"family": socket.AF_INET}, **behind)


def _ask(ipr, message, kind, header, dump=True, **attributes):
    """Send a question that the kernel filters, and return the answers; pyroute2's own calls fetch everything."""
    for name, value in header.items():
        message[name] = value
    message["attrs"] = list(attributes.items())
    flags = netlink.NLM_F_REQUEST | (netlink.NLM_F_DUMP if dump else 0)
    return list(ipr.nlm_request(message, msg_type=kind, msg_flags=flags))
