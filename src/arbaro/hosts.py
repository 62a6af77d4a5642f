# SPDX-License-Identifier: Apache-2.0
"""A host is a host: a full Debian system, wherever it comes from."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

CONTROLLER = "controller"
COMPUTE = "compute"
#: A top-of-rack switch of the fabric that leads to servers.
TOR = "tor"
#: A host that gives out physical machines too: a controller's second role.
MACHINES = "machines"
#: A host whose guests stand for physical machines.
RACK = "rack"


@dataclass(frozen=True)
class Host:
    """One host; `roles` are the names of its Ansible groups.

    `address` is where the other hosts of its cloud find it; None where that is not known. How it is reached from here
    is another matter (`reach.Reach`).
    """

    name: str
    address: IPv4Address | None
    roles: frozenset[str]

    @property
    def role(self) -> str:
        """The role that decides which image it starts from."""
        return next(role for role in (CONTROLLER, COMPUTE, TOR, RACK) if role in self.roles)

    def is_a(self, role: str) -> bool:
        """Say whether the host has this role."""
        return role in self.roles


def hosts_file(hosts: Iterable[Host]) -> str:
    """/etc/hosts for these hosts, as the role `common` writes it too."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    return "".join(f"{line}\n" for line in [*lines, *(f"{host.address} {host.name}" for host in hosts)])
