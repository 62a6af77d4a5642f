# SPDX-License-Identifier: Apache-2.0
"""The routed network on a real cloud: what passes, what does not, and what each fault costs (docs/reference/faults.md)."""

import contextlib
import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from arbaro.settings import cache_dir

from .conftest import Tool
from .drills import Drill, broken
from .guests import Flood, Guest, create, find, flood, frames, on, routes_to, wait_until
from .test_cloud import play


@pytest.fixture(scope="module")
def first(cloud: Tool) -> Guest:
    return find(cloud, "first-vm")


@pytest.fixture(scope="module")
def group(cloud: Tool, first: Guest) -> Iterator[str]:
    cloud.openstack("security", "group", "create", "friends")
    yield "friends"
    cloud.client("security", "group", "delete", "friends")


@pytest.fixture(scope="module")
def near(cloud: Tool, first: Guest, group: str) -> Iterator[Guest]:
    """A server beside the first one, with a config drive."""
    yield create(cloud, "near", first.host, "--config-drive", "true")
    cloud.client("server", "delete", "--wait", "near")


@pytest.fixture(scope="module")
def far(cloud: Tool, first: Guest, group: str) -> Iterator[Guest]:
    """A server on the other host."""
    yield create(cloud, "far", {"compute1": "compute2", "compute2": "compute1"}[first.host])
    cloud.client("server", "delete", "--wait", "far")


def test_neutron_sees_an_agent_on_each_compute(cloud: Tool, first: Guest) -> None:
    agents = cloud.openstack("network", "agent", "list")
    assert {(agent["Agent Type"], agent["Host"], agent["Alive"]) for agent in agents} == {
        ("L2 isolate agent", "compute1", True),
        ("L2 isolate agent", "compute2", True),
    }


def test_every_session_of_the_fabric_is_up(cloud: Tool, first: Guest) -> None:
    sessions = [item for item in cloud.status()["items"] if item["kind"] == "session"]
    assert len(sessions) == 10
    assert {item["state"] for item in sessions} == {"Established"}


def test_servers_reach_one_another(first: Guest, near: Guest, far: Guest) -> None:
    assert first.pings(near.address)
    assert first.pings(far.address)
    assert far.pings(near.address)
    assert near.pings(far.address, "-s", "1400")


def test_every_server_of_a_host_reaches_its_gateway(first: Guest, near: Guest) -> None:
    assert first.gateway() == near.gateway(), "one address on many taps"
    assert first.pings(first.gateway()) and near.pings(near.gateway())


def test_a_server_stands_alone_on_its_tap(cloud: Tool, first: Guest, near: Guest) -> None:
    assert "master" not in on(cloud, first.host, "ip -o link show type tun")
    assert f"{near.address} dev {near.tap()} proto l2isolate" in on(cloud, near.host, "ip route")
    neighbours = first.ssh("ip neigh show dev eth0")
    assert len(set(re.findall(r"lladdr (\S+)", neighbours))) == 1, "one MAC for everybody"


@pytest.fixture
def outside(cloud: Tool) -> Iterator[str]:
    """A network beyond this machine, that knows no way back to servers: they are seen under the machine's address."""
    for words in (
        "netns add arbaro-outside",
        "link add arbaro-out type veth peer name eth0 netns arbaro-outside",
        "address add 192.0.2.1/24 dev arbaro-out",
        "link set arbaro-out up",
        "-n arbaro-outside address add 192.0.2.2/24 dev eth0",
        "-n arbaro-outside link set eth0 up",
        "-n arbaro-outside link set lo up",
    ):
        cloud.run(["ip", *words.split()])
    yield "192.0.2.2"
    cloud.run(["ip", "netns", "delete", "arbaro-outside"])
    cloud.run(["ip", "link", "delete", "arbaro-out"], code=None)


def test_servers_reach_the_world_and_the_world_does_not_reach_them(cloud: Tool, first: Guest, outside: str) -> None:
    assert first.pings(outside)
    inward = ["ip", "netns", "exec", "arbaro-outside", "ip", "route", "add", "default", "via", "192.0.2.1"]
    cloud.run(inward)
    ping = ["ip", "netns", "exec", "arbaro-outside", "ping", "-c", "2", "-W", "1", first.address]
    assert "100% packet loss" in cloud.run(ping, code=None)


