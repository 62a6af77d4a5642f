# SPDX-License-Identifier: Apache-2.0
"""Shows how a plan goes on: steps that have ended, those that run, and an honest remaining time."""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from arbaro.forecast import Forecast
from arbaro.output import hand_over, in_one_line, paint, seconds
from arbaro.runs import current_run
from arbaro.settings import cache_dir
from arbaro.steps import Note, Outcome, Plan, Step

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Nobody waits longer than this without a sign of life.
HEARTBEAT = 8.0
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
#: So many running steps are shown in a terminal.
SHOWN = 8


class Progress:
    """A plan's observer that tells the person.

    In a terminal the running steps move below those that have ended (rich). Elsewhere a line is printed at each step's
    start and end, and at least every HEARTBEAT seconds. The times are remembered for the next run's forecast.
    """

    def __init__(self, plan: Plan) -> None:
        self._forecast = Forecast(plan, _remembered())
        self._running: dict[Step, tuple[float, str]] = {}
        self._times: dict[str, float] = {}
        # What is logged would tear the moving lines.
        self._moves = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not current_run().echoes
        self._lock = threading.RLock()
        self._last_line = time.monotonic()

    @contextlib.contextmanager
    def shown(self) -> Iterator["Progress"]:
        """Keep the display alive during the block, then remember the times."""
        try:
            with self._live() if self._moves else self._beating():
                yield self
        finally:
            _remember(self._times)

    def start(self, step: Step) -> Note:
        """Show that a step begins."""
        with self._lock:
            now = time.monotonic()
            self._running[step] = (now, "")
            self._forecast.start(step, now)
            if not self._moves:
                self._print(f"  … {in_one_line(str(step))}")
        return lambda text: self._note(step, text)

    def end(self, outcome: Outcome) -> None:
        """Show how a step ended, and how long it took."""
        step, took = outcome.step, seconds(outcome.seconds)
        title = in_one_line(str(step))
        with self._lock:
            self._running.pop(step, None)
            self._forecast.end(outcome)
            if outcome.skipped:
                self._print(paint("2", f"  – {title}: done before"))
            elif outcome.error:
                self._print(paint("31", "  ✗ ") + f"{title}  {took}")
            else:
                self._times[str(step)] = outcome.seconds
                self._print(paint("32", "  ✓ ") + f"{title}  {paint('2', took)}")

    def _note(self, step: Step, text: str) -> None:
        with self._lock:
            if step in self._running:
                self._running[step] = (self._running[step][0], in_one_line(text))

    def _print(self, text: str) -> None:
        # Its colours are ours; what is named in it was made visible before.
        hand_over(text)
        self._last_line = time.monotonic()

    @contextlib.contextmanager
    def _beating(self) -> Iterator[None]:
        """Print a line from time to time."""
        over = threading.Event()
        beat = threading.Thread(target=self._beat, args=(over,), daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(min(0.2, HEARTBEAT / 2)):
            with self._lock:
                if self._running and time.monotonic() - self._last_line > HEARTBEAT:
                    self._print(f"    {self._line()}")

    def _line(self) -> str:
        now = time.monotonic()
        step = min(self._running, key=lambda running: self._running[running][0])
        began, note = self._running[step]
        others = f" (and {len(self._running) - 1} more)" if len(self._running) > 1 else ""
        return f"{in_one_line(str(step))}{others}  {seconds(now - began)} · {self._ahead(now)}" + (
            f" · {note}" if note else ""
        )

    def _ahead(self, now: float) -> str:
        left = self._forecast.left(now)
        rest = seconds(max(left.seconds, 1))
        if left.overdue is None:
            return f"about {rest} left"
        return f"longer than the usual {seconds(left.usual)}, at least {rest} left"

    @contextlib.contextmanager
    def _live(self) -> Iterator[None]:
        """Let the running steps move at the terminal's end; what is printed meanwhile goes above them."""
        from rich.live import Live

        with Live(get_renderable=self._view, refresh_per_second=5, transient=True):
            yield

    def _view(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        with self._lock:
            now = time.monotonic()
            frame = FRAMES[int(now * 10) % len(FRAMES)]
            # Cut at the terminal's edge, so that a long note does not push away what stands before it.
            lines = [
                Text.assemble(
                    f"  {frame} {step}  {seconds(now - began)}", (f"  {note}", "dim"), no_wrap=True, overflow="ellipsis"
                )
                for step, (began, note) in list(self._running.items())[:SHOWN]
            ]
            if len(self._running) > SHOWN:
                lines.append(Text(f"    and {len(self._running) - SHOWN} more"))
            if self._running:
                lines.append(Text(f"    {self._ahead(now)}", "dim", no_wrap=True, overflow="ellipsis"))
            return Group(*lines)


def _remembered() -> dict[str, float]:
    try:
        found = json.loads((cache_dir() / "times.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(times: Mapping[str, float]) -> None:
    """Remember the mean of what a step took before and now: one busy day is not what is usual."""
    before = _remembered()
    usual = {title: (before[title] + took) / 2 if title in before else took for title, took in times.items()}
    with contextlib.suppress(OSError):
        cache_dir().mkdir(parents=True, exist_ok=True)
        (cache_dir() / "times.json").write_text(json.dumps({**before, **usual}))
