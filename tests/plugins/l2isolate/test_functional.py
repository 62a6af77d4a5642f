# SPDX-License-Identifier: Apache-2.0
"""One hypervisor with guests, no OpenStack.

Real: kernel, taps, routes, proxy ARP, nft, conntrack, dnsmasq, and our manager, firewall driver and hands. Stands in:
neutron-server (answers written as it words them), privsep's daemon (functions run in this process, which is root), guests
(namespaces behind taps), the fabric (one neighbour, `out`).
"""

import socket
import struct
import subprocess
import time
from types import SimpleNamespace

import pytest
from arbaro_l2isolate import dnsmasq, netlink, options, planner, privileged
from arbaro_l2isolate.firewall import driver
from arbaro_l2isolate.manager import L2IsolateManager
from arbaro_l2isolate.ports import Subnet
from hypervisor import Guest, Hypervisor, connect, counter, inside, is_root, listen, ping, run, wait_for
from oslo_config import cfg

pytestmark = pytest.mark.skipif(not is_root(), reason="makes network namespaces")
ALLOW_ALL_OUT = {"direction": "egress", "ethertype": "IPv4"}
ALLOW_PING = {"direction": "ingress", "ethertype": "IPv4", "protocol": "icmp"}
A, B, C = Guest("a", 1, "10.64.1.11"), Guest("b", 2, "10.64.1.12"), Guest("c", 3, "10.64.1.13")
SUBNET = Subnet("s1", "10.64.1.0/24", "10.64.1.1", dns=("192.0.2.53",), routes=(("198.51.100.0/24", "10.64.1.77"),))


def allow(port, **more):
    rule = {
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": "tcp",
        "port_range_min": port,
        "port_range_max": port,
    }
    return {**rule, **more}


class Server:
    """Stands in for neutron-server's subnets."""

    def __init__(self):
        self.known = {"s1": SUBNET}

    def get(self, ids):
        return {id_: self.known[id_] for id_ in ids if id_ in self.known}

    remembered = get


class World:
    """The hypervisor with an agent's manager and firewall driver on it."""

    def __init__(self, hypervisor, directory):
        self.hypervisor, self.directory = hypervisor, directory
        self.settings = SimpleNamespace(
            reconcile_interval=60, elevated_seconds=0, dhcp_directory=str(directory), dhcp_user="root",
            dhcp_lease_seconds=3600, dns_servers=[], dns_domain="example.org",
        )  # fmt: skip
        self.start_agent()

    def start_agent(self):
        with inside("host"):
            self.firewall = driver.L2IsolateFirewallDriver()
            self.manager = L2IsolateManager(self.settings, netlink, dnsmasq.Dnsmasq(str(self.directory)), "h", Server())

    def serve(self, *details):
        with inside("host"):
            self.manager.serve(list(details))
            self.firewall.set_gateways(self.manager.gateways())

    def protect(self, ports, groups, members=None):
        with inside("host"), self.firewall.defer_apply():
            for group, rules in groups.items():
                self.firewall.update_security_group_rules(group, rules)
            for group, ips in (members or {}).items():
                self.firewall.update_security_group_members(group, {"IPv4": [[ip, None] for ip in ips]})
            for port in ports:
                self.firewall.prepare_port_filter(port)

    def plug(self, guest, *groups, **changes):
        self.hypervisor.boot(guest)
        self.protect([guest.filtered(*groups, **changes)], {})
        pairs = {key: changes[key] for key in changes.keys() & {"allowed_address_pairs", "port_security_enabled"}}
        self.serve(guest.details(**pairs))


@pytest.fixture
def world(tmp_path):
    privileged.network.set_client_mode(False)
    privileged.dhcp.set_client_mode(False)
    (tmp_path / "dhcp").mkdir()
    with Hypervisor() as hypervisor:
        world = World(hypervisor, tmp_path / "dhcp")
        try:
            world.protect([], {"web": [ALLOW_ALL_OUT, ALLOW_PING, allow(7000)], "closed": [ALLOW_ALL_OUT]})
            yield world
        finally:
            pid = tmp_path / "dhcp" / "pid"
            if pid.exists():
                subprocess.run(["kill", pid.read_text().strip()], check=False)


