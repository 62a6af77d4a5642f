# SPDX-License-Identifier: Apache-2.0
"""The renderer: a policy becomes nftables objects (sets, maps, chains); pure.

    packet from a tap:  guard (source as neutron says?) -> forward -> egress of its groups -> to_guest -> ingress of the
    other's to the host itself: guard -> input (DHCP, metadata, ping of the gateway; nothing else)

Rules belong to groups and to combinations of groups, never to a port: one more port with known groups is a few map and
set elements, however many ports there are. Whatever neutron has not spoken of matches nothing and is dropped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from arbaro_l2isolate import names
from arbaro_l2isolate.firewall.policy import EGRESS, ICMP, INGRESS, WITH_PORTS, Policy, Port, Rule, is_range

TABLE = "arbaro_l2isolate"
TAPS = f'"{names.TAP_PREFIX}*"'
VERDICT = {INGRESS: "accept", EGRESS: "goto to_guest"}
REMOTE_FIELD = {INGRESS: "ip saddr", EGRESS: "ip daddr"}
ANSWER = "ct state established,related"


@dataclass(frozen=True)
class Set:
    """A set or map; each element in nft's words."""

    kind: str
    declaration: str
    elements: frozenset[str]


@dataclass(frozen=True)
class Chain:
    """A chain; `hook` is empty for one that others jump to."""

    hook: str
    rules: tuple[str, ...]


# (family, name) -> object. The two families share no object.
Ruleset = dict[tuple[str, str], object]


def render(policy: Policy, metadata: tuple[str, int] = (names.METADATA_ADDRESS, 80)) -> Ruleset:
    """Return all objects that the kernel should hold for a policy; `metadata` is where nova's service is."""
    objects = {("inet", name): chain for name, chain in _inet_chains(*metadata).items()}
    objects.update({("arp", name): chain for name, chain in _arp_chains().items()})
    for family in ("inet", "arp"):
        objects.update({(family, name): set_ for name, set_ in _source_sets(policy).items()})
    objects.update({("inet", name): set_ for name, set_ in _inet_sets(policy).items()})
    objects.update({("inet", name): chain for name, chain in _group_chains(policy).items()})
    return objects


def _inet_chains(metadata_address: str, metadata_port: int) -> dict[str, Chain]:
    """Return the skeleton that is the same on every host, hook by hook as a packet meets them."""
    return {
        **_guard(),
        **_metadata_redirect(metadata_address, metadata_port),
        **_forward(),
        **_input(metadata_address, metadata_port),
    }


def _guard() -> dict[str, Chain]:
    """Return what a tap's packets meet first. Before conntrack, so that forged ones leave no trace there."""
    hook = "type filter hook prerouting priority raw; policy accept;"
    guard = (f"iifname {TAPS} jump from_tap",)
    from_tap = (
        "meta nfproto != ipv4 drop",
        "ip saddr 0.0.0.0 udp sport 68 udp dport 67 iifname . ether saddr @macs return",
        "iifname @trusted return",
        "udp sport 67 udp dport 68 drop",
        "iifname . ether saddr . ip saddr @sources return",
        "iifname . ether saddr . ip saddr @source_ranges return",
        "drop",
    )
    return {"guard": Chain(hook, guard), "from_tap": Chain("", from_tap)}


def _metadata_redirect(address: str, port: int) -> dict[str, Chain]:
    """Return what sends requests for metadata to where nova's service is; nothing if it is where guests ask."""
    if (address, port) == (names.METADATA_ADDRESS, 80):
        return {}
    hook = "type nat hook prerouting priority dstnat; policy accept;"
    redirect = f"iifname {TAPS} ip daddr {names.METADATA_ADDRESS} tcp dport 80 dnat ip to {address}:{port}"
    return {"metadata_redirect": Chain(hook, (redirect,))}


