# SPDX-License-Identifier: Apache-2.0
"""Ports on a real hypervisor: 100 that come at once, one more beside 1,000, the agent's start, messages, memory.

    ./arbaro up ports --computes 1                                    or with --network linuxbridge
    .venv/bin/python benchmarks/ports.py ports [--ports 100] [--taps 1000] [--minutes 10] [--json]

Real: neutron-server, RabbitMQ, the agents, taps, kernel, dnsmasq. Stands in: nova, whose part (ports bound to the host,
then their taps) is done here, all ports with one request and all their taps with one command, so that they do come at
once; guests, as no tap has one. Times count from neutron's answer, so a tap's making is in them, neutron's API is not.

"In place" is seen on the host as the kernel tells it: the port's rules; the file that dnsmasq reads (linuxbridge's
dnsmasq is told by signal just after); for l2isolate the route (linuxbridge leaves the tap's entry into the bridge to
nova). That is exact to some milliseconds, ACTIVE to 0.1 s. An agent's start is over when no message and no change has
come for six seconds, which are not counted. Messages are copies of each one that RabbitMQ was given; the agents'
periodic reports are left out. Each phase ends after --minutes, and the table says what was reached.
"""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

from ports_cloud import BULK, Neutron, Remote, patiently, say, wait
from ports_table import Figures, summary, table

#: What is restarted, what takes memory, and where dnsmasq's files are.
AGENTS = {
    "l2isolate": ["neutron-l2isolate-agent"],
    "linuxbridge": ["neutron-linuxbridge-agent", "neutron-dhcp-agent"],
}
UNITS = {
    "l2isolate": ["neutron-l2isolate-agent", "l2isolate-dhcp"],
    "linuxbridge": ["neutron-linuxbridge-agent", "neutron-dhcp-agent", "neutron-metadata-agent"],
}
DHCP = {"l2isolate": "/var/lib/arbaro-l2isolate/dhcp/hosts", "linuxbridge": "/var/lib/neutron/dhcp/{network}"}
KINDS = {"l2isolate": ("route", "filter", "dhcp"), "linuxbridge": ("filter", "dhcp")}
#: Seconds without a message or a change after which nothing more is expected.
QUIET = 6
ONE_MORE = 5


