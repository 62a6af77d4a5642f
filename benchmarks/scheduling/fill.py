# SPDX-License-Identifier: Apache-2.0
"""Fill the real databases of a cloud with computes that are not there, or take them out again. Runs on the controller.

    fill.py 10000 200     10,000 copies of the first real compute, in 200 aggregates
    fill.py               take them and all that was claimed on them away

Each is what nova-compute, nova-api and nova-manage would have written: a service, a compute node, a host mapping, a
resource provider with inventories and traits, an aggregate in nova and the same one in placement.
"""

import configparser
import datetime
import itertools
import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from crowd import PREFIX, Crowd, aggregate_name, aggregate_uuid

#: Whose claims they are; nothing else in the cloud is this project's.
PROJECT = "arbaro-benchmark"
#: Room for all claims on any host, so that none of them fails for want of it.
ROOM = 1_000_000
BATCH = 1000
Row = dict[str, Any]


@dataclass(frozen=True)
class Databases:
    """Where nova's cell, nova's API and placement keep what they know."""

    cell: sa.engine.Engine
    api: sa.engine.Engine
    placement: sa.engine.Engine

    @classmethod
    def of_this_host(cls) -> "Databases":
        """Read the URLs from the services' own configuration."""
        nova, placement = read("/etc/nova/nova.conf"), read("/etc/placement/placement.conf")
        urls = (
            nova["database"]["connection"],
            nova["api_database"]["connection"],
            placement["placement_database"]["connection"],
        )
        return cls(*(sa.create_engine(url) for url in urls))

    @contextmanager
    def tables(self) -> Iterator[tuple["Tables", "Tables", "Tables"]]:
        """One transaction in each of the three."""
        with self.cell.begin() as cell, self.api.begin() as api, self.placement.begin() as placement:
            yield Tables(cell), Tables(api), Tables(placement)


class Tables:
    """The tables of one database, as they are found there."""

    def __init__(self, connection: sa.engine.Connection) -> None:
        self.connection = connection
        self.metadata = sa.MetaData()

    def __getitem__(self, name: str) -> sa.Table:
        return sa.Table(name, self.metadata, autoload_with=self.connection)

    def rows(self, name: str, **wanted: Any) -> list[Row]:
        """Read the rows whose columns have these values."""
        table = self[name]
        query = sa.select(table).where(*(table.c[key] == value for key, value in wanted.items()))
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def ids(self, name: str, key: str) -> dict[str, int]:
        """Read which id each row has, by another column of it."""
        table = self[name]
        return dict(self.connection.execute(sa.select(table.c[key], table.c.id)).all())

    def add(self, name: str, rows: Iterable[Row]) -> None:
        """Insert rows, many with one statement."""
        table, left = self[name], iter(rows)
        while batch := list(itertools.islice(left, BATCH)):
            self.connection.execute(table.insert().values(batch))

    def remove(self, name: str, condition: sa.sql.ColumnElement[bool]) -> None:
        """Delete rows."""
        self.connection.execute(self[name].delete().where(condition))

    def ours(self, name: str, column: str = "host") -> sa.sql.ColumnElement[bool]:
        """What is true of our rows only."""
        return self[name].c[column].like(f"{PREFIX}%")

    def remove_under(
        self, name: str, column: str, parent: str, key: str, condition: sa.sql.ColumnElement[bool]
    ) -> None:
        """Delete the rows that belong to some of another table."""
        keys = sa.select(self[parent].c[key]).where(condition)
        self.remove(name, self[name].c[column].in_(keys))


def read(path: str) -> configparser.RawConfigParser:
    """Read an OpenStack configuration file, whose options may be given several times."""
    parser = configparser.RawConfigParser(strict=False, default_section="")
    parser.read(path)
    return parser


def copy(row: Mapping[str, Any], **changes: Any) -> Row:
    """A row like another, with a new id of the database's choice."""
    return {**{key: value for key, value in row.items() if key != "id"}, **changes}


def fill(databases: Databases, crowd: Crowd) -> None:
    """Make the computes and their aggregates."""
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    with databases.tables() as (cell, api, placement):
        node = first_real_compute(cell)
        fill_cell(cell, node, crowd, now)
        fill_api(api, crowd, now)
        fill_placement(placement, node["uuid"], crowd, now)


def first_real_compute(cell: Tables) -> Row:
    """Find the compute node that all others are copies of."""
    nodes = [row for row in cell.rows("compute_nodes", deleted=0) if not row["host"].startswith(PREFIX)]
    if not nodes:
        raise SystemExit("There is no compute in this cloud of which there could be copies.")
    return nodes[0]


