# SPDX-License-Identifier: Apache-2.0
"""Pruning takes what no recipe would build now, and what a killed build left."""

from pathlib import Path

import pytest

from arbaro.cluster import guests


def test_old_builds_and_scratch_go_and_the_current_build_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "cache_dir", lambda: tmp_path)
    current = guests.Guest("tiny").directory
    for path in (current, current.with_name("tiny-000000000000"), current.with_name(".new-killed")):
        path.mkdir(parents=True)
    assert sorted(guests.prune_guests(dry_run=True)) == [".new-killed", "tiny-000000000000"]
    assert sorted(guests.prune_guests()) == [".new-killed", "tiny-000000000000"]
    assert list(current.parent.iterdir()) == [current]
