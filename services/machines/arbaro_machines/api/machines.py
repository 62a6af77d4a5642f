# SPDX-License-Identifier: Apache-2.0
"""Machines: list, show, enrol, change, delete."""

import datetime
import uuid
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from arbaro_machines import events
from arbaro_machines.api import answers, bodies
from arbaro_machines.api.context import (
    IfMatch,
    MachineRef,
    Operator,
    Parts,
    Reader,
    answer,
    change_machine,
    check_revision,
    find_machine,
)
from arbaro_machines.api.present import present_machine
from arbaro_machines.caller import Caller
from arbaro_machines.database.models import Interface, Machine, now
from arbaro_machines.errors import Refusal
from arbaro_machines.moves import check_legal
from arbaro_machines.sealing import Seal

router = APIRouter(prefix="/v1/machines", tags=["machines"])


def _not_a_number(value: object) -> object:
    if isinstance(value, str) and value.replace(".", "").lstrip("+-").isdigit():
        raise ValueError("a time is written as 2026-11-24T15:00:00Z")
    return value


Moment = Annotated[datetime.datetime, BeforeValidator(_not_a_number)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Filter = Annotated[str | None, Query(max_length=255)]


def where_equal(query: Select[Any], wanted: Mapping[Any, object]) -> Select[Any]:
    """Only what has these values; None is any."""
    return query.where(*(column == value for column, value in wanted.items() if value is not None))


def wanted_machines(
    caller: Reader,
    state: Annotated[list[str] | None, Query(max_length=20)] = None,
    resource_class: Filter = None,
    model: Filter = None,
    room: Filter = None,
    rack: Filter = None,
    project_id: Filter = None,
    server_id: Filter = None,
    reservation_id: Filter = None,
    group: Filter = None,
    mac: Filter = None,
    maintenance: bool | None = None,
    fault: Filter = None,
    changed_since: Moment | None = None,
) -> Select[Any]:
    """The filters of a list; whoever is no operator gets the own project's machines only."""
    equal = {
        Machine.resource_class: resource_class,
        Machine.model: model,
        Machine.room: room,
        Machine.rack: rack,
        Machine.project_id: project_id,
        Machine.server_id: server_id,
        Machine.reservation_id: reservation_id,
        Machine.group: group,
        Machine.maintenance: maintenance,
        Machine.fault_code: fault,
    }
    query = where_equal(select(Machine), equal)
    if not caller.operator:
        query = query.where(Machine.project_id == caller.project_id)
    if state:
        query = query.where(Machine.state.in_(state))
    if mac is not None:
        query = query.where(Machine.interfaces.any(Interface.mac == mac.lower()))
    if changed_since is not None:
        query = query.where(Machine.updated_at >= as_utc(changed_since))
    return query


@router.get("", response_model=answers.MachinesPage)
def list_machines(
    request: Request,
    service: Parts,
    caller: Reader,
    query: Annotated[Select[Any], Depends(wanted_machines)],
    limit: Limit = 100,
    marker: Filter = None,
) -> JSONResponse:
    """List machines by name, those of the caller's project; operators see all."""
    query = query.order_by(Machine.name).limit(limit + 1)
    if marker is not None:
        query = query.where(Machine.name > marker)
    with service.store.reading() as session:
        found = session.scalars(query).all()
    page = found[:limit]
    after = page[-1].name if len(found) > limit else None
    body = {"machines": [present_machine(one, caller) for one in page], "links": {"next": next_page(request, after)}}
    return JSONResponse(body)


def as_utc(value: datetime.datetime) -> datetime.datetime:
    """A time from a query, which is meant in UTC when it names no zone."""
    return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)


def next_page(request: Request, marker: str | int | None) -> str | None:
    """The same question, from the marker on."""
    if marker is None:
        return None
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "marker"]
    return f"{request.url.path}?{urlencode([*query, ('marker', marker)])}"


@router.post("", status_code=201, response_model=answers.MachineOut)
def enrol_machine(service: Parts, caller: Operator, body: bodies.Enrolment) -> JSONResponse:
    """Make a machine known."""
    machines = _enrol_all(service.store.write, service.seal, caller, [body])
    return answer(machines[0], caller, 201)


@router.post("/bulk", status_code=201, response_model=answers.Machines)
def enrol_machines(service: Parts, caller: Operator, body: bodies.Enrolments) -> JSONResponse:
    """Make many machines known, all or none."""
    machines = _enrol_all(service.store.write, service.seal, caller, body.machines)
    return JSONResponse({"machines": [present_machine(one, caller) for one in machines]}, 201)


def _enrol_all(write: Any, seal: Seal, caller: Caller, wishes: list[bodies.Enrolment]) -> list[Machine]:
    def do(session: Session) -> list[Machine]:
        machines = [_new_machine(wish, seal) for wish in wishes]
        _refuse_taken(session, machines)
        session.add_all(machines)
        for machine in machines:
            events.record(session, machine, "enrolled", "enrolled", by=caller.by, request_id=caller.request_id)
        session.flush()
        return machines

    try:
        result: list[Machine] = write(do)
    except IntegrityError as error:
        raise Refusal("name-taken", "A machine with one of these names or MACs was enrolled just now.") from error
    return result


