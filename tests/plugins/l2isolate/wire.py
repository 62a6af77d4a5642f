# SPDX-License-Identifier: Apache-2.0
"""Usage: wire.py HOST_NAMESPACE TAP GUEST_NAMESPACE MAC: what QEMU is to a tap. Says "ready", carries frames until killed."""

import ctypes
import fcntl
import os
import pathlib
import select
import struct
import subprocess
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000


def open_tap(namespace, name):
    with pathlib.Path(f"/run/netns/{namespace}").open() as there:
        if ctypes.CDLL(None).setns(there.fileno(), 0x40000000):
            raise OSError(f"setns {namespace}")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def main(host_space, tap_name, guest_space, mac):
    host = open_tap(host_space, tap_name)
    guest = open_tap(guest_space, "eth0")
    subprocess.run(["ip", "link", "set", "eth0", "address", mac, "mtu", "1450", "up"], check=True)
    print("ready", flush=True)
    other = {host: guest, guest: host}
    while True:
        for tap in select.select(list(other), [], [])[0]:
            try:
                os.write(other[tap], os.read(tap, 65536))
            except OSError:
                # The other side is down: the frame is lost, as on a real wire.
                continue


if __name__ == "__main__":
    main(*sys.argv[1:])
