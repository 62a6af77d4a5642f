# SPDX-License-Identifier: Apache-2.0
"""One site for the tests of a module; each test has machines of its own in it."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ..site import Site

CONTENT = b"a disk of 3 MiB" + bytes(3 * 2**20 - 15)


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


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A raw image on a web server, as a deployment asks for it."""
    directory: Path = tmp_path_factory.mktemp("images")
    (directory / "disk.raw").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    checksum = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    yield {
        "url": f"http://127.0.0.1:{server.server_port}/disk.raw",
        "format": "raw",
        "checksum": checksum,
        "name": "disk",
    }
    server.shutdown()
    server.server_close()
