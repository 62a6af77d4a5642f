# SPDX-License-Identifier: Apache-2.0
"""Which nova-compute serves which machine; pure. The same answer everywhere, without anybody being asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


class Ring:
    """Rendezvous hashing: when a host comes or goes, no machine moves but those that it gets or had."""

    def __init__(self, hosts: Iterable[str]):
        """Share the machines among these hosts."""
        self.hosts = frozenset(hosts)
        self._owners: dict[str, str] = {}

    def owner(self, machine_id: str) -> str:
        """Return the host that serves this machine."""
        if machine_id not in self._owners:
            self._owners[machine_id] = max(self.hosts, key=lambda host: (weight(machine_id, host), host))
        return self._owners[machine_id]


def weight(machine_id: str, host: str) -> bytes:
    """Return how much this host wants this machine."""
    return hashlib.sha256(f"{host}/{machine_id}".encode()).digest()
