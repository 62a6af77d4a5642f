# SPDX-License-Identifier: Apache-2.0
"""Verbs change the state at once and leave the work to a task; illegal ones are refused with what is legal."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from arbaro_machines import tasks
from arbaro_machines.database.models import Task
from arbaro_machines.faults import Fault
from sqlalchemy import select

from ..parts import Person, client_of, enrolment

IMAGE = {"id": "155d900f"}


class OneGlance:
    """Stands in for glance: it has one image."""

    def describe(self, image_id: str, token: str) -> dict[str, Any]:
        return {"id": image_id, "name": "d", "format": "raw", "checksum": "sha256:" + "0" * 64, "min_disk_gb": 6}


@pytest.fixture
def service(service):
    yield replace(service, glance=OneGlance())


@pytest.fixture
def mine(people, to_state) -> None:
    """Alice holds the machine a1, which is reserved."""
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    to_state("a1", "reserved", project_id="p-web", server_id="s1")


def test_whole_life_as_the_api_sees_it(people, service) -> None:
    """Each verb's state at once, and the one after its task; the tasks are ended as a worker ends them."""
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)

    def do(person: str, verb: str, body: dict | None = None, *, fault: Fault | None = None) -> tuple[str, str]:
        asked = people[person].call("POST", f"/v1/machines/a1/{verb}", body, status=202)
        (task_id,) = service.store.write(lambda session: tasks.claim(session, "w", 30, 1))
        with service.store.reading() as session:
            task = session.get_one(Task, task_id)
        service.store.write(lambda session: tasks.end(session, task, "w", fault))
        seen = people["operator"].call("GET", "/v1/machines/a1", status=200)
        assert (asked["task"]["verb"], seen["task"]) == (task.verb, None)
        return asked["state"], seen["state"]

    assert do("operator", "inspect") == ("inspecting", "inspected")
    assert do("operator", "provide") == ("cleaning", "available")
    people["alice"].call("POST", "/v1/machines/a1/reserve", status=200)
    assert do("alice", "deploy", {"image": IMAGE}, fault=Fault("no-disk", "none")) == ("deploying", "deploy-failed")
    assert do("alice", "deploy", {"image": IMAGE}) == ("deploying", "active")
    assert do("alice", "power", {"target": "off"}) == ("active", "active")
    assert do("alice", "rescue", {"password": "x"}) == ("rescuing", "rescued")
    assert do("alice", "unrescue") == ("unrescuing", "active")
    assert do("alice", "release") == ("cleaning", "available")
    assert people["operator"].call("DELETE", "/v1/machines/a1", If_Match="*").status_code == 204


def test_illegal_move_names_the_legal_ones(people) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    error = people["operator"].call("POST", "/v1/machines/a1/deploy", {"image": IMAGE}, status=409)["error"]
    assert error["code"] == "illegal-move"
    assert "a1 is enrolled; deploy is legal in active, deploy-failed, reserved." in error["message"]


def test_secrets_of_a_deployment_are_sealed(people, service, mine) -> None:
    secret = base64.b64encode(b"#!/bin/sh\necho hunter2\n").decode()
    body = {"image": IMAGE, "config_drive": {"files": {"openstack/latest/user_data": secret}}}
    shown = people["alice"].call("POST", "/v1/machines/a1/deploy", body, status=202)
    assert shown["state"] == "deploying"
    assert secret not in str(shown)
    with service.store.reading() as session:
        task = session.scalar(select(Task))
    assert secret not in str(vars(task))
    assert service.seal.open(task.sealed) == {"openstack/latest/user_data": secret}


def test_release_gives_up_a_deployment_and_forgets_the_holder(people, mine) -> None:
    people["alice"].call("POST", "/v1/machines/a1/deploy", {"image": IMAGE}, status=202)
    people["alice"].call("POST", "/v1/machines/a1/deploy", {"image": IMAGE}, status=409)
    people["alice"].call("POST", "/v1/machines/a1/release", status=202)
    people["alice"].call("GET", "/v1/machines/a1", status=404)
    seen = people["operator"].call("GET", "/v1/machines/a1", status=200)
    assert (seen["state"], seen["holder"], seen["deployment"], seen["task"]["verb"]) == (
        "cleaning",
        None,
        None,
        "clean",
    )


def test_maintenance_refuses_new_use_but_not_giving_back(people, mine) -> None:
    people["operator"].call("PUT", "/v1/machines/a1/maintenance", {"reason": "fan"}, status=200)
    error = people["alice"].call("POST", "/v1/machines/a1/deploy", {"image": IMAGE}, status=409)["error"]
    assert (error["code"], "fan" in error["message"]) == ("in-maintenance", True)
    people["alice"].call("POST", "/v1/machines/a1/release", status=202)


def test_one_task_at_a_time(people, to_state, mine) -> None:
    to_state("a1", "active")
    people["alice"].call("POST", "/v1/machines/a1/power", {"target": "reboot"}, status=202)
    error = people["alice"].call("POST", "/v1/machines/a1/power", {"target": "off"}, status=409)["error"]
    assert "power is going on" in error["message"]
    people["alice"].call("POST", "/v1/machines/a1/release", status=202)


