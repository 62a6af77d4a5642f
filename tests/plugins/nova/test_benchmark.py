# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of scheduling counts is counted right, and what it fills it takes away again."""

import fill
import sqlalchemy as sa
from crowd import Crowd
from result import Run, shortfalls, spread

CROWD = Crowd(40, 8)


def answer(host, seconds=1.0):
    return {"host": host, "seconds": seconds}


def test_each_aggregate_is_asked_for_and_the_lonely_one_as_often_as_wanted():
    wanted = spread(300, Crowd(10_000, 200), 15)
    assert len(wanted) == 300
    assert wanted.count(200) == 15
    assert len(set(wanted)) > 180
    assert CROWD.hosts()[CROWD.lonely] == {"bench-00040"}
    assert sum(map(len, CROWD.hosts().values())) == 40


def test_a_refusal_and_a_host_outside_are_noticed():
    hinted = Run("hinted", [8, 2], [answer("bench-00040"), answer("bench-00001")])
    free = Run("free", [None, None], [answer("bench-00001", 8.0), answer("bench-00002", 8.0)])
    alone = Run("alone", [8], [answer(None)])
    assert shortfalls(hinted, free, alone, CROWD, 4) == []
    bad = Run("bad", [8, 2], [answer("bench-00001"), answer(None, 5.0)])
    assert shortfalls(bad, free, Run("alone", [8], [answer("bench-00040")]), CROWD, 4) == [
        "1 requests were refused although there was room",
        "1 servers landed outside the aggregate",
        "the filter alone refused nothing, so this run shows nothing: fewer candidates are needed",
        "a hint makes it 2.7 times as fast, 4 were wanted",
    ]


def test_what_is_filled_is_taken_away_with_what_was_claimed_on_it(place):
    def counts():
        engines = (place.databases.cell, place.databases.api, place.databases.placement)
        found = {}
        for engine in engines:
            with engine.connect() as connection:
                for name in sa.inspect(engine).get_table_names():
                    found[name] = connection.execute(sa.text(f'SELECT count(*) FROM "{name}"')).scalar()
        # Who has claimed is remembered by placement, as it would be of a real user.
        return {name: count for name, count in found.items() if name not in ("projects", "users")}

    fill.empty(place.databases)
    before = counts()
    fill.fill(place.databases, CROWD)
    assert place.ask().startswith(("bench-", "compute1"))
    assert counts()["inventories"] == before["inventories"] * 41
    fill.empty(place.databases)
    assert counts() == before
    fill.fill(place.databases, CROWD)
