# SPDX-License-Identifier: Apache-2.0
"""Fetching, against web servers that misbehave. Real: sockets, HTTP, time. Made up: which names lead to them."""

import hashlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from arbaro_machines.download import download
from arbaro_machines.faults import Fault
from arbaro_machines.limits import Limits
from arbaro_machines.settings import Images
from arbaro_machines.sources import Sources, Unwelcome

CONTENT = b"image" * 100_000
Serve = Callable[[socket.socket, bytes], None]


class Server:
    """Answers each connection as the test wants; `asked` has what came in."""

    def __init__(self, serve: Serve) -> None:
        self.asked: list[bytes] = []
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                one, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(one,), daemon=True).start()

    def _answer(self, one: socket.socket) -> None:
        with one:
            try:
                head = b""
                while b"\r\n\r\n" not in head and (piece := one.recv(4096)):
                    head += piece
                self.asked.append(head)
                self._serve(one, head)
            except OSError:
                pass  # the other side had enough

    def stop(self) -> None:
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Callable[[Serve], Server]]:
    made: list[Server] = []

    def make(serve: Serve) -> Server:
        made.append(Server(serve))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def say(*parts: bytes) -> Serve:
    return lambda one, _: one.sendall(b"".join(parts))


def whole(content: bytes = CONTENT) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


class Loopback(Sources):
    """As the settings say, but servers of tests are on loopback: which never is allowed otherwise."""

    def why_not(self, text: str) -> str:
        return "" if text == "127.0.0.1" else super().why_not(text)


def guard(port: int, *more: str, resolve: Any = None) -> Sources:
    hosts = (f"images.example:{port}", *more)
    return Loopback(Images(url_hosts=hosts), resolve or (lambda host, port: ["127.0.0.1"]))


def limits(tmp_path: Path, seconds: float = 20, max_bytes: int = 10**7, reserve: int = 0) -> Limits:
    return Limits(tmp_path, reserve, max_bytes, 10**9, time.monotonic() + seconds)


def fetch(port: int, tmp_path: Path, sources: Any = None, headers: Any = None, **more: Any) -> bytes:
    digest = hashlib.sha256()
    target = tmp_path / "target"
    url = f"http://images.example:{port}/a.raw?b=c"
    download(url, headers or {}, sources or guard(port), limits(tmp_path, **more), target, digest)
    assert digest.digest() == hashlib.sha256(target.read_bytes()).digest()
    return target.read_bytes()


def test_whole(server, tmp_path: Path) -> None:
    one = server(say(whole()))
    assert fetch(one.port, tmp_path) == CONTENT
    head = one.asked[0].decode()
    assert head.startswith("GET /a.raw?b=c HTTP/1.1\r\n")
    assert f"Host: images.example:{one.port}\r\n" in head


def test_in_chunks(server, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    one = server(say(head, b"5\r\nimage\r\n", b"3\r\nxyz\r\n", b"0\r\n\r\n"))
    assert fetch(one.port, tmp_path) == b"imagexyz"


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 Not Found"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", "broke off after 5 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nim", "cannot be fetched"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "cannot be fetched"),
        (b"", "cannot be fetched"),
    ],
)
def test_not_whole(server, tmp_path: Path, answer: bytes, cause: str) -> None:
    with pytest.raises(Fault, match=cause) as fault:
        fetch(server(say(answer)).port, tmp_path)
    assert fault.value.code == "image-unreachable"
    assert "b=c" not in fault.value.cause, "it may be a signature"


