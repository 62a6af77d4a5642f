# SPDX-License-Identifier: Apache-2.0
"""A FAKE neutron, which openstacksdk talks to over HTTP as an admin: it sees what is in all projects.

It stands in for finding, listing and making things, as its API reference describes them. That the real one behaves like it
is shown by the live tests.
"""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ADMIN = "the admin's project"
Things = dict[str, list[dict[str, Any]]]


@contextmanager
def running(things: Things) -> Iterator[Any]:
    """The network proxy of a connection to a neutron that has these things, by the names of their collections."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"things": things}))
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_port}/v2.0"
    server.RequestHandlerClass.url = url  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    import openstack

    connection = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="none",
        network_endpoint_override=url,
    )
    try:
        yield connection.network
    finally:
        connection.close()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    things: Things
    url: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        words = address.path.strip("/").split("/")[1:]
        if not words:
            version = {"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": self.url}]}
            self._answer(200, {"versions": [version]})
            return
        found = self.things.setdefault(words[0].replace("-", "_"), [])
        if len(words) == 2:
            one = next((thing for thing in found if thing["id"] == words[1]), None)
            self._answer(200 if one else 404, {_single(words[0]): one} if one else {"NeutronError": {"message": "no"}})
            return
        # Neutron compares exactly, and looks at no other project only if it is told so.
        wanted = dict(parse_qsl(address.query))
        self._answer(
            200, {words[0].replace("-", "_"): [t for t in found if all(t.get(k) == v for k, v in wanted.items())]}
        )

    def do_POST(self) -> None:
        collection = self.path.strip("/").split("/")[-1]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        made = {"id": uuid.uuid4().hex, "project_id": ADMIN, "security_group_rules": [], **body[_single(collection)]}
        self.things.setdefault(collection.replace("-", "_"), []).append(made)
        self._answer(201, {_single(collection): made})

    def _answer(self, code: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _single(collection: str) -> str:
    return collection.replace("-", "_").removesuffix("s")
