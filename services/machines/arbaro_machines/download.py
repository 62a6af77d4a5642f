# SPDX-License-Identifier: Apache-2.0
"""Fetch a file by HTTP within limits: of bytes, of room on the disk, and of time, whatever the other side does.

Not `requests`: it asks for the name's address again when it connects, follows redirects by itself with the headers that
it was given, and ends only when nothing comes for a while: a server that sends a byte now and then keeps it for ever.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, urljoin

from arbaro_machines.faults import Fault
from arbaro_machines.limits import Limits
from arbaro_machines.sources import PORTS

CHUNK = 2**20
CONNECT_SECONDS, READ_SECONDS = 10, 60
REDIRECTS = 5


class Guard(Protocol):
    """Says whether a URL may be asked, and where to connect for it. Raises sources.Unwelcome."""

    def check(self, url: str) -> SplitResult: ...

    def addresses(self, parts: SplitResult) -> list[str]: ...


class _Connection(http.client.HTTPConnection):
    """Connects to the addresses that were looked at, and to nothing else."""

    def __init__(self, parts: SplitResult, addresses: list[str]) -> None:
        super().__init__(parts.hostname or "", parts.port or PORTS[parts.scheme], timeout=READ_SECONDS)
        self._addresses = addresses
        self.default_port = PORTS[parts.scheme]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._plain: socket.socket | None = None

    def connect(self) -> None:
        for left, address in reversed(list(enumerate(reversed(self._addresses)))):
            try:
                plain = socket.create_connection((address, self.port), CONNECT_SECONDS)
                break
            except OSError:
                if not left:
                    raise
        plain.settimeout(READ_SECONDS)
        self._plain = plain.dup()
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host) if self._tls else plain

    def break_off(self) -> None:
        """End whatever waits for the other side, in whatever thread."""
        if self._plain is not None:
            with contextlib.suppress(OSError):
                self._plain.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        if self._plain is not None:
            self._plain.close()


def download(url: str, headers: Mapping[str, str], guard: Guard, limits: Limits, target: Path, digest: Any) -> None:
    """Fetch into the file, and add all of it to the digest. Raises Fault.

    The headers go to the first server only: a redirect may lead to another one, which is no business of theirs.
    """
    for _ in range(REDIRECTS + 1):
        with _answer(url, headers, guard, limits) as answer:
            if answer.status in (301, 302, 303, 307, 308) and (location := answer.headers["Location"]):
                url, headers = urljoin(url, location), {}
                continue
            if answer.status != 200:
                raise Fault("image-unreachable", f"{told(url)} answers {answer.status} {answer.reason}.")
            _keep(answer, limits, target, digest)
            return
    raise Fault("image-unreachable", f"{told(url)}: more than {REDIRECTS} redirects.")


def told(url: str) -> str:
    """A URL as it may be told: what comes after the path may be a signature, which is as good as a password."""
    return url.partition("?")[0].partition("#")[0]


@contextlib.contextmanager
def _answer(url: str, headers: Mapping[str, str], guard: Guard, limits: Limits) -> Iterator[http.client.HTTPResponse]:
    parts = guard.check(url)
    connection = _Connection(parts, guard.addresses(parts))
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    try:
        with _ended_at(limits.deadline, connection):
            connection.connect()
            limits.check()  # the end may have come before there was something to break off
            connection.request("GET", path, headers={"Accept-Encoding": "identity"} | dict(headers))
            with connection.getresponse() as answer:
                yield answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        limits.check()  # a connection that we broke off ourselves: say that, not what came of it
        raise Fault("image-unreachable", f"{told(url)} cannot be fetched: {error or type(error).__name__}") from error
    finally:
        connection.close()


@contextlib.contextmanager
def _ended_at(deadline: float, connection: _Connection) -> Iterator[None]:
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), connection.break_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _keep(answer: http.client.HTTPResponse, limits: Limits, target: Path, digest: Any) -> None:
    limits.check_bytes(answer.length or 0)
    done = 0
    with target.open("wb") as out:
        while piece := answer.read1(CHUNK):
            done += len(piece)
            limits.check_bytes(done)
            limits.check()
            digest.update(piece)
            out.write(piece)
    limits.check()
    if answer.length:
        raise Fault("image-unreachable", f"The image broke off after {done} bytes.")
