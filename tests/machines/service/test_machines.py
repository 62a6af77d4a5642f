# SPDX-License-Identifier: Apache-2.0
"""Machines are enrolled, seen, changed and forgotten; and only by whom it is for."""

import json

import pytest
from arbaro_machines import moves
from arbaro_machines.database.models import Machine
from sqlalchemy import select, text, update

from ..parts import enrolment
from .conftest import BOTH


def test_enrolled_machine_is_seen_without_its_password(people, service) -> None:
    made = people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    assert (made["state"], made["revision"], made["power"]) == ("enrolled", 1, "unknown")
    assert made["bmc"] == {
        "address": "http://127.0.0.1:1",
        "system": "/redfish/v1/Systems/1",
        "username": "admin",
        "verify_tls": True,
    }
    everything = json.dumps(people["operator"].call("GET", "/v1/events", status=200)) + json.dumps(made)
    assert "calvin" not in everything
    with service.store.reading() as session:
        sealed = session.scalar(select(Machine.bmc_secret))
    assert sealed and "calvin" not in sealed
    assert service.seal.open(sealed) == "calvin-1"


def test_found_by_name_and_by_id(people) -> None:
    made = people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    assert people["operator"].call("GET", f"/v1/machines/{made['id']}", status=200) == made
    assert people["operator"].call("GET", "/v1/machines/a1", status=200) == made


def test_a_password_that_is_wrong_in_form_is_not_echoed(people) -> None:
    body = enrolment("a1", bmc={"address": "nowhere", "system": "/x", "password": "calvin-1"})
    answer = people["operator"].call("POST", "/v1/machines", body)
    assert answer.status_code == 422
    assert "calvin" not in answer.text
    assert "bmc.address" in answer.json()["error"]["message"]


def test_names_and_macs_are_unique(people) -> None:
    nic = {"mac": "52:54:00:00:00:0A", "boot": True}
    people["operator"].call("POST", "/v1/machines", enrolment("a1", interfaces=[nic]), status=201)
    same_name = people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=409)
    assert same_name["error"]["code"] == "name-taken"
    same_mac = people["operator"].call("POST", "/v1/machines", enrolment("a2", interfaces=[nic]), status=409)
    assert same_mac["error"]["code"] == "mac-taken"


def test_bulk_is_all_or_none(people) -> None:
    rows = [enrolment(f"b{number}") for number in range(5)]
    people["operator"].call("POST", "/v1/machines/bulk", {"machines": [*rows, enrolment("b0")]}, status=409)
    assert people["operator"].call("GET", "/v1/machines", status=200)["machines"] == []
    people["operator"].call("POST", "/v1/machines/bulk", {"machines": rows}, status=201)
    assert len(people["operator"].call("GET", "/v1/machines", status=200)["machines"]) == 5


def test_pages_meet_every_machine_once(people) -> None:
    rows = [enrolment(f"m{number:02}") for number in range(7)]
    people["operator"].call("POST", "/v1/machines/bulk", {"machines": rows}, status=201)
    seen, path = [], "/v1/machines?limit=3&rack=a01"
    while path:
        page = people["operator"].call("GET", path, status=200)
        seen += [machine["name"] for machine in page["machines"]]
        path = page["links"]["next"]
    assert seen == [row["name"] for row in rows]


@pytest.fixture
def two(people, to_state, service) -> None:
    """a1 as enrolled, a2 different from it in everything."""
    nic = {"mac": "52:54:00:00:00:0a"}
    other = {"rack": "a02", "room": "icn1-b", "model": "R750", "resource_class": "CUSTOM_PM_BIG"}
    people["operator"].call("POST", "/v1/machines", enrolment("a1", interfaces=[nic]), status=201)
    people["operator"].call("POST", "/v1/machines", enrolment("a2", **other), status=201)
    held = {"project_id": "p-web", "server_id": "s1", "reservation_id": "r1", "group": "web"}
    to_state("a2", "deploy-failed", **held, fault_code="no-disk")
    people["operator"].call("PUT", "/v1/machines/a2/maintenance", {"reason": "disk"}, status=200)


