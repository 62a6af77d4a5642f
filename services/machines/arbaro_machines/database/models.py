# SPDX-License-Identifier: Apache-2.0
"""The tables."""

import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, DateTime, ForeignKey, Index, Integer, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from arbaro_machines import states


def now() -> datetime.datetime:
    """The time, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def moment(value: datetime.datetime | None) -> str | None:
    """A time as the API writes it."""
    return value and value.isoformat().replace("+00:00", "Z")


class UtcTime(TypeDecorator[datetime.datetime]):
    """A moment: aware in Python, UTC without zone in the database (neither SQLite nor MariaDB keep zones)."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        """To the database."""
        return value and value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        """From the database."""
        return value and value.replace(tzinfo=datetime.UTC)


#: What a person wrote may have any character in it, whatever the database was made for.
CHARSET = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}
#: MariaDB's TEXT ends at 64 KiB; a sealed config drive may have 2 MiB.
LongText = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


class Base(DeclarativeBase):
    """What all tables share."""

    __table_args__: Any = CHARSET
    type_annotation_map = {datetime.datetime: UtcTime, dict[str, Any]: JSON}  # noqa: RUF012 # SQLAlchemy reads it so


class Machine(Base):
    """One physical machine."""

    __tablename__ = "machines"
    __table_args__ = (
        Index("machines_stock", "resource_class", "room", "rack", "model", "state"),
        Index("machines_place", "room", "rack"),
        Index("machines_free", "state", "resource_class", "id"),
        CHARSET,
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    revision: Mapped[int] = mapped_column(Integer, default=1)
    state: Mapped[str] = mapped_column(String(20), default=states.ENROLLED)
    power: Mapped[str] = mapped_column(String(10), default="unknown")
    maintenance: Mapped[bool] = mapped_column(Boolean, default=False)
    maintenance_note: Mapped[dict[str, Any] | None]
    resource_class: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(64))
    room: Mapped[str] = mapped_column(String(64))
    rack: Mapped[str] = mapped_column(String(64))
    properties: Mapped[dict[str, Any]]
    boot_method: Mapped[str] = mapped_column(String(20))
    firmware: Mapped[str] = mapped_column(String(10))
    bmc_address: Mapped[str] = mapped_column(String(255))
    bmc_system: Mapped[str] = mapped_column(String(255))
    bmc_username: Mapped[str] = mapped_column(String(64), default="")
    bmc_secret: Mapped[str] = mapped_column(Text, default="")
    bmc_verify_tls: Mapped[bool] = mapped_column(Boolean, default=True)
    console_url: Mapped[str | None] = mapped_column(String(255))
    project_id: Mapped[str | None] = mapped_column(String(64), index=True)
    user_id: Mapped[str | None] = mapped_column(String(64))
    server_id: Mapped[str | None] = mapped_column(String(64), index=True)
    reservation_id: Mapped[str | None] = mapped_column(String(64), index=True)
    group: Mapped[str | None] = mapped_column("group_name", String(64))
    held_since: Mapped[datetime.datetime | None]
    deployment: Mapped[dict[str, Any] | None]
    fault_code: Mapped[str | None] = mapped_column(String(32), index=True)
    fault: Mapped[dict[str, Any] | None]
    #: Something was written to its disks since they were wiped last; unknown disks count as written.
    written: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime.datetime] = mapped_column(default=now, index=True)

    # Each change of the row adds one; two changes at once cannot both win.
    __mapper_args__ = {"version_id_col": revision}  # noqa: RUF012 # SQLAlchemy reads it so

    interfaces: Mapped[list["Interface"]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", order_by="Interface.mac", passive_deletes=True
    )
    task: Mapped["Task | None"] = relationship(lazy="selectin", viewonly=True, uselist=False)


class Interface(Base):
    """A network interface; its MAC belongs to one machine only."""

    __tablename__ = "interfaces"

    mac: Mapped[str] = mapped_column(String(17), primary_key=True)
    machine_id: Mapped[str] = mapped_column(ForeignKey("machines.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(32), default="")
    boot: Mapped[bool] = mapped_column(Boolean, default=False)


class Task(Base):
    """What works on a machine: at most one at a time, and one worker at a time on it."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    machine_id: Mapped[str] = mapped_column(ForeignKey("machines.id"), unique=True)
    verb: Mapped[str] = mapped_column(String(20))
    #: What was asked, without secrets; those are in `sealed`.
    request: Mapped[dict[str, Any]]
    sealed: Mapped[str | None] = mapped_column(LongText)
    step: Mapped[str] = mapped_column(String(32))
    #: What steps note for themselves and for later ones.
    notes: Mapped[dict[str, Any]]
    #: What the ramdisk said last.
    word: Mapped[dict[str, Any]]
    by: Mapped[dict[str, Any] | None] = mapped_column("asked_by", JSON)
    request_id: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)
    step_since: Mapped[datetime.datetime] = mapped_column(default=now)
    trouble_since: Mapped[datetime.datetime | None]
    wake_at: Mapped[datetime.datetime] = mapped_column(default=now, index=True)
    worker: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime.datetime | None]


class Reservation(Base):
    """A reservation's id that a client chose: it is used once, however often the request is sent."""

    __tablename__ = "reservations"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=now)


#: So many rows of SpreadLock there are, always.
SPREAD_LOCKS = 64


class SpreadLock(Base):
    """What locks.py locks by name; many names share a row, which only costs them a moment's wait.

    A row of each name's own would have to be inserted, and two who insert the same at once deadlock in MariaDB.
    """

    __tablename__ = "spread_locks"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)


class Quota(Base):
    """How many machines a project may hold, where that is not the settings' number; -1 is any number."""

    __tablename__ = "quotas"

    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    machines: Mapped[int] = mapped_column(Integer)


class Event(Base):
    """What happened to a machine, and who did it. It outlives the machine, so there is no foreign key."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime.datetime] = mapped_column(default=now, index=True)
    machine_id: Mapped[str] = mapped_column(String(36), index=True)
    machine: Mapped[str] = mapped_column(String(255))
    project_id: Mapped[str | None] = mapped_column(String(64), index=True)
    type: Mapped[str] = mapped_column(String(20))
    text: Mapped[str] = mapped_column(Text)
    by: Mapped[dict[str, Any] | None] = mapped_column("done_by", JSON)
    user_id: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64), default="", index=True)
    detail: Mapped[dict[str, Any]]