def test_guests_reach_one_another_and_the_outside_through_the_host(world):
    world.plug(A, "web")
    world.plug(B, "web")
    assert ping("a", B.address, count=5) == 5
    assert ping("a", "192.0.2.2", count=5) == 5
    assert ping("out", A.address, count=5) == 5
    assert ping("a", "10.64.1.1") == 1, "the gateway is answered on the guest's own tap"
    with inside("a"):
        neighbours = run("ip", "-4", "neigh", "show", "dev", "eth0").splitlines()
    macs = {line.split("lladdr ")[1].split()[0] for line in neighbours if "lladdr" in line}
    assert len(neighbours) >= 2
    assert macs == {"fe" + A.mac[2:]}, "every address of the subnet is the hypervisor's MAC: no L2 is shared"


def test_every_guest_reaches_its_gateway_and_no_other_address_of_the_host(world):
    """The gateway's address is on each tap; the kernel's table of local routes names the first tap alone."""
    other = Subnet("s2", "10.64.2.0/24", "10.64.2.1")
    world.manager.subnets.known["s2"] = other
    d = Guest("d", 4, "10.64.2.14")
    for guest in (A, B, C):
        world.plug(guest, "web")
    world.hypervisor.boot(d, configure=False)
    with inside("d"):
        run("ip", "address", "add", f"{d.address}/24", "dev", "eth0")
        run("ip", "route", "add", "default", "via", "10.64.2.1")
    world.protect([d.filtered("web")], {})
    world.serve(d.details(fixed_ips=[{"subnet_id": "s2", "ip_address": d.address}]))
    for guest in (A, B, C):
        assert ping(guest.name, "10.64.1.1", count=2) == 2, guest.name
        assert ping(guest.name, "10.64.2.1") == 0, "another subnet's gateway"
        assert ping(guest.name, "192.0.2.1") == 0, "the host's own address"
    assert ping("d", "10.64.2.1", count=2) == 2 and ping("d", "10.64.1.1") == 0
    world.hypervisor.halt(A)
    with inside("host"):
        world.firewall.remove_port_filter(A.filtered("web"))
        world.manager.delete_arp_spoofing_protection([A.tap])
        world.firewall.set_gateways(world.manager.gateways())
    assert ping("b", "10.64.1.1") == 1, "also when the first one has left"


def test_every_guest_renews_its_lease_and_asks_no_other_address_of_the_host(world):
    for guest in (A, B):
        _plug_for_dhcp(world, guest)
        assert _dhcp(guest)[0] == guest.address
        with inside(guest.name):
            run("ip", "address", "add", f"{guest.address}/24", "dev", "eth0")
            run("ip", "route", "add", "default", "via", "10.64.1.1")
        assert _dhcp(guest, kind=3, server="10.64.1.1")[1][53] == b"\x05", guest.name
    with inside("host"):
        watch = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        watch.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        watch.bind(("192.0.2.1", 67))
    watch.settimeout(0.5)
    assert _dhcp(B, kind=3, server="192.0.2.1", seconds=0.5) is None
    with pytest.raises(TimeoutError):
        watch.recv(2000)
    watch.close()


def test_routes_carry_our_protocol_and_the_kernel_needs_nothing_more(world):
    world.plug(A, "web")
    with inside("host"):
        assert (
            run("ip", "route", "show", "proto", "97").split()
            == f"{A.address} dev {A.tap} scope link metric 4210".split()
        )
        found = netlink.find_taps()
        assert planner.plan(world.manager._wanted, found) == []
        assert (found[A.tap].mtu, found[A.tap].proxy_delay) == (1450, 0)


def test_ports_are_closed_unless_a_group_opens_them(world):
    world.plug(A, "web")
    world.plug(B, "web")
    open_, closed = listen("b", 7000), listen("b", 7001)
    assert connect("a", B.address, 7000)
    assert connect("a", B.address, 7001) is None
    assert connect("out", B.address, 7000)
    assert connect("out", B.address, 7001) is None
    open_.close(), closed.close()