def test_too_large_is_ended_at_the_limit(server, tmp_path: Path) -> None:
    def endless(one: socket.socket, _: bytes) -> None:
        one.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            one.sendall(bytes(2**16))

    with pytest.raises(Fault, match=r"larger than 1000000 bytes"):
        fetch(server(endless).port, tmp_path, max_bytes=10**6)
    assert (tmp_path / "target").stat().st_size <= 10**6
    said_before = server(say(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"))
    with pytest.raises(Fault, match=r"larger than"):
        fetch(said_before.port, tmp_path)


def drip(before: bytes, drop: bytes) -> Serve:
    def serve(one: socket.socket, _: bytes) -> None:
        one.sendall(before)
        while True:
            one.sendall(drop)
            time.sleep(0.1)

    return serve


@pytest.mark.parametrize(
    ("before", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),  # a chunk's length that never ends
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),  # headers
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),  # a header
        (b"", b"H"),  # the first line
        (b"", b""),  # nothing at all
    ],
)
def test_dripping_server_is_left_in_time(server, tmp_path: Path, before: bytes, drop: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(Fault, match="took longer than it may"):
        fetch(server(drip(before, drop)).port, tmp_path, seconds=1.5)
    assert time.monotonic() - began < 15, "it is a busy machine, but not for ever"


def test_server_that_never_ends_its_tls_greeting_is_left_in_time(server, tmp_path: Path) -> None:
    port, began = server(drip(b"", b"")).port, time.monotonic()
    with pytest.raises(Fault, match="took longer than it may"):
        url, digest = f"https://images.example:{port}/a", hashlib.sha256()
        download(url, {}, guard(port), limits(tmp_path, seconds=1.5), tmp_path / "target", digest)
    assert time.monotonic() - began < 15, "it is a busy machine, but not for ever"


def test_full_disk_ends_it(server, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="are to stay free") as fault:
        fetch(server(say(whole())).port, tmp_path, reserve=2**62)
    assert fault.value.code == "no-room"


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{other}/secret",
        "http://localhost:{other}/secret",
        "//localhost:{other}/secret",
        "http://images.example:{other}/secret",
        "http://inside.example:{other}/secret",
        "file:///etc/passwd",
        "http://images.example:{port}@localhost:{other}/secret",
    ],
)
def test_redirect_is_looked_at_again(server, tmp_path: Path, location: str) -> None:
    other = server(say(whole(b"secret")))

    def serve(one: socket.socket, head: bytes) -> None:
        one.sendall(redirect(location.format(other=other.port, port=first.port)))

    first = server(serve)
    # This one is allowed by name, and leads to where nothing is fetched from.
    inside = f"inside.example:{other.port}"
    resolve = {"images.example": ["127.0.0.1"], "inside.example": ["127.0.0.2"]}
    sources = guard(first.port, inside, resolve=lambda host, port: resolve[host])
    with pytest.raises(Unwelcome):
        fetch(first.port, tmp_path, sources)
    assert other.asked == []


def test_redirect_to_a_server_that_is_named(server, tmp_path: Path) -> None:
    other = server(say(whole(b"mirror")))
    first = server(say(redirect(f"http://mirror.example:{other.port}/b")))
    sources = guard(first.port, f"mirror.example:{other.port}")
    assert fetch(first.port, tmp_path, sources, {"X-Auth-Token": "ours"}) == b"mirror"
    assert b"X-Auth-Token: ours" in first.asked[0]
    assert b"ours" not in other.asked[0], "a token is for the server that it was meant for"


def test_redirects_end(server, tmp_path: Path) -> None:
    first = server(lambda one, _: one.sendall(redirect(f"http://images.example:{first.port}/again")))
    with pytest.raises(Fault, match="more than 5 redirects"):
        fetch(first.port, tmp_path)


def test_name_is_asked_once_and_its_answer_is_where_we_connect(server, tmp_path: Path) -> None:
    """A name that first leads to a good address, and a moment later to one inside: DNS rebinding."""
    good, inside = server(say(whole(b"good"))), server(say(whole(b"inside")))
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    sources = guard(good.port, resolve=lambda host, port: answers.pop(0))
    assert fetch(good.port, tmp_path, sources) == b"good"
    assert len(answers) == 1, "one question"
    assert inside.asked == []


def test_of_several_addresses_the_next_is_tried(server, tmp_path: Path, monkeypatch) -> None:
    good = server(say(whole(b"good")))

    class Two(Loopback):
        def why_not(self, text: str) -> str:
            return ""

    sources = Two(Images(url_hosts=(f"images.example:{good.port}",)), lambda host, port: ["127.0.0.9", "127.0.0.1"])
    assert fetch(good.port, tmp_path, sources) == b"good"


def test_https_is_verified_against_the_name(server, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subject = ["-subj", "/CN=images.example", "-addext", "subjectAltName=DNS:images.example"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]

    def serve() -> None:
        for _ in range(2):
            one, _ = listening.accept()
            try:
                with context.wrap_socket(one, server_side=True) as safe:
                    safe.recv(4096)
                    safe.sendall(whole(b"safe"))
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    digest, target = hashlib.sha256(), tmp_path / "target"
    url = f"https://images.example:{port}/a"
    with pytest.raises(Fault, match="certificate"):
        download(url, {}, guard(port), limits(tmp_path), target, digest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate))
        download(url, {}, guard(port), limits(tmp_path), target, digest)
    assert target.read_bytes() == b"safe"
    listening.close()


def test_glance_sends_us_nowhere_else() -> None:
    from arbaro_machines.glance import Glance
    from keystoneauth1.session import Session
    from keystoneauth1.token_endpoint import Token

    glance = Glance(Session(auth=Token("http://192.0.2.1:9292", "our-token")), None)
    assert glance.check(glance.url("7")) == urlsplit("http://192.0.2.1:9292/v2/images/7/file")
    for url in (
        "http://192.0.2.1/v2/images/7/file",
        "http://evil.example/v2/images/7/file",
        "http://192.0.2.1:9292/v2",
    ):
        with pytest.raises(Unwelcome):
            glance.check(url)
