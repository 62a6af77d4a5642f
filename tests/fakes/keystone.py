# SPDX-License-Identifier: Apache-2.0
"""A FAKE keystone with fake nova, neutron and glance behind it, on one port of this machine.

It stands in for the little that `arbaro env` asks of them: logging in (password, token, application credential), making and
listing application credentials, and refusing by access rules as keystonemiddleware does. That it behaves like the real
ones is shown only by the live tests (tests/live/test_env.py).
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVICES = {"compute": "/compute/v2.1", "network": "/network", "image": "/image", "identity": "/v3"}


@dataclass
class FakeKeystone:
    """What a test may set, and what it may look at afterwards."""

    password: str = "right"
    #: False: a keystone before Train, which knows no access rules.
    knows_rules: bool = True
    #: The services whose [keystone_authtoken] has no service_type: they refuse all that comes with access rules.
    without_type: set[str] = field(default_factory=set)
    #: The services that look at no access rules at all; the real keystone before 2023.2 is one of them.
    careless: set[str] = field(default_factory=set)
    #: The services that answer 503, as a load balancer does for one that is down.
    down: set[str] = field(default_factory=set)
    delay: float = 0.0
    token_life: float = 3600
    url: str = ""
    logins: int = 0
    credentials: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@contextmanager
def running(**settings: Any) -> Iterator[FakeKeystone]:
    """A fake cloud for the time of the block; its `url` is what auth_url says."""
    fake = FakeKeystone(**settings)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake}))
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}/v3"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


class _Handler(BaseHTTPRequestHandler):
    fake: FakeKeystone
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._route("GET")

    def do_POST(self) -> None:
        self._route("POST")

    def do_DELETE(self) -> None:
        self._route("DELETE")

    def _route(self, method: str) -> None:
        time.sleep(self.fake.delay)
        self.body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        path = self.path.partition("?")[0]
        self.fake.requests.append(f"{method} {path}")
        if path in ("/", "/v3", "/v3/"):
            base = self.fake.url
            version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{base}/"}]}
            self._answer(200, {"version": version} if path != "/" else {"versions": {"values": [version]}})
            return
        if path == "/v3/auth/tokens" and method == "POST":
            self._login()
            return
        token = self.fake.tokens.get(self.headers.get("X-Auth-Token", ""))
        if token is None:
            self._answer(401, {"error": {"code": 401, "message": "not logged in", "title": "Unauthorized"}})
            return
        kind = next((k for k, prefix in SERVICES.items() if path.startswith(prefix)), "")
        if kind in self.fake.down:
            self._answer(503, {})
            return
        if self._refused(token, kind, method):
            self._answer(401, {"error": {"code": 401, "message": "refused by rules", "title": "Unauthorized"}})
            return
        if kind == "identity":
            self._identity(method, path, token)
            return
        if method == "GET":
            self._answer(200, {"versions": [], "servers": [], "networks": [], "images": []})
            return
        self._answer(404, {"error": {"message": "no such thing"}})
        return

    def _refused(self, token: dict[str, Any], kind: str, method: str) -> bool:
        """keystonemiddleware.auth_token.BaseAuthProtocol.validate_allowed_request."""
        rules = token["rules"]
        if rules is None or kind in self.fake.careless:
            return False
        if kind in self.fake.without_type:
            return True
        return not any(rule["service"] == kind and rule["method"] == method for rule in rules)

    def _login(self) -> None:
        identity = self.body["auth"]["identity"]
        way = identity["methods"][0]
        credential: dict[str, Any] | None = None
        if way == "password" and identity["password"]["user"].get("password") != self.fake.password:
            self._answer(401, {"error": {"code": 401, "message": "wrong password", "title": "Unauthorized"}})
            return
        if way == "application_credential":
            said = identity["application_credential"]
            credential = self.fake.credentials.get(said.get("id", ""))
            if not credential or credential["secret"] != said["secret"]:
                self._answer(401, {"error": {"code": 401, "message": "no such", "title": "Unauthorized"}})
                return
        self.fake.logins += 1
        token = uuid.uuid4().hex
        self.fake.tokens[token] = {"rules": credential.get("access_rules") if credential else None}
        body: dict[str, Any] = {
            "methods": identity["methods"],
            "expires_at": _stamp(self.fake.token_life),
            "issued_at": _stamp(0),
            "user": {"id": "u1", "name": "me", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "p1", "name": "one", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": "r", "name": "admin"}],
            "catalog": [self._service(kind, prefix) for kind, prefix in SERVICES.items()],
        }
        if credential:
            body["application_credential"] = {"id": credential["id"], "name": credential["name"], "restricted": True}
        self._answer(201, {"token": body}, {"X-Subject-Token": token})

    def _service(self, kind: str, prefix: str) -> dict[str, Any]:
        url = self.fake.url.removesuffix("/v3") + prefix
        where = {"interface": "public", "region": "kr-1", "region_id": "kr-1", "url": url, "id": uuid.uuid4().hex}
        return {"type": kind, "name": kind, "id": kind, "endpoints": [where]}

    def _identity(self, method: str, path: str, token: dict[str, Any]) -> None:
        match = re.fullmatch(r"/v3/users/u1/application_credentials(?:/(\w+))?", path)
        if path == "/v3/auth/projects":
            self._answer(200, {"projects": [{"id": "p1", "name": "one"}, {"id": "p2", "name": "two"}]})
            return
        if not match:
            self._answer(404, {})
            return
        if method == "POST":
            made = {"id": uuid.uuid4().hex, "secret": "drawn by keystone", **self.body["application_credential"]}
            if not self.fake.knows_rules:
                made.pop("access_rules", None)
            self.fake.credentials[made["id"]] = made
            self._answer(201, {"application_credential": made})
            return
        if method == "GET" and not match[1]:
            self._answer(200, {"application_credentials": list(self.fake.credentials.values())})
            return
        if match[1] not in self.fake.credentials:
            self._answer(404, {})
            return
        if method == "DELETE":
            del self.fake.credentials[match[1]]
            self._answer(204, None)
            return
        self._answer(200, {"application_credential": self.fake.credentials[match[1]]})
        return

    def _answer(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