def test_a_remote_group_admits_its_members_only(world):
    world.protect([], {"db": [ALLOW_ALL_OUT, allow(5432, remote_group_id="web")]}, {"web": [A.address]})
    for guest, group in ((A, "web"), (B, "db"), (C, "closed")):
        world.plug(guest, group)
    server = listen("b", 5432)
    assert connect("a", B.address, 5432)
    assert connect("c", B.address, 5432) is None
    world.protect([], {}, {"web": [A.address, C.address]})
    assert connect("c", B.address, 5432), "a new member is let in"
    server.close()


def test_a_revoked_rule_ends_its_flows_and_leaves_the_others(world):
    world.plug(A, "web")
    world.protect([], {"two": [ALLOW_ALL_OUT, allow(7000), allow(7001)]})
    world.plug(B, "two")
    kept, ended = (
        _talk(connect("a", B.address, port), server) for port, server in ((p, listen("b", p)) for p in (7000, 7001))
    )
    world.protect([B.filtered("two")], {"two": [ALLOW_ALL_OUT, allow(7000)]})
    client, peer = kept
    # From the server's side: were the flow forgotten, this would count as a new one, which nothing allows.
    assert _hears(peer, client), "still allowed: not a packet of it is lost"
    assert not _hears(*ended), "revoked: ends at once, though it was established"


def stateless(*rules):
    """Return rules as neutron words those of a stateless group."""
    return [{**rule, "stateful": False} for rule in rules]


def test_a_server_of_stateless_groups_is_reached_by_everybody_its_rules_name(world):
    """And whoever asks it hears its answers by the rules of his own groups, also on the same host."""
    world.protect([], {"raw": stateless(ALLOW_ALL_OUT, ALLOW_PING, allow(7000)), "mute": stateless(allow(7000))})
    for guest, group in ((A, "closed"), (B, "raw"), (C, "mute")):
        world.plug(guest, group)
    served, mute = listen("b", 7000), listen("c", 7000)
    for space in ("out", "a"):
        assert ping(space, B.address) == 1, space
        assert connect(space, B.address, 7000), space
        assert connect(space, C.address, 7000) is None, "no rule lets the answer out"
    assert connect("b", A.address, 7001) is None
    assert ping("b", "10.64.1.1") == 1
    served.close(), mute.close()


def test_no_answer_reaches_a_server_of_stateless_groups_without_a_rule(world):
    world.protect(
        [], {"raw": stateless(ALLOW_ALL_OUT), "back": stateless(ALLOW_ALL_OUT, allow(1, port_range_max=65535))}
    )
    for guest, group in ((A, "web"), (B, "raw"), (C, "back")):
        world.plug(guest, group)
    near, far = listen("a", 7000), listen("out", 7000)
    for address in (A.address, "192.0.2.2"):
        assert connect("b", address, 7000) is None
        assert connect("c", address, 7000), "with a rule for answers"
        assert ping("b", address) == 0
    near.close(), far.close()


def test_hosts_own_rules_know_the_answers_of_servers_of_stateless_groups(world):
    """As l2isolate-host.nft: nothing leaves to the management network but answers."""
    world.protect([], {"raw": stateless(ALLOW_ALL_OUT, ALLOW_PING, allow(7000))})
    world.plug(B, "raw")
    with inside("host"):
        run("nft", "add", "table", "inet", "own")
        run("nft", "add", "chain", "inet", "own", "forward", "{ type filter hook forward priority filter; }")
        run("nft", "add", "rule", "inet", "own", "forward", 'oifname "up1" ct state != established drop')
    served = listen("b", 7000)
    assert connect("out", B.address, 7000) and ping("out", B.address) == 1
    assert ping("b", "192.0.2.2") == 0
    served.close()


def test_a_server_of_stateless_groups_gets_metadata_and_an_address_without_a_rule(world):
    world.protect([], {"nothing": stateless({**ALLOW_PING, "remote_ip_prefix": "192.0.2.99"})})
    world.plug(B, "nothing")
    server = listen("host", 80, "169.254.169.254")
    assert connect("b", "169.254.169.254", 80)
    server.close()


