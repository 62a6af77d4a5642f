# SPDX-License-Identifier: Apache-2.0
"""A wait ends when the checks are silent, or fails with the last thing it saw."""

import pytest

from arbaro.checks import Finding, wait_until_silent
from arbaro.errors import WaitTimeout


def test_it_ends_when_nothing_is_found() -> None:
    answers = iter([[Finding("nova", "starting")], []])
    notes: list[str] = []
    wait_until_silent(lambda: next(answers), what="nova", timeout=5, interval=0, note=notes.append)
    assert notes == ["nova: starting"]


def test_a_timeout_says_the_last_state_and_the_next_command() -> None:
    finding = Finding("compute1", "nova-compute is down", run="arbaro logs default compute1")
    with pytest.raises(WaitTimeout) as caught:
        wait_until_silent(lambda: [finding], what="All services up", timeout=0, interval=0)
    assert "nova-compute is down" in str(caught.value)
    assert caught.value.hint == "arbaro logs default compute1"
