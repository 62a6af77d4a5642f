# SPDX-License-Identifier: Apache-2.0
"""Looking at a host: many commands in one session, one that hangs or fails hides no other. Real processes, on this machine."""

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from arbaro import looks
from arbaro.errors import CommandError
from arbaro.evidence import Seen
from arbaro.looks import SSH, Look, look_at, look_at_hosts
from arbaro.reach import Reach, Unreachable

HERE = Reach("compute1", "", is_here=True)


def test_one_command_that_hangs_and_one_that_fails_hide_no_other() -> None:
    facts = look_at(
        HERE,
        [
            Look("well", ["echo", "3"], int),
            Look("hung", ["sleep", "1000"], seconds=0.5),
            Look("failed", ["sh", "-c", "echo out; echo why >&2; exit 3"]),
            Look("missing", ["no-such-command"]),
            Look("odd", ["echo", "three"], int),
        ],
    )
    assert facts[SSH].error == ""
    assert facts["well"].value == 3 and abs(facts["well"].at - time.time()) < 60
    errors = {what: seen.error for what, seen in facts.items() if seen.error}
    assert errors == {
        "hung": "`sleep` took more than 0.5 s",
        "failed": "`sh` ended with code 3: why",
        "missing": "`no-such-command` ended with code 127: [Errno 2] No such file or directory: 'no-such-command'",
        "odd": "`echo` printed something else than expected",
    }


def test_what_a_hung_command_has_started_is_ended_too(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    look_at(HERE, [Look("hung", ["sh", "-c", f"sleep 1000 & echo $! >{pid}; wait"], seconds=2)])
    ended = time.monotonic() + 30
    while Path(f"/proc/{pid.read_text().strip()}/cmdline").exists() and time.monotonic() < ended:
        # A zombie whose parent is gone waits for whoever takes it over.
        if not Path(f"/proc/{pid.read_text().strip()}/cmdline").read_bytes():
            break
        time.sleep(0.1)
    assert time.monotonic() < ended


def test_a_session_that_breaks_keeps_what_was_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.dumps(["first", 0, "one", ""]) + "\n" + '["second", 0, "tw'

    def breaks(_: Reach, words: Sequence[str], **__: object) -> str:
        raise Unreachable(words, where="compute1", code=255, output=told)

    monkeypatch.setattr(Reach, "run", breaks)
    facts = look_at(HERE, [Look("first", ["x"]), Look("second", ["x"])])
    assert facts["first"].value == "one" and facts[SSH].error == ""
    assert facts["second"].value is None and facts["second"].error


@pytest.mark.parametrize(("kind", "answers"), [(Unreachable, False), (CommandError, True)])
def test_a_host_that_cannot_be_asked_is_no_broken_host(
    kind: type[CommandError], answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Reach, words: Sequence[str], **__: object) -> str:
        raise kind(words, where="compute1", code=127, output="ssh: connect to host: No route to host")

    monkeypatch.setattr(Reach, "run", fails)
    facts = look_at(HERE, [Look("units", ["x"])])
    assert facts["units"] == Seen(at=facts["units"].at, error="ssh: connect to host: No route to host")
    assert (facts[SSH].error == "") is answers


def test_no_more_hosts_at_once_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def look(reach: Reach, _: Sequence[Look]) -> dict[str, Seen]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return {"name": Seen(reach.name)}

    monkeypatch.setattr(looks, "look_at", look)
    hosts = [(Reach(f"host{number}", ""), []) for number in range(20)]
    facts = look_at_hosts(hosts, at_once=4)
    assert most == 4
    assert [seen["name"].value for seen in facts.values()] == list(facts) == [reach.name for reach, _ in hosts]
    assert look_at_hosts([]) == {}


def test_what_is_sent_to_a_host_is_one_session_and_writes_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []

    def run(_: Reach, words: Sequence[str], *, stdin: str, timeout: float) -> str:
        asked.append(words)
        assert " open(" not in stdin and timeout > 7
        return ""

    monkeypatch.setattr(Reach, "run", run)
    look_at(HERE, [Look("one", ["x"], seconds=7), Look("two", ["y"])])
    assert asked == [["python3", "-I", "-"]]
