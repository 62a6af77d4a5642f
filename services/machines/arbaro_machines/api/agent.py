# SPDX-License-Identifier: Apache-2.0
"""What the deploy ramdisk and the firmware ask for. No keystone: a token that is made for one task and dies with it.

All of it is on a port of its own that servers cannot reach, and is answered to `agent_networks` only (networks.py). A
token opens something only while its machine is meant to run the ramdisk: from the moment in which the machine is
switched on for it until the ramdisk has said that it is done.
"""

import logging
from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from arbaro_machines import bootmedia, configdrive
from arbaro_machines.api.context import Parts, Service
from arbaro_machines.api.ranges import answer_bytes
from arbaro_machines.database.models import Interface, Machine, Task, now
from arbaro_machines.errors import Refusal

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/agent", include_in_schema=False)

Token = Annotated[str, Header(max_length=200)]
#: After these a ramdisk has nothing more to say, unless it is started again.
LAST_PHASES = ("done", "failed", "ready")
#: Boot methods in which the BMC, or the firmware for it, fetches the CD by its address.
BY_CD = ("virtual-media", "http")


def _task(session: Session, service: Service, token: str, *, lock: bool = False) -> Task:
    """The token's task, if there is one and its machine may speak now."""
    task_id = service.seal.task_of(token)
    task = session.get(Task, task_id, with_for_update=lock) if task_id else None
    if task is None or not task.notes.get("booting"):
        raise Refusal("no-token", "This token is of no task that is going on.")
    return task


def _task_at_work(session: Session, service: Service, token: str) -> Task:
    """The same, if the ramdisk still has something to do."""
    task = _task(session, service, token)
    if task.word.get("phase") in LAST_PHASES:
        raise Refusal("no-token", "The ramdisk of this task has said that it is done.")
    return task


@router.get("/plan")
def plan(service: Parts, x_machine_token: Token) -> PlainTextResponse:
    """What the ramdisk has to do, one key=value a line."""
    with service.store.reading() as session:
        task = _task_at_work(session, service, x_machine_token)
        lines = {"verb": task.verb, **task.notes.get("plan", {}), **_secrets(service, task)}
    return PlainTextResponse("".join(f"{name}={value}\n" for name, value in lines.items()))


def _secrets(service: Service, task: Task) -> dict[str, str]:
    if task.verb != "rescue" or not task.sealed:
        return {}
    wish = service.seal.open(task.sealed)
    keys = {f"key{number}": key for number, key in enumerate(wish["public_keys"])}
    return keys | ({"password_hash": wish["password_hash"]} if wish["password_hash"] else {})


@router.post("/word", status_code=204)
def word(service: Parts, x_machine_token: Token, body: Annotated[bytes, Body(max_length=4096)]) -> Response:
    """Hear the ramdisk: lines key=value, of them `phase`, perhaps `done` and `total` in bytes, `code` and `cause`."""
    said = dict(line.partition("=")[::2] for line in body.decode(errors="replace").splitlines() if "=" in line)

    def do(session: Session) -> None:
        task = _task(session, service, x_machine_token, lock=True)
        if task.word.get("phase") in LAST_PHASES and said.get("phase") != "started":
            return  # a heartbeat that was overtaken
        if said.get("done", "").isdigit() and said.get("total", "").isdigit():
            progress = {"done": int(said["done"]), "total": int(said["total"])}
        else:
            progress = task.word.get("progress")
        heard = task.word | said | {"at": now().isoformat(), "progress": progress}
        # Only the word and the alarm clock: the lease is the worker's business.
        session.execute(update(Task).where(Task.id == task.id).values(word=heard, wake_at=now()))

    service.store.write(do)
    return Response(status_code=204)


@router.get("/config-drive")
def config_drive(service: Parts, x_machine_token: Token) -> Response:
    """The config drive as an ISO image."""
    with service.store.reading() as session:
        task = _task_at_work(session, service, x_machine_token)
        if task.verb != "deploy":
            raise Refusal("not-found", f"{task.verb} has no config drive.")
        machine = session.get_one(Machine, task.machine_id)
        files = service.seal.open(task.sealed) if task.sealed else {}
    wanted = configdrive.wanted_files(files, task.request["network"], machine.id, machine.name)
    return Response(configdrive.make_iso(wanted), media_type="application/octet-stream")


@router.get("/image")
def image(service: Parts, x_machine_token: Token) -> Response:
    """The image as the cache of this host has it."""
    with service.store.reading() as session:
        task = _task_at_work(session, service, x_machine_token)
    path = service.settings.image_cache / task.notes.get("image_file", "none")
    if not path.is_file():
        raise Refusal("not-found", "This host has not fetched the image.")
    return FileResponse(path, media_type="application/octet-stream")


@router.get("/boot.ipxe")
def ipxe(request: Request, service: Parts, mac: Annotated[str, Query(max_length=17)]) -> PlainTextResponse:
    """iPXE's script for the machine with this MAC: the ramdisk if it is just being started from the network for a task.

    Else, and for whoever asks again in the same start: go on with the disk. A MAC is no secret, so the script with the
    token in it is given out once only, and for no other boot method.
    """
    address = request.client.host if request.client else ""

    def do(session: Session) -> str:
        mine = select(Task).join(Interface, Interface.machine_id == Task.machine_id).where(Interface.mac == mac.lower())
        task = session.scalar(mine.with_for_update(of=Task))  # a word that comes meanwhile must not be lost
        if task is None or not _waits_for_script(task):
            return bootmedia.IPXE_FROM_DISK
        log.info("the boot script of task %s goes to %s", task.id, address)
        fetched = {"fetched": now().isoformat(), "fetched_by": address}
        session.execute(update(Task).where(Task.id == task.id).values(word=task.word | fetched))
        return bootmedia.ipxe_script(service.settings.agent_url, service.seal.token(task.id))

    return PlainTextResponse(service.store.write(do))


def _waits_for_script(task: Task) -> bool:
    is_booting = task.notes.get("medium") == "network" and task.notes.get("booting")
    return bool(is_booting) and not {"fetched", "phase"} & set(task.word)


@router.get("/files/{name}")
def ramdisk_file(service: Parts, name: str) -> Response:
    """Kernel and ramdisk, which are no secret."""
    if name not in ("vmlinuz", "initrd"):
        raise Refusal("not-found", "There are vmlinuz and initrd.")
    return FileResponse(service.settings.ramdisk / name, media_type="application/octet-stream")


@router.api_route("/{token}/deploy.iso", methods=["GET", "HEAD"])
def iso(request: Request, service: Parts, token: str) -> Response:
    """The virtual CD of this task: the recipe's, with its own address and token on the kernel's command line."""
    with service.store.reading() as session:
        task = session.get(Task, service.seal.task_of(token) or "")
        if task is None or task.notes.get("medium") not in BY_CD or task.word.get("phase") in LAST_PHASES:
            raise Refusal("no-token", "This CD is of no task that starts from it.")
    arguments = bootmedia.arguments(service.settings.agent_url, token)
    cd = bootmedia.PersonalCd(service.settings.ramdisk / "deploy.iso", arguments)
    return answer_bytes(request, cd.size, cd.tag, cd.read)
