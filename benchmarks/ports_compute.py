# SPDX-License-Identifier: Apache-2.0
"""Runs on a compute for ports.py: makes taps as nova does, and notes when the host knows what for each of them.

Takes one JSON request on each line of its input and answers each with one line. At the end of its input, whatever ended
it, its taps go. It asks the kernel nothing: routes and filters come as notifications of netlink, DHCP's files
by inotify, so it costs next to nothing and notes a change when the kernel has made it.
"""

import ctypes
import json
import os
import pathlib
import re
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time

#: `ip link delete group` takes all away in one go, also those of a run that was killed.
GROUP = 7797
TAP = re.compile(rb"tap[0-9a-f-]{11}")
NETLINK_NETFILTER, SOL_NETLINK, ADD_MEMBERSHIP, SO_RCVBUFFORCE = 12, 270, 1, 33
LINKS_AND_ROUTES, NFTABLES = 0x1 | 0x40, 7  # RTMGRP_LINK | RTMGRP_IPV4_ROUTE; NFNLGRP_NFTABLES
NEWLINK, NEWROUTE, NEWRULE, NEWSETELEM = 16, 24, 10 << 8 | 6, 10 << 8 | 12
IFLA_IFNAME, RTA_OIF, ROUTE_PROTOCOL = 3, 4, 97
MOVED_TO = 0x80


class Watch(threading.Thread):
    """Notes when each tap first had its route, its filter, its line for DHCP; and when anything last changed.

    `dhcp` is the directory of dnsmasq's files: one file for each tap, or one called `host` for all.
    """

    def __init__(self, dhcp):
        super().__init__(daemon=True)
        self.dhcp = pathlib.Path(dhcp)
        self.by_mac, self.by_index, self.seen, self.noted, self.told, self.last = {}, {}, set(), [], 0, 0.0
        self.selector = selectors.DefaultSelector()
        self._listen(socket.NETLINK_ROUTE, self._kernel).bind((0, LINKS_AND_ROUTES))
        nftables = self._listen(NETLINK_NETFILTER, self._kernel)
        nftables.bind((0, 0))
        nftables.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, NFTABLES)
        libc = ctypes.CDLL(None, use_errno=True)
        inotify = libc.inotify_init()
        if libc.inotify_add_watch(inotify, str(dhcp).encode(), MOVED_TO) < 0:
            raise SystemExit(f"Cannot watch {dhcp}: error {ctypes.get_errno()}")
        self.selector.register(inotify, selectors.EVENT_READ, self._renamed)

    def _listen(self, family, handle):
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
        listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.selector.register(listener, selectors.EVENT_READ, handle)
        return listener

    def run(self):
        """Watch for ever."""
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def _note(self, kind, tap):
        self.last = time.monotonic()
        if tap and (kind, tap) not in self.seen:
            self.seen.add((kind, tap))
            self.noted.append([kind, tap, self.last])

    def _kernel(self, listener):
        data = listener.recv(1 << 20)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            self._message(kind, data[16:length])
            data = data[(length + 3) & ~3 :]

    def _message(self, kind, body):
        if kind == NEWLINK:
            self._link(struct.unpack_from("=i", body, 4)[0], dict(attributes(body[16:])))
        elif kind == NEWROUTE and body[5] == ROUTE_PROTOCOL:
            out = dict(attributes(body[12:])).get(RTA_OIF)
            self._note("route", self.by_index.get(struct.unpack("=i", out)[0]) if out else None)
        elif kind in (NEWRULE, NEWSETELEM):
            # Table, then chain or set. Each is part of one transaction with all that the tap needs.
            (_, table), (_, inner), *_ = attributes(body[4:])
            ours = kind == NEWSETELEM and inner == b"ingress_of\0"
            stock = kind == NEWRULE and table == b"filter\0" and body[0] == socket.AF_INET
            for tap in TAP.findall(body) if ours or stock else ():
                self._note("filter", tap.decode())

    def _link(self, index, about):
        name = about.get(IFLA_IFNAME, b"").rstrip(b"\0")
        if TAP.fullmatch(name):
            self.by_index[index] = name.decode()

    def _renamed(self, inotify):
        data = os.read(inotify, 1 << 20)
        while data:
            length = struct.unpack_from("=iIII", data)[3]
            name = data[16 : 16 + length].rstrip(b"\0")
            data = data[16 + length :]
            if TAP.fullmatch(name):
                self._note("dhcp", name.decode())
            elif name == b"host":
                for line in (self.dhcp / "host").read_text().splitlines():
                    self._note("dhcp", self.by_mac.get(line.split(",")[0]))


def attributes(data):
    """Yield (number, value) of netlink attributes."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(max(length, 4) + 3) & ~3 :]


def quietly(*command, check=True):
    """Run a command that reads none of our requests and writes into none of our answers; return its code."""
    return subprocess.run(command, check=check, stdin=subprocess.DEVNULL, capture_output=True).returncode


def plug(watch, taps):
    """Make taps ({name: MAC of the guest}), up, with the MAC that libvirt gives the host's side."""
    watch.by_mac |= {mac: name for name, mac in taps.items()}
    made = "".join(f"tuntap add dev {name} mode tap\n" for name in taps)
    subprocess.run(["ip", "-batch", "-"], input=made, text=True, check=True)
    rest = "".join(f"link set dev {name} address fe{mac[2:]} group {GROUP} up\n" for name, mac in taps.items())
    subprocess.run(["ip", "-batch", "-"], input=rest, text=True, check=True)
    return time.monotonic()


def unplug(watch=None):
    """Take all taps away; that there is none is no failure."""
    return quietly("ip", "link", "delete", "group", str(GROUP), check=False)


def events(watch):
    """Return what is new: [kind, tap, when], and when anything last changed."""
    new = watch.noted[watch.told :]
    watch.told += len(new)
    return [new, watch.last]


def restart(watch, units):
    """Stop units, then start them; return when the start began, and when systemd called it done."""
    quietly("systemctl", "stop", *units)
    began = time.monotonic()
    quietly("systemctl", "start", *units)
    return [began, time.monotonic()]


def memory(watch, units):
    """Return the MiB that all processes of each unit have: the sum of their proportional set sizes."""
    found = dict.fromkeys(units, 0)
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            groups = (process / "cgroup").read_text()
            sizes = (process / "smaps_rollup").read_text()
        except OSError:
            continue
        for unit in units:
            if f"/{unit}.service" in groups and "\nPss:" in sizes:
                found[unit] += int(sizes.split("\nPss:")[1].split()[0])
    return {unit: round(kib / 1024) for unit, kib in found.items()}


DO = {"plug": plug, "unplug": unplug, "events": events, "restart": restart, "memory": memory}

if __name__ == "__main__":
    watch = Watch(**json.loads(sys.argv[1]))
    watch.start()
    try:
        unplug()
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(DO[request.pop("do")](watch, **request)), flush=True)
    finally:
        unplug()