def test_a_rule_of_a_stateless_group_is_revoked_at_once(world):
    world.protect([], {"raw": stateless(ALLOW_ALL_OUT, allow(7000))})
    world.plug(A, "web")
    world.plug(B, "raw")
    server = listen("b", 7000)
    client, peer = _talk(connect("a", B.address, 7000), server)
    world.protect([B.filtered("raw")], {"raw": stateless(ALLOW_ALL_OUT)})
    assert not _hears(client, peer)


def test_a_revoked_flow_from_an_address_pair_ends(world):
    """A sends in C's name, from a range: B's answers go to C, and make the flow an established one."""
    world.protect([], {"out": [ALLOW_ALL_OUT], "none": []})
    world.plug(A, "out", allowed_address_pairs=[{"ip_address": "10.64.1.12/30"}])
    world.plug(C, "web")
    with inside("a"):
        run("ip", "addr", "add", f"{C.address}/32", "dev", "eth0")
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((C.address, 5000))
    with inside("out"):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("", 53))
    receiver.settimeout(0.5)

    def arrives():
        sender.sendto(b"x", ("192.0.2.2", 53))
        try:
            return receiver.recvfrom(10)
        except TimeoutError:
            return None

    wait_for("the first packet", arrives)
    receiver.sendto(b"y", (C.address, 5000))
    world.protect([], {"web": [ALLOW_ALL_OUT]})
    assert arrives(), "somebody else's rules have changed"
    world.protect([A.filtered("none", allowed_address_pairs=[{"ip_address": "10.64.1.12/30"}])], {})
    assert not arrives()
    sender.close()
    receiver.close()


def _talk(client, server):
    peer, _ = server.accept()
    assert _hears(client, peer)
    return client, peer


def _hears(client, peer):
    client.send(b"x")
    peer.settimeout(0.5)
    try:
        return peer.recv(1) == b"x"
    except OSError:
        return False


def test_a_tap_without_rules_lets_nothing_through(world):
    world.plug(A, "web")
    world.hypervisor.boot(B)
    world.serve(B.details())
    assert ping("b", "192.0.2.2") == 0 and ping("a", B.address) == 0 and ping("b", "10.64.1.1") == 0
    world.protect([B.filtered("web")], {})
    # The guest's kernel asks for the gateway once a second.
    wait_for("the first answer", lambda: ping("b", "192.0.2.2"))
    assert ping("a", B.address) == 1


def test_a_guest_cannot_send_as_somebody_else(world):
    world.plug(A, "web")
    world.plug(B, "web")
    assert ping("a", "192.0.2.2") == 1, "now it knows the gateway's MAC: what follows is not stopped at ARP already"
    with inside("a"):
        run("ip", "addr", "add", "10.64.1.99/32", "dev", "eth0")
        run("ip", "addr", "add", "203.0.113.9/32", "dev", "eth0")
    assert ping("a", "192.0.2.2", source="10.64.1.99") == 0
    assert ping("a", "192.0.2.2", source="203.0.113.9") == 0
    assert counter("host", "IPReversePathFilter") == 0, "nftables sees it first; the reverse path is the second lock"
    assert ping("a", "192.0.2.2", source=A.address) == 1


def test_the_reverse_path_is_a_second_lock(world):
    world.plug(A, "web")
    assert ping("a", "192.0.2.2") == 1
    with inside("host"):
        run("nft", "delete", "table", "inet", "arbaro_l2isolate")
    with inside("a"):
        run("ip", "addr", "add", "10.64.1.99/32", "dev", "eth0")
    assert ping("a", "192.0.2.2", source="10.64.1.99") == 0
    assert counter("host", "IPReversePathFilter") > 0


def test_a_guest_cannot_change_its_mac(world):
    """Looked for where the packet should not arrive: an answer would go to the old MAC in any case."""
    world.plug(A, "web")
    with inside("a"):
        run("ip", "neigh", "replace", "10.64.1.1", "lladdr", "fe" + A.mac[2:], "dev", "eth0")  # Not stopped at ARP.
    assert _arrives(A)
    with inside("a"):
        run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
        run("ip", "neigh", "replace", "10.64.1.1", "lladdr", "fe" + A.mac[2:], "dev", "eth0")
    assert not _arrives(A)


