# SPDX-License-Identifier: Apache-2.0
"""The verbs on one machine."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import bcrypt
from fastapi import APIRouter, Security
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from arbaro_machines import events, moves, quotas
from arbaro_machines.api import answers, bodies
from arbaro_machines.api.context import (
    TOKEN,
    IfMatch,
    MachineRef,
    Member,
    Operator,
    Parts,
    Service,
    change_machine,
    find_machine,
)
from arbaro_machines.caller import Caller
from arbaro_machines.database.models import Machine, moment, now
from arbaro_machines.errors import Refusal
from arbaro_machines.moves import check_legal
from arbaro_machines.sources import Sources, Unwelcome

router = APIRouter(prefix="/v1/machines/{ref}", tags=["verbs"])

DEFAULT_PORTS = {"ssh": 22, "http": 80, "https": 443, "ws": 80, "wss": 443}


@router.post("/inspect", status_code=202, response_model=answers.MachineOut)
def inspect(
    service: Parts, caller: Operator, ref: MachineRef, _: bodies.Nothing, if_match: IfMatch = None
) -> JSONResponse:
    """Look at the machine by its BMC and fill in its properties."""
    return _move(service, caller, ref, "inspect", if_match)


@router.post("/provide", status_code=202, response_model=answers.MachineOut)
def provide(
    service: Parts, caller: Operator, ref: MachineRef, _: bodies.Nothing, if_match: IfMatch = None
) -> JSONResponse:
    """Clean the machine and put it into the stock."""
    return _move(service, caller, ref, "provide", if_match)


@router.post("/release", status_code=202, response_model=answers.MachineOut)
def release(
    service: Parts, caller: Member, ref: MachineRef, _: bodies.Nothing, if_match: IfMatch = None
) -> JSONResponse:
    """Give the machine back: it is wiped and then free for others."""
    return _move(service, caller, ref, "release", if_match)


@router.post("/unrescue", status_code=202, response_model=answers.MachineOut)
def unrescue(
    service: Parts, caller: Member, ref: MachineRef, _: bodies.Nothing, if_match: IfMatch = None
) -> JSONResponse:
    """Start the machine from its own disk again."""
    return _move(service, caller, ref, "unrescue", if_match)


@router.post("/rescue", status_code=202, response_model=answers.MachineOut)
def rescue(
    service: Parts, caller: Member, ref: MachineRef, body: bodies.Rescue, if_match: IfMatch = None
) -> JSONResponse:
    """Start the rescue system instead of the disk. Of the password only its hash goes any further."""
    hashed = bcrypt.hashpw(body.password.encode(), bcrypt.gensalt()).decode() if body.password else None
    sealed = service.seal.close({"public_keys": body.public_keys, "password_hash": hashed})
    return _move(service, caller, ref, "rescue", if_match, sealed=sealed)


@router.post("/power", status_code=202, response_model=answers.MachineOut)
def power(
    service: Parts, caller: Member, ref: MachineRef, body: bodies.Power, if_match: IfMatch = None
) -> JSONResponse:
    """Switch the machine."""

    def work(session: Session, machine: Machine) -> None:
        moves.switch(session, machine, body.target, caller)

    return change_machine(service, ref, caller, work, if_match=if_match, status=202)


@router.post("/reserve", response_model=answers.MachineOut)
def reserve(
    service: Parts, caller: Member, ref: MachineRef, body: bodies.ReserveOne, if_match: IfMatch = None
) -> JSONResponse:
    """Reserve this very machine. The same server_id again is the same reservation."""
    project = project_for(caller, body)
    holder = {"project_id": project, "user_id": caller.user_id, "server_id": body.server_id}

    def work(session: Session, machine: Machine) -> None:
        again = body.server_id is not None and machine.server_id == body.server_id
        if not (again and machine.project_id == project):
            check_legal(machine, "reserve", caller)
            quotas.check(session, project, service.settings.project_quota, 1)
            moves.take(session, machine, caller, holder)

    def first(session: Session) -> None:
        quotas.lock_project(session, project)

    return change_machine(service, ref, caller, work, if_match=if_match, free=True, first=first)


@router.post("/deploy", status_code=202, response_model=answers.MachineOut)
def deploy(
    service: Parts,
    caller: Member,
    ref: MachineRef,
    body: bodies.Deployment,
    x_auth_token: Annotated[str, Security(TOKEN)],
    if_match: IfMatch = None,
) -> JSONResponse:
    """Write an image to the machine's disk and start it."""
    image = _describe(service, caller, body.image, x_auth_token)
    network = [port.model_dump(exclude_none=True) for port in body.network]

    def work(session: Session, machine: Machine) -> None:
        _refuse_small_disk(machine, image)
        sealed = service.seal.close(body.config_drive.files) if body.config_drive else None
        moves.move(session, machine, "deploy", caller, request={"image": image, "network": network}, sealed=sealed)
        shown = {name: value for name, value in image.items() if name != "url" or "id" not in image}
        machine.deployment = {"image": shown, "network": network, "since": moment(now())}

    return change_machine(service, ref, caller, work, if_match=if_match, status=202)