def test_a_rule_lets_in_a_group_and_nobody_else(cloud: Tool, first: Guest, near: Guest, far: Guest, group: str) -> None:
    default = ["ping-and-ssh"]
    cloud.client("server", "remove", "security", "group", "near", *default)
    cloud.client("server", "add", "security", "group", "near", group)
    cloud.client("security", "group", "rule", "create", "--protocol", "icmp", "--remote-group", group, group)
    cloud.client("server", "add", "security", "group", "far", group)
    wait_until(lambda: far.pings(near.address), "a member is let in")
    assert not first.pings(near.address), "no member"
    cloud.client("server", "remove", "security", "group", "far", group)
    wait_until(lambda: not far.pings(near.address), "a member no longer")
    cloud.client("server", "add", "security", "group", "near", *default)
    cloud.client("server", "remove", "security", "group", "near", group)
    wait_until(lambda: first.pings(near.address), "as before")


def test_only_listed_ports_are_open(cloud: Tool, first: Guest, near: Guest) -> None:
    first.ssh("echo hello >/run/hello; httpd -p 8080 -h /run")
    asked = f"timeout 3 wget -q -O - http://{first.address}:8080/hello"
    assert "hello" not in near.ssh(asked, code=None)
    rule = ["--protocol", "tcp", "--dst-port", "8080", "ping-and-ssh"]
    made = cloud.openstack("security", "group", "rule", "create", *rule)
    wait_until(lambda: "hello" in near.ssh(asked, code=None), "the new rule counts")
    cloud.client("security", "group", "rule", "delete", made["id"])
    wait_until(lambda: "hello" not in near.ssh(asked, code=None), "the old state")


def test_an_address_group_lets_in_whom_it_names_now(cloud: Tool, first: Guest, near: Guest, group: str) -> None:
    cloud.openstack("address", "group", "create", "--address", "192.0.2.99/32", "allies")
    rule = ["--protocol", "icmp", "--remote-address-group", "allies", group]
    made = cloud.openstack("security", "group", "rule", "create", *rule)
    cloud.client("server", "add", "security", "group", "near", group)
    cloud.client("server", "remove", "security", "group", "near", "ping-and-ssh")
    try:
        wait_until(lambda: not first.pings(near.address), "not among the allies")
        cloud.client("address", "group", "set", "--address", f"{first.address}/32", "allies")
        wait_until(lambda: first.pings(near.address), "an ally", 20)
        cloud.client("address", "group", "unset", "--address", f"{first.address}/32", "allies")
        wait_until(lambda: not first.pings(near.address), "an ally no longer", 20)
    finally:
        cloud.client("server", "add", "security", "group", "near", "ping-and-ssh")
        cloud.client("server", "remove", "security", "group", "near", group)
        cloud.client("security", "group", "rule", "delete", made["id"])
        cloud.client("address", "group", "delete", "allies")
    wait_until(lambda: first.pings(near.address), "as before")


def test_a_server_of_stateless_groups_is_reached_from_everywhere(
    cloud: Tool, first: Guest, near: Guest, far: Guest
) -> None:
    near.ssh("echo hello >/run/hello; httpd -p 80 -h /run")
    cloud.openstack("security", "group", "create", "--stateless", "raw")
    cloud.client("security", "group", "rule", "create", "--protocol", "icmp", "raw")
    for port in ("80", "22"):
        cloud.client("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", port, "raw")
    cloud.client("port", "set", "--no-security-group", "--security-group", "raw", near.port())
    try:
        asked = f"wget -T 3 -q -O - http://{near.address}/hello"
        for guest in (first, far):
            wait_until(lambda guest=guest: "hello" in guest.ssh(asked, code=None), f"{guest.name} is answered", 20)
            assert guest.pings(near.address)
        assert accepts((near.address, 80)) and answers(cloud, near.address), "from the machine"
        assert not near.reaches([(first.address, 22)]), "no rule lets the answer in"
        assert near.ssh("wget -T 3 -q -O - http://169.254.169.254/openstack/latest/meta_data.json")
        assert near.pings(near.gateway())
    finally:
        cloud.client("port", "set", "--no-security-group", "--security-group", "ping-and-ssh", near.port())
        cloud.client("security", "group", "delete", "raw")
    wait_until(lambda: bool(near.reaches([(first.address, 22)])), "as before", 20)


# What is forged must be seen to leave a server and not to arrive at another's tap, where the honest does arrive: an answer would not come
# back to the forger anyway.
ASKED = "icmp[icmptype] == icmp-echo"


