# SPDX-License-Identifier: Apache-2.0
"""The only place that prints: progress, tables, JSON, errors."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from arbaro.errors import ArbaroError
from arbaro.settings import cache_dir
from arbaro.steps import Note, Outcome, Plan, Step, flatten

#: Nobody waits longer than this without a sign of life.
HEARTBEAT = 8.0


def say(text: str = "") -> None:
    """Print one line for the person."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Print one line to standard error."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print a value as JSON, for other programs."""
    print(json.dumps(value, indent=2, default=str), flush=True)


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows with the same keys as aligned columns, the keys as heads."""
    if not rows:
        return
    heads = list(rows[0])
    cells = [[head.upper() for head in heads], *([str(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    for line in cells:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_error(error: ArbaroError, *, log: Path | None = None) -> None:
    """Print what failed, likely why, and what to type next."""
    warn(_paint("31;1", "Error: ", sys.stderr) + error.what)
    for line in error.why.splitlines():
        warn(f"  {line}")
    if error.hint:
        warn(f"Next: {error.hint}")
    if log and log.exists():
        warn(f"Log:  {log}")


def seconds(value: float) -> str:
    """Write a duration as a person would: `8 s`, `3 min 20 s`."""
    whole = round(value)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60:02d} s"


class Progress:
    """Shows how a plan goes on: one line for each step, the running ones with an honest remaining time.

    On a terminal the running line moves; elsewhere a line is printed at each step's start and end and at least every
    HEARTBEAT seconds. The times of this run are remembered for the next run's estimate.
    """

    def __init__(self, plan: Plan) -> None:
        self._times: dict[str, float] = {}
        # Steps that run side by side stand in one group.
        self._groups = [[part] if isinstance(part, Step) else part for part in plan]
        self._waiting = {step: _remembered().get(str(step), step.seconds) for step in flatten(plan)}
        self._running: dict[Step, tuple[float, str]] = {}
        self._moving = sys.stdout.isatty()
        self._lock = threading.RLock()
        self._last_line = time.monotonic()

    @contextlib.contextmanager
    def shown(self) -> Iterator["Progress"]:
        """Keep the display alive during the block, then remember the times."""
        over = threading.Event()
        beat = threading.Thread(target=self._beat, args=(over,), daemon=True)
        beat.start()
        try:
            yield self
        finally:
            over.set()
            beat.join()
            self._clear()
            _remember(self._times)

    def start(self, step: Step) -> Note:
        """Show that a step begins."""
        with self._lock:
            self._running[step] = (time.monotonic(), "")
            if not self._moving:
                self._print(f"  … {step}")
        return lambda text: self._note(step, text)

    def end(self, outcome: Outcome) -> None:
        """Show how a step ended, and how long it took."""
        step = outcome.step
        with self._lock:
            self._running.pop(step, None)
            if outcome.skipped:
                self._waiting.pop(step, None)
                self._print(_paint("2", f"  – {step}: done before"))
            elif outcome.error:
                self._print(_paint("31", "  ✗ ") + f"{step}  {seconds(outcome.seconds)}")
            else:
                self._waiting.pop(step, None)
                self._times[str(step)] = outcome.seconds
                self._print(_paint("32", "  ✓ ") + f"{step}  {_paint('2', seconds(outcome.seconds))}")

    def _note(self, step: Step, text: str) -> None:
        with self._lock:
            if step in self._running:
                self._running[step] = (self._running[step][0], text)

    def _beat(self, over: threading.Event) -> None:
        frames = 0
        while not over.wait(0.2):
            with self._lock:
                if not self._running:
                    continue
                frames += 1
                if self._moving:
                    self._clear()
                    sys.stdout.write(f"  {'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'[frames % 10]} {self._line()}"[: _width() - 1])
                    sys.stdout.flush()
                elif time.monotonic() - self._last_line > HEARTBEAT:
                    self._print(f"    {self._line()}")

    def _line(self) -> str:
        now = time.monotonic()
        step = min(self._running, key=lambda running: self._running[running][0])
        began, note = self._running[step]
        others = f" (+{len(self._running) - 1} beside it)" if len(self._running) > 1 else ""
        left = self._remaining(now)
        ahead = f"about {seconds(max(left, 1))} left" if left > 0 else "longer than usual"
        return f"{step}{others}  {seconds(now - began)} · {ahead}" + (f" · {note}" if note else "")

    def _remaining(self, now: float) -> float:
        left = {
            step: max(value - (now - self._running[step][0] if step in self._running else 0), 0)
            for step, value in self._waiting.items()
        }
        return sum(max(left.get(step, 0) for step in group) for group in self._groups if group)

    def _print(self, text: str) -> None:
        self._clear()
        say(text)
        self._last_line = time.monotonic()

    def _clear(self) -> None:
        if self._moving:
            sys.stdout.write("\r\x1b[2K")
            sys.stdout.flush()


def _paint(code: str, text: str, stream: Any = None) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if (stream or sys.stdout).isatty() else text


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _remembered() -> dict[str, float]:
    try:
        found = json.loads((cache_dir() / "times.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(times: Mapping[str, float]) -> None:
    with contextlib.suppress(OSError):
        cache_dir().mkdir(parents=True, exist_ok=True)
        (cache_dir() / "times.json").write_text(json.dumps({**_remembered(), **times}))
