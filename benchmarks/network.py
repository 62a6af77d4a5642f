# SPDX-License-Identifier: Apache-2.0
"""What a hypervisor with many taps costs: our agent's own code in a namespace, beside neutron's stock firewall driver.

    /usr/bin/python3 benchmarks/network.py [TAPS]     root; Debian's neutron (tests/install plugins); default 1,000 taps

Real: taps, routes, nft, iptables, ipset, dnsmasq, the manager, both firewall drivers. Stands in: neutron-server and its
answers (no message is sent), privsep (functions run in this process), guests (no tap has one; one asks for a lease).
"""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

TESTS = pathlib.Path(__file__).parents[1] / "tests/plugins/l2isolate"
sys.path.insert(0, str(TESTS))

import eventlet  # noqa: E402

import conftest  # noqa: E402, F401 - finds the plug-in

eventlet.monkey_patch()

from arbaro_l2isolate import privileged  # noqa: E402
from arbaro_l2isolate.ports import Subnet  # noqa: E402
from hypervisor import Guest, Hypervisor, inside, run  # noqa: E402
from neutron.agent.linux.iptables_firewall import IptablesFirewallDriver  # noqa: E402
from neutron.conf.agent import common as agent_conf  # noqa: E402
from neutron.conf.agent import securitygroups_rpc  # noqa: E402
from neutron.privileged import conntrack_cmd, default  # noqa: E402
from oslo_config import cfg  # noqa: E402
from test_functional import ALLOW_ALL_OUT, ALLOW_PING, World, _dhcp, allow  # noqa: E402

GROUPS = 20
SUBNET = Subnet("s1", "10.64.0.0/16", "10.64.0.1", dns=("192.0.2.53",))


def main(count: int) -> None:
    """Print the table."""
    for context in (privileged.network, privileged.dhcp, default, conntrack_cmd):
        context.set_client_mode(False)
    agent_conf.register_root_helper(cfg.CONF)
    securitygroups_rpc.register_securitygroups_opts(cfg.CONF)
    cfg.CONF([])
    cfg.CONF.set_override("lock_path", tempfile.gettempdir(), "oslo_concurrency")
    guests = [Guest(f"g{n}", n, f"10.64.{n // 250 + 1}.{n % 250 + 1}") for n in range(1, count + 2)]
    for guest in guests:
        number = int(guest.tap[3:11], 16)
        guest.mac = f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"
    rows = [*ours(guests), *stock(guests)]
    print(f"\n| with {count} taps, {GROUPS} security groups | l2isolate | neutron's iptables driver |\n|---|---:|---:|")
    for what in dict.fromkeys(what for what, _, _ in rows):
        cells = {who: value for name, who, value in rows if name == what}
        print(f"| {what} | {cells.get('ours', '–')} | {cells.get('stock', '–')} |")


def ours(guests: list[Guest]) -> Iterator[tuple[str, str, str]]:
    """Time the agent's manager, its firewall driver and dnsmasq."""
    *many, last = guests
    with tempfile.TemporaryDirectory() as directory, Hypervisor() as hypervisor:
        plug(many)
        world = World(hypervisor, pathlib.Path(directory))
        world.settings.dhcp_user = "root"
        world.manager.subnets.known = {"s1": SUBNET}
        groups = {f"group{n}": rules(n) for n in range(GROUPS)}
        ports = [guest.filtered(f"group{n % GROUPS}") for n, guest in enumerate(many)]
        try:
            yield "all filters, from nothing", "ours", timed(lambda: world.protect(ports, groups))
            yield (
                "all taps: settings, routes, DHCP, from nothing",
                "ours",
                timed(lambda: world.serve(*(guest.details() for guest in many))),
            )
            with inside("host"):
                yield "all taps compared, nothing to do", "ours", timed(world.manager._compare)
            hypervisor.boot(last, configure=False)
            yield "one more port's filter", "ours", timed(lambda: world.protect([last.filtered("group0")], {}))
            yield "one more port's route and DHCP", "ours", timed(lambda: world.serve(last.details()))
            time.sleep(0.5)
            yield "a lease: DISCOVER to ACK", "ours", timed(lambda: lease(last))
            yield "dnsmasq, resident", "ours", resident(int((pathlib.Path(directory) / "pid").read_text()))
        finally:
            subprocess.run(["kill", (pathlib.Path(directory) / "pid").read_text().strip()], check=False)


def stock(guests: list[Guest]) -> Iterator[tuple[str, str, str]]:
    """Time neutron's own firewall driver, as the linuxbridge agent uses it; rules need no taps to be written."""
    *many, last = guests
    with Hypervisor(), inside("host"):
        driver: Any = IptablesFirewallDriver()
        groups = {f"group{n}": rules(n) for n in range(GROUPS)}

        def protect(some: list[Guest]) -> None:
            with driver.defer_apply():
                for name, words in groups.items():
                    driver.update_security_group_rules(name, words)
                for number, guest in enumerate(some):
                    port = guest.filtered(f"group{number % GROUPS}")
                    driver.prepare_port_filter({**port, "network_id": "n1", "device_owner": "compute:nova"})

        yield "all filters, from nothing", "stock", timed(lambda: protect(many))
        yield "one more port's filter", "stock", timed(lambda: protect([last]))


def rules(number: int) -> list[dict[str, Any]]:
    """The rules of one group: everything out, ping and three ports in."""
    return [ALLOW_ALL_OUT, ALLOW_PING, allow(22), allow(80), allow(8000 + number)]


def plug(guests: list[Guest]) -> None:
    """Make the taps, all in one go."""
    with inside("host"):
        lines = "".join(f"tuntap add dev {guest.tap} mode tap\n" for guest in guests)
        run("ip", "-batch", "-", input=lines)


def lease(guest: Guest) -> None:
    """Ask for a lease as a guest without an address does."""
    offer = _dhcp(guest)
    assert offer and _dhcp(guest, kind=3, requested=offer[0]), "no lease"


def timed(work: Callable[[], object]) -> str:
    """Run it once; seconds or milliseconds."""
    began = time.monotonic()
    work()
    took = time.monotonic() - began
    return f"{took:.1f} s" if took >= 1 else f"{took * 1000:.0f} ms"


def resident(pid: int) -> str:
    """How much memory a process has resident."""
    with contextlib.suppress(OSError):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return f"{int(status.split('VmRSS:')[1].split()[0]) // 1024} MiB"
    return "–"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