@pytest.mark.parametrize("stolen", ["far", "1.2.3.4"])
def test_nobody_sends_as_somebody_else(cloud: Tool, near: Guest, far: Guest, first: Guest, stolen: str) -> None:
    source = far.address if stolen == "far" else stolen
    near.ssh(f"ip address add {source}/32 dev eth0")
    try:
        with (
            frames(cloud, near.host, near.tap(), f"{ASKED} and dst {first.address}") as sent,
            frames(cloud, first.host, first.tap(), f"{ASKED} and dst {first.address}") as arrived,
        ):
            # The honest one first: from it the forger has the gateway's MAC, so that ARP is not what stops the others.
            near.ssh(f"ping -c 3 -W 1 {first.address}; ping -c 3 -W 1 -I {source} {first.address}", code=None)
    finally:
        near.ssh(f"ip address del {source}/32 dev eth0")
    assert [len(by(near.address, seen)) for seen in (sent, arrived)] == [3, 3]
    assert [len(by(source, seen)) for seen in (sent, arrived)] == [3, 0]


def by(source: str, seen: list[str]) -> list[str]:
    """Those of tcpdump's lines whose packet has this source."""
    return [line for line in seen if f" {source} > " in line]


def test_nobody_sends_with_another_mac(cloud: Tool, near: Guest, first: Guest) -> None:
    own, forged = near.ssh("cat /sys/class/net/eth0/address").strip(), "02:00:00:00:00:99"
    assert near.pings(first.address)
    router = "fe" + own[2:]  # The host's side of the tap answers for everybody.
    ask = f"ping -c 3 -W 1 {first.address}"
    with (
        frames(cloud, near.host, near.tap(), f"{ASKED} and dst {first.address}") as sent,
        frames(cloud, first.host, first.tap(), f"{ASKED} and dst {first.address}") as arrived,
    ):
        # In one go: until its MAC is its own again, SSH has no answer. With the MAC it forgets its neighbours', and would ask by ARP.
        wrong = f"ip link set eth0 address {forged}; arp -s {first.address} {router}; {ask}; arp -d {first.address}"
        near.ssh(f"{wrong}; ip link set eth0 address {own}; {ask}", code=None)
    by_mac = {mac: {ping_of(line) for line in sent if f" {mac} > " in line} for mac in (own, forged)}
    assert all(by_mac.values()), "both were sent"
    assert {ping_of(line) for line in arrived} == by_mac[own]


def ping_of(line: str) -> str:
    """By which number a ping's packets are known."""
    return re.findall(r"echo request, id (\d+),", line)[0]


def test_nobody_speaks_arp_for_somebody_else(cloud: Tool, near: Guest, far: Guest) -> None:
    ask, gateway, tap = "arping -c 2 -w 3 -I eth0", near.gateway(), near.tap()
    near.ssh(f"ip address add {far.address}/32 dev eth0")
    try:
        with frames(cloud, near.host, tap, "arp") as sent:
            answered = near.ssh(f"{ask} -s {far.address} {gateway}", code=None)
    finally:
        near.ssh(f"ip address del {far.address}/32 dev eth0")
    assert any(f" tell {far.address}," in line for line in sent), "it was sent"
    assert "Received 0 response" in answered
    assert far.address not in on(cloud, near.host, f"ip neigh show dev {tap}").split()
    assert "Received 2 response" in near.ssh(f"{ask} {gateway}", code=None), "its own is answered"


# keystone, the consoles' page, nova, metadata, placement, the machine service, glance, neutron.
PUBLIC = {5000, 6080, 8774, 8775, 8778, 8780, 9292, 9696}


def listening(cloud: Tool, host: str, address: str) -> set[tuple[str, int]]:
    """The TCP ports that a host has open, and by which of its addresses: `address` where it is any."""
    ends = [line.split()[3].rsplit(":", 1) for line in on(cloud, host, "ss -Hltn").splitlines()]
    found = {(address if end.partition("%")[0] in ("0.0.0.0", "*", "[::]") else end, int(port)) for end, port in ends}
    return {(end, port) for end, port in found if not end.startswith(("127.", "["))}


def addresses_of_hosts(cloud: Tool) -> dict[str, str]:
    """The hosts' names, and their addresses on the management network."""
    lines = [line.split() for line in on(cloud, "controller", "cat /etc/hosts").splitlines()]
    return {words[1]: words[0] for words in lines if len(words) > 1}


def accepts(target: tuple[str, int]) -> bool:
    """Say whether this machine, which is on the management network, gets a connection."""
    try:
        socket.create_connection(target, timeout=3).close()
    except OSError:
        return False
    return True


