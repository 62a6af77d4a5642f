# SPDX-License-Identifier: Apache-2.0
"""Emulated machines for the live tests. Needs root, and namespaces of its own: make machines-live."""

import hashlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ..site import ROOT
from .metal import ADDRESS, Metal, run
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


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def images(metal: Metal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Images on a web server: images("tiny"), images("debian-12") as a deployment asks for them."""
    directory: Path = tmp_path_factory.mktemp("images")
    server = ThreadingHTTPServer((ADDRESS, 0), partial(_Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def image(name: str) -> dict[str, Any]:
        guest = built(f"guests/{name}")
        if name == "tiny":
            source, form = directory / "tiny.raw", "raw"
            run(ROOT / "images/guests/tiny-disk", guest / "vmlinuz", guest / "initrd", source)
        else:
            source, form = directory / f"{name}.qcow2", "qcow2"
            source.symlink_to(guest / "disk.qcow2")
        checksum = f"sha256:{hashlib.sha256(source.read_bytes()).hexdigest()}"
        return {"url": f"http://{ADDRESS}:{server.server_port}/{source.name}", "format": form, "checksum": checksum}

    yield image
    server.shutdown()
    server.server_close()
