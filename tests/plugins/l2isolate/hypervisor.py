# SPDX-License-Identifier: Apache-2.0
"""A hypervisor and its guests for tests: network namespaces, joined by real taps. Needs root, /dev/net/tun, ip, ping.

A guest is a namespace whose eth0 is a tap too; `wire.py` carries frames between the two taps, as QEMU does.
"""

import contextlib
import ctypes
import os
import pathlib
import socket
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
WIRE = pathlib.Path(__file__).with_name("wire.py")
PREFIX = "l2t-"


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=20, **options).stdout


@contextlib.contextmanager
def inside(namespace):
    """Put this thread into a namespace: sockets, netlink and child processes made here are there."""
    namespaces = pathlib.Path("/proc/thread-self/ns/net"), pathlib.Path(f"/run/netns/{PREFIX}{namespace}")
    with namespaces[0].open() as home, namespaces[1].open() as there:
        _enter(there)
        try:
            yield
        finally:
            _enter(home)


def _enter(handle):
    if LIBC.setns(handle.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def wait_for(what, look, seconds=5):
    """Wait until `look` answers something true; says what it waited for and what it saw last."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s; last seen: {seen!r}"
        time.sleep(0.02)
    return seen


class Guest:
    """A server: its namespace, tap, MAC and address."""

    def __init__(self, name, number, address):
        self.name, self.tap, self.address = name, f"tap{number:08x}-aa", address
        self.mac = f"fa:16:3e:00:00:{number:02x}"

    def details(self, **changes):
        """Return what neutron-server answers about its port (neutron/plugins/ml2/rpc.py)."""
        fixed = [{"subnet_id": "s1", "ip_address": self.address}]
        answer = {
            "device": self.tap, "port_id": self.tap[3:], "mac_address": self.mac, "network_id": "n1", "mtu": 1450,
            "network_type": "l2isolate", "admin_state_up": True, "fixed_ips": fixed, "device_owner": "compute:nova",
            "allowed_address_pairs": [], "port_security_enabled": True,
        }  # fmt: skip
        return {**answer, **changes}

    def filtered(self, *groups, **changes):
        """Return what neutron-server answers for the firewall (security_group_info_for_devices)."""
        answer = {
            "device": self.tap, "id": self.tap[3:], "mac_address": self.mac, "fixed_ips": [self.address],
            "security_groups": list(groups), "security_group_source_groups": [], "security_group_rules": [],
            "allowed_address_pairs": [], "port_security_enabled": True,
        }  # fmt: skip
        return {**answer, **changes}


class Hypervisor:
    """Namespaces `host` and `out` (an uplink between them, 192.0.2.0/30), and one for each guest."""

    def __init__(self):
        self.wires, self.spaces = {}, []

    def __enter__(self):
        # A run that was killed may have left namespaces behind.
        for name in run("ip", "netns", "list").split():
            if name.startswith(PREFIX):
                run("ip", "netns", "del", name)
        for name in ("host", "out"):
            self.space(name)
        with inside("host"):
            run("ip", "link", "add", "up1", "type", "veth", "peer", "name", "up1", "netns", f"{PREFIX}out")
            run("ip", "addr", "add", "192.0.2.1/30", "dev", "up1")
            run("ip", "link", "set", "up1", "up")
            run("ip", "route", "add", "default", "via", "192.0.2.2")
            run("ip", "addr", "add", "169.254.169.254/32", "dev", "lo")
            for name, value in (("ip_forward", "1"), ("conf/all/rp_filter", "0")):
                pathlib.Path(f"/proc/sys/net/ipv4/{name}").write_text(value)
        with inside("out"):
            run("ip", "addr", "add", "192.0.2.2/30", "dev", "up1")
            run("ip", "link", "set", "up1", "up")
            run("ip", "route", "add", "10.64.0.0/16", "via", "192.0.2.1")
        return self

    def __exit__(self, *_):
        for wire in self.wires.values():
            wire.terminate()
            wire.wait(5)
        for name in self.spaces:
            run("ip", "netns", "del", PREFIX + name)

    def space(self, name):
        run("ip", "netns", "add", PREFIX + name)
        self.spaces.append(name)
        with inside(name):
            run("ip", "link", "set", "lo", "up")

    def boot(self, guest, configure=True):
        """Plug a guest's tap as nova does, and start what stands for the guest."""
        if guest.name not in self.spaces:
            self.space(guest.name)
        words = [sys.executable, WIRE, PREFIX + "host", guest.tap, PREFIX + guest.name, guest.mac]
        self.wires[guest.name] = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.wires[guest.name].stdout.readline() == "ready\n"
        if configure:
            with inside(guest.name):
                run("ip", "addr", "add", f"{guest.address}/24", "dev", "eth0")
                run("ip", "route", "add", "default", "via", "10.64.1.1")

    def halt(self, guest):
        """End a guest; its taps go with it."""
        wire = self.wires.pop(guest.name)
        wire.terminate()
        wire.wait(5)


def ping(namespace, target, source=None, count=1):
    """Return how many of `count` pings were answered within 0.5 s each."""
    words = [
        "ping",
        "-n",
        "-q",
        "-c",
        str(count),
        "-i",
        "0.02",
        "-W",
        "0.5",
        *(["-I", source] if source else []),
        target,
    ]
    with inside(namespace):
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    received = [part for part in done.stdout.split(",") if " received" in part]
    return int(received[0].split()[0]) if received else 0


def listen(namespace, port, address=""):
    """Return a TCP socket that listens in a namespace."""
    with inside(namespace):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.settimeout(5)
        server.bind((address, port))
        server.listen()
        return server


def connect(namespace, address, port, seconds=0.5):
    """Return a connected TCP socket, or None if nothing answered."""
    with inside(namespace):
        client = socket.socket()
    client.settimeout(seconds)
    try:
        client.connect((address, port))
    except OSError:
        client.close()
        return None
    return client


def counter(namespace, name):
    """Return a counter of /proc/net/netstat in a namespace."""
    with inside(namespace):
        lines = pathlib.Path("/proc/thread-self/net/netstat").read_text().splitlines()
    pairs = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        pairs.update(zip(names.split()[1:], values.split()[1:], strict=True))
    return int(pairs[name])


def is_root():
    return os.geteuid() == 0
