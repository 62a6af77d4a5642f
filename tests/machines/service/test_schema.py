# SPDX-License-Identifier: Apache-2.0
"""What OpenAPI promises is kept, whatever is sent (schemathesis makes the requests); and the tables are the models'."""

import tempfile
from pathlib import Path

import pytest
import schemathesis
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from arbaro_machines.api.app import create_app
from arbaro_machines.api.context import Service
from arbaro_machines.database.models import SPREAD_LOCKS, Base, Interface, Machine, SpreadLock
from arbaro_machines.database.store import Store, migrate
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from sqlalchemy import text, update

from ..parts import Person, client_of, enrolment, make_service
from .conftest import BOTH


def some_service() -> Service:
    """A service with two machines. schemathesis wants to know the calls when the tests are collected."""
    made = make_service(Path(tempfile.mkdtemp(prefix="arbaro-machines-")))
    with client_of(made) as http:
        for name in ("a1", "a2"):
            Person(http, "operator").call("POST", "/v1/machines", enrolment(name), status=201)
    with made.store.writing() as session:  # one of them is the member's
        held = {"state": "active", "project_id": "p-web"}
        session.execute(update(Machine).where(Machine.name == "a2").values(**held))
    return made


ENROLLED = {
    "name": "m1",
    "resource_class": "CUSTOM_A",
    "model": "R640",
    "room": "a",
    "rack": "a01",
    "properties": {},
    "boot_method": "http",
    "firmware": "uefi",
    "bmc_address": "https://10.0.0.7",
    "bmc_system": "/redfish/v1/Systems/1",
}
NARROW = """
    SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns
    WHERE table_schema = DATABASE() AND character_set_name <> 'utf8mb4' AND table_name <> 'alembic_version'
"""

schema = schemathesis.openapi.from_asgi("/v1/openapi.json", create_app(some_service()))


@pytest.mark.parametrize("token", ["operator", "alice"])
@schema.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent(case: schemathesis.Case, token: str) -> None:
    # OpenAPI cannot say what base64 is, nor that If-Match is wanted with 428: so refusing more than it says is allowed.
    # What is bad about a request may be its missing token, which is given here: so taking it is allowed too.
    excluded = [positive_data_acceptance, negative_data_rejection]
    case.call_and_validate(headers={"X-Auth-Token": token}, excluded_checks=excluded)


@pytest.mark.parametrize("path", ["/v1/machines?changed_since=0.5", "/v1/machines?limit=0", "/v1/events?since=5"])
def test_bad_queries_are_refused(people, path: str) -> None:
    people["operator"].call("GET", path, status=422)


@BOTH
def test_migrations_lead_to_the_models(service: Service) -> None:
    with service.store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    with service.store.reading() as session:
        assert session.query(SpreadLock).count() == SPREAD_LOCKS


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_a_database_made_before_emoji_is_converted_with_what_is_in_it(database: str) -> None:
    migrate(database, "0002")
    store = Store(database)
    with store.writing() as session:
        machine = Machine(id="m1", **ENROLLED, interfaces=[Interface(mac="52:54:00:00:00:01")])
        session.add(machine)
    migrate(database)
    with store.reading() as session:
        assert session.scalars(text(NARROW)).all() == []
        assert session.get_one(Machine, "m1").interfaces[0].mac == "52:54:00:00:00:01"
    with store.writing() as session:
        session.delete(session.get_one(Machine, "m1"))  # its interfaces with it: the foreign key is there still
    with store.reading() as session:
        assert session.query(Interface).count() == 0
    store.engine.dispose()