def _claim(guest, address, operation=1):
    """Say by ARP that an address is the guest's, and ask for the gateway (1) or answer it (2)."""
    mac, broadcast = (bytes.fromhex(text.replace(":", "")) for text in (guest.mac, "ff" * 6))
    words = (mac, socket.inet_aton(address), bytes(6), socket.inet_aton("10.64.1.1"))
    with inside(guest.name), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0x0806))
        raw.send(broadcast + mac + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, operation, *words))
    time.sleep(0.1)


def test_forged_arp_changes_nothing(world):
    world.plug(A, "web")
    world.plug(B, "web")
    for operation in (1, 2):
        _claim(A, B.address, operation)
    with inside("host"):
        neighbours = run("ip", "neigh", "show", B.address)
    assert B.mac in neighbours and A.mac not in neighbours and "PERMANENT" in neighbours
    assert ping("out", B.address) == 1


def test_a_guest_cannot_fill_the_hosts_table_of_neighbours(world):
    """Where there are address pairs, the reverse path is no second lock: the table `arp` alone stops it."""
    pair = {"ip_address": "10.64.1.96/30"}
    world.plug(A, "web", allowed_address_pairs=[pair])
    for address in ("10.64.1.97", "10.64.1.200", B.address):
        _claim(A, address)
    with inside("host"):
        learned = {line.split()[0] for line in run("ip", "neigh", "show", "dev", A.tap).splitlines()}
    assert learned == {A.address, "10.64.1.97"}


def test_the_hypervisor_itself_is_out_of_reach(world):
    world.plug(A, "web")
    servers = [listen("host", 22), listen("host", 80, "169.254.169.254")]
    for address in ("192.0.2.1", "10.64.1.1"):
        assert connect("a", address, 22) is None
    assert ping("a", "192.0.2.1") == 0
    assert connect("a", "169.254.169.254", 80), "metadata is what it may reach"
    _, source = servers[1].accept()
    assert source[0] == A.address, "and is known there by its own address"
    assert connect("a", "169.254.169.254", 22) is None
    for server in servers:
        server.close()


@pytest.fixture
def metadata_elsewhere():
    options.register()
    for name, value in (("metadata_address", "192.0.2.2"), ("metadata_port", 8775)):
        cfg.CONF.set_override(name, value, "l2isolate")
    yield
    for name in ("metadata_address", "metadata_port"):
        cfg.CONF.clear_override(name, "l2isolate")


def test_a_metadata_service_elsewhere_sees_the_guests_own_address(metadata_elsewhere, world):
    world.protect([], {"mute": []})
    world.plug(A, "mute")
    world.protect([], {"stateless": stateless(ALLOW_PING)})
    world.plug(B, "stateless")
    server = listen("out", 8775)
    server.settimeout(2)
    for guest in (A, B):
        assert connect(guest.name, "169.254.169.254", 80), "also where no rule lets anything out"
        assert server.accept()[1][0] == guest.address
    assert connect("a", "192.0.2.2", 8775) is None, "not by its own address"
    server.close()


def _arrives(guest, source=None):
    """Ping the outside (from a foreign address); return whether the request arrives there, answered or not."""
    if source:
        with inside(guest.name):
            run("ip", "addr", "add", f"{source}/32", "dev", "eth0")
    with inside("out"):
        watch = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    watch.settimeout(0.2)
    ping(guest.name, "192.0.2.2", source=source)
    with watch:
        while True:
            try:
                packet, (seen, _) = watch.recvfrom(100)
            except TimeoutError:
                return False
            if seen == (source or guest.address) and packet[20] == 8:
                return True


def test_without_port_security_everything_passes(world):
    world.plug(A, port_security_enabled=False)
    assert _arrives(A, "203.0.113.9")
    server = listen("a", 7001)
    assert connect("out", A.address, 7001)
    server.close()


def test_an_address_pair_may_be_sent_from(world):
    pairs = [{"ip_address": "203.0.113.0/28"}, {"ip_address": "10.64.1.99", "mac_address": A.mac}]
    world.plug(A, "web", allowed_address_pairs=pairs)
    assert ping("a", "192.0.2.2") == 1
    assert _arrives(A, "203.0.113.9")
    assert _arrives(A, "10.64.1.99")
    assert not _arrives(A, "203.0.113.99")