@BOTH
def test_filters(people, two) -> None:
    """Each query finds what it is meant for, and not the other."""

    def names(query: str, person: str = "operator") -> list[str]:
        return [one["name"] for one in people[person].call("GET", f"/v1/machines?{query}", status=200)["machines"]]

    found = {
        "rack=a02": ["a2"],
        "room=icn1-b": ["a2"],
        "model=R750": ["a2"],
        "resource_class=CUSTOM_PM_BIG": ["a2"],
        "project_id=p-web": ["a2"],
        "server_id=s1": ["a2"],
        "reservation_id=r1": ["a2"],
        "group=web": ["a2"],
        "maintenance=true": ["a2"],
        "maintenance=false": ["a1"],
        "fault=no-disk": ["a2"],
        "state=enrolled&state=available": ["a1"],
        "mac=52:54:00:00:00:0A": ["a1"],
        "model=R750&room=icn1-a": [],
        "room=\U0001f525": [],
        "changed_since=2999-01-01T00:00:00Z": [],
        "changed_since=2001-01-01T00:00:00Z": ["a1", "a2"],
        "changed_since=2001-01-01T00:00:00": ["a1", "a2"],
    }
    assert {query: names(query) for query in found} == found
    assert names("state=deploy-failed", "alice") == ["a2"]
    assert names("project_id=p-web", "bob") == []


@BOTH
def test_filters_of_events(people, two) -> None:
    body = people["operator"].call("GET", "/v1/machines/a2", status=200)
    change = people["operator"].call("PATCH", "/v1/machines/a2", {"rack": "a03", "model": "R760"}, If_Match="*")
    assert change.status_code == 200

    def types(query: str) -> list[str]:
        events = people["operator"].call("GET", f"/v1/events?machine_id={body['id']}&{query}", status=200)["events"]
        return [event["type"] for event in events]

    assert types("") == ["changed", "maintenance", "enrolled"]
    assert types(f"request_id={change.headers['X-Openstack-Request-Id']}") == ["changed"]
    assert types("user_id=u-op&type=enrolled") == ["enrolled"]
    assert types("user_id=u-alice") == []
    assert types("since=2999-01-01T00:00:00Z") == []
    assert types("since=2001-01-01T00:00:00Z&limit=2") == ["changed", "maintenance"]
    newest = people["operator"].call("GET", "/v1/events?limit=1", status=200)["events"][0]
    assert newest["text"] == "changed: model, rack"


def test_who_sees_and_does_what(people, to_state) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("mine", console_url="tcp://10.0.0.1:7000"), status=201)
    people["operator"].call("POST", "/v1/machines", enrolment("free"), status=201)
    to_state("mine", "active", project_id="p-web")
    to_state("free", "available")
    for name, listed in (("operator", ["free", "mine"]), ("alice", ["mine"]), ("reader", ["mine"]), ("bob", [])):
        found = people[name].call("GET", "/v1/machines", status=200)["machines"]
        assert [one["name"] for one in found] == listed
    assert people["alice"].call("GET", "/v1/machines/mine", status=200)["bmc"] is None
    assert people["bob"].call("GET", "/v1/machines/mine", status=404)["error"]["code"] == "not-found"
    assert people["bob"].call("POST", "/v1/machines/mine/release", status=404)
    assert people["bob"].call("GET", "/v1/machines?project_id=p-web", status=200)["machines"] == []
    assert people["reader"].call("POST", "/v1/machines/mine/release", status=403)
    assert people["reader"].call("GET", "/v1/machines/mine/console", status=403)
    assert people["alice"].call("POST", "/v1/machines", enrolment("x"), status=403)
    assert people["alice"].call("POST", "/v1/machines/mine/inspect", status=403)
    assert people["nobody"].call("GET", "/v1/stock", status=403)
    assert people["stranger"].call("GET", "/v1/stock", status=401)
    assert people["bob"].call("GET", "/v1/events", status=200)["events"] == []


