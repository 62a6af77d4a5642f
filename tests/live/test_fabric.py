# SPDX-License-Identifier: Apache-2.0
"""The fabric of the routed network: what hosts and switches believe one another, and that both cables of a host carry its servers."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from .conftest import Tool
from .guests import Guest, find, frames, on, wait_until

# Documentation's addresses: nobody's servers.
HOSTS_OWN, SWITCHES_OWN = "203.0.113.77/32", "203.0.113.78/32"
# Seconds by which a neighbour would have told on what it was told; it takes one tenth.
SPREAD = 2
PORTS = range(20000, 20032)
KNOCK = f"""
import socket, sys
for port in range({PORTS.start}, {PORTS.stop}):
    knock = socket.socket()
    knock.setblocking(False)
    knock.connect_ex((sys.argv[1], port))
"""


@pytest.fixture(scope="module")
def first(cloud: Tool) -> Guest:
    return find(cloud, "first-vm")


@pytest.fixture(scope="module")
def pool(cloud: Tool, first: Guest) -> IPv4Network:
    (subnet,) = cloud.openstack("subnet", "list", "--name", "provider")
    return IPv4Network(subnet["Subnet"])


def other(host: str) -> str:
    return {"compute1": "compute2", "compute2": "compute1"}[host]


def vtysh(cloud: Tool, host: str, *commands: str) -> str:
    return on(cloud, host, "vtysh " + " ".join(f"-c '{command}'" for command in commands))


def configure(cloud: Tool, host: str, *commands: str) -> None:
    """Change bgpd's configuration as it runs; its file stays."""
    asn = re.findall(r"router bgp (\d+)", on(cloud, host, "cat /etc/frr/frr.conf"))[0]
    vtysh(cloud, host, "configure terminal", f"router bgp {asn}", "address-family ipv4 unicast", *commands)


def told(cloud: Tool, host: str, neighbor: str) -> set[str]:
    """What a host announces to a neighbour."""
    text = vtysh(cloud, host, f"show bgp ipv4 unicast neighbors {neighbor} advertised-routes json")
    return set(json.loads(text)["advertisedRoutes"])


def believed(cloud: Tool, host: str) -> dict[str, list[dict[str, object]]]:
    """What a host's bgpd holds, its own and its neighbours': the ways to each prefix."""
    routes: dict[str, list[dict[str, object]]] = json.loads(vtysh(cloud, host, "show bgp ipv4 unicast json"))["routes"]
    return routes


@contextlib.contextmanager
def own(cloud: Tool, host: str, prefix: str) -> Iterator[None]:
    """A route in a host's kernel that looks like one of the agent's, and that its bgpd is told to announce."""
    on(cloud, host, f"ip route add {prefix} dev lo proto 97 metric 4210")
    try:
        configure(cloud, host, f"network {prefix}")
        yield
    finally:
        configure(cloud, host, f"no network {prefix}")
        on(cloud, host, f"ip route del {prefix} dev lo proto 97 metric 4210")


@contextlib.contextmanager
def indiscreet(cloud: Tool, host: str, group: str, policy: str) -> Iterator[None]:
    """A host that tells its neighbours all that it holds, for as long as it takes to see whether they believe it."""
    vtysh(cloud, host, "configure terminal", "route-map ALL permit 10")
    try:
        configure(cloud, host, f"neighbor {group} route-map ALL out")
        yield
    finally:
        configure(cloud, host, f"neighbor {group} route-map {policy} out")
        vtysh(cloud, host, "configure terminal", "no route-map ALL")


def cable(host: str) -> str:
    """The switches' port that leads to a compute."""
    return f"port{host.removeprefix('compute')}"


