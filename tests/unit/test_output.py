# SPDX-License-Identifier: Apache-2.0
"""Progress is honest about the remaining time, and never silent for long."""

import time

import pytest

from arbaro import output
from arbaro.steps import Outcome, Step


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_remembered", dict)
    monkeypatch.setattr(output, "_remember", lambda times: None)


def step(title: str, seconds: float) -> Step:
    return Step(title, lambda: True, lambda _: None, seconds)


def test_the_remaining_time_adds_what_waits_and_the_longest_that_runs() -> None:
    steps = [step("a", 10), step("b", 30), step("c", 5)]
    progress = output.Progress([steps[:2], steps[2]])
    progress.start(steps[0])
    progress.start(steps[1])
    assert progress._remaining(time.monotonic()) == pytest.approx(35, abs=0.5)


def test_a_long_step_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(output, "HEARTBEAT", 0.1)
    one = step("Bake", 60)
    with output.Progress([one]).shown() as progress:
        progress.start(one)("installing")
        time.sleep(0.7)
        progress.end(Outcome(one, 0.7))
    printed = capsys.readouterr().out
    assert "about" in printed
    assert "left · installing" in printed
    assert "✓" in printed


def test_durations_read_well() -> None:
    assert output.seconds(8.4) == "8 s"
    assert output.seconds(200) == "3 min 20 s"
