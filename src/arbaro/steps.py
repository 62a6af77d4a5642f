# SPDX-License-Identifier: Apache-2.0
"""A step looks, touches if it must, and looks again; a plan is a list of steps, so a second run skips what is done."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from arbaro.errors import ArbaroError
from arbaro.hosts import Host
from arbaro.runs import AT_ONCE, current_run

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
    #: The host that it changes; None: something else, or several.
    host: Host | None = None
    #: A step that cannot be looked at (a proof, a wait) is simply run again, and says so here.
    looks_again: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others: its title and its host's name."""
        return self.title, self.host.name if self.host else ""

    def __str__(self) -> str:
        return " ".join(filter(None, self.key))


#: Steps in an inner sequence run side by side.
Plan = Sequence[Step | Sequence[Step]]


@dataclass(frozen=True)
class Outcome:
    """How a step ended: it was done, or skipped because nothing was to do, or it failed for a reason."""

    step: Step
    seconds: float = 0
    skipped: bool = False
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        """Say whether the step has changed something, and that took."""
        return not self.skipped and self.error is None


class PlanFailed(ArbaroError):
    """Steps of a plan failed; it tells the cause of each. `outcomes` are those of all steps that were run."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = list(outcomes)
        self.causes = [(o.step, o.error) for o in outcomes if isinstance(o.error, ArbaroError)]
        if len(self.causes) == 1:
            _, only = self.causes[0]
            super().__init__(only.what, why=only.why, hint=only.hint)
        else:
            what = f"{len(self.causes)} steps failed: {', '.join(str(step) for step, _ in self.causes)}."
            super().__init__(what, why="\n".join(_told(step, cause) for step, cause in self.causes))


def _told(step: Step, cause: ArbaroError) -> str:
    lines = [cause.what, *cause.why.splitlines(), *([f"Next: {cause.hint}"] if cause.hint else [])]
    return "\n".join([f"{step}:", *(f"  {line}" for line in lines)])


class Observer(Protocol):
    """Who is told how a plan goes on: the progress display, or a test."""

    def start(self, step: Step) -> Note:
        """Say that a step begins to touch; returns where its notes go."""

    def end(self, outcome: Outcome) -> None:
        """Say how a step ended; one that was skipped has not begun."""


#: Entered around each step: turns what it raises into ArbaroError where somebody knows the cause.
Guard = Callable[[], AbstractContextManager[None]]


def run_plan(plan: Plan, observer: Observer, *, at_once: int = AT_ONCE, guard: Guard = nullcontext) -> list[Outcome]:
    """Run steps in their order, those of an inner sequence side by side, at most `at_once` of them.

    When a step fails, the steps that run at the same time are finished first, so that their work is kept. Only Ctrl-C
    ends them too.
    Raises PlanFailed that tells all causes. An exception that is not an ArbaroError is a fault in our code, and is
    raised as it is.
    """
    outcomes: list[Outcome] = []
    for part in plan:
        steps = [part] if isinstance(part, Step) else part
        ended = _run_group(steps, lambda step: run_step(step, observer, guard), at_once)
        outcomes += ended
        _raise_failures(outcomes)
    return outcomes


def _run_group(steps: Sequence[Step], run_one: Callable[[Step], Outcome], at_once: int) -> list[Outcome]:
    # One step alone stays on the main thread, which hears of Ctrl-C.
    return [run_one(steps[0])] if len(steps) == 1 else current_run().side_by_side(run_one, steps, at_once=at_once)


def _raise_failures(outcomes: Sequence[Outcome]) -> None:
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if all(isinstance(error, ArbaroError) for error in errors):
        if errors:
            raise PlanFailed(outcomes)
    elif len(errors) == 1:
        raise errors[0]
    else:
        raise BaseExceptionGroup("several steps failed", errors)


def run_step(step: Step, observer: Observer, guard: Guard = nullcontext) -> Outcome:
    """Run one step: skip it if it is not needed; touch; look again. Its outcome holds what it raised."""
    began: float | None = None
    outcome = Outcome(step, skipped=True)
    try:
        with guard():
            if step.needed():
                began, note = time.monotonic(), observer.start(step)
                _take_hold(step, note)
                outcome = Outcome(step, time.monotonic() - began)
    except BaseException as error:
        outcome = Outcome(step, time.monotonic() - began if began else 0, error=error)
        # The plan raises it, with the errors of steps that ran at the same time. Ctrl-C does not wait for them.
        if not isinstance(error, Exception):
            raise
    finally:
        observer.end(outcome)
    return outcome


def _take_hold(step: Step, note: Note) -> None:
    step.apply(note)
    if step.looks_again and step.needed():
        raise ArbaroError(f"{step}: it was done, but did not take.", hint="Run the same command again with -v.")


def flatten(plan: Plan) -> list[Step]:
    """List the steps of a plan, those that run side by side one after the other."""
    return [step for part in plan for step in ([part] if isinstance(part, Step) else part)]
