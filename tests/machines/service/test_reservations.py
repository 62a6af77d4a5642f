# SPDX-License-Identifier: Apache-2.0
"""Reservations: all or none, spread, repeatable, and never the same machine for two."""

import datetime
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from arbaro_machines.database.models import Machine, Task, now
from sqlalchemy import update

from ..parts import Person, agent_client_of, client_of, enrolment
from .conftest import BOTH

CLASS = "CUSTOM_PM_SMALL"


@pytest.fixture
def stock(people, service):
    """Fill the stock: {rack: how many}."""

    def fill(racks: dict[str, int], room: str = "icn1-a") -> None:
        rows = [
            enrolment(f"{room}-{rack}-{number}", rack=rack, room=room)
            for rack, count in racks.items()
            for number in range(count)
        ]
        people["operator"].call("POST", "/v1/machines/bulk", {"machines": rows}, status=201)
        with service.store.writing() as session:
            session.execute(update(Machine).values(state="available"))

    return fill


def figures_of(service) -> str:
    return agent_client_of(service, "127.0.0.1").get("/metrics").text


def racks_of(answer) -> Counter:
    return Counter(machine["rack"] for machine in answer["machines"])


def test_all_or_none(people, stock) -> None:
    stock({"a01": 2})
    error = people["alice"].call("POST", "/v1/reservations", {"count": 3, "resource_class": CLASS}, status=409)["error"]
    assert (error["code"], "2 CUSTOM_PM_SMALL are free" in error["message"]) == ("not-enough", True)
    made = people["alice"].call("POST", "/v1/reservations", {"count": 2, "resource_class": CLASS}, status=201)
    assert {machine["state"] for machine in made["machines"]} == {"reserved"}


@BOTH
def test_strict_spread_takes_one_from_each_rack(people, stock) -> None:
    stock({"a01": 5, "a02": 1, "a03": 3})
    wish = {"count": 3, "resource_class": CLASS, "spread": "rack", "group": "web"}
    assert racks_of(people["alice"].call("POST", "/v1/reservations", wish, status=201)) == {
        "a01": 1,
        "a02": 1,
        "a03": 1,
    }
    error = people["alice"].call("POST", "/v1/reservations", wish | {"count": 1}, status=409)["error"]
    assert "best-effort" in error["next_step"], "the group has one in each rack already"
    more = people["alice"].call(
        "POST", "/v1/reservations", wish | {"count": 4, "spread_policy": "best-effort"}, status=201
    )
    assert racks_of(more) == {"a01": 2, "a03": 2}


def test_racks_of_the_same_name_in_two_rooms_are_two(people, stock) -> None:
    stock({"a01": 1}, "icn1-a")
    stock({"a01": 1}, "icn1-b")
    wish = {"count": 2, "resource_class": CLASS, "spread": "rack"}
    made = people["alice"].call("POST", "/v1/reservations", wish, status=201)
    assert {machine["room"] for machine in made["machines"]} == {"icn1-a", "icn1-b"}


def test_maintenance_is_no_stock(people, stock) -> None:
    stock({"a01": 1})
    people["operator"].call("PUT", "/v1/machines/icn1-a-a01-0/maintenance", {"reason": "fan"}, status=200)
    people["alice"].call("POST", "/v1/reservations", {"resource_class": CLASS}, status=409)
    line = people["reader"].call("GET", "/v1/stock", status=200)["stock"][0]
    assert (line["free"], line["out"], line["total"]) == (0, 1, 1)


def test_the_same_reservation_id_gives_the_same_machines(people, stock) -> None:
    stock({"a01": 4})
    wish = {"count": 2, "resource_class": CLASS, "reservation_id": "r-1"}
    first = people["alice"].call("POST", "/v1/reservations", wish, status=201)
    again = people["alice"].call("POST", "/v1/reservations", wish, status=201)
    assert {one["id"] for one in first["machines"]} == {one["id"] for one in again["machines"]}
    people["bob"].call("POST", "/v1/reservations", wish, status=409)


@BOTH
def test_100_clients_at_once_get_100_different_machines(service, stock) -> None:
    stock({f"a{number:02}": 10 for number in range(10)})
    with client_of(service) as http, ThreadPoolExecutor(100) as pool:
        alice = Person(http, "alice")
        answers = list(
            pool.map(lambda _: alice.call("POST", "/v1/reservations", {"resource_class": CLASS}), range(110))
        )
    given = [one["id"] for answer in answers if answer.status_code == 201 for one in answer.json()["machines"]]
    assert len(given) == len(set(given)) == 100
    assert Counter(answer.status_code for answer in answers) == {201: 100, 409: 10}