@BOTH
def test_change_wants_the_revision(people) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    change = {"rack": "a09", "bmc": {"password": "new-2"}, "interfaces": [{"mac": "52:54:00:00:00:01"}]}
    people["operator"].call("PATCH", "/v1/machines/a1", change, status=428)
    people["operator"].call("PATCH", "/v1/machines/a1", change, status=412, If_Match='"7"')
    changed = people["operator"].call("PATCH", "/v1/machines/a1", change, If_Match='"1"')
    assert (changed.headers["ETag"], changed.json()["rack"], changed.json()["revision"]) == ('"2"', "a09", 2)
    same_again = people["operator"].call("PATCH", "/v1/machines/a1", change, If_Match='"2"')
    assert same_again.status_code == 200, "the same interfaces again are no conflict with themselves"
    people["operator"].call("DELETE", "/v1/machines/a1", status=412, If_Match='"1"')
    assert people["operator"].call("DELETE", "/v1/machines/a1", If_Match="*").status_code == 204


def test_unchanged_machine_is_not_sent_again(people) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    answer = people["operator"].call("GET", "/v1/machines/a1", If_None_Match='"1"')
    assert (answer.status_code, answer.content) == (304, b"")


def test_events_tell_what_and_who(people, to_state) -> None:
    made = people["operator"].call("POST", "/v1/machines", enrolment("a1"))
    people["operator"].call("PUT", "/v1/machines/a1/maintenance", {"reason": "fan"}, status=200)
    people["operator"].call("DELETE", "/v1/machines/a1/maintenance", status=200)
    people["operator"].call("DELETE", "/v1/machines/a1", If_Match="*")
    found = people["operator"].call("GET", f"/v1/events?machine_id={made.json()['id']}", status=200)["events"]
    assert [event["type"] for event in found] == ["deleted", "maintenance", "maintenance", "enrolled"]
    assert found[2]["text"] == "into maintenance: fan"
    assert {event["by"]["user"] for event in found} == {"olga"}
    assert found[3]["request_id"] == made.headers["X-Openstack-Request-Id"]


def test_no_console(people, to_state) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    to_state("a1", "active", project_id="p-web")
    assert people["alice"].call("GET", "/v1/machines/a1/console", status=409)["error"]["code"] == "no-console"


def test_a_change_that_somebody_else_overtook_is_busy(people, monkeypatch) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    set_maintenance = moves.set_maintenance

    def overtaken(session, machine, reason, caller) -> None:
        set_maintenance(session, machine, reason, caller)
        with session.no_autoflush:
            other = update(Machine).values(revision=7).execution_options(synchronize_session=False)
            session.execute(other)

    monkeypatch.setattr(moves, "set_maintenance", overtaken)
    error = people["operator"].call("PUT", "/v1/machines/a1/maintenance", {"reason": "x"}, status=409)["error"]
    assert error["code"] == "busy"


@BOTH
def test_any_character_is_kept(people) -> None:
    made = people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    people["operator"].call("PUT", "/v1/machines/a1/maintenance", {"reason": "fan 🔥 𝄞"}, status=200)
    secret = {"bmc": {"username": "🔑", "password": "🔒"}}
    people["operator"].call("PATCH", "/v1/machines/a1", secret, status=200, If_Match="*")
    seen = people["operator"].call("GET", "/v1/machines/a1", status=200)
    assert (seen["maintenance"]["reason"], seen["bmc"]["username"]) == ("fan 🔥 𝄞", "🔑")
    told = people["operator"].call("GET", f"/v1/events?machine_id={made['id']}&type=maintenance", status=200)["events"]
    assert told[0]["text"] == "into maintenance: fan 🔥 𝄞"


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_what_the_database_cannot_hold_is_refused_in_our_form(people, service) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    with service.store.writing() as session:
        session.execute(text("ALTER TABLE events MODIFY text TEXT CHARACTER SET utf8mb3 NOT NULL"))
    refused = people["operator"].call("PUT", "/v1/machines/a1/maintenance", {"reason": "fan 🔥"}, status=422)["error"]
    assert (refused["code"], refused["request_id"][:4]) == ("bad-request", "req-")


def test_console_is_told_to_the_holder_and_noted(people, to_state) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("a1", console_url="tcp://10.0.0.1:7000"), status=201)
    to_state("a1", "active", project_id="p-web")
    told = people["alice"].call("GET", "/v1/machines/a1/console", status=200)
    assert told == {"protocol": "tcp", "host": "10.0.0.1", "port": 7000, "url": "tcp://10.0.0.1:7000"}
    newest = people["alice"].call("GET", "/v1/events", status=200)["events"][0]
    assert (newest["type"], newest["by"]["user"]) == ("console", "alice")
