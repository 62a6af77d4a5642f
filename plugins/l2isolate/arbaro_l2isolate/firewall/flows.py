# SPDX-License-Identifier: Apache-2.0
"""Which of the flows that the kernel tracks are no longer allowed; pure.

nftables lets established flows pass without asking the rules again, so a revoked permission has to end its flows by
name. Each flow is judged by the rules as they are now: one that another rule still allows is not touched.

Whose rules? A server is reached at its own addresses only, so the target tells the receiver. The source does not tell
the sender, which may also send from its address pairs: ranges with other servers, or the whole world, in them. So
nftables marks each flow with the tap that began it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from arbaro_l2isolate import names
from arbaro_l2isolate.firewall.policy import EGRESS, ICMP, INGRESS, WITH_PORTS, Policy, Rule, is_range
from arbaro_l2isolate.firewall.rules import Ruleset, Set

# The first src, dst, … of a line is the direction of the flow's first packet (conntrack -L).
LINE = re.compile(r"^\S+\s+(?P<protocol>\d+)\s.*?src=(?P<source>\S+) dst=(?P<target>\S+)(?P<rest>.*)$")
MARK = re.compile(r" mark=(\d+)")
FIELD = re.compile(r"\b(sport|dport|type|code|id)=(\d+)")


class Flow(NamedTuple):
    """A tracked flow, in the direction of its first packet; for ICMP the numbers are type, code and id.

    `mark` is that of the port which began it; 0: nobody here did, or before there were marks.
    """

    protocol: int
    source: str
    target: str
    first: int = 0
    second: int = 0
    third: int = 0
    mark: int = 0


def parse(text: str, traces: Collection[str | int]) -> Iterable[Flow]:
    """Yield the flows of `conntrack -L` that show one of the traces."""
    for match in filter(None, map(LINE.match, text.splitlines())):
        found = MARK.search(match["rest"])
        mark = int(found[1]) if found else 0
        if match["source"] in traces or match["target"] in traces or mark in traces:
            protocol = int(match["protocol"])
            yield Flow(protocol, match["source"], match["target"], *_numbers(protocol, match["rest"]), mark)


def _numbers(protocol: int, rest: str) -> Iterable[int]:
    numbers: dict[str, int] = {}
    for name, value in FIELD.findall(rest):
        numbers.setdefault(name, int(value))
    return (numbers.get(name, 0) for name in (("type", "code", "id") if protocol == ICMP else ("sport", "dport", "id")))


def has_narrowed(before: Ruleset, after: Ruleset) -> bool:
    """Return whether anything that was allowed may no longer be: an object, rule or element has gone."""
    return any(key not in after or _parts(thing) - _parts(after[key]) for key, thing in before.items())


def _parts(thing) -> frozenset[str]:
    return thing.elements if isinstance(thing, Set) else frozenset(thing.rules)


def revoked(policy: Policy, flows: Iterable[Flow], departed: Collection[str | int] = ()) -> list[Flow]:
    """Return the flows that are to end: not allowed any more, or with a trace of a server that has left this host.

    The next server with that address would otherwise inherit them.
    """
    ports = policy.ports.values()
    homes = {address: port for port in ports for address in port.addresses}
    senders = {port.mark: port for port in ports}
    return [
        flow
        for flow in flows
        if not {flow.source, flow.target, flow.mark}.isdisjoint(departed)
        or not _is_allowed(policy, senders.get(flow.mark, homes.get(flow.source)), homes.get(flow.target), flow)
    ]


def _is_allowed(policy, sender, receiver, flow) -> bool:
    if flow.target == names.METADATA_ADDRESS:
        return True
    return _passes(policy, sender, EGRESS, flow, flow.target) and _passes(policy, receiver, INGRESS, flow, flow.source)


def _passes(policy, port, direction, flow, remote) -> bool:
    """Return whether a port's rules let a flow pass; a port that is not here, or has no port security, has none."""
    if port is None or not port.secured:
        return True
    return any(_matches(policy, rule, flow, remote) for rule in policy.rules(port, direction))


def _matches(policy: Policy, rule: Rule, flow: Flow, remote: str) -> bool:
    if rule.protocol not in (None, flow.protocol):
        return False
    if rule.low is not None and not _fits(rule, flow):
        return False
    if rule.remote_group:
        return any(_contains(member, remote) for member in policy.members.get(rule.remote_group, ()))
    return not rule.remote or _contains(rule.remote, remote)


def _fits(rule: Rule, flow: Flow) -> bool:
    """Return whether ports, or ICMP's type and code, are those of the rule."""
    if rule.protocol == ICMP:
        return flow.first == rule.low and rule.high in (None, flow.second)
    high = rule.low if rule.high is None else rule.high
    return rule.protocol not in WITH_PORTS or rule.low <= flow.second <= high


def _contains(member: str, address: str) -> bool:
    if not is_range(member):
        return member == address
    return ipaddress.ip_address(address) in ipaddress.ip_network(member)