@BOTH
def test_one_reservation_id_sent_by_many_at_once_is_one_reservation(service, stock) -> None:
    stock({"a01": 20})
    wish = {"resource_class": CLASS, "reservation_id": "r-1"}
    with client_of(service) as http, ThreadPoolExecutor(20) as pool:
        alice = Person(http, "alice")
        answers = list(pool.map(lambda _: alice.call("POST", "/v1/reservations", wish, status=201), range(20)))
    assert len({answer["machines"][0]["id"] for answer in answers}) == 1


@BOTH
def test_stock_and_metrics_agree(people, stock, to_state, service) -> None:
    stock({"a01": 2, "a02": 1})
    to_state("icn1-a-a01-0", "active", project_id="p-web")
    lines = people["reader"].call("GET", "/v1/stock", status=200)["stock"]
    assert [(line["rack"], line["free"], line["held"]) for line in lines] == [("a01", 1, 1), ("a02", 1, 0)]
    assert people["reader"].call("GET", "/v1/stock?by=room", status=200)["stock"][0]["free"] == 2
    figures = figures_of(service)
    labels = 'model="R640",rack="a01",resource_class="CUSTOM_PM_SMALL",room="icn1-a"'
    assert f'arbaro_machines{{is="held",{labels}}} 1.0' in figures


@BOTH
def test_metrics_of_tasks_and_faults(people, stock, to_state, service) -> None:
    stock({"a01": 3})
    assert "arbaro_machines_task_overdue_seconds 0.0" in figures_of(service)
    to_state("icn1-a-a01-2", "clean-failed", fault_code="wipe-failed")
    for number in (0, 1):
        people["operator"].call("POST", f"/v1/machines/icn1-a-a01-{number}/inspect", status=202)
    with service.store.writing() as session:
        session.execute(update(Task).values(wake_at=now() - datetime.timedelta(seconds=90)))
    figures = figures_of(service)
    assert 'arbaro_machines_tasks{verb="inspect"} 2.0' in figures
    assert 'arbaro_machines_faults{code="wipe-failed"} 1.0' in figures
    overdue = re.search(r"^arbaro_machines_task_overdue_seconds (\S+)$", figures, re.MULTILINE)
    assert overdue and 90 <= float(overdue[1]) < 150


@BOTH
def test_many_who_want_spread_machines_at_once_all_get_them(service, stock) -> None:
    """Whoever is overtaken in one rack looks into another: enough are free for all."""
    stock({f"a{number:02}": 4 for number in range(12)})
    wish = {"resource_class": CLASS, "count": 3, "spread": "rack"}
    with client_of(service) as http, ThreadPoolExecutor(10) as pool:
        alice = Person(http, "alice")
        answers = list(pool.map(lambda _: alice.call("POST", "/v1/reservations", wish, status=201), range(10)))
    given = [one["id"] for answer in answers for one in answer["machines"]]
    assert len(given) == len(set(given)) == 30
    assert all(set(racks_of(answer).values()) == {1} for answer in answers)


@BOTH
def test_one_group_asked_for_by_many_at_once_is_still_spread(service, stock) -> None:
    """Each counts what the group has before it takes: no rack is taken by two who counted in the same moment."""
    stock({"a01": 20, "a02": 20, "a03": 20})
    groups = [f"web{number}" for number in range(4)]
    with client_of(service) as http, ThreadPoolExecutor(24) as pool:
        alice = Person(http, "alice")
        wishes = [{"resource_class": CLASS, "spread": "rack", "group": group} for group in groups * 6]
        answers = list(pool.map(lambda wish: alice.call("POST", "/v1/reservations", wish), wishes))
    assert Counter(answer.status_code for answer in answers) == {201: 12, 409: 12}
    for group in groups:
        held = alice.call("GET", f"/v1/machines?group={group}", status=200)
        assert racks_of(held) == {"a01": 1, "a02": 1, "a03": 1}


@BOTH
def test_too_few_but_some_come_soon_is_said(people, stock, to_state) -> None:
    stock({"a01": 3})
    to_state("icn1-a-a01-0", "cleaning")
    to_state("icn1-a-a01-1", "cleaning")
    to_state("icn1-a-a01-2", "clean-failed", maintenance=True)
    error = people["alice"].call("POST", "/v1/reservations", {"resource_class": CLASS}, status=409)["error"]
    assert "2 more are being wiped and then free" in error["next_step"]
    (line,) = people["reader"].call("GET", "/v1/stock?by=resource_class", status=200)["stock"]
    assert (line["free"], line["busy"], line["cleaning"], line["out"], line["total"]) == (0, 2, 2, 1, 3)