def _new_machine(wish: bodies.Enrolment, seal: Seal) -> Machine:
    return Machine(
        id=str(uuid.uuid4()),
        state="enrolled",
        power="unknown",
        maintenance=False,
        written=True,
        created_at=(created := now()),
        updated_at=created,
        **wish.model_dump(include={"name", "resource_class", "model", "room", "rack", "console_url"}),
        properties=wish.properties.model_dump(exclude_none=True),
        interfaces=[Interface(**one.model_dump()) for one in wish.interfaces],
        boot_method=wish.boot.method,
        firmware=wish.boot.firmware,
        bmc_address=wish.bmc.address.rstrip("/"),
        bmc_system=wish.bmc.system,
        bmc_username=wish.bmc.username,
        bmc_secret=seal.close(wish.bmc.password) if wish.bmc.password else "",
        bmc_verify_tls=wish.bmc.verify_tls,
        task=None,
    )


def _refuse_taken(session: Session, machines: list[Machine]) -> None:
    names = [machine.name for machine in machines]
    taken = session.scalar(select(Machine.name).where(Machine.name.in_(names)).limit(1))
    if taken or len(set(names)) < len(names):
        raise Refusal(
            "name-taken", f"There is a machine {taken or 'twice in this list'} already.", "Choose other names."
        )
    macs = [one.mac for machine in machines for one in machine.interfaces]
    _refuse_taken_macs(session, macs, None)


def _refuse_taken_macs(session: Session, macs: list[str], machine_id: str | None) -> None:
    query = select(Interface.mac).where(Interface.mac.in_(macs))
    if machine_id:
        query = query.where(Interface.machine_id != machine_id)
    taken = session.scalar(query.limit(1))
    if taken or len(set(macs)) < len(macs):
        raise Refusal(
            "mac-taken", f"MAC {taken or 'given twice'} belongs to a machine already.", "openstack machine list --mac …"
        )


@router.get("/{ref}", response_model=answers.MachineOut)
def show_machine(
    service: Parts, caller: Reader, ref: MachineRef, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """Show a machine; 304 when it still is as If-None-Match says."""
    with service.store.reading() as session:
        machine = find_machine(session, ref, caller)
    if if_none_match == f'"{machine.revision}"':
        return Response(status_code=304, headers={"ETag": if_none_match})
    return answer(machine, caller)


@router.patch("/{ref}", response_model=answers.MachineOut)
def change(
    service: Parts, caller: Operator, ref: MachineRef, body: bodies.Change, if_match: IfMatch = None
) -> JSONResponse:
    """Change what is known of a machine."""

    def work(session: Session, machine: Machine) -> None:
        changed = sorted(body.model_fields_set)
        _apply(session, machine, body, service.seal)
        machine.updated_at = now()
        events.record(
            session, machine, "changed", f"changed: {', '.join(changed)}", by=caller.by, request_id=caller.request_id
        )

    try:
        return change_machine(service, ref, caller, work, if_match=if_match, revision_wanted=True)
    except IntegrityError as error:
        raise Refusal("name-taken", f"There is a machine {body.name} already, or one with that MAC.") from error


def _apply(session: Session, machine: Machine, body: bodies.Change, seal: Seal) -> None:
    if body.interfaces is not None:
        _refuse_taken_macs(session, [one.mac for one in body.interfaces], machine.id)
        machine.interfaces.clear()
        session.flush()  # the old ones go first: the new may have the same MACs
        machine.interfaces.extend(Interface(**one.model_dump()) for one in body.interfaces)
    for name in ("name", "resource_class", "model", "room", "rack"):
        if (value := getattr(body, name)) is not None:
            setattr(machine, name, value)
    if "console_url" in body.model_fields_set:
        machine.console_url = body.console_url
    if body.properties is not None:
        machine.properties = machine.properties | body.properties.model_dump(exclude_unset=True)
    if body.boot is not None:
        machine.boot_method, machine.firmware = body.boot.method, body.boot.firmware
    if body.bmc is not None:
        _apply_bmc(machine, body.bmc, seal)


def _apply_bmc(machine: Machine, bmc: bodies.BmcChange, seal: Seal) -> None:
    for name in ("address", "system", "username", "verify_tls"):
        if (value := getattr(bmc, name)) is not None:
            setattr(machine, f"bmc_{name}", value)
    if bmc.password is not None:
        machine.bmc_secret = seal.close(bmc.password) if bmc.password else ""


@router.delete("/{ref}", status_code=204)
def delete_machine(service: Parts, caller: Operator, ref: MachineRef, if_match: IfMatch = None) -> Response:
    """Forget a machine; its events stay."""

    def do(session: Session) -> None:
        machine = find_machine(session, ref, caller, lock=True)
        check_revision(machine, if_match, wanted=True)
        check_legal(machine, "delete", caller)
        events.record(session, machine, "deleted", "deleted", by=caller.by, request_id=caller.request_id)
        session.delete(machine)

    service.store.write(do)
    return Response(status_code=204)