def _describe(
    service: Service, caller: Caller, image: bodies.GlanceImage | bodies.UrlImage, token: str
) -> dict[str, Any]:
    if isinstance(image, bodies.UrlImage):
        if not caller.operator:
            raise Refusal("forbidden", "image.url is for operators.", "Upload the image to glance, and give its id.")
        try:
            Sources(service.settings.images).check(image.url)
        except Unwelcome as refusal:
            raise Refusal("bad-request", f"image.url: {refusal}") from refusal
        return image.model_dump()
    if service.glance is None:
        raise Refusal(
            "bad-request",
            "image.id: this service knows no glance.",
            "Operators may give image.url, format and checksum.",
        )
    return service.glance.describe(image.id, None if caller.operator else token)


def _refuse_small_disk(machine: Machine, image: dict[str, Any]) -> None:
    disk = machine.properties.get("disk_gb")
    if disk is not None and disk < image["min_disk_gb"]:
        raise Refusal(
            "bad-request", f"The image needs {image['min_disk_gb']} GB, {machine.name} has a disk of {disk} GB."
        )


@router.get("/console", response_model=answers.ConsoleOut)
def console(service: Parts, caller: Member, ref: MachineRef) -> JSONResponse:
    """Say where the console is. Who asked is an event."""

    def do(session: Session) -> JSONResponse:
        machine = find_machine(session, ref, caller, lock=True)
        if not machine.console_url:
            raise Refusal("no-console", f"{machine.name} has no console_url.", "openstack machine set --console-url …")
        url = urlsplit(machine.console_url)
        events.record(session, machine, "console", "console opened", by=caller.by, request_id=caller.request_id)
        port = url.port or DEFAULT_PORTS.get(url.scheme, 0)
        return JSONResponse({"protocol": url.scheme, "host": url.hostname, "port": port, "url": machine.console_url})

    return service.store.write(do)


@router.put("/maintenance", response_model=answers.MachineOut)
def set_maintenance(
    service: Parts, caller: Operator, ref: MachineRef, body: bodies.Maintenance, if_match: IfMatch = None
) -> JSONResponse:
    """Take the machine out of use: nobody gets it, nothing is deployed on it."""

    def work(session: Session, machine: Machine) -> None:
        moves.set_maintenance(session, machine, body.reason, caller)

    return change_machine(service, ref, caller, work, if_match=if_match)


@router.delete("/maintenance", response_model=answers.MachineOut)
def unset_maintenance(service: Parts, caller: Operator, ref: MachineRef, if_match: IfMatch = None) -> JSONResponse:
    """Take the machine into use again."""

    def work(session: Session, machine: Machine) -> None:
        moves.set_maintenance(session, machine, None, caller)

    return change_machine(service, ref, caller, work, if_match=if_match)


def project_for(caller: Caller, body: bodies.ReserveOne) -> str:
    """For which project; only operators reserve for another than their own, or for a server: nova finds it by that."""
    if body.server_id and not caller.operator:
        raise Refusal("forbidden", "server_id: only operators, nova among them, reserve for a server.")
    project = body.project_id or caller.project_id
    if project != caller.project_id and not caller.operator:
        raise Refusal("forbidden", "project_id: only operators reserve for another project.")
    if project is None:
        raise Refusal("bad-request", "project_id is missing: this token is of no project.")
    return project


def _move(
    service: Service, caller: Caller, ref: str, verb: str, if_match: str | None, sealed: str | None = None
) -> JSONResponse:
    def work(session: Session, machine: Machine) -> None:
        moves.move(session, machine, verb, caller, sealed=sealed)

    return change_machine(service, ref, caller, work, if_match=if_match, status=202)
