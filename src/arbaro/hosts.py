# SPDX-License-Identifier: Apache-2.0
"""A host is a host: a full Debian system that we reach by SSH, wherever it comes from."""

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
    """One host of a cloud; `roles` are the names of its Ansible groups."""

    name: str
    address: IPv4Address
    roles: frozenset[str]

    @property
    def role(self) -> str:
        """The role that decides which image it starts from."""
        return next(role for role in (CONTROLLER, COMPUTE, TOR, RACK) if role in self.roles)

    def is_a(self, role: str) -> bool:
        """Say whether the host has this role."""
        return role in self.roles
