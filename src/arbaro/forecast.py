# SPDX-License-Identifier: Apache-2.0
"""How long a plan will still take: the steps' usual times, scaled by how fast this very run has been so far."""

from collections.abc import Mapping
from dataclasses import dataclass

from arbaro.steps import Outcome, Plan, Step, flatten

#: Seconds of usual pace that are taken as seen before anything is: a first step of a second proves nothing.
PRIOR = 10.0


@dataclass(frozen=True)
class Left:
    """What is still to come: about so many seconds; at least so many, if a step is `overdue`."""

    seconds: float
    overdue: Step | None = None
    usual: float = 0


class Forecast:
    """Learns from each step of a run what the others will take. Times are told to it, so it needs no clock."""

    def __init__(self, plan: Plan, usual: Mapping[str, float]) -> None:
        self._usual = {step: usual.get(str(step), step.seconds) for step in flatten(plan)}
        self._groups = [[part] if isinstance(part, Step) else list(part) for part in plan]
        self._waiting = set(self._usual)
        self._began: dict[Step, float] = {}
        self._took = self._expected = PRIOR

    def start(self, step: Step, now: float) -> None:
        """Note that a step begins."""
        self._began[step] = now

    def end(self, outcome: Outcome) -> None:
        """Note how a step ended; one that was skipped teaches nothing."""
        self._began.pop(outcome.step, None)
        self._waiting.discard(outcome.step)
        if outcome.done:
            self._took += outcome.seconds
            self._expected += self._usual[outcome.step]

    def pace(self, now: float) -> float:
        """How many times as long as usual this run takes. A step that runs longer than usual counts already."""
        late = [(now - began, self._usual[step]) for step, began in self._began.items()]
        late = [(elapsed, usual) for elapsed, usual in late if elapsed > usual]
        took = self._took + sum(elapsed for elapsed, _ in late)
        return took / (self._expected + sum(usual for _, usual in late))

    def left(self, now: float) -> Left:
        """What is still to come. Of steps side by side, the longest counts."""
        pace = self.pace(now)
        seconds = sum(max((self._left(step, pace, now) for step in group), default=0) for group in self._groups)
        late = [step for step, began in self._began.items() if now - began > 1.5 * self._usual[step] + 5]
        if not late:
            return Left(seconds)
        overdue = min(late, key=lambda step: self._began[step])
        return Left(seconds, overdue, self._usual[overdue])

    def _left(self, step: Step, pace: float, now: float) -> float:
        if step not in self._waiting:
            return 0
        expected = self._usual[step] * pace
        if step not in self._began:
            return expected
        elapsed = now - self._began[step]
        # What runs is not about to end just because its time is up.
        return max(expected - elapsed, elapsed / 10)
