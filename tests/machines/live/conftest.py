# SPDX-License-Identifier: Apache-2.0
"""Emulated machines for the live tests. Needs root, and namespaces of its own: make machines-live."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..site import ROOT
from .metal import Metal, run
from .recipes import built


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "ARBARO_OWN_NAMESPACES" not in os.environ:
        for item in items:
            item.add_marker(pytest.mark.skip("needs namespaces of its own: make machines-live"))


@pytest.fixture(scope="session")
def metal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metal]:
    """One site for all live tests: two machines."""
    one = Metal(tmp_path_factory.mktemp("metal"), 2, built("agents/deploy"))
    one.start("api", "worker")
    yield one
    one.stop()


@pytest.fixture(scope="session")
def images(metal: Metal, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Images in glance: images("tiny"), images("debian-12") as a deployment asks for them."""
    directory: Path = tmp_path_factory.mktemp("images")

    def image(name: str) -> dict[str, Any]:
        guest = built(f"guests/{name}")
        if name != "tiny":
            return metal.cloud.add((guest / "disk.qcow2").read_bytes(), disk_format="qcow2")
        run(ROOT / "images/guests/tiny-disk", guest / "vmlinuz", guest / "initrd", directory / "tiny.raw")
        return metal.cloud.add((directory / "tiny.raw").read_bytes())

    return image
