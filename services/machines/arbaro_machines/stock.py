# SPDX-License-Identifier: Apache-2.0
"""Stock: how many of which model are free in which room and rack, in one question to the database."""

from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from arbaro_machines import states
from arbaro_machines.database.models import Machine

#: What each way of counting tells apart.
LEVELS = {
    "rack": ("resource_class", "model", "room", "rack"),
    "room": ("resource_class", "model", "room"),
    "resource_class": ("resource_class",),
}
COUNTS = ("free", "held", "busy", "out")


def count_stock(session: Session, by: str = "rack", **filters: str | None) -> list[dict[str, Any]]:
    """Count: free (may be reserved), held (by a project), busy (being inspected or cleaned), out (all others).

    `cleaning` are those of the busy ones that are being wiped, and then are free.
    """
    columns = [getattr(Machine, name) for name in LEVELS[by]]
    is_free = (Machine.state == states.AVAILABLE) & Machine.maintenance.is_(False)
    is_held = Machine.state.in_(sorted(states.HELD))
    is_busy = Machine.state.in_([states.INSPECTING, states.CLEANING])
    which = case((is_free, "free"), (is_held, "held"), (is_busy, "busy"), else_="out")
    cleaning = (Machine.state == states.CLEANING) & Machine.maintenance.is_(False)
    sums = [func.sum(case((condition, 1), else_=0)) for condition in (*(which == one for one in COUNTS), cleaning)]
    query = select(*columns, *sums, func.count())
    for name, value in filters.items():
        if value is not None:
            query = query.where(getattr(Machine, name) == value)
    rows = session.execute(query.group_by(*columns).order_by(*columns))
    names = (*LEVELS[by], *COUNTS, "cleaning", "total")
    return [dict(zip(names, (*row[: len(columns)], *map(int, row[len(columns) :])), strict=True)) for row in rows]
