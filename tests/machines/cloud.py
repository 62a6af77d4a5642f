# SPDX-License-Identifier: Apache-2.0
"""Stands in for keystone (it lets the service log in) and glance (it tells of images and hands out their bytes).

Real are the service's own keystoneauth, and what it makes of the answers. Whole ones are in tests/live/test_machines.py.
"""

import hashlib
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: So that it passes for a disk from which firmware starts.
SIGNATURE = b"\x55\xaa"


def disk(text: bytes, size: int) -> bytes:
    """A disk of this size that begins with a text and that firmware would start."""
    return text.ljust(510, b"\0") + SIGNATURE + bytes(size - 512)


class Cloud:
    """Both, on one port of the loopback interface."""

    def __init__(self) -> None:
        self.images: dict[str, dict[str, Any]] = {}
        self.bytes: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, content: bytes | None, **properties: Any) -> dict[str, str]:
        """Upload an image; returns it as a deployment names it. None: its bytes are gone."""
        image_id = str(uuid.uuid4())
        told = {
            "id": image_id,
            "name": "disk",
            "status": "active",
            "disk_format": "raw",
            "os_hash_algo": "sha512",
            "os_hash_value": hashlib.sha512(content or b"").hexdigest(),
            "min_disk": 0,
        }
        self.images[image_id] = told | properties
        if content is not None:
            self.bytes[image_id] = content
        return {"id": image_id}

    def _answer(self, path: str) -> tuple[int, bytes]:
        parts = path.partition("?")[0].strip("/").split("/")
        match parts:
            case ["v2", "images"]:
                return 200, json.dumps({"images": list(self.images.values())}).encode()
            case ["v2", "images", image_id] if image_id in self.images:
                return 200, json.dumps(self.images[image_id]).encode()
            case ["v2", "images", image_id, "file"] if image_id in self.bytes:
                return 200, self.bytes[image_id]
            case ["v3"]:
                link = {"rel": "self", "href": f"{self.url}/v3/"}
                return 200, json.dumps({"version": {"id": "v3.14", "status": "stable", "links": [link]}}).encode()
            case [""] | ["v2"]:
                link = {"rel": "self", "href": f"{self.url}/v2/"}
                return 300, json.dumps({"versions": [{"id": "v2.9", "status": "CURRENT", "links": [link]}]}).encode()
        return 404, b"{}"

    def _token(self) -> dict[str, Any]:
        endpoint = {"interface": "internal", "region": "here", "region_id": "here", "url": self.url, "id": "e"}
        return {
            "user": {"id": "u", "name": "machines", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "s", "name": "service", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": "r", "name": "service"}],
            "methods": ["password"],
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2999-01-01T00:00:00.000000Z",
            "catalog": [{"type": "image", "name": "glance", "id": "g", "endpoints": [endpoint]}],
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cloud.asked.append((self.path, self.headers["X-Auth-Token"]))
                self._send(*cloud._answer(self.path))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._send(201, json.dumps({"token": cloud._token()}).encode(), X_Subject_Token="own")

            def _send(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