def test_hosts_are_closed_to_servers_but_for_public_ports(cloud: Tool, first: Guest, near: Guest) -> None:
    addresses = addresses_of_hosts(cloud)
    names = ("controller", "compute1", "compute2", "tor1", "tor2")
    # Metadata's port by another address than metadata's.
    on(cloud, first.host, "systemd-run --unit=arbaro-test-listener python3 -m http.server 8775")
    try:
        wait_until(lambda: accepts((addresses[first.host], 8775)), "the listener")
        ports = {name: listening(cloud, name, addresses[name]) for name in names}
        targets = set().union(*ports.values())
        assert {(addresses["controller"], 5672), (addresses[first.host], 8775)} < targets
        assert {(addresses[name], 22) for name in names} < targets
        assert [target for target in targets if not accepts(target)] == [], (
            "what no server reaches is there all the same"
        )
        gateway = {(first.gateway(), port) for end, port in ports[first.host] if end == addresses[first.host]}
        reached = first.reaches([*targets, *gateway, (near.address, 22)])
    finally:
        on(cloud, first.host, "systemctl stop arbaro-test-listener")
    public = {(address, port) for address, port in ports["controller"] if port in PUBLIC}
    assert reached == public | {(near.address, 22)}


def test_flushed_rules_come_back(cloud: Tool, first: Guest) -> None:
    controller = addresses_of_hosts(cloud)["controller"]
    tables = {"table inet arbaro_l2isolate", "table arp arbaro_l2isolate", "table inet l2isolate_host"}
    with flood(first.address) as seen:
        on(cloud, first.host, "nft flush ruleset")
        wait_until(lambda: tables <= set(on(cloud, first.host, "nft list tables").splitlines()), "all tables", 15)
        wait_until(
            lambda: first.reaches([(controller, 22), (controller, 5000)]) == {(controller, 5000)}, "as before", 15
        )
    assert seen[first.address].lost == 0


def test_metadata_knows_who_asks(first: Guest, near: Guest, far: Guest) -> None:
    for guest in (first, near, far):
        answer = guest.ssh("wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json")
        assert json.loads(answer)["name"] == guest.name
    assert "Hello from" in first.ssh("wget -q -O - http://169.254.169.254/openstack/latest/user_data")


def test_a_config_drive_is_read(cloud: Tool, near: Guest) -> None:
    assert "config drive read" in cloud.client("console", "log", "show", "near")


def test_a_lease_is_renewed(cloud: Tool, first: Guest) -> None:
    tap, began = first.tap(), time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    first.ssh("killall -USR1 udhcpc")
    wait_until(
        lambda: (
            f"DHCPACK({tap}) {first.address}"
            in on(cloud, first.host, f"journalctl -u l2isolate-dhcp -o cat --since '{began}'")
        ),
        "dnsmasq's answer",
        20,
    )


def test_a_port_comes_and_goes(cloud: Tool, near: Guest, first: Guest) -> None:
    port = cloud.openstack("port", "create", "--network", "provider", "--security-group", "ping-and-ssh", "second-port")
    address = port["fixed_ips"][0]["ip_address"]
    cloud.client("server", "add", "port", "near", "second-port")
    wait_until(lambda: address in routes_to(cloud, near.host), "its route")
    wait_until(lambda: "eth1" in near.ssh("ls /sys/class/net"), "its interface")
    wait_until(lambda: "obtained" in near.ssh(f"{LEASE} 2>&1", code=None), "its lease", 30)
    with frames(cloud, first.host, first.tap(), ASKED) as arrived:
        assert near.pings(first.address, "-I", "eth1")
    assert len(by(address, arrived)) == 3
    cloud.client("server", "remove", "port", "near", "second-port")
    wait_until(lambda: address not in routes_to(cloud, near.host), "no route")
    cloud.client("port", "delete", "second-port")


# As at boot (images/guests/tiny/root/etc/boot/chain), but it ends with the lease, or without.
LEASE = "udhcpc -i eth1 -n -q -t 5 -T 1 -s /etc/boot/dhcp -O mtu -O staticroutes"


@pytest.fixture
def without_inspection(cloud: Tool) -> Iterator[None]:
    """Debian's nova 26.2.2 inspects a server's kernel as if it were a disk when it moves live, and refuses it.

    Only guests with a kernel image of their own (tiny) are hit; nova has a switch for it.
    """
    file, section = "/etc/nova/nova-compute.conf", "[workarounds]\ndisable_deep_image_inspection = true"
    for host in ("compute1", "compute2"):
        on(cloud, host, f"cp -p {file} {file}.kept; printf '\n{section}\n' >>{file}; systemctl restart nova-compute")
    wait_until(lambda: cloud.findings() == [], "nova-compute is back", 120)
    yield
    for host in ("compute1", "compute2"):
        on(cloud, host, f"mv {file}.kept {file}; systemctl restart nova-compute")
    wait_until(lambda: cloud.findings() == [], "nova-compute is back", 120)


