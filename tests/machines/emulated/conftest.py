# SPDX-License-Identifier: Apache-2.0
"""One site for the tests of a module; each test has machines of its own in it."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from ..cloud import disk
from ..site import Site

CONTENT = disk(b"a disk of 3 MiB", 3 * 2**20)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = Site(tmp_path_factory.mktemp("site"), machines=40)
    one.start("emulator", "api", "worker")
    yield one
    one.stop()


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def number(numbers: Iterator[int]) -> int:
    """A machine that no other test has."""
    return next(numbers)


@pytest.fixture
def image(site: Site) -> dict[str, Any]:
    """A raw image in glance, as a deployment asks for it."""
    return site.cloud.add(CONTENT)
