# SPDX-License-Identifier: Apache-2.0
"""A service on SQLite for each test, without a worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from arbaro_machines.api.context import Service
from arbaro_machines.database.models import Machine
from sqlalchemy import update

from ..parts import Person, client_of, make_service


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make_service(tmp_path)


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