@contextlib.contextmanager
def moved(
    cloud: Tool, near: Guest, first: Guest, target: str, *words: str, every: float = 0.1
) -> Iterator[dict[str, Flood]]:
    """Move a server; yields what a flood of pings to it sees, until its route is at the new host and there alone."""
    source = find(cloud, "near").host
    with flood(near.address, every=every) as seen:
        cloud.client("server", "migrate", *words, "--host", target, "--wait", "near")
        yield seen
        wait_until(lambda: near.address in routes_to(cloud, target), "its route on the new host")
        wait_until(lambda: near.address not in routes_to(cloud, source), "no route on the old host")
        wait_until(lambda: first.pings(near.address), "ping")
    assert find(cloud, "near").host == target


def other_host(cloud: Tool, *guests: Guest) -> str:
    """Say where the server `near` is not."""
    here = find(cloud, "near").host
    return next(guest.host for guest in guests if guest.host != here)


def test_a_server_moves_live(cloud: Tool, near: Guest, far: Guest, first: Guest, without_inspection: None) -> None:
    """Its route moves once; nothing is lost but what QEMU itself pauses."""
    target = other_host(cloud, far, first)
    with moved(cloud, near, first, target, "--live-migration", "--block-migration", every=0.02) as seen:
        pass
    domain = cloud.openstack("server", "show", "near")["OS-EXT-SRV-ATTR:instance_name"]
    job = on(cloud, target, f"virsh domjobinfo {domain} --completed --rawstats")
    paused = int(re.findall(r"downtime: +(\d+)", job)[0]) / 1000
    result = seen[near.address]
    words = f"live migration, 50 pings a second; QEMU paused the guest for {paused:.2f} s"
    note(words, result.lost, result.longest, result.sent)
    assert result.longest <= paused + 0.3


def test_a_server_moves_cold(cloud: Tool, near: Guest, far: Guest, first: Guest) -> None:
    """It is shut down, and comes back elsewhere with its address."""
    with moved(cloud, near, first, other_host(cloud, far, first)) as seen:
        cloud.client("server", "migration", "confirm", "near")
    result = seen[near.address]
    note("cold migration", result.lost, result.longest, result.sent)


def test_a_server_is_shelved_and_rebuilt_and_keeps_its_address(cloud: Tool, near: Guest) -> None:
    """Shelved, it is on no host at once (nova's shelved_offload_time is 0); rebuilt, it has a new disk and a new tap."""
    source = find(cloud, "near").host
    cloud.client("server", "shelve", "--wait", "near")
    wait_until(lambda: cloud.openstack("server", "show", "near")["status"] == "SHELVED_OFFLOADED", "shelved", 120)
    wait_until(lambda: near.address not in routes_to(cloud, source), "no route while it is on no host")
    for words in (["unshelve", "--wait", "near"], ["rebuild", "--image", "tiny", "--wait", "near"]):
        old = boot_of(near)
        cloud.client("server", *words)
        wait_until(lambda: cloud.openstack("server", "show", "near")["status"] == "ACTIVE", words[0], 120)
        wait_until(lambda old=old: boot_of(near) not in ("", old), f"SSH after {words[0]}", 120)
        found = find(cloud, "near")
        assert found.address == near.address
        assert near.address in routes_to(cloud, found.host)
        assert answers(cloud, near.address)


def boot_of(guest: Guest) -> str:
    """By what one boot of a server is told from another; empty if it does not answer SSH."""
    return guest.ssh("cat /proc/sys/kernel/random/boot_id", code=None)


@dataclass(frozen=True, kw_only=True)
class Fault(Drill):
    """What dies and comes back by itself, and what that costs: `most` pings that may be lost of ten a second.

    `process` is what pgrep finds it by; `says` is what its unit's journal says when it has all in hand again, if it says so.
    """

    process: str
    most: int
    host: str = "compute"
    says: tuple[str, str] | None = None