def _forward() -> dict[str, Chain]:
    """Return the way between taps, and between taps and the fabric.

    An answer to what the rules let begin passes without a look at them, but not where it comes from or goes to a server
    of stateless groups: there each packet is judged by itself. All the same its flows are tracked. The server at the
    other end may be of stateful groups, and a host's own rules (l2isolate-host.nft) know an answer by its flow.
    """
    hook = "type filter hook forward priority filter; policy accept;"
    forward = (
        f"iifname != {TAPS} oifname != {TAPS} return",
        # Only metadata_redirect changes a guest's destination; who asks is checked in from_tap.
        f"ct status dnat ct original ip daddr {names.METADATA_ADDRESS} accept",
        "iifname @stateless_taps goto egress",
        "oifname @stateless_taps goto to_stateless",
        f"{ANSWER} accept",
        "ct state invalid drop",
        f"iifname {TAPS} goto egress",
        "goto ingress",
    )
    to_stateless = (
        f"iifname != {TAPS} goto ingress",
        f"{ANSWER} goto ingress",
        "ct state invalid drop",
        "goto egress",
    )
    # The flow keeps its sender's mark: by the address alone, flows.py could not say who that is.
    egress = ("ct state new ct mark set iifname map @mark_of", "iifname vmap @egress_of", "drop")
    ingress = (
        "meta nfproto != ipv4 drop",
        f"oifname != @stateless_taps {ANSWER} accept",
        "oifname != @stateless_taps ct state invalid drop",
        "oifname vmap @ingress_of",
        "drop",
    )
    return {
        "forward": Chain(hook, forward),
        "to_stateless": Chain("", to_stateless),
        "egress": Chain("", egress),
        "to_guest": Chain("", (f"oifname != {TAPS} accept", "goto ingress")),
        "ingress": Chain("", ingress),
    }


def _input(metadata_address: str, metadata_port: int) -> dict[str, Chain]:
    """Return the way to the host itself.

    Taps share the gateway's address, so that the kernel's own answer (`fib daddr . iif`) is true for the first of them
    only: `gateways` says which addresses are a tap's own. The host's other addresses are not for servers.
    """
    hook = "type filter hook input priority filter; policy accept;"
    dhcp = "udp sport 68 udp dport 67 accept"
    to_host = (
        f"iifname != {TAPS} return",
        f"{ANSWER} accept",
        f"ip daddr 255.255.255.255 {dhcp}",
        f"iifname . ip daddr @gateways {dhcp}",
        f"ip daddr {metadata_address} tcp dport {metadata_port} accept",
        "iifname . ip daddr @gateways icmp type echo-request accept",
        "drop",
    )
    return {"input": Chain(hook, to_host)}


def _arp_chains() -> dict[str, Chain]:
    """Return what guards ARP: a guest speaks for its own addresses only; a probe (RFC 5227) speaks for nobody.

    A served address has a permanent entry, which nothing forged changes. But where the reverse path is checked loosely
    (address pairs), the kernel would learn an entry for each address that a guest makes up, until the host's table is
    full and it finds no neighbour of its own any more.
    """
    hook = "type filter hook input priority filter; policy accept;"
    from_tap = (
        "iifname @trusted return",
        "arp saddr ip 0.0.0.0 iifname . arp saddr ether @macs return",
        "iifname . arp saddr ether . arp saddr ip @sources return",
        "iifname . arp saddr ether . arp saddr ip @source_ranges return",
        "drop",
    )
    return {"input": Chain(hook, (f"iifname {TAPS} jump from_tap",)), "from_tap": Chain("", from_tap)}


def _source_sets(policy: Policy) -> dict[str, Set]:
    """Return who may send as whom."""
    secured = [port for port in policy.ports.values() if port.secured]
    sources = [(port.tap, mac, address) for port in secured for mac, address in port.sources]
    triple = "type ifname . ether_addr . ipv4_addr;"
    return {
        "macs": Set(
            "set", "type ifname . ether_addr;", _elements(f"{_q(p.tap)} . {p.mac}" for p in policy.ports.values())
        ),
        "trusted": Set("set", "type ifname;", _elements(_q(p.tap) for p in policy.ports.values() if not p.secured)),
        "sources": Set("set", triple, _elements(f"{_q(t)} . {m} . {a}" for t, m, a in sources if not is_range(a))),
        "source_ranges": Set(
            "set", f"{triple} flags interval;", _elements(f"{_q(t)} . {m} . {a}" for t, m, a in sources if is_range(a))
        ),
    }


