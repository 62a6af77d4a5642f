# SPDX-License-Identifier: Apache-2.0
"""The real code that asks keystone about tokens, against a small keystone over HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from arbaro_machines.api.keystone import KeystoneIdentity, open_session
from arbaro_machines.errors import Refusal
from arbaro_machines.settings import Keystone

READ_ONLY = [{"service": "physical-machine", "method": "GET", "path": "/v1/**"}]


def token(*roles: str, **more: Any) -> dict[str, Any]:
    return {
        "user": {"id": "u1", "name": "ulla"},
        "project": {"id": "p1"},
        "roles": [{"name": role} for role in roles],
        "expires_at": "2999-01-01T00:00:00.000000Z",
        "methods": ["password"],
    } | more


TOKENS = {
    "member": token("member"),
    "reader": token("reader"),
    "Admin": token("Admin"),
    "none": token("creator"),
    "nova": token("service"),
    "driver": token("service", "machine_operator"),
    "guarded": token("member", application_credential={"id": "a", "access_rules": READ_ONLY}),
}


class SmallKeystone(BaseHTTPRequestHandler):
    """Logs the service in, and judges the tokens above."""

    asked: list[str] = []  # noqa: RUF012 # the test reads it

    def _answer(self, status: int, body: Any, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201, {"token": token("service", catalog=[])}, X_Subject_Token="own")

    def do_GET(self) -> None:
        if not self.path.startswith("/v3/auth/tokens"):
            version = {
                "id": "v3.14",
                "status": "stable",
                "links": [{"rel": "self", "href": f"http://{self.headers['Host']}/v3/"}],
            }
            self._answer(200, {"version": version})
            return
        subject = self.headers["X-Subject-Token"]
        self.asked.append(subject)
        assert self.headers["X-Auth-Token"] == "own"
        # Without this header keystone refuses tokens with access rules: we could not judge them.
        assert self.headers["OpenStack-Identity-Access-Rules"] == "1.0"
        known = TOKENS.get(subject)
        self._answer(200 if known else 404, {"token": known} if known else {"error": {"message": "no"}})

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def identity(tmp_path: Path) -> Iterator[KeystoneIdentity]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SmallKeystone)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    SmallKeystone.asked.clear()
    (tmp_path / "password").write_text("pw\n")
    settings = Keystone(auth_url=f"http://127.0.0.1:{server.server_port}/v3", password_file=tmp_path / "password")
    yield KeystoneIdentity(settings, open_session(settings))
    server.shutdown()
    server.server_close()


def circles(identity: KeystoneIdentity, name: str) -> tuple[bool, bool, bool]:
    caller = identity.caller(name, "GET", "/v1/machines")
    return caller.reader, caller.member, caller.operator


def test_roles_make_circles(identity: KeystoneIdentity) -> None:
    assert circles(identity, "member") == (True, True, False)
    assert circles(identity, "reader") == (True, False, False)
    assert circles(identity, "Admin") == (True, True, True)
    assert circles(identity, "none") == (False, False, False)
    # Each hypervisor has the password of nova's user.
    assert circles(identity, "nova") == (False, False, False)
    assert circles(identity, "driver") == (True, True, True)


def test_unknown_tokens_are_refused(identity: KeystoneIdentity) -> None:
    with pytest.raises(Refusal) as refused:
        identity.caller("made-up", "GET", "/v1/machines")
    assert refused.value.status == 401


def test_a_token_that_expires_within_the_minute_is_believed_no_longer_than_that(identity: KeystoneIdentity) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=1)
    TOKENS["brief"] = token("member", expires_at=ends.isoformat().replace("+00:00", "Z"))
    assert identity.caller("brief", "GET", "/v1/machines").member
    assert identity.caller("brief", "GET", "/v1/machines").member
    assert SmallKeystone.asked == ["brief"]
    time.sleep(1.1)
    del TOKENS["brief"]  # keystone knows expired ones no longer
    with pytest.raises(Refusal) as refused:
        identity.caller("brief", "GET", "/v1/machines")
    assert refused.value.status == 401


def test_access_rules_are_kept(identity: KeystoneIdentity) -> None:
    assert identity.caller("guarded", "GET", "/v1/machines").member
    with pytest.raises(Refusal) as refused:
        identity.caller("guarded", "POST", "/v1/machines/a/release")
    assert refused.value.status == 403


def test_keystone_is_asked_once_a_minute(identity: KeystoneIdentity) -> None:
    for _ in range(5):
        identity.caller("member", "GET", "/v1/machines")
    assert SmallKeystone.asked == ["member"]


def test_no_keystone_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pw\n")
    settings = Keystone(auth_url="http://127.0.0.1:1/v3", password_file=tmp_path / "password")
    with pytest.raises(Refusal) as refused:
        KeystoneIdentity(settings, open_session(settings)).caller("member", "GET", "/v1/machines")
    assert refused.value.status == 503
