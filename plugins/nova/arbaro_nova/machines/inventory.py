# SPDX-License-Identifier: Apache-2.0
"""All machines as last seen: one request tells what changed since, and now and then one asks for all."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Iterator

from oslo_utils import timeutils

from arbaro_nova.machines.client import MachinesClient
from arbaro_nova.machines.machine import Machine

#: A change is stamped before it can be seen: who asks for the newest only would miss one that was slow to commit.
OVERLAP = datetime.timedelta(seconds=60)


class Inventory:
    """A copy of the API's list. The newest revision of a machine wins, however it came here."""

    def __init__(self, client: MachinesClient, relist_interval: float, clock: Callable[[], float] = time.monotonic):
        """Begin with nothing; the first refresh asks for all."""
        self._client, self._interval, self._clock = client, relist_interval, clock
        self._machines: dict[str, Machine] = {}
        self._since: datetime.datetime | None = None
        self._listed: float | None = None
        self._looked: float | None = None

    def __iter__(self) -> Iterator[Machine]:
        return iter(list(self._machines.values()))

    def __bool__(self) -> bool:
        return self._listed is not None

    def age(self) -> float:
        """Return the seconds since the last look."""
        return float("inf") if self._looked is None else self._clock() - self._looked

    def refresh(self) -> None:
        """See what is new."""
        started = self._clock()
        if self._listed is None or self._since is None or started - self._listed >= self._interval:
            seen = list(self._client.list())
            self._machines = {m.id: newer(self._machines.get(m.id), m) for m in seen}
            self._listed = started
        else:
            seen = list(self._client.list(changed_since=self._since.strftime("%Y-%m-%dT%H:%M:%SZ")))
            for machine in seen:
                self.remember(machine)
        self._since = latest(seen, self._since)
        self._looked = started

    def get(self, machine_id: str) -> Machine:
        """Return a machine as last seen; ask for one that was never seen."""
        if machine_id not in self._machines:
            self.remember(self._client.get(machine_id))
        return self._machines[machine_id]

    def held_for(self, server_id: str) -> Machine | None:
        """Return the machine that a server had when last seen."""
        return next((m for m in self if m.held_for(server_id)), None)

    def remember(self, machine: Machine | None) -> None:
        """Keep what another answer said of a machine."""
        if machine is not None:
            self._machines[machine.id] = newer(self._machines.get(machine.id), machine)


def newer(old: Machine | None, new: Machine) -> Machine:
    """Return the later of two answers about one machine; power and task may change within a revision."""
    return old if old is not None and old.revision > new.revision else new


def latest(seen: Iterable[Machine], before: datetime.datetime | None) -> datetime.datetime | None:
    """Return from when on to ask next time, by the API's own clock."""
    times = [timeutils.normalize_time(timeutils.parse_isotime(m.updated_at)) - OVERLAP for m in seen if m.updated_at]
    return max([*times, *([before] if before else [])], default=None)