class Bench:
    """What has been made and what has been seen of it so far."""

    def __init__(self, neutron: Neutron, compute: Remote, controller: Remote, limit: float) -> None:
        self.neutron, self.compute, self.controller, self.limit = neutron, compute, controller, limit
        self.kinds = KINDS[neutron.driver]
        self.ports: dict[str, str] = {}  # tap → port
        self.seen: dict[tuple[str, str], float] = {}  # (kind or "active", tap) → when
        self.messages: Counter[str] = Counter()
        self.last = 0.0

    def look(self) -> None:
        """Take in what both hosts have noted."""
        noted, changed = self.compute.ask("events")
        active, messages, sent = self.controller.ask("events")
        self.seen |= {(kind, tap): at for kind, tap, at in noted}
        self.seen |= {("active", tap_of(port)): at for port, at in active}
        self.messages = Counter(messages)
        self.last = max(changed, sent)

    def add(self, count: int) -> tuple[list[str], float, float]:
        """Make ports and their taps; return the taps, when neutron had answered, and how long that had taken."""
        asked = time.monotonic()
        made, answered = self.neutron.create(count)
        taps = {tap_of(port): mac for port, mac in made.items()}
        self.compute.ask("plug", taps=taps)
        self.ports |= {tap_of(port): port for port in made}
        return list(taps), answered, answered - asked

    def settled(self, taps: list[str], kinds: tuple[str, ...] = ()) -> int:
        """How many of these taps have all of this; if it is not said of what: all that there is."""
        kinds = kinds or (*self.kinds, "active")
        return sum(all((kind, tap) in self.seen for kind in kinds) for tap in taps)

    def wait_for(self, taps: list[str], seconds: float) -> bool:
        """Wait until all is there for these taps."""

        def done() -> bool:
            self.look()
            return self.settled(taps) == len(taps)

        return wait(done, seconds, lambda: f"{self.settled(taps)} of {len(taps)} ports are in place and ACTIVE")

    def wait_for_silence(self, seconds: float) -> bool:
        """Wait until nothing happens any more."""

        def done() -> bool:
            self.look()
            return time.monotonic() - self.last > QUIET

        return wait(done, seconds, lambda: "messages still come")

    # The phases.

    def at_once(self, count: int) -> Figures:
        """Have many ports come at once."""
        before = Counter(self.messages)
        taps, began, api = self.add(count)
        self.wait_for(taps, self.limit)
        reached = self.settled(taps)
        self.wait_for_silence(self.limit)
        return {
            "ports": count,
            "reached": reached,
            "api_s": api,
            **{kind: self.since(began, taps, (kind,)) for kind in (*self.kinds, "active")},
            "in_place": self.since(began, taps, self.kinds),
            "messages": dict(self.messages - before),
        }

    def since(self, began: float, taps: list[str], kinds: tuple[str, ...]) -> list[float]:
        """Seconds until each of the taps had all of this; those that have not got it are left out."""
        there = [tap for tap in taps if self.settled([tap], kinds)]
        return [max(self.seen[kind, tap] for kind in kinds) - began for tap in there]

    def fill(self, wanted: int) -> Figures:
        """Add ports in batches until there are so many, or until the next batch would not end in time."""
        began, took = time.monotonic(), 0.0
        while len(self.ports) < wanted and time.monotonic() - began + took < self.limit:
            batch = time.monotonic()
            taps, *_ = self.add(min(BULK, wanted - len(self.ports)))
            if not self.wait_for(taps, self.limit - (batch - began)):
                break
            took = time.monotonic() - batch
            say(f"{len(self.ports)} taps, the last {len(taps)} took {took:.0f} s")
        return {"taps": len(self.ports), "in_place": self.settled(list(self.ports)), "s": time.monotonic() - began}

    def one_more(self) -> Figures:
        """Add single ports."""
        self.wait_for_silence(self.limit)
        before, place, active = Counter(self.messages), [], []
        began = time.monotonic()
        while len(place) < ONE_MORE and time.monotonic() - began < self.limit:
            taps, answered, _ = self.add(1)
            if not self.wait_for(taps, self.limit - (time.monotonic() - began)):
                break
            place += self.since(answered, taps, self.kinds)
            active += self.since(answered, taps, ("active",))
        self.wait_for_silence(60)
        return {"in_place": place, "active": active, "messages": dict(self.messages - before)}

    def start(self) -> Figures:
        """Restart the agents, and wait until they have asked neutron-server, and nothing more happens."""
        self.look()
        before = Counter(self.messages)
        units = AGENTS[self.neutron.driver]
        began, started = patiently("restarting agents", lambda: self.compute.ask("restart", units=units))

        def done() -> bool:
            self.look()
            return bool(self.messages - before) and time.monotonic() - self.last > QUIET

        whole = wait(done, self.limit, lambda: f"{(self.messages - before).total()} messages")
        return {
            "taps": len(self.ports),
            "systemd_s": started - began,
            "steady_s": self.last - began if whole else None,
            "messages": dict(self.messages - before),
        }


def tap_of(port: str) -> str:
    """Return the name of a port's tap."""
    return f"tap{port}"[:14]


@contextlib.contextmanager
def bench(cloud: str, limit: float) -> Iterator[Bench]:
    """Have all that is needed in a cloud; it goes in the reverse order, whatever ends us."""
    with Neutron(cloud) as neutron:
        dhcp = DHCP[neutron.driver].format(network=neutron.network)
        with (
            Remote(cloud, "controller", "ports_controller.py", project=neutron.project) as controller,
            Remote(cloud, neutron.compute, "ports_compute.py", dhcp=dhcp) as compute,
        ):
            yield Bench(neutron, compute, controller, limit)


def measure(wish: argparse.Namespace) -> Figures:
    """Go through all phases."""
    with bench(wish.cloud, wish.minutes * 60) as here:
        found: Figures = {"network": here.neutron.driver, "minutes": wish.minutes}
        here.wait_for_silence(60)
        units = UNITS[here.neutron.driver]
        phases = {
            "at_once": lambda: here.at_once(wish.ports),
            "fill": lambda: here.fill(wish.taps),
            "one_more": here.one_more,
            "start": here.start,
            "memory": lambda: here.compute.ask("memory", units=units),
        }
        for name, phase in phases.items():
            say(f"phase {name}")
            found[name] = phase()
            say(json.dumps({name: summary(found[name])}))
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cloud")
    parser.add_argument("--ports", type=int, default=100, help="how many come at once")
    parser.add_argument("--taps", type=int, default=1000, help="how many are there for what comes after")
    parser.add_argument("--minutes", type=float, default=10, help="how long each phase may take")
    parser.add_argument("--json", action="store_true", help="print all figures instead of the table")
    wish = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended by a signal."))
    found = measure(wish)
    print(json.dumps(found) if wish.json else table([found]))


if __name__ == "__main__":
    main()
