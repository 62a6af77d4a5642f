# SPDX-License-Identifier: Apache-2.0
"""Processes end as CommandError that says what, where and why; their output is in a private log."""

import stat
from pathlib import Path

import pytest

from arbaro import shell
from arbaro.errors import CommandError


def test_a_failing_command_says_what_it_printed() -> None:
    with pytest.raises(CommandError, match="code 3") as caught:
        shell.run(["sh", "-c", "echo because >&2; exit 3"])
    assert "because" in caught.value.why


def test_a_slow_command_is_ended() -> None:
    with pytest.raises(CommandError, match=r"took more than"):
        shell.run(["sleep", "5"], timeout=0.1)


def test_a_missing_command_is_named() -> None:
    with pytest.raises(CommandError, match="no-such-command"):
        shell.run(["no-such-command"])


def test_lines_are_followed() -> None:
    lines: list[str] = []
    shell.run(["sh", "-c", "echo one; echo two >&2"], on_line=lines.append)
    assert lines == ["one", "two"]


def test_the_log_is_private_and_has_no_standard_input(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with shell.log_to(log):
        shell.run(["wc", "-c"], stdin="secret")
    assert "secret" not in log.read_text()
    assert "wc -c" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
