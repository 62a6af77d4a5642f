# SPDX-License-Identifier: Apache-2.0
"""Servers of the shared cloud as tests use them: made on a host of choice, reached by SSH, pinged ten times a second."""

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .conftest import Tool

PRIVATE = Path.home() / ".local/share/arbaro/clouds/test"


@dataclass(frozen=True)
class Guest:
    """A server and its address."""

    tool: Tool
    name: str
    address: str
    host: str

    def ssh(self, command: str, *, code: int | None = 0) -> str:
        """Run a command in it; its host key is new with each boot, so nobody compares it here."""
        options = ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
        words = ["ssh", "-F", "none", "-i", str(PRIVATE / "id_ed25519"), *options, "-o", "ConnectTimeout=5"]
        return self.tool.run([*words, f"root@{self.address}", command], code=code, timeout=60)

    def pings(self, address: str, *more: str) -> bool:
        """Say whether an address answers it."""
        return " 0% packet loss" in self.ssh(f"ping -c 3 -W 2 {' '.join(more)} {address}", code=None)

    def port(self) -> str:
        """The id of its port."""
        found: str = self.tool.openstack("port", "list", "--server", self.name)[0]["ID"]
        return found

    def tap(self) -> str:
        """Its tap on its host."""
        return f"tap{self.port()[:11]}"

    def gateway(self) -> str:
        """By what it leaves its subnet: an address of its own tap."""
        return re.findall(r"default via (\S+)", self.ssh("ip route"))[0]

    def reaches(self, targets: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Say to which of these addresses and TCP ports it gets a connection; it tries all at once, for two seconds."""
        tries = [f"(nc -w 2 {a} {p} -e true 2>/dev/null && echo {a} {p}) &" for a, p in targets]
        lines = self.ssh(" ".join([*tries, "wait"])).splitlines()
        return {(address, int(port)) for address, port in (line.split() for line in lines)}


def find(tool: Tool, name: str) -> Guest:
    """Find a server by name."""
    server: dict[str, Any] = tool.openstack("server", "show", name)
    address = next(iter(server["addresses"].values()))[0]
    return Guest(tool, name, address, server["OS-EXT-SRV-ATTR:hypervisor_hostname"])


def create(tool: Tool, name: str, host: str, *more: str) -> Guest:
    """Make a server on this host and wait until its script has run."""
    base = ["--image", "tiny", "--flavor", "tiny", "--network", "provider", "--key-name", "arbaro"]
    place = ["--security-group", "ping-and-ssh", "--availability-zone", f"nova:{host}"]
    tool.openstack("server", "create", *base, *place, *more, "--wait", name)
    wait_until(lambda: "ssh ready" in tool.client("console", "log", "show", name), f"{name} ready for SSH")
    return find(tool, name)


def wait_until(look: Callable[[], bool], what: str, timeout: float = 90) -> float:
    """Wait until `look` says yes; returns the seconds it took."""
    began = time.monotonic()
    while not look():
        assert time.monotonic() - began < timeout, f"{what}: not within {timeout} s"
        time.sleep(0.5)
    return time.monotonic() - began


def on(tool: Tool, host: str, command: str, *, code: int | None = 0) -> str:
    """Run a command in the shell of one of the cloud's hosts."""
    return tool.on(host, command, code=code)


def routes_to(tool: Tool, host: str) -> set[str]:
    """The addresses that the agent of a host has routes to."""
    return {route["dst"] for route in json.loads(on(tool, host, "ip -j route show proto l2isolate"))}


@contextlib.contextmanager
def frames(tool: Tool, host: str, interface: str, expression: str) -> Iterator[list[str]]:
    """Watch an interface of a host; what passed there, as tcpdump words it, is in the list when the block has ended.

    On a tap, what a server sends is seen before any rule judges it, and what it is sent after all have.
    """
    pid = tool.run(["podman", "inspect", "--format", "{{.State.Pid}}", f"arbaro-{tool.name}-{host}"]).strip()
    command = ["tcpdump", "--immediate-mode", "-lnnei", interface, expression]
    with subprocess.Popen(
        ["nsenter", "--target", pid, "--net", "--mount", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr, "it is a pipe"
        heard = ""
        while "listening on" not in heard:
            line = process.stderr.readline()
            assert line, heard
            heard += line
        seen: list[str] = []
        try:
            yield seen
            time.sleep(0.5)
        finally:
            process.terminate()
            # A signal at the wrong moment makes it end with an empty line.
            seen += filter(None, process.communicate(timeout=10)[0].splitlines())


@dataclass
class Flood:
    """Pings ten times a second, and what came back."""

    sent: int = 0
    lost: int = 0
    longest: float = 0.0


@contextlib.contextmanager
def flood(*addresses: str, every: float = 0.1) -> Iterator[dict[str, Flood]]:
    """Ping addresses from this machine, every so many seconds, while the block runs.

    What was lost is there when it has ended.
    """
    command = ["ping", "-n", "-i", str(every), "-W", "1", "-D"]
    running = {a: subprocess.Popen([*command, a], stdout=subprocess.PIPE, text=True) for a in addresses}
    seen = {address: Flood() for address in addresses}
    time.sleep(1)
    try:
        yield seen
    finally:
        time.sleep(1.5)
        for address, process in running.items():
            process.send_signal(2)
            told = losses(process.communicate(timeout=10)[0], every)
            seen[address].sent, seen[address].lost, seen[address].longest = told.sent, told.lost, told.longest


def losses(text: str, every: float) -> Flood:
    """Read what ping printed: an answer that came twice counts once, one that came late or out of order is none the less there."""
    answered = sorted({int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", text)})
    sent = int(re.findall(r"(\d+) packets transmitted", text)[0])
    gaps = [after - before - 1 for before, after in zip([0, *answered], [*answered, sent + 1], strict=True)]
    # The last one may be on its way still.
    gaps[-1] = max(0, gaps[-1] - 1)
    return Flood(sent, sum(gaps), max(gaps) * every)