AGENT = {
    "process": "-f /usr/bin/neutron-l2isolate-agent",
    "says": ("neutron-l2isolate-agent", "A whole turn has gone through"),
    "most": 0,
}
FAULTS = (
    Fault(name="agent killed (-9)", breaks="pkill -9 -f /usr/bin/neutron-l2isolate-agent", **AGENT),
    Fault(name="agent restarted", breaks="systemctl restart neutron-l2isolate-agent", **AGENT),
    # By its whole name: `keep-dnsmasq` would go as well, and with it the container.
    Fault(name="dnsmasq killed (-9)", breaks="pkill -9 -x dnsmasq", process="-x dnsmasq", most=0),
    Fault(
        name="dnsmasq's container restarted",
        breaks="systemctl restart l2isolate-dhcp",
        process="-x dnsmasq",
        most=0,
    ),
    # Its BFD sessions end with it, and the switches cannot tell that from a dead host.
    Fault(name="bgpd killed (-9) on the host", breaks="pkill -9 bgpd", process="bgpd", most=50),
    Fault(name="FRR restarted on the host", breaks="systemctl restart frr", process="zebra", most=100),
    # Switches and kernel keep nothing of a host whose FRR has gone; systemd waits five seconds before it starts it again.
    Fault(
        name="FRR killed (-9) as a whole on the host",
        breaks="systemctl kill -s KILL frr",
        process="zebra",
        most=150,
    ),
    *(
        Fault(name=name, breaks=breaks, process=process, most=0, host="controller")
        for name, breaks, process in (
            ("RabbitMQ restarted", "systemctl restart rabbitmq-server", "beam.smp"),
            ("neutron-server restarted", "systemctl restart neutron-server", "-f neutron-server"),
            ("RabbitMQ killed (-9)", "systemctl kill -s KILL rabbitmq-server", "beam.smp"),
            ("neutron-server killed (-9)", "systemctl kill -s KILL neutron-server", "-f neutron-server"),
        )
    ),
)


def note(name: str, lost: int, longest: float, sent: int) -> None:
    """Keep a row of the table; `make live` prints it with -s, and it is in the file."""
    with (Path("/tmp") / "arbaro-faults.md").open("a") as table:
        table.write(f"| {name} | {lost} of {sent} | {longest:.2f} s |\n")


def answers(cloud: Tool, address: str) -> bool:
    """Say whether an address answers this machine's ping."""
    return " 0% packet loss" in cloud.run(["ping", "-c", "1", "-W", "1", address], code=None)


def is_well(cloud: Tool, *addresses: str) -> bool:
    """Say whether these addresses answer and nothing is found wrong."""
    return all(answers(cloud, address) for address in addresses) and cloud.findings() == []


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_fault(cloud: Tool, first: Guest, fault: Fault) -> None:
    host = first.host if fault.host == "compute" else fault.host

    def processes() -> set[str]:
        return set(on(cloud, host, f"pgrep {fault.process}", code=None).split())

    def says() -> bool:
        unit, words = fault.says or ("", "")
        return words in on(cloud, host, f"journalctl -o cat -u {unit} --since '{began}'")

    before, began = processes(), on(cloud, host, "date '+%F %T'").strip()
    assert before
    with flood(first.address) as seen, broken(fault, lambda line: on(cloud, host, line)):
        # What is not over yet is counted to its end.
        wait_until(lambda: bool(processes()) and not before & processes(), f"{fault.process} anew", 60)
        if fault.says:
            wait_until(says, f"{fault.says}", 120)
        wait_until(lambda: is_well(cloud, first.address), "all well again", 120)
    result = seen[first.address]
    note(fault.name, result.lost, result.longest, result.sent)
    assert result.lost <= fault.most


@contextlib.contextmanager
def silent(cloud: Tool, tor: str) -> Iterator[None]:
    """A switch that takes everything and says nothing, no ARP and nothing to its VRRP partner; its cables stay up."""
    pid = cloud.run(["podman", "inspect", "--format", "{{.State.Pid}}", f"arbaro-test-{tor}"]).strip()
    inside = ["nsenter", "--target", pid, "--net"]
    ports = [
        line.split()[1].split("@")[0].rstrip(":") for line in cloud.run([*inside, "ip", "-o", "link"]).splitlines()
    ]
    chains = (
        f"chain {way}_{port} {{ type filter hook {way} device {port} priority 0; policy drop; }};"
        for port in ports
        for way in ("ingress", "egress")
        if port != "lo"
    )
    cloud.run([*inside, "nft", "table netdev silence { " + " ".join(chains) + " }"])
    yield
    cloud.run([*inside, "nft", "delete table netdev silence"])


@pytest.mark.parametrize("tor", ["tor1", pytest.param("tor2", marks=pytest.mark.soak)])
def test_a_silently_dead_switch_costs_a_second(cloud: Tool, first: Guest, far: Guest, tor: str) -> None:
    with flood(first.address, far.address) as seen:
        with silent(cloud, tor):
            wait_until(lambda: has_lost(cloud, tor), "all hosts have given up the switch", 30)
        wait_until(lambda: is_well(cloud, first.address, far.address) and has_one_router(cloud), "all well again", 120)
    for address, result in seen.items():
        name = "first" if address == first.address else "far"
        note(f"{tor} silently dead, then back ({name})", result.lost, result.longest, result.sent)
    assert max(result.longest for result in seen.values()) <= 1.2


