# SPDX-License-Identifier: Apache-2.0
"""What a person reads: durations, tables, and progress that is honest about the remaining time and never silent for long."""

import io
import re
import subprocess
import sys
import time

import pexpect
import pytest

from arbaro import output, progress
from arbaro.errors import ArbaroError
from arbaro.forecast import Forecast
from arbaro.progress import Progress
from arbaro.steps import Outcome, Step


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_remembered", dict)
    monkeypatch.setattr(progress, "_remember", lambda times: None)


def step(title: str, seconds: float) -> Step:
    return Step(title, lambda: True, lambda _: None, seconds)


def test_the_remaining_time_adds_what_waits_and_the_longest_that_runs() -> None:
    steps = [step("a", 10), step("b", 30), step("c", 5)]
    forecast = Forecast([steps[:2], steps[2]], {})
    forecast.start(steps[0], 100)
    forecast.start(steps[1], 100)
    assert forecast.left(100).seconds == pytest.approx(35)
    assert forecast.left(110).seconds == pytest.approx(25)


def test_a_slow_run_teaches_what_the_rest_will_take() -> None:
    base, bake = step("base", 55), step("bake", 330)
    forecast = Forecast([base, bake], {"bake": 300})
    forecast.start(base, 0)
    forecast.end(Outcome(base, 220))
    assert forecast.left(220).seconds == pytest.approx(300 * (10 + 220) / (10 + 55))


def test_it_never_says_a_few_seconds_for_minutes() -> None:
    """It said 13 s for six minutes: the last step was known to take them, and the one that ran counted for nothing."""
    build, last = step("build", 55), step("last", 13)
    forecast = Forecast([build, last], {})
    forecast.start(build, 0)
    told = [forecast.left(now) for now in range(0, 360, 10)]
    assert [left.overdue is build for left in told] == [now > 1.5 * 55 + 5 for now in range(0, 360, 10)]
    assert told[-1].usual == 55
    assert told[-1].seconds > 70, "the last step counts at the pace of this run"


def test_what_was_skipped_teaches_nothing() -> None:
    steps = [step("a", 100), step("b", 50)]
    forecast = Forecast(steps, {})
    forecast.end(Outcome(steps[0], skipped=True))
    assert forecast.left(0).seconds == pytest.approx(50)


def test_a_long_step_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT", 0.1)
    one = step("Bake", 60)
    with Progress([one]).shown() as shown:
        shown.start(one)("installing")
        time.sleep(0.7)
        shown.end(Outcome(one, 0.7))
    printed = capsys.readouterr().out
    assert "about" in printed
    assert "left · installing" in printed
    assert "✓" in printed
    assert "\x1b" not in printed


IN_A_TERMINAL = """
import time
from arbaro import output, progress
from arbaro.steps import Outcome, Step
progress._remember = lambda times: None
one, two = (Step(title, lambda: True, lambda _: None, 60) for title in ("Bake the controller", "Bake the compute"))
with progress.Progress([[one, two]]).shown() as shown:
    shown.start(one)("installing " + "x" * 300)
    shown.start(two)
    output.say("a line in between")
    time.sleep(1)
    shown.end(Outcome(one, 1.0))
    time.sleep(0.5)
    shown.end(Outcome(two, 1.5))
output.print_table([{"name": "[red]lab", "state": "y" * 90}, {"name": "b", "state": "up"}])
"""


def test_in_a_terminal_running_steps_move_below_what_has_ended() -> None:
    terminal = pexpect.spawn(sys.executable, ["-c", IN_A_TERMINAL], encoding="utf-8", dimensions=(24, 80), timeout=90)
    terminal.logfile_read = io.StringIO()
    terminal.expect(pexpect.EOF)
    printed = terminal.logfile_read.getvalue()
    assert "a line in between" in printed
    assert re.search("about .* left", printed)
    assert re.search(r". Bake the controller  \d s.*  installing x+…", printed), "only the note is cut"
    assert re.search(r". Bake the compute  \d s", printed)
    assert printed.index("✓") > printed.index("installing")
    assert printed.rindex("\x1b[?25h") > printed.rindex("\x1b[?25l"), "the cursor is shown again"
    assert "[red]lab" in printed


def test_a_table_for_other_programs_is_plain_and_uncut() -> None:
    program = f"from arbaro import output; output.print_table([dict(name='[red]lab', state={'y' * 300!r})])"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed == f"NAME      STATE\n[red]lab  {'y' * 300}\n"


def test_durations_read_well() -> None:
    assert output.seconds(8.4) == "8 s"
    assert output.seconds(200) == "3 min 20 s"


def test_nothing_from_a_file_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;x\x07\u202e\u200bpro\u00a0d\x9b31m\r"
    output.say(evil)
    output.warn(evil)
    output.print_table([{"name": evil + "\nX", "é→…": "東京"}])
    output.print_error(ArbaroError(evil, why=evil, hint=evil))
    seen = capsys.readouterr()
    assert all(line.isprintable() for line in (seen.out + seen.err).split("\n"))
    assert "\\x1b]0;x\\x07\\u202e\\u200bpro\\xa0d\\x9b31m\\x0d" in seen.out and "東京" in seen.out
    assert "\\nX" in seen.out, "a cell is one line"
    output.hand_over(evil)
    assert capsys.readouterr().out == evil + "\n"