def fill_cell(cell: Tables, node: Row, crowd: Crowd, now: datetime.datetime) -> None:
    """Make services that report, and compute nodes that are mapped."""
    service = cell.rows("services", host=node["host"], binary="nova-compute", deleted=0)[0]
    seen = {"created_at": now, "updated_at": now, "last_seen_up": now}
    cell.add("services", (copy(service, host=c.name, uuid=c.uuid, **seen) for c in crowd))
    room = {"memory_mb": ROOM, "free_ram_mb": ROOM, "vcpus": ROOM, "vcpus_used": 0, "mapped": 1}
    cell.add(
        "compute_nodes",
        (copy(node, host=c.name, hypervisor_hostname=c.name, uuid=c.uuid, **room) for c in crowd),
    )


def fill_api(api: Tables, crowd: Crowd, now: datetime.datetime) -> None:
    """Map the hosts to the first cell that has hosts, and make the aggregates."""
    cell_id = api.rows("host_mappings")[0]["cell_id"]
    api.add("host_mappings", ({"host": c.name, "cell_id": cell_id, "created_at": now} for c in crowd))
    numbers = range(1, crowd.aggregates + 1)
    api.add("aggregates", ({"name": aggregate_name(n), "uuid": aggregate_uuid(n), "created_at": now} for n in numbers))
    ids = api.ids("aggregates", "uuid")
    api.add(
        "aggregate_hosts",
        ({"host": c.name, "aggregate_id": ids[aggregate_uuid(c.aggregate)], "created_at": now} for c in crowd),
    )


def fill_placement(placement: Tables, like: str, crowd: Crowd, now: datetime.datetime) -> None:
    """Make the resource providers, with the inventories and traits of the one that they are copies of."""
    provider = placement.rows("resource_providers", uuid=like)[0]
    inventories = placement.rows("inventories", resource_provider_id=provider["id"])
    traits = placement.rows("resource_provider_traits", resource_provider_id=provider["id"])
    placement.add(
        "resource_providers",
        (copy(provider, name=c.name, uuid=c.uuid, created_at=now, root_provider_id=None) for c in crowd),
    )
    table = placement["resource_providers"]
    own = table.update().where(placement.ours("resource_providers", "name")).values(root_provider_id=table.c.id)
    placement.connection.execute(own)
    ids = placement.ids("resource_providers", "uuid")
    room = {"total": ROOM, "max_unit": ROOM, "reserved": 0}
    placement.add(
        "inventories",
        (copy(row, resource_provider_id=ids[c.uuid], **room) for c in crowd for row in inventories),
    )
    placement.add(
        "resource_provider_traits",
        ({**row, "resource_provider_id": ids[c.uuid]} for c in crowd for row in traits),
    )
    numbers = range(1, crowd.aggregates + 1)
    placement.add("placement_aggregates", ({"uuid": aggregate_uuid(n), "created_at": now} for n in numbers))
    aggregates = placement.ids("placement_aggregates", "uuid")
    placement.add(
        "resource_provider_aggregates",
        (
            {
                "resource_provider_id": ids[c.uuid],
                "aggregate_id": aggregates[aggregate_uuid(c.aggregate)],
                "created_at": now,
            }
            for c in crowd
        ),
    )


def empty(databases: Databases) -> None:
    """Take all computes of ours away, and what was claimed, be it on a real one."""
    with databases.tables() as (cell, api, placement):
        for tables, names in ((cell, ("services", "compute_nodes")), (api, ("host_mappings", "aggregate_hosts"))):
            for name in names:
                tables.remove(name, tables.ours(name))
        api.remove("aggregates", api.ours("aggregates", "name"))
        empty_placement(placement)


def empty_placement(placement: Tables) -> None:
    """Take away claims first, then what they stand on."""
    for project in placement.rows("projects", external_id=PROJECT):
        claimed = placement["consumers"].c.project_id == project["id"]
        placement.remove_under("allocations", "consumer_id", "consumers", "uuid", claimed)
        placement.remove("consumers", claimed)
    providers = placement.ours("resource_providers", "name")
    for name in ("inventories", "resource_provider_traits", "resource_provider_aggregates"):
        placement.remove_under(name, "resource_provider_id", "resource_providers", "id", providers)
    placement.remove("resource_providers", providers)
    uuids = aggregate_uuid(0).partition("-")[2].rpartition("-")[0]
    placement.remove("placement_aggregates", placement["placement_aggregates"].c.uuid.like(f"%-{uuids}-%"))


def main(words: list[str]) -> None:
    """Do it, and say as JSON how long it took and how much memory."""
    databases, began = Databases.of_this_host(), time.monotonic()
    empty(databases)
    if words:
        fill(databases, Crowd(*map(int, words)))
    seconds = time.monotonic() - began
    with databases.tables() as (_, api, _placement):
        ids = {name: key for name, key in api.ids("aggregates", "name").items() if name.startswith(PREFIX)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": round(seconds, 2), "peak_mib": peak, "aggregates": ids}))


if __name__ == "__main__":
    main(sys.argv[1:])
