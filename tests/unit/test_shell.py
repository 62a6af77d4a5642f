# SPDX-License-Identifier: Apache-2.0
"""Processes end as CommandError that says what, where and why; their output is in a private log."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from arbaro import shell
from arbaro.errors import CommandError
from arbaro.runs import current_run


def test_a_failing_command_says_what_it_printed() -> None:
    with pytest.raises(CommandError, match="code 3") as caught:
        shell.run(["sh", "-c", "echo because >&2; exit 3"])
    assert "because" in caught.value.why


def test_a_slow_command_is_ended() -> None:
    with pytest.raises(CommandError, match=r"took more than") as caught:
        shell.run(["sleep", "5"], timeout=0.1)
    assert caught.value.timed_out


@pytest.mark.parametrize("followed", [False, True])
def test_a_slow_script_is_ended_with_all_that_it_started(tmp_path: Path, followed: bool) -> None:
    pid = tmp_path / "pid"
    lines: list[str] = []
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"took more than") as caught:
        shell.run(
            ["sh", "-c", f"sleep 60 & echo $! >{pid}; echo before; wait; true"],
            timeout=1,
            on_line=lines.append if followed else None,
        )
    assert time.monotonic() - began < 20
    assert "before" in caught.value.output
    wait_for(lambda: is_over(int(pid.read_text())))


def test_what_has_left_the_group_and_keeps_the_pipe_does_not_keep_us(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"setsid sleep 60 & echo $! >{pid}; wait"
    began = time.monotonic()
    try:
        for on_line in (None, lambda _: None):
            with pytest.raises(CommandError, match=r"took more than"):
                shell.run(["sh", "-c", script], timeout=0.5, on_line=on_line)
            os.kill(int(pid.read_text()), 9)
    finally:
        assert time.monotonic() - began < 30


def test_a_command_that_somebody_else_kills_was_not_too_slow() -> None:
    with pytest.raises(CommandError, match="SIGKILL") as caught:
        shell.run(["sh", "-c", "kill -9 $$"])
    assert not caught.value.timed_out
    assert "took more than" not in str(caught.value)


def test_nobody_is_asked_for_a_password_on_the_terminal() -> None:
    """Even where we have a terminal: who asks on it at once with others would wait for ever."""
    program = "from arbaro import shell; print(shell.run(['sh', '-c', 'exec 2>&1; : </dev/tty; true']))"
    terminal = pexpect.spawn(sys.executable, ["-c", program], timeout=60)
    terminal.expect("No such device")
    terminal.wait()


def test_what_we_started_ends_when_we_are_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = f"from arbaro import shell; shell.run(['sh', '-c', 'echo $$ >{pid}; exec sleep 60'])"
    process = subprocess.Popen([sys.executable, "-c", program])
    wait_for(lambda: pid.exists() and pid.read_text())
    process.kill()
    process.wait()
    wait_for(lambda: is_over(int(pid.read_text())))


def wait_for(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_over(pid: int) -> bool:
    """Say whether a process has ended; a zombie has."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_a_missing_command_is_named() -> None:
    with pytest.raises(CommandError, match="no-such-command"):
        shell.run(["no-such-command"])


def test_lines_are_followed() -> None:
    lines: list[str] = []
    shell.run(["sh", "-c", "echo one; echo two >&2"], on_line=lines.append)
    assert lines == ["one", "two"]


def test_the_log_is_private_and_has_no_standard_input(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with current_run().log_to(log):
        shell.run(["wc", "-c"], stdin="secret")
    assert "secret" not in log.read_text()
    assert "wc -c" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
