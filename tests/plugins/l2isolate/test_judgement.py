# SPDX-License-Identifier: Apache-2.0
"""What is allowed is said twice: to the kernel, in nft's words (rules.py), and of flows that it tracks already (flows.py).

The same packets, under made-up policies: those that the kernel lets through have to be those whose flows would stay.
Real: kernel, nft, conntrack's listing, rules, flows. Stands in: guests and fabric (this process at the taps' other ends).
"""

import os
import pathlib
import socket
import struct
from typing import NamedTuple

import pytest
from arbaro_l2isolate import privileged
from arbaro_l2isolate.firewall import changes, flows, kernel, rules
from arbaro_l2isolate.firewall.flows import Flow
from arbaro_l2isolate.firewall.policy import EGRESS, ICMP, INGRESS, Policy, Port, Rule
from hypervisor import PREFIX, inside, is_root, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire import open_tap

pytestmark = pytest.mark.skipif(not is_root(), reason="makes a network namespace")
A, B, OUT, OTHER = "10.0.0.1", "10.0.0.2", "192.0.2.1", "203.0.113.5"
# Where packets come in and go out; A may also send as all the others.
HOMES = {A: "tapA", B: "tapB", OUT: "up1", OTHER: "up1"}
PAIR = "203.0.113.0/28"
TCP, UDP, SCTP, GRE = 6, 17, 132, 47
SPACE = "judged"


class Packet(NamedTuple):
    """A flow's first packet; for ICMP `port` is the type, with code 0."""

    tap: str
    source: str
    target: str
    protocol: int
    port: int


def _mac(number):
    return f"fa:16:3e:00:00:{number:02x}"


# Made-up policies: two servers on this host, each in some of two groups.

directions = st.sampled_from([INGRESS, EGRESS])
remotes = st.sampled_from(["", "", "", "", A, "10.0.0.0/24", "192.0.2.0/25", PAIR])
wide_rules = st.builds(Rule, directions, st.sampled_from([None, ICMP, TCP, UDP, SCTP, GRE]), remote=remotes)
group_rules = st.builds(Rule, directions, st.sampled_from([None, UDP]), remote_group=st.sampled_from("xy"))
icmp_rules = st.builds(
    Rule, directions, st.just(ICMP), st.sampled_from([8, 13]), st.sampled_from([None, 0, 1]), remotes
)
port_rules = st.builds(
    Rule, directions, st.sampled_from([TCP, UDP, SCTP]), st.sampled_from([22, 23]), st.sampled_from([None, 23, 80]), remotes
)  # fmt: skip
rule_values = st.one_of(wide_rules, group_rules, icmp_rules, port_rules, port_rules)
groups_values = st.fixed_dictionaries({name: st.lists(rule_values, min_size=1, max_size=6).map(tuple) for name in "xy"})
members_values = st.fixed_dictionaries(
    {name: st.sets(st.sampled_from([A, B, OUT, PAIR, "10.0.0.0/30"])).map(frozenset) for name in "xy"}
)
memberships = st.sampled_from([("x", "y"), ("x",), ("y",), ("x", "y"), ()])


def made_policy(groups, members, of_a, of_b, secured):
    def port(tap, number, address, pairs, in_groups, is_secured):
        sources = frozenset((_mac(number), source) for source in (address, *pairs))
        return Port(tap, _mac(number), frozenset({address}), sources, in_groups, is_secured)

    ports = port("tapA", 1, A, (B, OUT, PAIR), of_a, True), port("tapB", 2, B, (), of_b, secured)
    return Policy({port.tap: port for port in ports}, groups, members)


policies = st.builds(
    made_policy, groups_values, members_values, memberships, memberships, st.sampled_from([True, True, True, False])
)
OPEN = made_policy({"x": (Rule(INGRESS), Rule(EGRESS))}, {}, ("x",), ("x",), True)

# Every packet there is.

WAYS = [(HOMES[source], source, target) for source in HOMES for target in (A, B, OUT) if HOMES[source] != HOMES[target]]
WAYS += [("tapA", source, target) for source in (B, OUT, OTHER) for target in (B, OUT) if source != target]
KINDS = [(TCP, 22), (TCP, 23), (TCP, 80), (UDP, 22), (UDP, 80), (SCTP, 22), (SCTP, 80), (ICMP, 8), (ICMP, 13)]
PACKETS = [Packet(*way, *kind) for way in WAYS for kind in KINDS]
# GRE has no ports: a second one between the same two addresses would be of the same flow, or its answer.
PACKETS += {frozenset(way[1:]): Packet(*way, GRE, 0) for way in WAYS}.values()


# The hypervisor.


