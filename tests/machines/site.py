# SPDX-License-Identifier: Apache-2.0
"""A whole service: database, API, workers, all in processes of their own, and emulated machines behind Redfish."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import requests
from arbaro_machines.bootmedia import LENGTH, MARKER
from arbaro_machines.database.models import Machine
from arbaro_machines.database.store import Store, migrate
from arbaro_machines.sealing import new_key
from sqlalchemy import update

from .cloud import Cloud
from .parts import Person, enrolment
from .standin import AUTH, Hardware

ROOT = Path(__file__).parents[2]
TIMES = {
    "bmc_patience": 2,
    "power": 10,
    "first_word": 4,
    "silence": 2,
    "doubt": 1,
    "soft_off": 2,
    "lease": 2,
    "poll": 0.2,
    "bmc_pause": 1,
    "write": 30,
    "wipe": 30,
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Http:
    """requests, with the base address in front."""

    def __init__(self, base: str) -> None:
        self._base = base

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, self._base + path, timeout=30, **more)


class Site:
    """The service and its machines."""

    def __init__(self, directory: Path, machines: int, **times: float) -> None:
        self.directory = directory
        self.hardware = Hardware()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.cloud = Cloud()
        self._bmc_port, self._api_port, self._agent_port = free_port(), free_port(), free_port()
        self.bmc = self.hardware.bmc = f"http://127.0.0.1:{self._bmc_port}"
        self.api = f"http://127.0.0.1:{self._api_port}"
        self.agent = f"http://127.0.0.1:{self._agent_port}"
        self.hardware.api, self.hardware.agent = self.api, self.agent
        self._times = TIMES | times
        self.database = f"sqlite:///{directory}/machines.sqlite"
        self._write_files(machines)
        migrate(self.database)
        self.store = Store(self.database)
        self.operator, self.alice = (Person(Http(self.api), name) for name in ("operator", "alice"))

    def _write_files(self, machines: int) -> None:
        (self.directory / "key").write_text(new_key())
        (self.directory / "ramdisk").mkdir()
        marker = MARKER.ljust(LENGTH, b"=")
        (self.directory / "ramdisk/deploy.iso").write_bytes(b"x" * 2**20 + marker + b"y" * 5000 + marker)
        times = "".join(f"{name} = {value}\n" for name, value in self._times.items())
        (self.directory / "machines.toml").write_text(f"""
            database = "{self.database}"
            key_file = "{self.directory}/key"
            port = {self._api_port}
            project_quota = -1
            agent_port = {self._agent_port}
            agent_url = "{self.agent}"
            agent_networks = ["127.0.0.1"]
            ramdisk = "{self.directory}/ramdisk"
            image_cache = "{self.directory}/images"
            [images]
            reserve_gib = 0.1
            [keystone]
            auth_url = "{self.cloud.url}/v3"
            password_file = "{self.directory}/key"
            region_name = "here"
            [times]
            {times}
        """)
        user = f"{AUTH[0]}:{bcrypt.hashpw(AUTH[1].encode(), bcrypt.gensalt(4)).decode()}\n"
        (self.directory / "htpasswd").write_text(user)
        systems = [
            {
                "uuid": self.system(number),
                "name": f"m{number}",
                "power_state": "Off",
                "external_notifier": True,
                "nics": [{"mac": f"52:54:00:00:00:{number:02x}", "ip": "192.0.2.1"}],
            }
            for number in range(machines)
        ]
        (self.directory / "emulator.conf").write_text(
            f"SUSHY_EMULATOR_FAKE_SYSTEMS = {systems!r}\n"
            f"EXTERNAL_NOTIFICATION_URL = {self.hardware.url!r}\n"
            f"SUSHY_EMULATOR_AUTH_FILE = '{self.directory}/htpasswd'\n"
            f"SUSHY_EMULATOR_STATE_DIR = '{self.directory}'\n"
        )

    @staticmethod
    def system(number: int) -> str:
        return f"00000000-0000-0000-0000-{number:012}"

    def start(self, *names: str) -> None:
        """Start emulator, api, or a worker (any name that begins so)."""
        commands = {
            "emulator": ["tests/machines/emulator.py", str(self._bmc_port), f"{self.directory}/emulator.conf"],
            "api": ["-m", "tests.machines.serve"],
            "worker": ["-m", "arbaro_machines.command", "worker"],
        }
        env = os.environ | {"ARBARO_MACHINES_CONFIG": f"{self.directory}/machines.toml"}
        for name in names:
            log = (self.directory / f"{name}.log").open("ab")
            command = [sys.executable, "-W", "ignore", *commands[name.rstrip("0123456789")]]
            self._processes[name] = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
            log.close()
        if "api" in names:
            wait_for("the API", lambda: _answers(f"{self.api}/healthz"), 300)
        if "emulator" in names:
            wait_for("the emulator", lambda: _answers(f"{self.bmc}/redfish/v1/"), 300)

    def kill(self, *names: str) -> None:
        """kill -9."""
        for name in names:
            process = self._processes.pop(name)
            process.send_signal(signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        self.kill(*list(self._processes))
        self.hardware.stop()
        self.cloud.stop()

    def enrol(self, number: int, **more: Any) -> str:
        """Enrol the emulated machine of this number; returns its name."""
        bmc = {
            "address": self.bmc,
            "system": f"/redfish/v1/Systems/{self.system(number)}",
            "username": AUTH[0],
            "password": AUTH[1],
        } | more.pop("bmc", {})
        body = enrolment(f"m{number}", bmc=bmc, interfaces=[{"mac": f"52:54:00:00:00:{number:02x}", "boot": True}])
        self.operator.call("POST", "/v1/machines", body | more, status=201)
        return f"m{number}"

    def stocked(self, number: int, seconds: float = 120) -> str:
        """Enrol the machine and bring it into the stock the whole way."""
        name = self.enrol(number)
        self.operator.call("POST", f"/v1/machines/{name}/inspect", status=202)
        self.wait(name, "inspected")
        self.operator.call("POST", f"/v1/machines/{name}/provide", status=202)
        self.wait(name, "available", seconds=seconds)
        return name

    def held(self, number: int, **more: Any) -> str:
        """Have a machine in the stock without the way there, and reserved by alice."""
        name = self.enrol(number, **more)
        with self.store.writing() as session:
            in_stock = {"state": "available", "written": False, "properties": {"disk_gb": 8}}
            session.execute(update(Machine).where(Machine.name == name).values(**in_stock))
        self.alice.call("POST", f"/v1/machines/{name}/reserve", status=200)
        return name

    def show(self, name: str) -> dict[str, Any]:
        return self.operator.call("GET", f"/v1/machines/{name}", status=200)

    def stock(self) -> list[dict[str, Any]]:
        return self.operator.call("GET", "/v1/stock?by=resource_class", status=200)["stock"]

    def wait(self, name: str, *states: str, seconds: float = 120) -> dict[str, Any]:
        """Wait until the machine's task is done and it is in one of the states."""

        def there() -> dict[str, Any] | None:
            machine = self.show(name)
            assert machine["task"] or machine["state"] in states or not machine["fault"], machine
            return machine if machine["task"] is None and machine["state"] in states else None

        return wait_for(f"{name} to be {states}", there, seconds, lambda: self.show(name))


def wait_for(what: str, look: Callable[[], Any], seconds: float = 120, state: Callable[[], Any] = lambda: "") -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if seen := look():
                return seen
        except requests.RequestException as error:
            seen = error
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}; last: {state()}"
        time.sleep(0.2)


def _answers(url: str) -> bool:
    return requests.get(url, auth=AUTH, timeout=5).status_code == 200
