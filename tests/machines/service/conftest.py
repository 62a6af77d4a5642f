# SPDX-License-Identifier: Apache-2.0
"""A service for each test, without a worker: on SQLite, and where it matters on MariaDB too."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from arbaro_machines.api.context import Service
from arbaro_machines.database.models import Machine
from sqlalchemy import update

from .. import mariadb
from ..parts import Person, client_of, make_service

#: Marks a test that is to be tried on both databases.
BOTH = pytest.mark.parametrize("database", ["sqlite", "mariadb"], indirect=True)


@pytest.fixture(scope="session")
def mariadb_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mariadb.running(tmp_path_factory.mktemp("mariadb")) as socket:
        yield socket


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    return (f"test{number}" for number in count())


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path, names: Iterator[str]) -> str:
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path}/machines.sqlite"
    return mariadb.new_database(request.getfixturevalue("mariadb_socket"), next(names))


@pytest.fixture
def service(tmp_path: Path, database: str) -> Iterator[Service]:
    made = make_service(tmp_path, database=database)
    yield made
    made.store.engine.dispose()


@pytest.fixture
def people(service: Service) -> Iterator[dict[str, Person]]:
    with client_of(service) as http:
        yield {name: Person(http, name) for name in ("operator", "alice", "bob", "reader", "nobody", "stranger")}


@pytest.fixture
def to_state(service: Service):
    """Put a machine into a state, as if all that leads there had happened."""

    def put(name: str, state: str, **columns: object) -> None:
        with service.store.writing() as session:
            session.execute(update(Machine).where(Machine.name == name).values(state=state, **columns))

    return put
