# SPDX-License-Identifier: Apache-2.0
"""A lock keeps two runs apart, also at the moment when the last one takes its file away."""

import threading
from pathlib import Path

import pytest

from arbaro import locks
from arbaro.errors import ArbaroError


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(locks, "DIRECTORY", tmp_path)
    return tmp_path


def test_the_second_is_refused_and_the_last_leaves_nothing(directory: Path) -> None:
    with locks.only_one("lab", last=True):
        with pytest.raises(ArbaroError, match="working on lab"), locks.only_one("lab"):
            pass
        with locks.only_one("other"):
            pass
    assert [path.name for path in directory.iterdir()] == ["arbaro-other"]


def test_an_error_of_what_is_done_meanwhile_is_not_taken_for_the_locks() -> None:
    with pytest.raises(BlockingIOError), locks.only_one("lab"):
        raise BlockingIOError


def test_who_waited_for_the_last_one_has_the_lock_that_others_see() -> None:
    waits, has_it, may_go = threading.Event(), threading.Event(), threading.Event()

    def second() -> None:
        with locks.only_one("lab", wait=waits.set):
            has_it.set()
            may_go.wait(5)

    thread = threading.Thread(target=second)
    with locks.only_one("lab", last=True):
        thread.start()
        assert waits.wait(5)
    assert has_it.wait(5)
    with pytest.raises(ArbaroError), locks.only_one("lab"):
        pass
    may_go.set()
    thread.join()
