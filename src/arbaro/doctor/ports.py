# SPDX-License-Identifier: Apache-2.0
"""What belongs to a server, out of the evidence: its ports, its taps, its host. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from arbaro.doctor.questions import OPENSTACK, PORTS, SERVERS
from arbaro.doctor.site import hosts_in
from arbaro.evidence import Evidence
from arbaro.hosts import COMPUTE

#: nova's and the kernel's name for a port's interface.
TAP = "tap{:.11}"
#: Seconds that a server which has just been started is not judged.
COMING_UP = 20
#: The owner of a port that a server has.
OF_SERVER = "compute:"


@dataclass(frozen=True)
class Port:
    """A port of a server that runs on a host."""

    id: str
    host: str
    server: str
    its: Mapping[str, Any]

    @cached_property
    def tap(self) -> str:
        """Its interface on the host."""
        return TAP.format(self.id)

    @cached_property
    def addresses(self) -> list[str]:
        """Its IPv4 addresses."""
        return [address for address, _ in self.its["addresses"] if ":" not in address]


def seen(evidence: Evidence, what: str, place: str = OPENSTACK) -> Any:
    """A fact, or nothing where it was not seen: for finding where to look, never for judging."""
    fact = evidence.facts.get(place, {}).get(what)
    return fact.value if fact and not fact.error else {}


def running(server: Mapping[str, Any], evidence: Evidence) -> bool:
    """Say whether a server is meant to run, nothing is being done to it, and it had time to come up."""
    at = evidence.facts[OPENSTACK][SERVERS].at
    young = server["launched"] and at - moment(server["launched"]) < COMING_UP
    return server["vm_state"] == "active" and server["task_state"] is None and bool(server["host"]) and not young


def moment(text: str) -> float:
    """A time of OpenStack's, which is UTC, as seconds since 1970."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def server_ports(evidence: Evidence) -> dict[str, Port]:
    """The ports of all servers that are meant to run, by id."""
    servers, hosts = seen(evidence, SERVERS), hosts_in(evidence, COMPUTE)
    moving = {one["instance_uuid"] for one in seen(evidence, "migrations") or []}
    return {
        number: Port(number, servers[port["server"]]["host"], port["server"], port)
        for number, port in seen(evidence, PORTS).items()
        if port["owner"].startswith(OF_SERVER) and port["server"] in servers
        if running(servers[port["server"]], evidence)
        and port["server"] not in moving
        and port["up"]
        and servers[port["server"]]["host"] in hosts
    }


def ports_on(evidence: Evidence, host: str) -> Iterator[Port]:
    """Those of a host."""
    yield from (port for port in server_ports(evidence).values() if port.host == host)


def named(evidence: Evidence, server: str) -> str:
    """A server's name, for a person."""
    return str(seen(evidence, SERVERS).get(server, {}).get("name", server))
