# SPDX-License-Identifier: Apache-2.0
"""What the tests of the machine service are made of: people, machines, and a service on SQLite.

Keystone is a stand-in here (a table of tokens); tests/machines/service/test_keystone.py tries the real code against a
small keystone over HTTP.
"""

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from arbaro_machines.api.app import create_agent_app, create_app
from arbaro_machines.api.context import Service
from arbaro_machines.caller import Caller
from arbaro_machines.database.store import Store, migrate
from arbaro_machines.errors import Refusal
from arbaro_machines.sealing import Seal, new_key
from arbaro_machines.settings import Images, Settings, Times
from fastapi.testclient import TestClient

PEOPLE = {
    "operator": Caller("u-op", "olga", "p-ops", reader=True, member=True, operator=True),
    "alice": Caller("u-alice", "alice", "p-web", reader=True, member=True),
    "bob": Caller("u-bob", "bob", "p-db", reader=True, member=True),
    "reader": Caller("u-rita", "rita", "p-web", reader=True),
    "nobody": Caller("u-nina", "nina", "p-web"),
}


class TokenTable:
    """Stands in for keystone: the token is the person's name."""

    def caller(self, token: str, method: str, path: str) -> Caller:
        if token not in PEOPLE:
            raise Refusal("no-token", "Unknown.")
        return PEOPLE[token]


def make_settings(directory: Path, **more: Any) -> Settings:
    key = directory / "key"
    if not key.exists():
        key.write_text(new_key())
    defaults = {
        "database": f"sqlite:///{directory}/machines.sqlite",
        "key_file": key,
        "image_cache": directory / "images",
        "ramdisk": directory / "ramdisk",
        "project_quota": -1,
        "agent_networks": ("10.0.7.0/24",),
        "images": Images(reserve_gib=0.1),
        "times": Times(poll=0.1, lease=2),
    }
    return Settings(**(defaults | more))


@functools.cache
def _migrated() -> Path:
    """An empty database in its present form, migrated once for all tests."""
    path = Path(tempfile.mkdtemp(prefix="arbaro-machines-")) / "empty.sqlite"
    migrate(f"sqlite:///{path}")
    return path


def make_service(directory: Path, **more: Any) -> Service:
    settings = make_settings(directory, **more)
    if settings.database.startswith("sqlite"):
        shutil.copy(_migrated(), directory / "machines.sqlite")
    else:
        migrate(settings.database)
    return Service(settings, Store(settings.database), Seal.from_file(settings.key_file), TokenTable())


class Person:
    """Somebody with a token who calls the API."""

    def __init__(self, http: Any, name: str) -> None:
        self._http = http
        self.headers = {"X-Auth-Token": name}

    def call(self, method: str, path: str, body: Any = None, *, status: int | None = None, **headers: str) -> Any:
        """Call, expect the status, and return what came (the response where no status is expected)."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is None and method == "POST":
            body = {}
        response = self._http.request(method, path, json=body, headers=self.headers | headers)
        if status is None:
            return response
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None


def client_of(service: Service) -> TestClient:
    return TestClient(create_app(service))


def agent_client_of(service: Service, address: str) -> TestClient:
    """Somebody at this address who speaks to the ramdisks' port."""
    return TestClient(create_agent_app(service), client=(address, 40000))


def enrolment(name: str, **more: Any) -> dict[str, Any]:
    machine = {
        "name": name,
        "resource_class": "CUSTOM_PM_SMALL",
        "model": "R640",
        "room": "icn1-a",
        "rack": "a01",
        "bmc": {
            "address": "http://127.0.0.1:1",
            "system": "/redfish/v1/Systems/1",
            "username": "admin",
            "password": "calvin-1",
        },
    }
    return machine | more