def _dhcp(guest, chaddr=None, kind=1, requested=None, seconds=1.5, server=None):
    """Ask for an address; return (address, {option: bytes}) or None. `kind` 1 is DISCOVER, 3 REQUEST.

    As a client that has none yet; or, with `server`, as one that renews its lease.
    """
    mac = bytes.fromhex((chaddr or guest.mac).replace(":", ""))
    options = bytes([53, 1, kind, 55, 6, 1, 3, 6, 15, 26, 121])
    options += (bytes([50, 4]) + socket.inet_aton(requested) if requested else b"") + b"\xff"
    flags, ciaddr = (0, socket.inet_aton(guest.address)) if server else (0x8000, bytes(4))
    query = struct.pack("!BBBBIHH4s12s16s192s4s", 1, 1, 6, 0, 7, 0, flags, ciaddr, b"", mac, b"", b"\x63\x82\x53\x63")
    with inside(guest.name):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        client.bind((guest.address if server else "", 68))
        client.settimeout(seconds)
        try:
            client.sendto(query + options, (server or "255.255.255.255", 67))
            answer = client.recv(1500)
        except TimeoutError:
            return None
        finally:
            client.close()
    found, at = {}, 240
    while at < len(answer) and answer[at] != 255:
        found[answer[at]] = answer[at + 2 : at + 2 + answer[at + 1]]
        at += 2 + answer[at + 1]
    return socket.inet_ntoa(answer[16:20]), found


def _plug_for_dhcp(world, guest):
    world.hypervisor.boot(guest, configure=False)
    world.protect([guest.filtered("web")], {})
    world.serve(guest.details())


def test_a_guest_gets_its_address_routes_mtu_and_dns(world):
    _plug_for_dhcp(world, A)
    address, options = _dhcp(A)
    assert address == A.address
    assert socket.inet_ntoa(options[1]) == "255.255.255.0" and socket.inet_ntoa(options[3]) == "10.64.1.1"
    assert (
        socket.inet_ntoa(options[6]) == "192.0.2.53"
        and options[15] == b"example.org"
        and options[26] == struct.pack("!H", 1450)
    )
    gateway = socket.inet_aton("10.64.1.1")
    on_link, default = b"\x20" + gateway + b"\0" * 4, b"\0" + gateway
    assert options[121] == on_link + default + b"\x18" + socket.inet_aton("198.51.100.0")[:3] + socket.inet_aton(
        "10.64.1.77"
    )
    assert _dhcp(A, kind=3, requested=A.address)[1][53] == b"\x05", "an ACK"


def test_a_later_guest_is_served_by_the_same_dnsmasq(world):
    _plug_for_dhcp(world, A)
    first = (world.directory / "pid").read_text()
    _plug_for_dhcp(world, B)
    assert _dhcp(B)[0] == B.address
    assert (world.directory / "pid").read_text() == first


def test_a_guest_cannot_ask_in_anothers_name(world):
    _plug_for_dhcp(world, A)
    _plug_for_dhcp(world, B)
    assert _dhcp(A, chaddr=B.mac, seconds=0.7) is None
    assert _dhcp(B)[0] == B.address


def test_an_address_that_a_new_guest_takes_over_is_leased_to_it(world):
    _plug_for_dhcp(world, A)
    assert _dhcp(A, kind=3, requested=A.address)[0] == A.address
    world.hypervisor.halt(A)
    with inside("host"):
        world.firewall.remove_port_filter(A.filtered("web"))
        world.manager.delete_arp_spoofing_protection([A.tap])
    heir = Guest("b", 2, A.address)
    _plug_for_dhcp(world, heir)
    assert _dhcp(heir)[0] == A.address


def test_a_guest_cannot_answer_dhcp(world):
    world.plug(A, "web")
    world.plug(B, "web")
    with inside("out"):
        watch = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        watch.bind(("", 68))
    watch.settimeout(0.5)
    with inside("a"):
        rogue = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rogue.bind((A.address, 6767))
        rogue.sendto(b"no offer", ("192.0.2.2", 68))
        assert watch.recv(100) == b"no offer", "only the server's port is what is refused"
        rogue = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rogue.bind((A.address, 67))
        rogue.sendto(b"offer", ("192.0.2.2", 68))
    with pytest.raises(TimeoutError):
        watch.recv(100)


