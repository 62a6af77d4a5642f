# SPDX-License-Identifier: Apache-2.0
"""A host is a host: a full Debian system that we reach by SSH, wherever it comes from."""

from dataclasses import dataclass
from ipaddress import IPv4Address

CONTROLLER = "controller"
COMPUTE = "compute"


@dataclass(frozen=True)
class Host:
    """One host of a cloud; `roles` are the names of its Ansible groups."""

    name: str
    address: IPv4Address
    roles: frozenset[str]

    def is_a(self, role: str) -> bool:
        """Say whether the host has this role."""
        return role in self.roles