def test_a_host_announces_its_servers_and_nothing_else(cloud: Tool, first: Guest, pool: IPv4Network) -> None:
    unused = f"{pool[-2]}/32"
    # An address of the pool, but not by the agent's hand: another metric.
    on(cloud, first.host, f"ip route add {unused} dev lo metric 77")
    try:
        with own(cloud, first.host, HOSTS_OWN):
            wait_until(lambda: HOSTS_OWN in believed(cloud, first.host), "bgpd knows it")
            time.sleep(SPREAD)
            for tor in ("tor1", "tor2"):
                prefixes = told(cloud, first.host, tor)
                assert f"{first.address}/32" in prefixes
                assert unused not in prefixes
                assert all(IPv4Network(prefix).subnet_of(pool) and prefix.endswith("/32") for prefix in prefixes)
    finally:
        on(cloud, first.host, f"ip route del {unused} dev lo metric 77")


def test_a_switch_believes_hosts_their_servers_and_nothing_else(cloud: Tool, first: Guest) -> None:
    with own(cloud, first.host, HOSTS_OWN), indiscreet(cloud, first.host, "FABRIC", "TO-FABRIC"):
        wait_until(lambda: told(cloud, first.host, "tor1") >= {HOSTS_OWN, "0.0.0.0/0"}, "the host tells all it holds")
        time.sleep(SPREAD)
        held = believed(cloud, "tor1")
        assert f"{first.address}/32" in held
        assert HOSTS_OWN not in held
        assert [way["path"] for way in held["0.0.0.0/0"]] == [""], "its own default route alone"
        assert not on(cloud, "tor1", f"ip route show {HOSTS_OWN}").strip()
    wait_until(lambda: HOSTS_OWN not in told(cloud, first.host, "tor1"), "discreet again")


def test_a_host_believes_switches_a_default_route_and_nothing_else(cloud: Tool, first: Guest) -> None:
    port, before = cable(first.host), told(cloud, "tor1", cable(first.host))
    assert before == {"0.0.0.0/0"}, "a switch tells hosts nothing else"
    with own(cloud, "tor1", SWITCHES_OWN):
        wait_until(lambda: SWITCHES_OWN in believed(cloud, "tor1"), "bgpd knows it")
        assert told(cloud, "tor1", port) == before
        with indiscreet(cloud, "tor1", "HOSTS", "TO-HOSTS"):
            wait_until(lambda: SWITCHES_OWN in told(cloud, "tor1", port), "the switch tells all it holds")
            time.sleep(SPREAD)
            held = believed(cloud, first.host)
            assert SWITCHES_OWN not in held
            assert {prefix for prefix, ways in held.items() if any(way["path"] for way in ways)} == {"0.0.0.0/0"}
            assert not on(cloud, first.host, f"ip route show {SWITCHES_OWN}").strip()
    wait_until(lambda: told(cloud, "tor1", port) == before, "discreet again")


def test_routes_have_two_next_hops_out_of_a_host_and_the_shortest_way_in(cloud: Tool, first: Guest) -> None:
    """Into a host both switches lead by its own cable: none goes through the other switch."""
    for host in (first.host, other(first.host)):
        (default,) = json.loads(on(cloud, host, "ip -j route show default"))
        assert {hop["dev"] for hop in default["nexthops"]} == {"tor1", "tor2"}
    for tor in ("tor1", "tor2"):
        (route,) = json.loads(on(cloud, tor, f"ip -j route show {first.address}"))
        assert route["dev"] == cable(first.host)


def test_both_cables_carry_a_servers_packets_out_and_in(cloud: Tool, first: Guest, pool: IPv4Network) -> None:
    """By a hash of addresses and ports, so connections to many ports use both; here or there nobody need answer."""
    nobody = str(pool[-3])
    out = f"tcp and src {first.address} and dst {nobody}"
    with frames(cloud, first.host, "tor1", out) as one, frames(cloud, first.host, "tor2", out) as two:
        first.reaches([(nobody, port) for port in PORTS])
    assert one and two
    come = f"tcp and dst {first.address} and dst portrange {PORTS[0]}-{PORTS[-1]}"
    with frames(cloud, first.host, "tor1", come) as one, frames(cloud, first.host, "tor2", come) as two:
        on(cloud, other(first.host), f"python3 -c '{KNOCK}' {first.address}")
    assert one and two
