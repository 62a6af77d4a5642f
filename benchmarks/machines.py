# SPDX-License-Identifier: Apache-2.0
"""The physical-machine API with 50,000 machines: how long calls take; 100 clients at once, no machine twice.

    .venv-machines/bin/python -m benchmarks.machines [--machines 50000] [--database sqlite|mariadb]

The real API in a process of its own, one uvicorn, over real HTTP on loopback; a real database (SQLite in a file, or a
MariaDB started for this). Keystone is a table of tokens: what is measured is ours. 4 models, 10 rooms of 50 racks;
a third of the machines free, two thirds held. Latencies are the client's, its connection kept open.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from arbaro_machines.database.models import Interface, Machine, now
from arbaro_machines.database.store import Store, migrate
from arbaro_machines.sealing import new_key
from sqlalchemy import insert
from tests.machines import mariadb
from tests.machines.site import free_port, wait_for

CLASSES = ("CUSTOM_PM_SMALL", "CUSTOM_PM_MEDIUM", "CUSTOM_PM_LARGE", "CUSTOM_PM_GPU")


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Machines as a large cloud has them."""
    draw = random.Random(1)
    for number in range(count):
        free = number % 3 == 0
        kind = draw.randrange(4)
        yield {
            "id": str(uuid.UUID(int=draw.getrandbits(128))),
            "name": f"m{number:05}",
            "revision": 1,
            "state": "available" if free else "active",
            "power": "off" if free else "on",
            "maintenance": False,
            "resource_class": CLASSES[kind],
            "model": f"model-{kind}",
            "room": f"room-{number % 10}",
            "rack": f"rack-{number // 10 % 50:02}",
            "properties": {"cpus": 32, "memory_mb": 196608, "disk_gb": 960},
            "boot_method": "virtual-media",
            "firmware": "uefi",
            "bmc_address": "https://10.0.0.1",
            "bmc_system": "/redfish/v1/Systems/1",
            "project_id": None if free else f"project-{number % 100}",
            "held_since": None if free else now(),
            "server_id": None if free else str(uuid.UUID(int=draw.getrandbits(128))),
            "written": not free,
        }


def fill(url: str, count: int) -> None:
    """Put them into the database, with one interface each."""
    migrate(url)
    store = Store(url)
    machines = list(rows(count))
    with store.writing() as session:
        for start in range(0, count, 5000):
            part = machines[start : start + 5000]
            session.execute(insert(Machine), part)
            macs = [
                f"52:54:00:{(start + n) >> 16:02x}:{(start + n) >> 8 & 255:02x}:{(start + n) & 255:02x}"
                for n in range(len(part))
            ]
            interfaces = [
                {"mac": mac, "machine_id": row["id"], "name": "eth0", "boot": True}
                for mac, row in zip(macs, part, strict=True)
            ]
            session.execute(insert(Interface), interfaces)
    store.engine.dispose()


