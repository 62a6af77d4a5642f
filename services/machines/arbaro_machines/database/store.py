# SPDX-License-Identifier: Apache-2.0
"""The database as the rest sees it: sessions that read and sessions that write, on SQLite and MariaDB alike."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

T = TypeVar("T")
#: MariaDB: "Deadlock found; try restarting transaction", "Lock wait timeout exceeded".
WORTH_REPEATING = {1213, 1205}


class Store:
    """Sessions on one database."""

    def __init__(self, url: str, *, connections: int = 45) -> None:
        self.engine = _open_sqlite(url, connections) if url.startswith("sqlite") else _open_mariadb(url, connections)
        # SQLite has one writer at a time. Who waits here comes in turn; who waits in SQLite sleeps and is overtaken.
        self._turn = threading.Lock() if url.startswith("sqlite") else contextlib.nullcontext()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only looks."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that is committed at the end, all or nothing."""
        engine = self.engine.execution_options(begin="BEGIN IMMEDIATE")
        with self._turn, Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def write(self, work: Callable[[Session], T], *, tries: int = 5) -> T:
        """Do the work in a writing session; again, when the database says that it only came at a bad moment."""
        for left in reversed(range(tries)):
            try:
                with self.writing() as session:
                    return work(session)
            except OperationalError as error:
                if not left or not _worth_repeating(error):
                    raise
        raise AssertionError("unreachable")


def _worth_repeating(error: OperationalError) -> bool:
    return bool(error.orig and error.orig.args and error.orig.args[0] in WORTH_REPEATING)


def _open_mariadb(url: str, connections: int) -> Engine:
    # READ COMMITTED: what is seen under a row's lock must be the present, not a snapshot from before it was had.
    return create_engine(
        url, pool_size=connections, pool_pre_ping=True, pool_recycle=300, isolation_level="READ COMMITTED"
    )


def _open_sqlite(url: str, connections: int) -> Engine:
    engine = create_engine(url, pool_size=connections)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the one write lock before it looks, so that what it saw still holds when it writes.
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema to its present form, or to an earlier one."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, revision)
