# SPDX-License-Identifier: Apache-2.0
"""Pruning takes what no recipe would build now, and what a killed build left."""

from pathlib import Path

import pytest

from arbaro.cluster import guests
from arbaro.cluster.built import prune_built


def test_old_builds_and_scratch_go_and_the_current_build_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "cache_dir", lambda: tmp_path)
    keep = [guests.Guest(name).directory for name in guests.EXTRA_PACKAGES]
    current = guests.Guest("tiny").directory
    for path in (current, current.with_name("tiny-000000000000"), current.with_name(".new-killed")):
        path.mkdir(parents=True)
    assert sorted(prune_built(guests.guests_dir(), keep, dry_run=True)) == [".new-killed", "tiny-000000000000"]
    assert sorted(prune_built(guests.guests_dir(), keep)) == [".new-killed", "tiny-000000000000"]
    assert list(current.parent.iterdir()) == [current]
