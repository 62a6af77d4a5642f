# SPDX-License-Identifier: Apache-2.0
"""Giving machines out: some of a kind, all or none, spread over failure domains, and no machine twice."""

import random
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from arbaro_machines import moves, quotas, states
from arbaro_machines.caller import Caller
from arbaro_machines.database.models import Machine, Reservation
from arbaro_machines.errors import Refusal
from arbaro_machines.locks import lock

#: How often to look for others where somebody was quicker, and how many more than wanted to look at.
ROUNDS, SPARE = 5, 3


#: A failure domain: (room,) or (room, rack).
Place = tuple[str, ...]


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    count: int
    resource_class: str
    project_id: str
    model: str | None = None
    room: str | None = None
    rack: str | None = None
    spread: str | None = None
    strict: bool = True
    group: str | None = None
    server_id: str | None = None
    reservation_id: str | None = None


def reserve(session: Session, wish: Wish, caller: Caller, quota: int) -> tuple[str, Sequence[Machine]]:
    """Reserve what is wished; the same reservation_id again gives the same machines. `quota` is the default one."""
    reservation_id = wish.reservation_id or str(uuid.uuid4())
    if session.get(Reservation, reservation_id):
        return reservation_id, _earlier(session, wish, reservation_id)
    session.add(Reservation(id=reservation_id))
    session.flush()  # who sends the same at once fails here, and finds ours when it tries again
    # What the project holds, and where a group's machines stand, is counted and then added to: two who did so at once
    # would both take the last one, or the same rack.
    group = [f"{wish.project_id}/{wish.group}"] if wish.spread and wish.group else []
    lock(session, f"project {wish.project_id}", *group)
    quotas.check(session, wish.project_id, quota, wish.count)
    found: list[Machine] = []
    for _ in range(ROUNDS):
        places = _places(session, wish, found)
        for place, count in places.items():
            # Where others were quicker we get less than planned; the next round plans with what is left.
            found += _take(session, wish, caller, reservation_id, place, count)
        if len(found) == wish.count or not places:
            break
    if len(found) < wish.count:
        raise _too_few(session, wish, len(found))
    return reservation_id, found


def _places(session: Session, wish: Wish, found: list[Machine]) -> Mapping[Place | None, int]:
    """Where to take what is still missing; None is anywhere."""
    missing = wish.count - len(found)
    return _spread_places(session, wish, found, missing) if wish.spread else {None: missing}


def _take(
    session: Session, wish: Wish, caller: Caller, reservation_id: str, place: Place | None, count: int
) -> list[Machine]:
    where = _free(wish)
    if wish.spread and place:
        where += _same_place(wish.spread, place)
    taken = _pick(session, where, count)
    for machine in taken:
        moves.take(session, machine, caller, _holder(wish, reservation_id, caller))
    session.flush()
    return taken


def _holder(wish: Wish, reservation_id: str, caller: Caller) -> dict[str, Any]:
    return {
        "project_id": wish.project_id,
        "user_id": caller.user_id,
        "server_id": wish.server_id,
        "reservation_id": reservation_id,
        "group": wish.group,
    }


def _earlier(session: Session, wish: Wish, reservation_id: str) -> Sequence[Machine]:
    held = select(Machine).where(Machine.reservation_id == reservation_id, Machine.project_id == wish.project_id)
    machines = session.scalars(held.order_by(Machine.name)).all()
    if not machines:
        raise Refusal(
            "reservation-used",
            "This reservation_id was used before, and its machines were given back.",
            "Choose a new one.",
        )
    return machines


def _free(wish: Wish) -> list[ColumnElement[bool]]:
    return [Machine.state == states.AVAILABLE, *_matching(wish)]


def _matching(wish: Wish) -> list[ColumnElement[bool]]:
    where = [
        Machine.resource_class == wish.resource_class,
        Machine.maintenance.is_(False),
    ]
    for name in ("model", "room", "rack"):
        if (value := getattr(wish, name)) is not None:
            where.append(getattr(Machine, name) == value)
    return where