def has_lost(cloud: Tool, tor: str) -> bool:
    """Say whether both computes have given up their session with a switch."""
    ill = {finding.where for finding in cloud.findings() if f"session on {tor} is" in finding.saw}
    return ill >= {"compute1", "compute2"}


def has_one_router(cloud: Tool) -> bool:
    """Say whether just one switch has the address by which this machine reaches servers."""
    shared = f"{cloud.cloud.spec.guest_router}/"
    return sum(shared in on(cloud, tor, "ip -br address", code=None) for tor in ("tor1", "tor2")) == 1


def test_a_switch_that_is_off_costs_a_second(cloud: Tool, first: Guest, far: Guest) -> None:
    # The one that has the shared address, by which this machine reaches the servers.
    router = cloud.run(["ip", "route", "get", first.address]).split()[2]
    tor = next(tor for tor in ("tor1", "tor2") if f"{router}/" in on(cloud, tor, "ip -br address"))
    with flood(first.address, far.address) as seen:
        cloud.run(["podman", "kill", f"arbaro-test-{tor}"])
        wait_until(lambda: finds(cloud, tor, "") and has_lost(cloud, tor), "status says so", 30)
        cloud.arbaro("start", "test")
        wait_until(lambda: is_well(cloud, first.address, far.address) and has_one_router(cloud), "all well again", 120)
    for result in seen.values():
        note(f"{tor} switched off, then on", result.lost, result.longest, result.sent)
    assert max(result.longest for result in seen.values()) <= 1.2


def test_agents_are_restarted_by_the_playbook_and_servers_notice_nothing(
    cloud: Tool, first: Guest, far: Guest, tmp_path: Path
) -> None:
    with flood(first.address, far.address) as seen:
        recap = play(cloud, "restart-agent.yml", tmp_path, "-e", "agent=neutron-l2isolate-agent")
    assert {host: facts["changed"] for host, facts in recap.items()} == {"compute1": 1, "compute2": 1}
    for result in seen.values():
        note("agent restarted on both hosts by the playbook", result.lost, result.longest, result.sent)
        assert result.lost == 0


def image_in_use(cloud: Tool) -> str:
    """The agent's image that the inventory names."""
    image: str = json.loads(cloud.arbaro("inventory", "test"))["all"]["vars"]["l2isolate_agent_image"]
    return image


def test_the_agent_is_upgraded_and_servers_notice_nothing(
    cloud: Tool, first: Guest, far: Guest, tmp_path: Path
) -> None:
    """The other image is a copy of the same one, under another name: what is tried is the roll, not another agent."""
    agents = cache_dir() / "agents"
    current = image_in_use(cloud)
    other = agents / "l2isolate-other.tar"
    shutil.copy(agents / f"{current}.tar", other)
    try:
        with flood(first.address, far.address) as seen:
            recap = play(cloud, "upgrade-agent.yml", tmp_path, "-e", "l2isolate_agent_image=l2isolate-other")
            assert all(facts["changed"] for facts in recap.values())
        for result in seen.values():
            note("agent upgraded on both hosts", result.lost, result.longest, result.sent)
            assert result.lost == 0
        assert "agents/l2isolate-other " in on(cloud, first.host, "systemctl cat neutron-l2isolate-agent")
        assert {current, "l2isolate-other"} <= set(on(cloud, first.host, "ls /var/lib/arbaro/agents").split())
        wait_until(lambda: cloud.findings() == [], "all well again", 120)
    finally:
        other.unlink()
        play(cloud, "upgrade-agent.yml", tmp_path, "-e", f"l2isolate_agent_image={current}")


@pytest.fixture
def broken_agent(cloud: Tool, tmp_path: Path) -> Iterator[str]:
    """An image whose agent dies at its start: the current one, and over it another program of that name."""
    name, agents = "l2isolate-broken", cache_dir() / "agents"
    program = tmp_path / "usr/bin/neutron-l2isolate-agent"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'I die at my start' >&2\nsleep 1\nexit 1\n")
    program.chmod(0o755)
    shutil.copy(agents / f"{image_in_use(cloud)}.tar", agents / f"{name}.tar")
    append = ["tar", "--append", "--file", str(agents / f"{name}.tar"), "--directory", str(tmp_path)]
    cloud.run([*append, "--owner=0", "--group=0", "./usr/bin/neutron-l2isolate-agent"])
    yield name
    (agents / f"{name}.tar").unlink()
    for host in ("compute1", "compute2"):
        on(cloud, host, f"rm -rf /var/lib/arbaro/agents/{name}")


