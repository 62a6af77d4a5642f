# SPDX-License-Identifier: Apache-2.0
"""A stand-in for services/machines: an HTTP server on the loopback, written to docs/reference/machines-api.md.

It has no hardware, no keystone and no database: tasks end by themselves a moment after they began, or fail as a test says.
"""

import datetime
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

#: verb → (states where it is legal, state that it leads to, state after its task)
MOVES = {
    "reserve": ({"available"}, "reserved", None),
    "deploy": ({"reserved", "deploy-failed", "active"}, "deploying", "active"),
    "release": (
        {"reserved", "deploying", "deploy-failed", "active", "rescuing", "rescued", "unrescuing", "rescue-failed"},
        "cleaning",
        "available",
    ),
    "rescue": ({"active", "rescue-failed"}, "rescuing", "rescued"),
    "unrescue": ({"rescued", "rescue-failed"}, "unrescuing", "active"),
}


def now():
    """Return the time as the API writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status, code, message, next_step=""):
        super().__init__(message)
        self.status, self.code, self.message, self.next_step = status, code, message, next_step


class FakeApi:
    """The machines, and what a test wants to happen to them."""

    def __init__(self, task_seconds=0.05):
        self.task_seconds = task_seconds
        self.machines, self.requests, self.deployments = {}, [], {}
        self.faults = {}  # machine id → (code, cause, next step): what its next tasks end with
        self.held_up = set()  # machine ids whose tasks do not end
        self.lose_answers = 0  # so many requests are done, and their connection breaks before the answer
        self.down = False  # answers 503 to everything
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()

    def add(self, count=1, **values):
        """Enrol machines that are ready; returns the last one's document."""
        for _ in range(count):
            number = len(self.machines) + 1
            name = f"pm{number:05}"
            machine = {
                # The same ids in each run: by them the nova-computes share the machines.
                "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
                "name": name,
                "revision": 1,
                "state": "available",
                "power": "off",
                "maintenance": None,
                "resource_class": "CUSTOM_PM_SMALL",
                "model": "fake",
                "room": "a",
                "rack": "a01",
                "properties": {"cpus": 2, "memory_mb": 1024, "disk_gb": 4, "cpu_arch": "x86_64"},
                "interfaces": [
                    {"mac": f"52:54:00:88:{number // 256:02x}:{number % 256:02x}", "name": "eth1", "boot": False},
                    {"mac": f"52:54:00:77:{number // 256:02x}:{number % 256:02x}", "name": "eth0", "boot": True},
                ],
                "holder": None,
                "deployment": None,
                "task": None,
                "fault": None,
                "console_url": "tcp://127.0.0.1:7001",
                "updated_at": now(),
                **values,
            }
            self.machines[machine["id"]] = machine
        return machine

    def change(self, machine, **values):
        """Change a machine as the service would."""
        machine.update(values, revision=machine["revision"] + 1, updated_at=now())

    def seen(self, machine):
        """Return a machine as a GET would show it."""
        with self.lock:
            self._end_tasks()
            return machine

    def counted(self, method, start):
        """Count requests by method and beginning of the path."""
        return sum(1 for m, path in self.requests if m == method and path.startswith(start))

    def _end_tasks(self):
        for machine in self.machines.values():
            task = machine["task"]
            if task is None or machine["id"] in self.held_up or time.monotonic() < task["until"]:
                continue
            fault = self.faults.get(machine["id"])
            if fault:
                code, cause, next_step = fault
                fault = {"code": code, "cause": cause, "next_step": next_step, "step": task["verb"], "at": now()}
            failed = {"deploy": "deploy-failed", "rescue": "rescue-failed", "unrescue": "rescue-failed"}
            power = {"power": task.get("power"), "deploy": "on"}.get(task["verb"], machine["power"])
            state = task["then"] if not fault else failed.get(task["verb"], machine["state"])
            self.change(machine, task=None, fault=fault, state=state, power=machine["power"] if fault else power)

    def _find(self, reference):
        for machine in self.machines.values():
            if reference in (machine["id"], machine["name"]):
                return machine
        raise Refusal(404, "not-found", f"There is no machine {reference}.")

    def answer(self, method, path, query, body):
        """Return status and document for a request."""
        with self.lock:
            self.requests.append((method, path))
            if self.down:
                raise Refusal(503, "no-database", "The database does not answer.")
            self._end_tasks()
            parts = path.strip("/").split("/")
            if path == "/v1/machines":
                return 200, self._page(query)
            if path == "/v1/stock":
                free = sum(
                    m["state"] == "available"
                    and not m["maintenance"]
                    and m["resource_class"] == query["resource_class"][0]
                    for m in self.machines.values()
                )
                return 200, {"stock": [{"resource_class": query["resource_class"][0], "free": free}]}
            machine = self._find(parts[2])
            if len(parts) == 3:
                return 200, machine
            if parts[3] == "console":
                if not machine["console_url"]:
                    raise Refusal(409, "no-console", "It has no console.")
                url = urlsplit(machine["console_url"])
                return 200, {"protocol": "tcp", "host": url.hostname, "port": url.port, "url": machine["console_url"]}
            return self._verb(machine, parts[3], body)

    def _page(self, query):
        wanted = [m for m in sorted(self.machines.values(), key=lambda m: m["name"])]
        if "server_id" in query:
            wanted = [m for m in wanted if (m["holder"] or {}).get("server_id") == query["server_id"][0]]
        for name in {"room", "rack"} & set(query):
            wanted = [m for m in wanted if m[name] == query[name][0]]
        if "changed_since" in query:
            wanted = [m for m in wanted if m["updated_at"] >= query["changed_since"][0]]
        limit, marker = int(query.get("limit", ["100"])[0]), query.get("marker", [""])[0]
        rest = [m for m in wanted if m["name"] > marker]
        following = None
        if len(rest) > limit:
            following = f"/v1/machines?limit={limit}&marker={rest[limit - 1]['name']}"
        return {"machines": rest[:limit], "links": {"next": following}}

    def _verb(self, machine, verb, body):
        if verb == "power":
            return self._switch(machine, body["target"])
        legal, state, then = MOVES[verb]
        held_by = (machine["holder"] or {}).get("server_id")
        if verb == "reserve" and body.get("server_id") and held_by == body["server_id"]:
            return 200, machine
        if machine["maintenance"] and verb in ("reserve", "deploy"):
            raise Refusal(409, "in-maintenance", f"{machine['name']} is in maintenance.")
        if machine["state"] not in legal:
            message = f"{machine['name']} is {machine['state']}; {verb} is legal in {', '.join(sorted(legal))}."
            raise Refusal(409, "illegal-move", message)
        task = then and {"verb": verb, "until": time.monotonic() + self.task_seconds, "then": then}
        self.change(machine, state=state, task=task, fault=None)
        if verb == "reserve":
            machine["holder"] = {"project_id": body["project_id"], "server_id": body.get("server_id"), "since": now()}
        if verb == "release":
            machine.update(holder=None, deployment=None)
        if verb == "deploy":
            self.deployments.setdefault(machine["id"], []).append(body)
            machine["deployment"] = {"image": body["image"], "network": body.get("network", []), "since": now()}
        return (200 if verb == "reserve" else 202), machine

    def _switch(self, machine, target):
        if machine["task"] or machine["state"] not in ("active", "rescued"):
            raise Refusal(409, "illegal-move", f"{machine['name']} is {machine['state']}.")
        power = "off" if target in ("off", "soft-off") else "on"
        task = {
            "verb": "power",
            "until": time.monotonic() + self.task_seconds,
            "then": machine["state"],
            "power": power,
        }
        self.change(machine, task=task, fault=None)
        return 202, machine

    def _handler(self):
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self._do("GET")

            def do_POST(self):
                self._do("POST")

            def _do(self, method):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                url = urlsplit(self.path)
                try:
                    status, answer = api.answer(method, url.path, parse_qs(url.query), body)
                except Refusal as refusal:
                    status = refusal.status
                    answer = {
                        "error": {"code": refusal.code, "message": refusal.message, "next_step": refusal.next_step}
                    }
                if api.lose_answers and method == "POST":
                    api.lose_answers -= 1
                    self.close_connection = True
                    self.connection.close()
                    return
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                """Say nothing."""

        return Handler