def test_an_agents_death_and_restart_cost_no_packet_and_no_lease(world):
    _plug_for_dhcp(world, A)
    world.plug(B, "web")
    with inside("out"):
        words = ["ping", "-n", "-q", "-i", "0.01", "-c", "150", B.address]
        flood = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    pid = (world.directory / "pid").read_text()
    world.start_agent()
    with inside("host"):
        world.manager.tick()
    world.serve(B.details())  # The first batch after a start: neutron has not spoken of A yet.
    assert (world.directory / "hosts" / A.tap).exists()
    world.serve(A.details())
    world.protect([A.filtered("web"), B.filtered("web")], {"web": [ALLOW_ALL_OUT, ALLOW_PING, allow(7000)]})
    assert " 0% packet loss" in flood.communicate(timeout=20)[0]
    assert (world.directory / "pid").read_text() == pid
    assert _dhcp(A)[0] == A.address


def test_what_others_break_is_mended(world):
    world.plug(A, "web")
    with inside("host"):
        run("ip", "link", "set", A.tap, "address", "02:00:00:00:00:77")
        assert run("ip", "neigh", "show", A.address, "nud", "permanent") == "", (
            "what the planner supposes of the kernel"
        )
        run("ip", "route", "flush", "proto", "97")
        run("ip", "link", "set", A.tap, "down")
        world.manager._next_comparison = 0
        world.manager.tick()
        assert A.mac in run("ip", "neigh", "show", A.address, "nud", "permanent")
    wait_for("ping", lambda: ping("out", A.address))


def test_dnsmasq_is_started_again(world):
    _plug_for_dhcp(world, A)
    pid = (world.directory / "pid").read_text().strip()
    run("kill", "-9", pid)
    wait_for("its end", lambda: not world.manager.dhcp._process.is_running(str(world.directory)))
    with inside("host"):
        world.manager.tick()
    assert _dhcp(A)[0] == A.address


def test_rules_that_others_flushed_come_back(world):
    world.plug(A, "web")
    with inside("host"):
        run("nft", "flush", "ruleset")
        world.firewall.look_after()
        assert A.tap in run("nft", "list", "map", "inet", "arbaro_l2isolate", "ingress_of")
    server = listen("a", 7001)
    assert connect("out", A.address, 7001) is None
    server.close()


def test_the_arp_table_alone_comes_back(world):
    world.plug(A, "web")
    with inside("host"):
        run("nft", "flush", "table", "arp", "arbaro_l2isolate")
        run("nft", "delete", "table", "arp", "arbaro_l2isolate")
        world.firewall.look_after()
        assert A.tap in run("nft", "list", "set", "arp", "arbaro_l2isolate", "sources")
    assert ping("a", "192.0.2.2") == 1


def test_rules_that_others_deleted_come_back_with_the_next_change(world):
    world.plug(A, "web")
    with inside("host"):
        run("nft", "delete", "table", "inet", "arbaro_l2isolate")
    world.plug(B, "web")
    with inside("host"):
        assert A.tap in run("nft", "list", "map", "inet", "arbaro_l2isolate", "ingress_of")
    assert ping("a", B.address) == 1


def test_a_moved_server_loses_its_route_at_once_and_gets_it_at_activation(world):
    world.plug(A, "web")
    with inside("host"):
        world.manager.withdraw(A.tap)
        assert run("ip", "route", "show", "proto", "97") == ""
    world.settings.elevated_seconds = 1
    world.manager.elevate(A.tap)
    world.serve(A.details())
    with inside("host"):
        metrics = {line.split("metric ")[1].strip() for line in run("ip", "route", "show", "proto", "97").splitlines()}
        assert metrics == {"4209", "4210"}
        time.sleep(1.05)
        world.manager.tick()
        assert run("ip", "route", "show", "proto", "97").split()[-2:] == ["metric", "4210"]
