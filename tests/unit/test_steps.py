# SPDX-License-Identifier: Apache-2.0
"""A plan skips what is done, looks again after touching, and keeps what ran beside a failure."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from arbaro import runs, shell
from arbaro.checks import Finding, wait_until_silent
from arbaro.errors import ArbaroError
from arbaro.hosts import Host
from arbaro.runs import Run
from arbaro.steps import Note, Outcome, PlanFailed, Step, flatten, run_plan


class Recorder:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, step: Step) -> Note:
        self.told.append(f"start {step}")
        return lambda _: None

    def end(self, outcome: Outcome) -> None:
        how = "skip" if outcome.skipped else "fail" if outcome.error else "done"
        self.told.append(f"{how} {outcome.step}")


def switch(title: str, state: set[str]) -> Step:
    return Step(title, lambda: title not in state, lambda _: state.add(title))


def failing(title: str, error: BaseException, host: Host | None = None) -> Step:
    def apply(_: Note) -> None:
        raise error

    return Step(title, lambda: True, apply, host=host)


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
    bad = failing("bad", ArbaroError("burst"))
    with pytest.raises(ArbaroError, match="burst"):
        run_plan([[bad, switch("good", state)], switch("later", state)], Recorder())
    assert state == {"good"}


def test_all_causes_are_told_of_steps_that_fail_side_by_side() -> None:
    one, two = (Host(f"compute{n}", IPv4Address(f"198.18.0.{n}"), frozenset()) for n in (1, 2))
    steps = [
        failing("Start", ArbaroError("no memory", why="12 MiB are free", hint="arbaro stop other"), one),
        switch("good", set()),
        failing("Start", ArbaroError("no such image"), two),
    ]
    with pytest.raises(PlanFailed) as caught:
        run_plan([switch("first", set()), steps], Recorder())
    told = str(caught.value)
    for words in ("Start compute1", "no memory", "12 MiB", "arbaro stop other", "Start compute2", "no such image"):
        assert words in told
    assert [(str(o.step), o.done) for o in caught.value.outcomes] == [
        ("first", True),
        ("Start compute1", False),
        ("good", True),
        ("Start compute2", False),
    ]


def test_one_cause_is_told_as_it_is() -> None:
    cause = ArbaroError("no memory", why="12 MiB are free", hint="arbaro stop other")
    with pytest.raises(PlanFailed) as caught:
        run_plan([[failing("a", cause), switch("b", set())]], Recorder())
    error = caught.value
    assert (error.what, error.why, error.hint) == (cause.what, cause.why, cause.hint)


def test_a_fault_in_our_own_code_stays_one_and_hides_no_other_cause() -> None:
    fault = TypeError("ours")
    with pytest.raises(TypeError, match="ours"):
        run_plan([[failing("a", fault), switch("b", set())]], Recorder())
    with pytest.raises(ExceptionGroup) as caught:
        run_plan([[failing("a", fault), failing("b", ArbaroError("theirs"))]], Recorder())
    assert [str(error) for error in caught.value.exceptions] == ["ours", "theirs"]


def test_the_same_title_on_many_hosts_runs_a_few_at_once() -> None:
    running, most, done, lock = set[str](), [0], set[str](), threading.Lock()

    def step(host: Host) -> Step:
        def apply(_: Note) -> None:
            with lock:
                running.add(host.name)
                most[0] = max(most[0], len(running))
            time.sleep(0.01)
            with lock:
                running.remove(host.name)
                done.add(host.name)

        return Step("Start", lambda: host.name not in done, apply, host=host)

    hosts = [Host(f"compute{n}", IPv4Address("198.18.0.1"), frozenset()) for n in range(30)]
    outcomes = run_plan([[step(host) for host in hosts]], Recorder(), at_once=3)
    assert [outcome.step.key for outcome in outcomes] == [("Start", host.name) for host in hosts]
    assert 1 < most[0] <= 3


def test_what_a_step_raises_is_made_clear_by_the_guard() -> None:
    @contextmanager
    def guard() -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ArbaroError("It refused.", why=str(error)) from error

    with pytest.raises(ArbaroError, match="It refused"):
        run_plan([[failing("a", ValueError("b")), switch("c", set())]], Recorder(), guard=guard)


def test_ctrl_c_ends_what_runs_side_by_side_but_for_what_must_not_be_torn(tmp_path: Path) -> None:
    kept = tmp_path / "kept"

    def wait_for_ever(_: Note) -> None:
        wait_until_silent(lambda: [Finding("here", "nothing")], what="It", timeout=30)

    steps = [
        Step("command", lambda: True, lambda _: shell.run(["sleep", "30"]) and None),
        Step("script", lambda: True, lambda _: shell.run(["sh", "-c", "sleep 30; true"], on_line=print) and None),
        Step("wait", lambda: True, wait_for_ever),
        Step("kept", lambda: not kept.exists(), lambda _: untorn(kept)),
    ]
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    began = time.monotonic()
    with Run().entered(), pytest.raises(KeyboardInterrupt):
        run_plan([steps], Recorder())
    assert time.monotonic() - began < 10
    assert kept.exists()


def test_ctrl_c_kills_what_does_not_heed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "GRACE", 0.5)
    deaf = ["sh", "-c", "trap '' INT; sleep 30; sleep 30"]
    steps = [Step(title, lambda: True, lambda _: shell.run(deaf) and None) for title in "ab"]
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
    began = time.monotonic()
    with Run().entered(), pytest.raises(KeyboardInterrupt):
        run_plan([steps], Recorder())
    assert time.monotonic() - began < 15


def untorn(file: Path) -> None:
    shell.run(["sh", "-c", f"sleep 1; touch {file}"], to_its_end=True)


def test_flatten_keeps_the_order() -> None:
    a, b, c = (switch(title, set()) for title in "abc")
    assert flatten([a, [b, c]]) == [a, b, c]