def _pick(session: Session, where: list[ColumnElement[bool]], count: int) -> list[Machine]:
    """Lock `count` free machines: looked for without locks, then locked by id, so that nothing else gets locked.

    Those that others have just locked are passed over; only in the last round they are waited for, in the order of ids.
    """
    found: list[Machine] = []
    for last in (*[False] * ROUNDS, True):
        ids = _some_ids(session, [*where, Machine.id.not_in([one.id for one in found])], count - len(found) + SPARE)
        query = select(Machine).where(*where, Machine.id.in_(ids)).order_by(Machine.id).limit(count - len(found))
        locked = query.with_for_update(skip_locked=not last, of=Machine).execution_options(populate_existing=True)
        found += session.scalars(locked) if ids else []
        if len(found) == count or not ids:
            break
    return found


def _some_ids(session: Session, where: list[ColumnElement[bool]], count: int) -> list[str]:
    # Beginning at a random one, so that many who look at once seldom meet.
    pivot = str(uuid.UUID(int=random.getrandbits(128)))
    ids: list[str] = []
    for half in (Machine.id >= pivot, Machine.id < pivot):
        if count > len(ids):
            ids += session.scalars(select(Machine.id).where(*where, half).order_by(Machine.id).limit(count - len(ids)))
    return ids


def _place_columns(spread: str) -> list[Any]:
    # A rack's name is only unique within its room.
    return [Machine.room] if spread == "room" else [Machine.room, Machine.rack]


def _same_place(spread: str, place: Place) -> list[ColumnElement[bool]]:
    return [column == value for column, value in zip(_place_columns(spread), place, strict=True)]


def _spread_places(session: Session, wish: Wish, found: list[Machine], missing: int) -> dict[Place | None, int]:
    columns = _place_columns(wish.spread or "rack")

    def count_by_place(*where: ColumnElement[bool]) -> dict[Place, int]:
        rows = session.execute(select(*columns, func.count()).where(*where).group_by(*columns))
        return {tuple(row[:-1]): row[-1] for row in rows}

    if wish.group:  # those found already are of the group, and in the database
        held = count_by_place(Machine.project_id == wish.project_id, Machine.group == wish.group)
    else:
        held = Counter(tuple(getattr(machine, column.key) for column in columns) for machine in found)
    stock = count_by_place(*_free(wish))
    shuffled = random.sample(sorted(stock), len(stock))
    return plan_spread({place: stock[place] for place in shuffled}, held, missing, strict=wish.strict)


def plan_spread(
    free: Mapping[Place, int], held: Mapping[Place, int], count: int, *, strict: bool
) -> dict[Place | None, int]:
    """Decide how many to take from which place: always from the one that has fewest of the group already.

    Strict takes none where there is one already, so the plan may come out short; best-effort takes what there is.
    """
    left = dict(free)
    used = {place: held.get(place, 0) for place in free}
    plan: dict[Place | None, int] = {}
    for _ in range(count):
        open_places = [place for place, number in left.items() if number and not (strict and used[place])]
        if not open_places:
            break
        place = min(open_places, key=lambda one: used[one])
        left[place] -= 1
        used[place] += 1
        plan[place] = plan.get(place, 0) + 1
    return plan


def _too_few(session: Session, wish: Wish, found: int) -> Refusal:
    free = found + (session.scalar(select(func.count()).select_from(Machine).where(*_free(wish))) or 0)
    if wish.spread and wish.strict and free >= wish.count:
        return Refusal(
            "not-enough",
            f"{free} {wish.resource_class} are free, but only {found} of the {wish.count} can stand in a "
            f"{wish.spread} of their own.",
            "Ask for fewer, or for spread_policy best-effort.",
        )
    being_wiped = select(func.count()).select_from(Machine).where(*_matching(wish), Machine.state == states.CLEANING)
    soon = session.scalar(being_wiped) or 0
    return Refusal(
        "not-enough",
        f"{free} {wish.resource_class} are free of those that match, {wish.count} are wanted.",
        f"{soon} more are being wiped and then free: try again in some minutes."
        if soon
        else "Look at the stock: openstack machine stock list",
    )
