# SPDX-License-Identifier: Apache-2.0
"""The way through the fabric: what a host announces, what switches believe, who else claims an address."""

from collections.abc import Iterator
from shlex import quote

from arbaro.checks import ERROR, WARNING, Check, Finding, Need, Spot
from arbaro.cluster.checks.hosts import each_thing
from arbaro.doctor import hostlooks
from arbaro.doctor.links.ground import needs_the_host, working
from arbaro.doctor.ports import Port, named, seen, server_ports
from arbaro.doctor.site import SITE, each_fabric_host, hosts_in, there
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE, TOR

#: The metrics of the agent's routes: one for always, a better one for a server that has just moved.
METRICS = (4210, 4209)
#: A BFD session that is younger than this, and went down so often, flaps.
YOUNG, OFTEN = 60, 3


def each_port(evidence: Evidence) -> list[Spot]:
    """The ports of all servers that are meant to run here."""
    return [Spot(port.host, number) for number, port in _ports(evidence).items()]


def _ports(evidence: Evidence) -> dict[str, Port]:
    return server_ports(evidence) if evidence.should(SITE, "network") == "l2isolate" else {}


def _port(evidence: Evidence, spot: Spot) -> Port:
    return _ports(evidence)[spot.thing]


def needs_frr(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """What FRR says of itself."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "frr")


def prefix_filtered(evidence: Evidence, spot: Spot) -> Finding | None:
    """The kernel has a server's route, and FRR does not announce it."""
    port = _port(evidence, spot)
    known = evidence.value(spot.host, hostlooks.BGP_ROUTES)["routes"]
    in_kernel = _routes_to(evidence, spot.host, port)
    refusals = evidence.value(spot.host, hostlooks.REFUSALS)
    # FRR heeds a new refusal only some seconds later.
    lost = [
        address
        for address in port.addresses
        if address in in_kernel and (f"{address}/32" not in known or any(f"{address}/32" in line for line in refusals))
    ]
    if not lost:
        return None
    name = named(evidence, port.server)
    mine = [line for line in refusals if f"{lost[0]}/32" in line or line.startswith("route-map")]
    mend = _vtysh("conf t", f"no {mine[0]}") if mine else "systemctl restart frr"
    return Finding(
        spot.host,
        f"FRR does not announce {lost[0]} ({name}), although the kernel has the route",
        f"it refuses it by: {mine[0]}" if mine else "other hosts do not find the server",
        there(evidence, spot.host, mend),
    )


def needs_route(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """FRR announces what the kernel has."""
    yield from needs_frr(evidence, spot)
    yield "route-missing", spot


def _routes_to(evidence: Evidence, host: str, port: Port) -> set[str]:
    return {
        route["to"]
        for route in evidence.value(host, hostlooks.ROUTES)
        if route["dev"] == port.tap and route["metric"] in METRICS
    }


def fabric_misses(evidence: Evidence, spot: Spot) -> Finding | None:
    """No switch knows the way to a server."""
    port = _port(evidence, spot)
    tors = hosts_in(evidence, TOR)
    known = [evidence.value(tor, hostlooks.BGP_ROUTES)["routes"] for tor in tors]
    lost = [address for address in port.addresses if not any(f"{address}/32" in one for one in known)]
    if not lost or not tors:
        return None
    run = there(evidence, tors[0], _vtysh("show bgp ipv4 unicast"))
    return Finding(spot.host, f"no switch knows the way to {lost[0]} ({named(evidence, port.server)})", "", run)


def needs_announcement(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A switch knows what a host announces to it by a session."""
    yield from needs_route(evidence, spot)
    yield PREFIX_FILTERED.id, spot
    states = seen(evidence, "BGP sessions", spot.host)
    if "Established" not in states.values():
        yield from ((SESSION_DOWN.id, Spot(spot.host, name)) for name in states)
    for tor in hosts_in(evidence, TOR):
        yield from needs_frr(evidence, Spot(tor))


def address_twice(evidence: Evidence, spot: Spot) -> Finding | None:
    """Another host says that a server's address is there."""
    port = _port(evidence, spot)
    mine = set(port.addresses)
    for host in hosts_in(evidence, COMPUTE):
        if host == spot.host:
            continue
        for route in seen(evidence, hostlooks.ROUTES, host) or []:
            to = route["to"].removesuffix("/32")
            if to in mine and route["dev"] and not route["via"] and route["protocol"] != "bgp":
                name = named(evidence, port.server)
                return Finding(
                    host,
                    f"it has a route of its own to {to} (dev {route['dev']}), the address of {name} on {spot.host}",
                    "the fabric sends what is for the server to the wrong host",
                    there(evidence, host, f"ip route del {quote(to)}/32 dev {quote(route['dev'])}"),
                )
    return None


def session_down(evidence: Evidence, spot: Spot) -> Finding | None:
    """A BGP session is not established. A host's servers are reached as long as it has one."""
    states = evidence.value(spot.host, "BGP sessions")
    state = states.get(spot.thing, "missing")
    if state == "Established":
        return None
    mend = _vtysh("show bgp summary")
    shut = [name for name, its in states.items() if "Admin" in its]
    if spot.thing in shut:
        # All that somebody has shut down on this host: it was one deed.
        router = f"router bgp {evidence.value(spot.host, hostlooks.BGP_ROUTES)['as']}"
        mend = _vtysh("conf t", router, *(f"no neighbor {name} shutdown" for name in shut))
    left = [name for name in evidence.should(spot.host, "BGP sessions", {}) if states.get(name) == "Established"]
    means = "packets have one way less" if left else "it has no session left: all that is behind it is cut off"
    saw = f"the BGP session on {spot.thing} is {state}"
    return Finding(spot.host, saw, means, there(evidence, spot.host, mend))


def _vtysh(*lines: str) -> str:
    """A command of FRR's shell, in the words of a host's."""
    return " ".join(["vtysh", *(f"-c {quote(line)}" for line in lines)])


def needs_both_ends(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A session has two ends: hosts that run, FRR on both; a switch's end is told with its compute's."""
    yield from needs_frr(evidence, spot)
    other = evidence.should(spot.host, "BGP sessions", {}).get(spot.thing, "")
    yield from needs_frr(evidence, Spot(other))
    if spot.host in hosts_in(evidence, TOR) and other in hosts_in(evidence, COMPUTE):
        yield SESSION_DOWN.id, Spot(other, spot.host)


def bfd_flaps(evidence: Evidence, spot: Spot) -> Finding | None:
    """A cable loses packets: its BFD session goes down again and again."""
    one = evidence.value(spot.host, hostlooks.BFD)[spot.thing]
    if one["downs"] < OFTEN or (one["status"] == "up" and one["uptime"] >= YOUNG):
        return None
    return Finding(
        spot.host,
        f"BFD on {spot.thing} went down {one['downs']} times, last {one['uptime']} s ago",
        "the cable loses packets: each time servers are silent for a moment",
        there(evidence, spot.host, f"ip -s link show dev {quote(spot.thing)}"),
    )


def each_bfd(evidence: Evidence) -> list[Spot]:
    """All BFD sessions of computes."""
    return [Spot(host, one) for host in hosts_in(evidence, COMPUTE) for one in seen(evidence, hostlooks.BFD, host)]


def route_missing(evidence: Evidence, spot: Spot) -> Finding | None:
    """A server runs on a host, and the host has no route to it."""
    port = _port(evidence, spot)
    lost = [address for address in port.addresses if address not in _routes_to(evidence, spot.host, port)]
    if not lost:
        return None
    return Finding(
        spot.host,
        f"it has no route to {lost[0]} ({named(evidence, port.server)}) by {port.tap}",
        "the agent makes it within a minute, if it works",
        there(evidence, spot.host, "systemctl restart neutron-l2isolate-agent"),
    )


def tap_unready(evidence: Evidence, spot: Spot) -> Finding | None:
    """A server's tap is not there, or was not made ready by the agent."""
    port = _port(evidence, spot)
    found = evidence.value(spot.host, hostlooks.ADDRESSES).get(port.tap)
    name = named(evidence, port.server)
    if found is None:
        saw, unit = f"{port.tap} of {name} is not there", "nova-compute"
    elif not found["up"]:
        saw, unit = f"{port.tap} of {name} is down", "neutron-l2isolate-agent"
    elif not found["addresses"]:
        saw, unit = f"{port.tap} of {name} has no gateway's address", "neutron-l2isolate-agent"
    else:
        return None
    return Finding(
        spot.host, saw, "the server cannot send or be reached", there(evidence, spot.host, f"systemctl restart {unit}")
    )


def needs_the_agent(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """Taps and routes are made by the agent, for servers that run."""
    yield from needs_the_host(evidence, spot)
    yield from working(spot.host, "neutron-l2isolate-agent", "libvirtd")
    yield "libvirt-silent", Spot(spot.host)
    port = _port(evidence, spot)
    yield "guest-gone", Spot(port.host, port.server)
    yield "guest-off", Spot(port.host, port.server)


def needs_tap(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """A route leads to a tap."""
    yield from needs_the_agent(evidence, spot)
    yield TAP_UNREADY.id, spot


def each_served(evidence: Evidence) -> list[Spot]:
    """Each port in a subnet with DHCP."""
    subnets = seen(evidence, "subnets")
    return [
        Spot(port.host, number)
        for number, port in _ports(evidence).items()
        if any(
            subnets.get(subnet, {}).get("enable_dhcp") and ":" not in address
            for address, subnet in port.its["addresses"]
        )
    ]


def dhcp_entry_missing(evidence: Evidence, spot: Spot) -> Finding | None:
    """dnsmasq does not know a server: it gets no address at its next start."""
    port = _port(evidence, spot)
    if port.tap in evidence.value(spot.host, hostlooks.DHCP_ENTRIES):
        return None
    return Finding(
        spot.host,
        f"DHCP has no entry for {named(evidence, port.server)} ({port.tap})",
        "it gets no address at its next start",
        there(evidence, spot.host, "systemctl restart neutron-l2isolate-agent"),
    )


def needs_written(evidence: Evidence, spot: Spot) -> Iterator[Need]:
    """The agent writes the entries."""
    yield from needs_tap(evidence, spot)
    yield DHCP_READ_ONLY.id, Spot(spot.host)
    yield from (("disk-full", Spot(spot.host, target)) for target in seen(evidence, hostlooks.DISKS, spot.host))


def dhcp_read_only(evidence: Evidence, spot: Spot) -> Finding | None:
    """The file system of DHCP's files is read-only."""
    options = evidence.value(spot.host, hostlooks.DHCP_MOUNT).split(",")
    if "ro" not in options:
        return None
    return Finding(
        spot.host,
        f"{hostlooks.DHCP} is on a file system that is read-only",
        "DHCP cannot start, and knows no new server",
        there(evidence, spot.host, f"umount {hostlooks.DHCP}; systemctl restart l2isolate-dhcp"),
    )


TAP_UNREADY = Check("tap-unready", ERROR, each_port, tap_unready, needs_the_agent)
ROUTE_MISSING = Check("route-missing", ERROR, each_port, route_missing, needs_tap)
PREFIX_FILTERED = Check("prefix-filtered", ERROR, each_port, prefix_filtered, needs_route)
SESSION_DOWN = Check("session-down", ERROR, each_thing("BGP sessions"), session_down, needs_both_ends)
FABRIC_MISSES = Check("fabric-misses", ERROR, each_port, fabric_misses, needs_announcement)
ADDRESS_TWICE = Check("address-twice", ERROR, each_port, address_twice, needs_the_host)
DHCP_READ_ONLY = Check("dhcp-read-only", ERROR, each_fabric_host(COMPUTE), dhcp_read_only, needs_the_host)
DHCP_ENTRY_MISSING = Check("dhcp-entry-missing", ERROR, each_served, dhcp_entry_missing, needs_written)
BFD_FLAPS = Check("bfd-flaps", WARNING, each_bfd, bfd_flaps, needs_frr)