@pytest.fixture
def taps():
    """Yield the far ends of two guests' taps and of an uplink, in a namespace with routes and neighbours."""
    privileged.network.set_client_mode(False)
    run("ip", "netns", "add", PREFIX + SPACE)
    opened = {}
    try:
        with inside(SPACE):
            # Checksums are left out, and A's address pair makes the reverse path loose.
            for name, value in (
                ("ipv4/ip_forward", "1"), ("ipv4/conf/all/rp_filter", "0"), ("ipv4/conf/default/rp_filter", "0"),
                ("netfilter/nf_conntrack_checksum", "0"), ("ipv6/conf/default/disable_ipv6", "1"),
            ):  # fmt: skip
                pathlib.Path(f"/proc/sys/net/{name}").write_text(value)
            for number, (address, tap) in enumerate([(A, "tapA"), (B, "tapB"), ("192.0.2.254", "up1")], start=1):
                opened[tap] = open_tap(PREFIX + SPACE, tap)
                run("ip", "link", "set", "dev", tap, "address", "fe" + _mac(number)[2:], "up")
                run("ip", "route", "add", address, "dev", tap)
                run("ip", "neigh", "add", address, "lladdr", _mac(number), "dev", tap)
            run("ip", "route", "add", "default", "via", "192.0.2.254", "dev", "up1")
            yield opened
    finally:
        for tap in opened.values():
            os.close(tap)
        run("ip", "netns", "del", PREFIX + SPACE)


def _frame(packet, number):
    """Return a flow's first packet as a frame; `number` tells it from others, in IP's id and in the flow itself."""
    ours = ["tapA", "tapB", "up1"].index(packet.tap) + 1
    macs = [bytes.fromhex(mac.replace(":", "")) for mac in ("fe" + _mac(ours)[2:], _mac(ours))]
    first, ports = 4000 + number, struct.pack("!HH", 4000 + number, packet.port)
    body = {
        TCP: ports + struct.pack("!IIBBHHH", 1, 0, 5 << 4, 2, 1000, 0, 0),  # SYN
        UDP: ports + struct.pack("!HH", 8, 0),
        SCTP: ports + struct.pack("!II", 0, 0) + struct.pack("!BBHIIHHI", 1, 0, 20, 7, 9999, 1, 1, 1),  # INIT
        GRE: struct.pack("!HH", 0, 0x800),
        ICMP: struct.pack("!BBHHH", packet.port, 0, 0, first, 0) + bytes(12),
    }[packet.protocol]
    ends = socket.inet_aton(packet.source) + socket.inet_aton(packet.target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), number, 0, 64, packet.protocol, 0) + ends
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
    return macs[0] + macs[1] + b"\x08\x00" + head + body


def _come_through(taps):
    """Send all packets; return those that the kernel forwards. It does so at once, in the writing process."""
    through = set()
    for number, packet in enumerate(PACKETS):
        os.write(taps[packet.tap], _frame(packet, number))
        for frame in _frames(taps[HOMES[packet.target]]):
            if frame[12:14] == b"\x08\x00" and frame[18:20] == struct.pack("!H", number):
                through.add(packet)
    return through


def _frames(tap):
    """Yield what is there. Not by os.read: where another test has made Python cooperative, that would wait for more."""
    frame = bytearray(2000)
    while True:
        try:
            yield frame[: os.readv(tap, [frame])]
        except BlockingIOError:
            return


def _flow(packet, number, mark):
    """Return the flow of a packet as conntrack has to list it."""
    if packet.protocol == ICMP:
        return Flow(ICMP, packet.source, packet.target, packet.port, 0, 4000 + number, mark)
    if packet.protocol == GRE:
        return Flow(GRE, packet.source, packet.target, 0, 0, 0, mark)
    return Flow(packet.protocol, packet.source, packet.target, 4000 + number, packet.port, 0, mark)


def _put(policy):
    """Give the kernel a policy, and let it forget what it tracks."""
    kernel.apply(changes.replacement(rules.render(policy)))
    run("conntrack", "-F")


def test_what_the_kernel_lets_through_is_what_flows_may_stay(taps):
    _put(OPEN)
    assert _come_through(taps) == set(PACKETS), "what is judged below is judged by the policies alone"
    marks = {port.tap: port.mark for port in OPEN.ports.values()}
    packet_of = {_flow(packet, number, marks.get(packet.tap, 0)): packet for number, packet in enumerate(PACKETS)}
    listed = [Flow(*fields) for fields in kernel.list_flows([A, B, *marks.values()])]
    assert set(listed) == packet_of.keys()
    ended = listed[::2]
    # Twice: one that has ended is no failure.
    kernel.end_flows([list(flow) for flow in ended] * 2)
    left = {Flow(*fields) for fields in kernel.list_flows([A, B, *marks.values()])}
    assert left and left.isdisjoint(ended), "of every protocol"

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(policies)
    def check(policy):
        ended = {packet_of[flow] for flow in flows.revoked(policy, listed)}
        _put(policy)
        assert _come_through(taps) == set(PACKETS) - ended

    check()
