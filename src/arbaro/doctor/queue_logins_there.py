# SPDX-License-Identifier: Apache-2.0
"""Runs on a host, by its own Python: logs in to the queue as the services there do, and tells how it answered.

It speaks as much AMQP 0-9-1 as a login needs, and opens nothing. It prints one line of JSON: a list of {file, user,
answer}; the answer is `in`, `refused`, or why there is none. A password is printed nowhere.
"""

from __future__ import annotations

import configparser
import json
import socket
import struct
import sys
import threading
import urllib.parse
from pathlib import Path

SECONDS = 6
UNREADABLE = "its URL is of a form that is not read here"
START, START_OK, TUNE, CLOSE = (10, 10), (10, 11), (10, 30), (10, 50)


def logins(patterns: list[str]) -> list[dict[str, str]]:
    """Read where each file's services find the queue."""
    found = []
    for path in sorted({path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/"))}):
        config = configparser.RawConfigParser(strict=False, allow_no_value=True)
        try:
            config.read_string(path.read_text())
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue
        url = config.defaults().get("transport_url") or ""
        if url.startswith("rabbit://"):
            found.append({"file": str(path), "url": url})
    return found


def answer(url: str) -> str:
    """Log in, and say how the queue answered."""
    try:
        parts = urllib.parse.urlsplit(url)
        user, password = (urllib.parse.unquote(word or "") for word in (parts.username, parts.password))
        host, port = parts.hostname, parts.port or 5672
    except ValueError:
        # What Python says of it has the password in it.
        return UNREADABLE
    if "," in parts.netloc or not host:
        return UNREADABLE
    try:
        with socket.create_connection((host, port), SECONDS) as queue:
            queue.settimeout(SECONDS)
            queue.sendall(b"AMQP\x00\x00\x09\x01")
            if method(queue) != START:
                return "it does not speak AMQP 0-9-1"
            # With this capability the queue says that it refuses, and does not just hang up.
            capability = short("authentication_failure_close") + b"t\x01"
            table = short("capabilities") + b"F" + long(capability)
            said = long(table) + short("PLAIN") + long(f"\0{user}\0{password}".encode()) + short("en_US")
            payload = struct.pack(">HH", *START_OK) + said
            queue.sendall(struct.pack(">BHL", 1, 0, len(payload)) + payload + b"\xce")
            heard = method(queue)
            return "in" if heard == TUNE else "refused" if heard in (CLOSE, None) else f"it answers {heard}"
    except OSError as error:
        return error.strerror or type(error).__name__
    except (ValueError, struct.error):
        return "it does not speak AMQP 0-9-1"


def user_of(url: str) -> str:
    """The user that a URL names, as far as it can be read."""
    try:
        return urllib.parse.unquote(urllib.parse.urlsplit(url).username or "")
    except ValueError:
        return ""


def method(queue: socket.socket) -> tuple[int, int] | None:
    """Read one frame; returns its class and method, None when the other side hung up."""
    head = exactly(queue, 7)
    if head is None:
        return None
    _, _, length = struct.unpack(">BHL", head)
    body = exactly(queue, min(length, 1 << 20) + 1)
    return None if body is None else struct.unpack(">HH", body[:4])


def exactly(queue: socket.socket, size: int) -> bytes | None:
    """Read so many bytes."""
    found = b""
    while len(found) < size:
        piece = queue.recv(size - len(found))
        if not piece:
            return None
        found += piece
    return found


def short(text: str) -> bytes:
    """A string of AMQP with a length of one byte."""
    return bytes([len(text)]) + text.encode()


def long(content: bytes) -> bytes:
    """Bytes of AMQP with a length of four bytes."""
    return struct.pack(">L", len(content)) + content


def main(patterns: list[str]) -> None:
    """Log in once for each distinct URL."""
    found = logins(patterns)
    answers = {one["url"]: "no answer in time" for one in found}
    threads = [
        threading.Thread(target=lambda url=url: answers.__setitem__(url, answer(url)), daemon=True) for url in answers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 1)
    told = [
        {
            "file": one["file"],
            "user": user_of(one["url"]),
            "answer": answers[one["url"]],
        }
        for one in found
    ]
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