@contextlib.contextmanager
def serving(directory: Path, url: str) -> Iterator[int]:
    """Run the API; yields its port."""
    port = free_port()
    (directory / "key").write_text(new_key())
    config = directory / "machines.toml"
    config.write_text(f'database = "{url}"\nkey_file = "{directory}/key"\nport = {port}\nlisten = "127.0.0.1"\n')
    env = os.environ | {"ARBARO_MACHINES_CONFIG": str(config)}
    process = subprocess.Popen([sys.executable, "-m", "tests.machines.serve"], env=env)
    try:
        wait_for("the API", lambda: answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    """Say whether the API is up."""
    try:
        return Client(port).call("GET", "/healthz")[0] == 200
    except OSError:
        return False


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"X-Auth-Token": "operator", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Call."""
        self._connection.request(method, path, json.dumps(body) if body is not None else None, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def timed(count: int, call: Callable[[int], Any]) -> list[float]:
    """Call one after the other; returns milliseconds."""
    times = []
    for number in range(count):
        start = time.perf_counter()
        call(number)
        times.append((time.perf_counter() - start) * 1000)
    return times


def reserve_at_once(port: int, clients: int, each: int, body: dict[str, Any]) -> tuple[list[float], int, float]:
    """Reserve with many clients at once; returns milliseconds, how many were given, and seconds in all."""
    given: list[str] = []
    times: list[float] = []
    begin = threading.Barrier(clients + 1)

    def one() -> None:
        client = Client(port)
        client.call("GET", "/healthz")
        begin.wait()
        for _ in range(each):
            start = time.perf_counter()
            status, text = client.call("POST", "/v1/reservations", body)
            times.append((time.perf_counter() - start) * 1000)
            assert status == 201, text
            given.extend(machine["id"] for machine in json.loads(text)["machines"])

    threads = [threading.Thread(target=one) for _ in range(clients)]
    for thread in threads:
        thread.start()
    begin.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    assert len(given) == len(set(given)), "a machine was given twice"
    return times, len(given), time.perf_counter() - start


def row(name: str, times: list[float], note: str = "") -> str:
    """A line of the table."""
    ordered = sorted(times)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99))
    return f"| {name} | {len(times)} | {p50:.0f} ms | {p99:.0f} ms | {note} |"


def measure(port: int) -> Iterator[str]:
    """Yield the table's lines."""
    client = Client(port)
    draw = random.Random(2)

    def get(path: str) -> Callable[[int], Any]:
        def call(_: int) -> None:
            status, text = client.call("GET", path.replace("RANDOM", f"{draw.randrange(10000):05}"))
            assert status == 200, text

        return call

    client.call("GET", "/v1/machines?limit=1")
    yield row("show one", timed(300, get("/v1/machines/mRANDOM")))
    yield row("list, page of 100, anywhere", timed(200, get("/v1/machines?limit=100&marker=mRANDOM")))
    yield row("list, page of 1,000", timed(30, get("/v1/machines?limit=1000&marker=mRANDOM")))
    yield row(
        "filter: class, room, rack, state",
        timed(200, get("/v1/machines?resource_class=CUSTOM_PM_GPU&room=room-3&rack=rack-07&state=available")),
    )
    yield row("filter: one server_id", timed(200, get("/v1/machines?server_id=none")))
    yield row("stock by rack", timed(30, get("/v1/stock")), "2,000 lines")
    yield row("stock by class", timed(30, get("/v1/stock?by=resource_class")))
    yield row("metrics", timed(10, get("/metrics")))
    one = {"resource_class": "CUSTOM_PM_SMALL"}
    yield row("reserve one, one client", timed(100, lambda _: client.call("POST", "/v1/reservations", one)))
    times, given, seconds = reserve_at_once(port, 100, 10, {"resource_class": "CUSTOM_PM_MEDIUM"})
    yield row("reserve one, 100 clients at once", times, f"{given} machines, none twice, {given / seconds:.0f}/s")
    spread = {"resource_class": "CUSTOM_PM_LARGE", "count": 10, "spread": "rack"}
    times, given, seconds = reserve_at_once(port, 100, 1, spread)
    yield row(
        "reserve 10 in 10 racks, 100 clients at once", times, f"{given} machines, none twice, {given / seconds:.0f}/s"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--machines", type=int, default=50_000)
    parser.add_argument("--database", choices=("sqlite", "mariadb"), default="mariadb")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="arbaro-machines-")))
        url = f"sqlite:///{directory}/machines.sqlite"
        if arguments.database == "mariadb":
            url = mariadb.new_database(stack.enter_context(mariadb.running(directory)), "machines")
        fill(url, arguments.machines)
        port = stack.enter_context(serving(directory, url))
        print(
            f"| {arguments.machines:,} machines, {arguments.database} | calls | p50 | p99 | |\n|---|---:|---:|---:|---|"
        )
        for line in measure(port):
            print(line, flush=True)


if __name__ == "__main__":
    main()