def _inet_sets(policy: Policy) -> dict[str, Set]:
    """Return which chain a tap's packets go through, their mark, a tap's own addresses, and remote groups' members."""
    ports = policy.ports.values()
    stateless = _elements(_q(port.tap) for port in ports if policy.is_stateless(port))
    gateways = _elements(f"{_q(tap)} . {address}" for tap, own in policy.gateways.items() for address in own)
    sets = {
        "egress_of": Set("map", "type ifname : verdict;", _elements(_home(port, EGRESS) for port in ports)),
        "ingress_of": Set("map", "type ifname : verdict;", _elements(_home(port, INGRESS) for port in ports)),
        "mark_of": Set("map", "type ifname : mark;", _elements(f"{_q(port.tap)} : {port.mark}" for port in ports)),
        "stateless_taps": Set("set", "type ifname;", stateless),
        "gateways": Set("set", "type ifname . ipv4_addr;", gateways),
    }
    for group in _remote_groups(policy):
        members = policy.members.get(group, frozenset())
        single, ranges = (_elements(m for m in members if is_range(m) is wide) for wide in (False, True))
        sets[f"members_{_id(group)}"] = Set("set", "type ipv4_addr;", single)
        sets[f"ranges_{_id(group)}"] = Set("set", "type ipv4_addr; flags interval;", ranges)
    return sets


def _home(port: Port, direction: str) -> str:
    """Return the map element that sends a tap's packets into the chain of its groups."""
    verdict = f"goto {combination(port.groups, direction)}" if port.secured else VERDICT[direction]
    return f"{_q(port.tap)} : {verdict}"


def combination(groups: Iterable[str], direction: str) -> str:
    """Return the name of the chain for ports that are in exactly these groups."""
    return f"{direction}_{hashlib.sha256(' '.join(groups).encode()).hexdigest()[:16]}"


def _remote_groups(policy: Policy) -> set[str]:
    used = {group for port in policy.ports.values() for group in port.groups}
    return {rule.remote_group for group in used for rule in policy.groups.get(group, ()) if rule.remote_group}


def _group_chains(policy: Policy) -> dict[str, Chain]:
    """Return a chain for each group in use and each combination of groups, in both directions."""
    chains = {}
    for groups in {port.groups for port in policy.ports.values() if port.secured}:
        for direction in (INGRESS, EGRESS):
            jumps = tuple(f"jump {direction}_group_{_id(group)}" for group in groups)
            chains[combination(groups, direction)] = Chain("", (*jumps, "drop"))
            for group in groups:
                rules = (rule for rule in policy.groups.get(group, ()) if rule.direction == direction)
                words = tuple(word for rule in rules for word in rule_words(rule))
                chains[f"{direction}_group_{_id(group)}"] = Chain("", words)
    return chains


def rule_words(rule: Rule) -> Iterator[str]:
    """Yield a rule in nft's words; one with a remote group is two, for its members and its ranges."""
    field, end = REMOTE_FIELD[rule.direction], [*_protocol_words(rule), VERDICT[rule.direction]]
    if rule.remote_group:
        for set_ in ("members", "ranges"):
            yield " ".join([f"{field} @{set_}_{_id(rule.remote_group)}", *end])
    else:
        yield " ".join([*([f"{field} {rule.remote}"] if rule.remote else []), *end])


def _protocol_words(rule: Rule) -> list[str]:
    if rule.protocol is None:
        return []
    words = [f"meta l4proto {rule.protocol}"]
    if rule.protocol == ICMP:
        words += [f"icmp type {rule.low}"] if rule.low is not None else []
        words += [f"icmp code {rule.high}"] if rule.low is not None and rule.high is not None else []
    elif rule.protocol in WITH_PORTS and rule.low is not None:
        high = rule.low if rule.high is None else rule.high
        words.append(f"th dport {rule.low}" if high == rule.low else f"th dport {rule.low}-{high}")
    return words


def _elements(words: Iterable[str]) -> frozenset[str]:
    return frozenset(words)


def _q(tap: str) -> str:
    """Return a tap's name in quotes; what is no name of a tap never reaches nft's parser."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", tap):
        raise ValueError(f"Not the name of a tap: {tap!r}")
    return f'"{tap}"'


def _id(group: str) -> str:
    """Return a group's id as part of a name; neutron's ids are UUIDs."""
    return re.sub(r"[^0-9A-Za-z-]", "_", group)
