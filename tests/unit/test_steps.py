# SPDX-License-Identifier: Apache-2.0
"""A plan skips what is done, looks again after touching, and keeps what ran beside a failure."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from arbaro import shell
from arbaro.checks import Finding, wait_until_silent
from arbaro.errors import ArbaroError
from arbaro.steps import Note, Step, flatten, run_plan


class Recorder:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, step: Step) -> Note:
        self.told.append(f"start {step.title}")
        return lambda _: None

    def skip(self, step: Step) -> None:
        self.told.append(f"skip {step.title}")

    def done(self, step: Step) -> None:
        self.told.append(f"done {step.title}")

    def fail(self, step: Step) -> None:
        self.told.append(f"fail {step.title}")


def switch(title: str, state: set[str]) -> Step:
    return Step(title, lambda: title not in state, lambda _: state.add(title))


def test_the_second_run_skips_everything() -> None:
    state: set[str] = set()
    plan = [switch("a", state), [switch("b", state), switch("c", state)]]
    run_plan(plan, Recorder())
    second = Recorder()
    run_plan(plan, second)
    assert second.told[0] == "skip a"
    assert sorted(second.told) == ["skip a", "skip b", "skip c"]


def test_a_step_that_does_not_take_fails() -> None:
    recorder = Recorder()
    with pytest.raises(ArbaroError, match="did not take"):
        run_plan([Step("a", lambda: True, lambda _: None)], recorder)
    assert recorder.told == ["start a", "fail a"]


def test_what_runs_beside_a_failure_is_finished() -> None:
    state: set[str] = set()

    def burst(_: Note) -> None:
        raise ArbaroError("burst")

    with pytest.raises(ArbaroError, match="burst"):
        run_plan([[Step("bad", lambda: True, burst), switch("good", state)], switch("later", state)], Recorder())
    assert state == {"good"}


def test_ctrl_c_ends_what_runs_side_by_side_but_for_what_must_not_be_torn(tmp_path: Path) -> None:
    kept = tmp_path / "kept"

    def wait_for_ever(_: Note) -> None:
        wait_until_silent(lambda: [Finding("here", "nothing")], what="It", timeout=30)

    steps = [
        Step("command", lambda: True, lambda _: shell.run(["sleep", "30"]) and None),
        Step("wait", lambda: True, wait_for_ever),
        Step("kept", lambda: not kept.exists(), lambda _: untorn(kept)),
    ]
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_plan([steps], Recorder())
    finally:
        shell.interrupted.clear()
    assert time.monotonic() - began < 3
    assert kept.exists()


def untorn(file: Path) -> None:
    shell.run(["sh", "-c", f"sleep 1; touch {file}"], to_its_end=True)


def test_flatten_keeps_the_order() -> None:
    a, b, c = (switch(title, set()) for title in "abc")
    assert flatten([a, [b, c]]) == [a, b, c]