def test_a_broken_agent_is_rolled_to_one_host_only(
    cloud: Tool, first: Guest, far: Guest, broken_agent: str, tmp_path: Path
) -> None:
    current = image_in_use(cloud)
    unit = "systemctl cat neutron-l2isolate-agent"
    with flood(first.address, far.address) as seen:
        try:
            said = play(
                cloud, "upgrade-agent.yml", tmp_path, "-e", f"l2isolate_agent_image={broken_agent}", fails=True
            )["said"]
            assert "neutron-l2isolate-agent did not stay up" in said
            assert "I die at my start" in said
            assert f"agents/{broken_agent} " in on(cloud, "compute1", unit)
            assert f"agents/{current} " in on(cloud, "compute2", unit)
            assert current in on(cloud, "compute1", "ls /var/lib/arbaro/agents").split(), "the way back"
            wait_until(lambda: finds(cloud, "compute1", "neutron-l2isolate-agent is "), "status says so", 90)
            assert not finds(cloud, "compute2", "")
        finally:
            play(cloud, "upgrade-agent.yml", tmp_path, "-e", f"l2isolate_agent_image={current}")
    assert f"agents/{current} " in on(cloud, "compute1", unit)
    for result in seen.values():
        note("a broken agent rolled to one host, and the right one again", result.lost, result.longest, result.sent)
        assert result.lost == 0
    wait_until(lambda: cloud.findings() == [], "all well again", 120)


def finds(cloud: Tool, host: str, words: str) -> bool:
    """Say whether `arbaro status` finds this on a host."""
    return any(finding.where == host and words in finding.saw for finding in cloud.findings())


DHCP = "/var/lib/arbaro-l2isolate/dhcp/dnsmasq.conf"
ILL = (
    *(
        Drill(
            name=unit, breaks=f"systemctl stop {unit}", mends=f"systemctl start {unit}", expects=f"{unit} is inactive"
        )
        for unit in ("neutron-l2isolate-agent", "l2isolate-host")
    ),
    # Its container runs, what runs in it does not: dnsmasq refuses its configuration. Nobody but systemd starts it again.
    Drill(
        name="l2isolate-dhcp",
        breaks=f"cp -p {DHCP} {DHCP}.kept; echo no-such-option >>{DHCP}; systemctl restart l2isolate-dhcp || true",
        mends=f"mv {DHCP}.kept {DHCP}",
        expects="l2isolate-dhcp is ",
    ),
)


def has_gone_through(cloud: Tool, host: str) -> bool:
    """Say whether the agent of a host, as it runs now, has compared everything once."""
    unit = "neutron-l2isolate-agent"
    run = f"_SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID {unit})"
    return on(cloud, host, f"journalctl -q --no-pager {run} -g 'A whole turn has gone through'", code=None) != ""


@pytest.mark.parametrize("drill", ILL, ids=[drill.name for drill in ILL])
def test_status_names_a_unit_that_does_not_work(cloud: Tool, first: Guest, drill: Drill) -> None:
    # An agent that is still starting writes DHCP's files anew, and so mends what is broken here.
    wait_until(lambda: has_gone_through(cloud, first.host), "the agent's first turn")
    assert cloud.findings() == []
    with broken(drill, lambda line: on(cloud, first.host, line)):
        # Each time, not only now and then: it looks while the unit is between two attempts, and in the middle of one.
        for _ in range(5):
            assert finds(cloud, first.host, drill.expects)
    wait_until(lambda: cloud.findings() == [], "all well again", 120)


def test_a_compute_that_reboots_brings_its_servers_back(cloud: Tool, far: Guest) -> None:
    with flood(far.address) as seen:
        cloud.run(["podman", "stop", "--time", "60", f"arbaro-test-{far.host}"])
        cloud.arbaro("start", "test")
        wait_until(lambda: answers(cloud, far.address), "ping")
    note(
        "a compute stopped and started, its server booted", *(lambda r: (r.lost, r.longest, r.sent))(seen[far.address])
    )
    # Before nova starts servers again, their taps are closed (tests/plugins/l2isolate/test_host_rules.py shows that they are).
    entered = "systemctl show --property=ActiveEnterTimestampMonotonic --value l2isolate-host nova-compute"
    closed, nova = (int(moment) for moment in on(cloud, far.host, entered).split())
    assert 0 < closed < nova
    wait_until(lambda: cloud.findings() == [], "all well again", 120)
