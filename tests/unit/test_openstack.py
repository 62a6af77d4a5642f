# SPDX-License-Identifier: Apache-2.0
"""What the SDK raises ends as one of our errors, wherever it was asked."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from openstack.connection import Connection
from openstack.exceptions import HttpException

from arbaro import progress, settings
from arbaro.cli import options
from arbaro.openstack import connect
from arbaro.runs import Run
from arbaro.steps import Step


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_step_that_openstack_refuses_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    monkeypatch.setattr(settings, "log_file", lambda name, verb: tmp_path / "log")
    monkeypatch.setattr(progress, "cache_dir", lambda: tmp_path)

    def needed() -> bool:
        raise HttpException("no token for you")

    with pytest.raises(SystemExit, match="2"):
        options.run("lab", "up", lambda: [Step("a", needed, lambda _: None)], verbose=False, dry_run=dry_run)
    said = capsys.readouterr().err
    assert "no token for you" in said
    assert "Next: arbaro status lab" in said


#: The SDK warns of what its own configuration hands itself.
no_warnings = pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning")


@no_warnings
def test_each_thread_has_its_own_connection_and_all_share_one_token() -> None:
    with Run().entered() as run:
        barrier = threading.Barrier(3)

        def ask(_: int) -> list[Connection]:
            barrier.wait(30)
            return [connect("http://192.0.2.1:5000/v3", "secret") for _ in range(2)]

        pairs = run.side_by_side(ask, range(3), at_once=3)
    assert all(one is two for one, two in pairs), "one for each thread"
    assert len({id(one) for one, _ in pairs}) == 3
    assert len({id(one.session) for one, _ in pairs}) == 3
    assert len({id(one.session.auth) for one, _ in pairs}) == 1
    assert {one.config.region_name for one, _ in pairs} == {"RegionOne"}
    assert {one.session.timeout for one, _ in pairs} == {30}


@no_warnings
def test_another_run_logs_in_for_itself() -> None:
    found = []
    for _ in range(2):
        with Run().entered():
            found.append(connect("http://192.0.2.1:5000/v3", "secret"))
    assert found[0].session.auth is not found[1].session.auth


class Busy(BaseHTTPRequestHandler):
    """A keystone with one service, compute, which answers twice that it cannot now."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        url = f"http://{self.headers['Host']}/compute"
        endpoint = {"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": url, "id": "e"}
        catalog = [{"type": "compute", "name": "nova", "id": "s", "endpoints": [endpoint]}]
        token = {"user": {"id": "u", "name": "admin"}, "expires_at": "2999-01-01T00:00:00.000000Z", "catalog": catalog}
        self._answer(201, {"token": token | {"methods": ["password"], "roles": []}}, X_Subject_Token="t")

    def do_GET(self) -> None:
        if self.path != "/compute/flavors":
            version = {"id": "v2.1", "status": "CURRENT", "version": "2.93", "min_version": "2.1", "links": []}
            kind = version if self.path.startswith("/compute") else version | {"id": "v3.14"}
            kind = kind | {"links": [{"rel": "self", "href": f"http://{self.headers['Host']}{self.path}"}]}
            self._answer(200, {"version": kind})
            return
        self.asked.append(self.path)
        self._answer(200 if len(self.asked) > 2 else 503, {"flavors": []})

    def _answer(self, status: int, body: Any, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        pass


@no_warnings
@pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning")
@pytest.mark.parametrize(("patience", "asks", "status"), [(7, 3, 200), (0, 1, 503)])
def test_a_service_that_cannot_answer_now_is_asked_again(patience: int, asks: int, status: int) -> None:
    """On a busy machine nova says 503 when its own question to keystone takes too long; `up` must not end of that."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Busy.asked.clear()
    with Run().entered():
        compute = connect(f"http://127.0.0.1:{server.server_port}/v3", "secret", patience=patience).compute
        assert compute.get("/flavors").status_code == status
    assert len(Busy.asked) == asks
    server.shutdown()
    server.server_close()
