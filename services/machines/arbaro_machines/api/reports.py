# SPDX-License-Identifier: Apache-2.0
"""Stock and events."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select

from arbaro_machines.api import answers
from arbaro_machines.api.context import Parts, Reader
from arbaro_machines.api.machines import Filter, Limit, Moment, as_utc, next_page, where_equal
from arbaro_machines.api.present import present_event
from arbaro_machines.database.models import Event
from arbaro_machines.stock import count_stock

router = APIRouter(prefix="/v1", tags=["reports"])


@router.get("/stock", response_model=answers.Stock)
def stock(
    service: Parts,
    caller: Reader,
    resource_class: Filter = None,
    model: Filter = None,
    room: Filter = None,
    by: Literal["rack", "room", "resource_class"] = "rack",
) -> JSONResponse:
    """How many of which model are free in which room and rack."""
    with service.store.reading() as session:
        lines = count_stock(session, by, resource_class=resource_class, model=model, room=room)
    return JSONResponse({"stock": lines})


@router.get("/events", response_model=answers.EventsPage)
def list_events(
    request: Request,
    service: Parts,
    caller: Reader,
    machine_id: Filter = None,
    type: Filter = None,
    since: Moment | None = None,
    request_id: Filter = None,
    user_id: Filter = None,
    limit: Limit = 100,
    marker: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> JSONResponse:
    """What happened and who did it, newest first; of the caller's project, operators see all."""
    equal = {
        Event.machine_id: machine_id,
        Event.type: type,
        Event.request_id: request_id,
        Event.user_id: user_id,
        Event.project_id: None if caller.operator else caller.project_id,
    }
    query = where_equal(select(Event).order_by(Event.id.desc()).limit(limit + 1), equal)
    if since is not None:
        query = query.where(Event.at >= as_utc(since))
    if marker is not None:
        query = query.where(Event.id < marker)
    with service.store.reading() as session:
        found = session.scalars(query).all()
    after = found[limit - 1].id if len(found) > limit else None
    shown = [present_event(event) for event in found[:limit]]
    return JSONResponse({"events": shown, "links": {"next": next_page(request, after)}})