def test_power_is_for_holders_of_running_machines(people, to_state, mine) -> None:
    people["alice"].call("POST", "/v1/machines/a1/power", {"target": "on"}, status=409)
    people["operator"].call("POST", "/v1/machines/a1/power", {"target": "on"}, status=202)


def test_a_small_disk_is_refused_before_anything_is_done(people, to_state, mine) -> None:
    to_state("a1", "reserved", properties={"disk_gb": 4})
    assert (
        "4 GB"
        in people["alice"].call("POST", "/v1/machines/a1/deploy", {"image": IMAGE}, status=422)["error"]["message"]
    )


@pytest.mark.parametrize(
    "files", [{"../etc/passwd": "QQ=="}, {"a": "no base64!"}, {"a": "QQ==", "a/b": "QQ=="}, {"big": "A" * 2**21}]
)
def test_bad_config_drives_are_refused(people, mine, files) -> None:
    people["alice"].call(
        "POST", "/v1/machines/a1/deploy", {"image": IMAGE, "config_drive": {"files": files}}, status=422
    )


def test_verbs_take_the_revision_too(people, mine) -> None:
    people["alice"].call("POST", "/v1/machines/a1/release", status=412, If_Match='"99"')


def test_reserving_this_one_twice_for_the_same_server_is_once(people, to_state) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    to_state("a1", "available")
    body = {"server_id": "s1", "project_id": "p-web"}
    first = people["operator"].call("POST", "/v1/machines/a1/reserve", body, status=200)
    again = people["operator"].call("POST", "/v1/machines/a1/reserve", body, status=200)
    assert first == again
    assert first["holder"]["project_id"] == "p-web"
    people["bob"].call("POST", "/v1/machines/a1/reserve", {}, status=404)
    people["operator"].call("POST", "/v1/machines/a1/reserve", {"server_id": "s2"}, status=409)


def test_members_cannot_pass_their_machine_off_as_a_servers(people, to_state) -> None:
    """Nova finds a server's machine by server_id: it would write the server's image and secrets to a stranger's."""
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    to_state("a1", "available")
    people["bob"].call("POST", "/v1/machines/a1/reserve", {"server_id": "alices"}, status=403)
    wish = {"resource_class": "CUSTOM_PM_SMALL", "server_id": "alices"}
    people["bob"].call("POST", "/v1/reservations", wish, status=403)
    assert people["operator"].call("GET", "/v1/machines?server_id=alices", status=200)["machines"] == []


def test_members_reserve_for_their_own_project_only(people, to_state) -> None:
    people["operator"].call("POST", "/v1/machines", enrolment("a1"), status=201)
    to_state("a1", "available")
    people["alice"].call("POST", "/v1/machines/a1/reserve", {"project_id": "p-db"}, status=403)
    taken = people["operator"].call("POST", "/v1/machines/a1/reserve", {"project_id": "p-db"}, status=200)
    assert taken["holder"]["project_id"] == "p-db"


BY_URL = {"url": "http://images.example/debian.raw", "format": "raw", "checksum": "sha256:" + "0" * 64}


def test_images_by_url_are_for_operators_and_from_named_servers(people, service, mine) -> None:
    def ask(person: str, **image: str) -> tuple[int, str]:
        answer = people[person].call("POST", "/v1/machines/a1/deploy", {"image": BY_URL | image})
        return answer.status_code, str(answer.json().get("error"))

    status, error = ask("alice")
    assert (status, "Upload the image to glance" in error) == (403, True)
    status, error = ask("operator")
    assert (status, "url_hosts in section [images]" in error) == (422, True)
    for url in ("http://127.0.0.1/x", "http://[::1]/x", "http://images.example@127.0.0.1/x", "file:///etc/passwd"):
        assert ask("operator", url=url)[0] == 422
    with service.store.reading() as session:
        assert session.scalar(select(Task)) is None


@pytest.mark.parametrize("image_id", ["..", ".", "../v3/users", "a/b", "", "a?b"])
def test_image_ids_are_no_paths(people, mine, image_id: str) -> None:
    people["alice"].call("POST", "/v1/machines/a1/deploy", {"image": {"id": image_id}}, status=422)


def test_operators_image_from_a_named_server(people, service, mine) -> None:
    named = service.settings.images.model_copy(update={"url_hosts": ("images.example",)})
    allowed = replace(service, settings=service.settings.model_copy(update={"images": named}))
    with client_of(allowed) as http:
        signed = BY_URL | {"url": f"{BY_URL['url']}?signature=s3cret"}
        shown = Person(http, "operator").call("POST", "/v1/machines/a1/deploy", {"image": signed}, status=202)
    assert shown["deployment"]["image"]["url"] == signed["url"]
    for path in ("/v1/machines", "/v1/machines/a1"):
        seen = people["alice"].call("GET", path, status=200)
        assert BY_URL["url"] in str(seen) and "s3cret" not in str(seen)
