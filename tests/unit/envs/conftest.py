# SPDX-License-Identifier: Apache-2.0
"""A home of its own for each test."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.home import move_in, write_clouds


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return move_in(tmp_path, monkeypatch)


@pytest.fixture
def write(home: Path) -> Callable[..., Path]:
    """Write clouds.yaml, and secure.yaml if given."""
    return write_clouds
