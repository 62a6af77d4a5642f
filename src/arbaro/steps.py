# SPDX-License-Identifier: Apache-2.0
"""A step looks, touches if it must, and looks again; a plan is a list of steps, so a second run skips what is done."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from arbaro import shell
from arbaro.errors import ArbaroError

Note = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One change. `needed` looks and never touches; `apply` touches and may say what it is doing through its note.

    `seconds` is what the step took on the reference machine (2 cores, no KVM): the first guess of the remaining
    time, until this machine's own times are known.
    """

    title: str
    needed: Callable[[], bool]
    apply: Callable[[Note], None]
    seconds: float = 1
    #: A step that cannot be looked at (a proof, a wait) is simply run again, and says so here.
    looks_again: bool = True


class Observer(Protocol):
    """Who is told how a plan goes on: the progress display, or a test."""

    def start(self, step: Step) -> Note:
        """Say that a step begins; returns where its notes go."""

    def skip(self, step: Step) -> None:
        """Say that there was nothing to do."""

    def done(self, step: Step) -> None:
        """Say that a step has taken hold."""

    def fail(self, step: Step) -> None:
        """Say that a step failed."""


def run_plan(plan: Sequence[Step | Sequence[Step]], observer: Observer) -> None:
    """Run steps in their order; steps in an inner sequence run side by side.

    Raises the first failing step's error; steps that ran beside it are finished first, so that their work is kept.
    Only Ctrl-C ends them too.
    """
    for part in plan:
        if isinstance(part, Step):
            run_step(part, observer)
        else:
            with ThreadPoolExecutor(max_workers=len(part) or 1) as threads:
                futures = [threads.submit(run_step, step, observer) for step in part]
                try:
                    wait(futures)
                except KeyboardInterrupt:
                    shell.interrupt()
                    raise
            for future in futures:
                future.result()


def run_step(step: Step, observer: Observer) -> None:
    """Run one step: skip it if it is not needed, and raise ArbaroError if it did not take."""
    if not step.needed():
        observer.skip(step)
        return
    note = observer.start(step)
    try:
        step.apply(note)
        if step.looks_again and step.needed():
            raise ArbaroError(
                f"{step.title}: it was done, but did not take.", hint="Run the same command again with -v."
            )
    except BaseException:
        observer.fail(step)
        raise
    observer.done(step)


def flatten(plan: Sequence[Step | Sequence[Step]]) -> list[Step]:
    """List the steps of a plan, those that run side by side one after the other."""
    return [step for part in plan for step in ([part] if isinstance(part, Step) else part)]
