# SPDX-License-Identifier: Apache-2.0
"""What a step is, and what it has at hand."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from arbaro_machines.database.models import Machine, Task, now
from arbaro_machines.images import ImageCache
from arbaro_machines.redfish import Bmc
from arbaro_machines.settings import Settings, Times


class Desk(Protocol):
    """What the worker does for a step."""

    def note(self, **notes: Any) -> None:
        """Write something down for this and later steps, so that it is still known after a kill."""
        ...

    def touch(self) -> None:
        """Ask before touching the machine: raises LeaseLost if it is no longer this worker's."""
        ...

    def api_answers(self) -> bool:
        """Say whether ramdisks can reach the API at all."""
        ...


@dataclass(frozen=True)
class Work:
    """One machine, its task, and the tools."""

    task: Task
    machine: Machine
    bmc: Bmc
    settings: Settings
    images: ImageCache
    desk: Desk
    token: str

    @property
    def times(self) -> Times:
        """How long things may take."""
        return self.settings.times

    @property
    def elapsed(self) -> float:
        """Seconds since this step began, by whichever worker."""
        return (now() - self.task.step_since).total_seconds()

    def since_word(self) -> float:
        """Seconds since the ramdisk spoke, or since this step began if that is later."""
        at = self.task.word.get("at")
        spoken = datetime.datetime.fromisoformat(at) if at else self.task.step_since
        return (now() - max(spoken, self.task.step_since)).total_seconds()

    @property
    def phase(self) -> str:
        """What the ramdisk said last that it is doing."""
        return str(self.task.word.get("phase", ""))

    def switch(self, target: str) -> None:
        """Switch the machine, if it is still ours to switch."""
        self.desk.touch()
        self.bmc.switch(target)


@dataclass(frozen=True)
class Step:
    """A step looks, and touches what is not yet so; killed anywhere, it is run again by another worker.

    `run` says None when all is as wanted, else after how many seconds to look again.
    """

    name: str
    run: Callable[[Work], float | None]
    limit: Callable[[Times], float]
    #: The fault when the limit is reached.
    overdue: str = "step-overdue"
