# SPDX-License-Identifier: Apache-2.0
"""Tasks and their leases: no task has two workers, a dead worker's is taken over, a lost one cannot be written to."""

import datetime
import itertools
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import pytest
from arbaro_machines import tasks
from arbaro_machines.api.context import Service
from arbaro_machines.database.models import Machine, Task, now
from arbaro_machines.faults import Fault
from arbaro_machines.images import ImageCache
from arbaro_machines.settings import Images, Times
from arbaro_machines.worker import Worker
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from ..parts import Person, client_of, enrolment, make_service
from .conftest import BOTH


@pytest.fixture
def queue(people, service: Service):
    """Machines that all wait to be inspected."""

    def fill(count: int) -> None:
        rows = [enrolment(f"m{number}") for number in range(count)]
        people["operator"].call("POST", "/v1/machines/bulk", {"machines": rows}, status=201)
        for row in rows:
            people["operator"].call("POST", f"/v1/machines/{row['name']}/inspect", status=202)

    return fill


def claim(service: Service, worker: str, *, lease: float = 30, limit: int = 10) -> list[str]:
    return service.store.write(lambda session: tasks.claim(session, worker, lease, limit))


@BOTH
def test_many_workers_at_once_take_each_task_once(service: Service, queue) -> None:
    queue(30)
    with ThreadPoolExecutor(10) as pool:
        parts = list(pool.map(lambda number: claim(service, f"w{number}"), range(10)))
    # Workers that looked at the same tasks went away with less; what they left is there for the next look.
    parts.append(claim(service, "later", limit=30))
    taken = Counter(one for part in parts for one in part)
    assert len(taken) == 30
    assert set(taken.values()) == {1}


@BOTH
def test_dead_workers_task_is_taken_over_and_the_dead_cannot_write(service: Service, queue) -> None:
    queue(1)
    (task_id,) = claim(service, "first", lease=-1)  # its time is over at once
    assert claim(service, "second") == [task_id]
    assert claim(service, "third") == []
    with service.store.reading() as session:
        task = session.get_one(Task, task_id)
    with pytest.raises(tasks.LeaseLost):
        service.store.write(lambda session: tasks.save(session, task, "first", notes={"x": 1}))
    with pytest.raises(tasks.LeaseLost):
        service.store.write(lambda session: tasks.end(session, task, "first", None))
    service.store.write(lambda session: tasks.end(session, task, "second", Fault("bmc-unreachable", "gone")))
    with service.store.reading() as session:
        machine = session.get_one(Machine, task.machine_id)
    assert (machine.state, machine.fault_code) == ("inspect-failed", "bmc-unreachable")


def test_what_is_given_up_is_left_alone_until_the_worker_has_let_go(service: Service, people, to_state, queue) -> None:
    queue(1)
    to_state("m0", "deploying", project_id="p-web")
    claim(service, "busy", lease=20)
    people["alice"].call("POST", "/v1/machines/m0/release", status=202)
    with service.store.reading() as session:
        task = session.query(Task).one()
    assert task.verb == "clean"
    assert task.wake_at > now() + datetime.timedelta(seconds=15), (
        "the old worker may still have its hands on the machine"
    )


def test_only_what_a_worker_has_in_hand_is_kept(service: Service, queue) -> None:
    queue(2)
    held, dropped = claim(service, "w", lease=-1)
    service.store.write(lambda session: tasks.keep(session, "w", 30, [held]))
    assert claim(service, "other") == [dropped]


@BOTH
def test_a_word_that_comes_while_the_task_is_let_go_is_not_slept_through(service: Service, queue) -> None:
    queue(1)
    (task_id,) = claim(service, "w")
    with service.store.reading() as session:
        task = session.get_one(Task, task_id)
    settings = service.settings.model_copy(update={"worker_name": "w"})
    worker = Worker(settings, service.store, service.seal, ImageCache(settings, None))
    with ThreadPoolExecutor(1) as pool:
        with service.store.writing() as session:
            session.execute(update(Task).values(word={"phase": "done"}, wake_at=now()))
            session.flush()
            letting_go = pool.submit(worker._let_go, task, 3600)
            time.sleep(0.5)  # it has come to where it has to wait for our commit
        letting_go.result(20)
    with service.store.reading() as session:
        assert session.get_one(Task, task_id).wake_at <= now()


def test_a_worker_outlives_a_database_that_is_gone_now_and_then(service: Service, queue, monkeypatch) -> None:
    """Nothing ends as a defect: what was in hand is taken up again when its lease has run out."""
    queue(1)
    works, calls = service.store.write, itertools.count()

    def write(work, **more):
        if next(calls) % 3 == 0:
            raise OperationalError("", {}, Exception("gone"))
        return works(work, **more)

    monkeypatch.setattr(service.store, "write", write)
    times = Times(lease=1, poll=0.05, bmc_patience=1)
    settings = service.settings.model_copy(update={"times": times, "worker_name": "w", "threads": 2})
    worker = Worker(settings, service.store, service.seal, ImageCache(settings, None))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while (fault := fault_of(service)) is None:
            assert thread.is_alive() and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        worker.stop()
        thread.join(10)
    assert fault == "bmc-unreachable", (
        "nobody is at the BMC's address; that, and not the database, is the machine's fault"
    )


def fault_of(service: Service) -> str | None:
    with service.store.reading() as session:
        return session.query(Machine.fault_code).scalar()


class Anywhere:
    """Lets an image be fetched from this host, which real settings never do."""

    def check(self, url: str) -> SplitResult:
        return urlsplit(url)

    def addresses(self, _: SplitResult) -> list[str]:
        return ["127.0.0.1"]


@pytest.mark.parametrize("different", [True, False], ids=["images that come slowly", "one that all wait for"])
def test_fetching_images_leaves_threads_for_other_machines(tmp_path: Path, different: bool) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and never answers
    place = f"127.0.0.1:{silent.getsockname()[1]}"
    images = Images(reserve_gib=0.1, url_hosts=(place,))
    times = Times(lease=1, poll=0.05, bmc_patience=1, fetch_image=60)
    service = make_service(tmp_path, images=images, times=times, threads=4, worker_name="w")
    with client_of(service) as http:
        operator = Person(http, "operator")
        rows = [enrolment(f"m{number}") for number in range(5)]
        operator.call("POST", "/v1/machines/bulk", {"machines": rows}, status=201)
        with service.store.writing() as session:
            session.execute(update(Machine).where(Machine.name != "m4").values(state="reserved", project_id="p-ops"))
        for number in range(4):
            checksum = f"sha256:{number if different else 0:064}"
            image = {"url": f"http://{place}/disk", "format": "raw", "checksum": checksum}
            operator.call("POST", f"/v1/machines/m{number}/deploy", {"image": image}, status=202)
        worker = Worker(service.settings, service.store, service.seal, ImageCache(service.settings, None, Anywhere()))
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            silent.settimeout(30)
            connection, _ = silent.accept()  # so the fetching has begun
            time.sleep(1)
            operator.call("POST", "/v1/machines/m4/inspect", status=202)
            deadline = time.monotonic() + 30
            while not (fault := operator.call("GET", "/v1/machines/m4", status=200)["fault"]):
                assert time.monotonic() < deadline, "no thread is left for this machine"
                time.sleep(0.1)
            assert fault["code"] == "bmc-unreachable", "it was looked at: nobody is at its BMC's address"
        finally:
            worker.stop()
            silent.close()
            if "connection" in locals():
                connection.close()
            thread.join(90)
    service.store.engine.dispose()
