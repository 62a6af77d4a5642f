# SPDX-License-Identifier: Apache-2.0
"""Which hosts there are, in which groups, and how each is reached: from an Ansible inventory, or from a cloud."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from arbaro.errors import ArbaroError
from arbaro.hosts import Host
from arbaro.reach import Reach

#: What Ansible calls the hosts that are in no group.
UNGROUPED = "ungrouped"


@dataclass(frozen=True)
class Inventory:
    """Hosts by name, in the inventory's order; `way` tells how one is reached, or raises ArbaroError."""

    hosts: Mapping[str, Host]
    way: Callable[[Host], Reach]

    @classmethod
    def of(cls, hosts: Iterable[Host], way: Callable[[Host], Reach]) -> "Inventory":
        """The inventory of hosts that somebody knows already, such as a personal cloud's."""
        return cls({host.name: host for host in hosts}, way)

    def reach(self, name: str) -> Reach:
        """How the host of this name is reached. Raises ArbaroError when it is not here, or not reached by SSH."""
        if name not in self.hosts:
            raise ArbaroError(f"The inventory has no host {name!r}.", hint="ansible-inventory -i INVENTORY --graph")
        return self.way(self.hosts[name])

    def groups(self) -> dict[str, list[Host]]:
        """The hosts of each group, those of its children included."""
        found: dict[str, list[Host]] = {}
        for host in self.hosts.values():
            for group in host.roles or {UNGROUPED}:
                found.setdefault(group, []).append(host)
        return found

    def select(self, pattern: str) -> list[Host]:
        """The hosts that an Ansible host pattern means: `compute:!rack_b`, `hv0*,ctl1`, `~hv[0-5].*:&prod`.

        Raises ArbaroError for a part that names no host and no group: a typing error must not become an empty roll.
        """
        parts = [part.strip() for part in re.split(r"[,:](?![^\[]*\])", pattern) if part.strip()]
        groups = self.groups()
        wanted = [self._named(part, groups) for part in parts if part[0] not in "!&"]
        names = set().union(*wanted) if wanted else set(self.hosts)
        for part in (part for part in parts if part[0] == "&"):
            names &= self._named(part[1:], groups)
        for part in (part for part in parts if part[0] == "!"):
            names -= self._named(part[1:], groups)
        return [host for name, host in self.hosts.items() if name in names]

    def _named(self, part: str, groups: Mapping[str, list[Host]]) -> set[str]:
        """The names of the hosts that one part of a pattern means, as a group or as a host."""
        if part in ("all", "*"):
            return set(self.hosts)
        matches = re.compile(part[1:] if part[0] == "~" else fnmatch.translate(part)).match
        found = {host.name for group, members in groups.items() if matches(group) for host in members}
        # As Ansible has it: a plain word that is a group's name does not mean a host of the same name.
        if not found or part[0] == "~" or any(sign in part for sign in ".?*["):
            found |= {name for name in self.hosts if matches(name)}
        if not found:
            raise ArbaroError(f"No host and no group of the inventory is called {part!r}.", why=_similar(part, groups))
        return found


def _similar(part: str, groups: Iterable[str]) -> str:
    names = sorted(groups)
    return f"Its groups: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}." if names else "It has no groups."
