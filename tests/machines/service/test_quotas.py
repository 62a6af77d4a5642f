# SPDX-License-Identifier: Apache-2.0
"""Quotas: a project never holds more machines than it may, whoever reserves for it and however many do so at once."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from arbaro_machines.api.context import Service
from arbaro_machines.database.models import Machine
from sqlalchemy import update

from ..parts import Person, client_of, enrolment, make_service
from .conftest import BOTH

CLASS = "CUSTOM_PM_SMALL"


@pytest.fixture
def service(tmp_path, database: str) -> Iterator[Service]:
    made = make_service(tmp_path, database=database, project_quota=3)
    yield made
    made.store.engine.dispose()


@pytest.fixture
def stock(people, service):
    """Some free machines, m0 and so on."""

    def fill(count: int) -> None:
        rows = [enrolment(f"m{number}") for number in range(count)]
        people["operator"].call("POST", "/v1/machines/bulk", {"machines": rows}, status=201)
        with service.store.writing() as session:
            session.execute(update(Machine).values(state="available"))

    return fill


def quota(person: Person, project: str = "p-web") -> tuple[int, int, bool]:
    told = person.call("GET", f"/v1/quotas/{project}", status=200)
    return told["machines"], told["used"], told["is_default"]


@BOTH
def test_no_more_than_the_quota_and_what_is_given_back_counts_no_more(people, stock, to_state) -> None:
    stock(6)
    alice = people["alice"]
    alice.call("POST", "/v1/reservations", {"count": 2, "resource_class": CLASS}, status=201)
    error = alice.call("POST", "/v1/reservations", {"count": 2, "resource_class": CLASS}, status=403)["error"]
    assert error["code"] == "over-quota"
    assert "holds 2 of at most 3 machines; 2 more would be too many" in error["message"]
    assert quota(alice) == (3, 2, True), "nothing was taken of what was refused"
    name = next(one["name"] for one in alice.call("GET", "/v1/machines", status=200)["machines"])
    alice.call("POST", f"/v1/machines/{name}/release", status=202)
    alice.call("POST", "/v1/reservations", {"count": 2, "resource_class": CLASS}, status=201)
    people["bob"].call("POST", "/v1/reservations", {"count": 1, "resource_class": CLASS}, status=201)


@BOTH
def test_one_by_one_counts_the_same(people, stock) -> None:
    stock(5)
    answers = [people["alice"].call("POST", f"/v1/machines/m{number}/reserve").status_code for number in range(5)]
    assert answers == [200, 200, 200, 403, 403]


@BOTH
def test_reserved_by_nova_it_is_the_servers_projects(people, stock) -> None:
    """As nova does: with its own token, for another project, one server each; the same server again is no second one."""
    stock(5)
    nova = people["operator"]
    for number in (0, 1, 2, 0):
        body = {"project_id": "p-web", "server_id": f"s{number}"}
        nova.call("POST", f"/v1/machines/m{number}/reserve", body, status=200)
    refused = nova.call("POST", "/v1/machines/m3/reserve", {"project_id": "p-web", "server_id": "s3"}, status=403)
    assert refused["error"]["code"] == "over-quota"
    assert quota(nova) == (3, 3, True)
    assert quota(nova, "p-ops") == (3, 0, True), "nova's own project holds none"
    nova.call("POST", "/v1/machines/m3/reserve", {"project_id": "p-db", "server_id": "s3"}, status=200)


@BOTH
def test_many_at_once_never_exceed(service, people, stock) -> None:
    """By both ways, and beside another project that takes as many as it may."""
    stock(40)

    def ask(number: int) -> int:
        person = people[("alice", "bob")[number % 2]]
        if number % 4 < 2:
            return person.call("POST", f"/v1/machines/m{number}/reserve").status_code
        return person.call("POST", "/v1/reservations", {"resource_class": CLASS, "count": 1}).status_code

    with ThreadPoolExecutor(20) as pool:
        answers = Counter(pool.map(ask, range(40)))
    assert quota(people["operator"], "p-web") == (3, 3, True)
    assert quota(people["operator"], "p-db") == (3, 3, True)
    assert answers.keys() <= {200, 201, 403, 404, 409}
    assert answers[200] + answers[201] == 6


@BOTH
def test_groups_and_quotas_at_once_end(service, stock) -> None:
    """Two kinds of locks are taken by each of them: in one order, so nobody waits for ever."""
    stock(30)
    with client_of(service) as http:
        Person(http, "operator").call("PUT", "/v1/quotas/p-web", {"machines": 12}, status=200)
        alice = Person(http, "alice")
        wishes = [
            {"resource_class": CLASS, "spread": "rack", "spread_policy": "best-effort", "group": f"g{n % 5}"}
            for n in range(30)
        ]
        with ThreadPoolExecutor(15) as pool:
            answers = Counter(pool.map(lambda wish: alice.call("POST", "/v1/reservations", wish).status_code, wishes))
    assert answers == {201: 12, 403: 18}


@BOTH
def test_operators_set_and_unset(people, stock) -> None:
    stock(6)
    operator, alice = people["operator"], people["alice"]
    operator.call("PUT", "/v1/quotas/p-web", {"machines": 5}, status=200)
    operator.call("PUT", "/v1/quotas/p-web", {"machines": 4}, status=200)
    assert quota(alice) == (4, 0, False)
    alice.call("POST", "/v1/reservations", {"count": 4, "resource_class": CLASS}, status=201)
    operator.call("PUT", "/v1/quotas/p-web", {"machines": 1}, status=200)
    assert quota(alice) == (1, 4, False), "what is held stays"
    alice.call("POST", "/v1/reservations", {"count": 1, "resource_class": CLASS}, status=403)
    operator.call("PUT", "/v1/quotas/p-web", {"machines": -1}, status=200)
    alice.call("POST", "/v1/reservations", {"count": 1, "resource_class": CLASS}, status=201)
    operator.call("DELETE", "/v1/quotas/p-web", status=200)
    assert quota(alice) == (3, 5, True)
    operator.call("DELETE", "/v1/quotas/p-web", status=200)


@BOTH
def test_set_by_many_at_once(people) -> None:
    with ThreadPoolExecutor(10) as pool:
        put = lambda number: people["operator"].call("PUT", "/v1/quotas/p-new", {"machines": number}).status_code  # noqa: E731
        assert set(pool.map(put, range(20))) == {200}


def test_who_may(people) -> None:
    assert people["alice"].call("PUT", "/v1/quotas/p-web", {"machines": 99}).status_code == 403
    assert people["alice"].call("DELETE", "/v1/quotas/p-web").status_code == 403
    assert people["bob"].call("GET", "/v1/quotas/p-web").status_code == 403
    assert people["reader"].call("GET", "/v1/quotas/p-web").status_code == 200
    for wrong in (-2, 2**40, "3", None, 1.5):
        assert people["operator"].call("PUT", "/v1/quotas/p-web", {"machines": wrong}).status_code == 422


def test_default_is_ten_as_novas(tmp_path) -> None:
    from arbaro_machines.settings import Settings

    assert Settings().project_quota == 10
