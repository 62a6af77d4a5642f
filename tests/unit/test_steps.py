# SPDX-License-Identifier: Apache-2.0
"""A plan skips what is done, looks again after touching, and keeps what ran beside a failure."""

import pytest

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


def test_flatten_keeps_the_order() -> None:
    a, b, c = (switch(title, set()) for title in "abc")
    assert flatten([a, [b, c]]) == [a, b, c]
