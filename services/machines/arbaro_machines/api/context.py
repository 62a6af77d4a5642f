# SPDX-License-Identifier: Apache-2.0
"""What each request has at hand: the service's parts, the caller, and the machine that it is about."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request, Security
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from arbaro_machines import states
from arbaro_machines.api.keystone import Identity
from arbaro_machines.api.present import present_machine
from arbaro_machines.caller import Caller
from arbaro_machines.database.models import Machine
from arbaro_machines.database.store import Store
from arbaro_machines.errors import Refusal
from arbaro_machines.glance import Glance
from arbaro_machines.sealing import Seal
from arbaro_machines.settings import Settings


@dataclass(frozen=True)
class Service:
    """The parts of the service, made once."""

    settings: Settings
    store: Store
    seal: Seal
    identity: Identity
    glance: Glance | None = None


TOKEN = APIKeyHeader(name="X-Auth-Token", description="keystone's token", auto_error=False)


def request_id(request: Request) -> str:
    """The id that ties an answer, its events and the log together; a caller's own is taken over."""
    known = getattr(request.state, "request_id", None)
    if known is None:
        given = request.headers.get("x-openstack-request-id", "")
        known = given if re.fullmatch(r"req-[0-9a-f-]{36}", given) else f"req-{uuid.uuid4()}"
        request.state.request_id = known
    return str(known)


def the_service(request: Request) -> Service:
    """The service's parts."""
    parts: Service = request.app.state.service
    return parts


def the_caller(
    request: Request,
    service: Annotated[Service, Depends(the_service)],
    x_auth_token: Annotated[str | None, Security(TOKEN)],
) -> Caller:
    """Who asks. Refuses whoever has no role here."""
    if not x_auth_token:
        raise Refusal("no-token", "X-Auth-Token is missing.", "Get a token from keystone.")
    caller = service.identity.caller(x_auth_token, request.method, request.url.path)
    if not caller.reader:
        raise Refusal(
            "forbidden", f"{caller.user} has no role here in this project.", "Ask for the role member or reader."
        )
    return replace(caller, request_id=request_id(request))


def the_member(caller: Annotated[Caller, Depends(the_caller)]) -> Caller:
    """Who asks, if they may change what is their project's."""
    if not caller.member:
        raise Refusal("forbidden", f"{caller.user} may only look.", "Ask for the role member in this project.")
    return caller


def the_operator(caller: Annotated[Caller, Depends(the_caller)]) -> Caller:
    """Who asks, if they are an operator."""
    if not caller.operator:
        raise Refusal("forbidden", f"{caller.user} is no operator.")
    return caller


Parts = Annotated[Service, Depends(the_service)]
Reader = Annotated[Caller, Depends(the_caller)]
Member = Annotated[Caller, Depends(the_member)]
Operator = Annotated[Caller, Depends(the_operator)]
MachineRef = Annotated[str, Path(description="id or name", min_length=1, max_length=128)]
IfMatch = Annotated[str | None, Header(description='"REVISION" that the machine must still have, or *')]


def find_machine(session: Session, ref: str, caller: Caller, *, lock: bool = False, free: bool = False) -> Machine:
    """Find a machine by id or name; another project's is not found, and one of the stock only where `free` is meant.

    `lock` keeps others from changing it meanwhile.
    """
    query = select(Machine).where(or_(Machine.id == ref, Machine.name == ref))
    if lock:
        query = query.with_for_update(of=Machine)
    machine = session.scalar(query)
    if machine is None or not _may_see(machine, caller, free):
        raise Refusal(
            "not-found", f"There is no machine {ref!r}.", "List those that you can see: openstack machine list"
        )
    if lock:
        # A worker that ends its task does so under the machine's lock, so this is read after ours is had.
        session.expire(machine, ["task"])
    return machine


def _may_see(machine: Machine, caller: Caller, free: bool) -> bool:
    if caller.operator or (free and machine.state == states.AVAILABLE):
        return True
    return machine.project_id is not None and machine.project_id == caller.project_id


def check_revision(machine: Machine, if_match: str | None, *, wanted: bool = False) -> None:
    """Refuse when the caller has not seen the machine's present revision."""
    if if_match is None:
        if wanted:
            raise Refusal(
                "no-revision",
                "If-Match is missing.",
                f'If you mean the present machine: If-Match: "{machine.revision}"',
            )
        return
    if if_match.strip() not in ("*", f'"{machine.revision}"'):
        raise Refusal(
            "stale-revision",
            f"{machine.name} has revision {machine.revision} by now; you have seen {if_match}.",
            "Get it again, and decide again.",
        )


def change_machine(
    service: Service,
    ref: str,
    caller: Caller,
    work: Callable[[Session, Machine], None],
    *,
    if_match: str | None = None,
    revision_wanted: bool = False,
    status: int = 200,
    free: bool = False,
    first: Callable[[Session], None] = lambda session: None,
) -> JSONResponse:
    """Change one machine in one transaction, and answer with it as it is then. `first` comes before it is locked."""

    def do(session: Session) -> JSONResponse:
        first(session)
        machine = find_machine(session, ref, caller, lock=True, free=free)
        check_revision(machine, if_match, wanted=revision_wanted)
        work(session, machine)
        session.flush()
        return answer(machine, caller, status)

    return service.store.write(do)


def answer(machine: Machine, caller: Caller, status: int = 200) -> JSONResponse:
    """One machine as an answer, with its revision in ETag."""
    body: dict[str, Any] = present_machine(machine, caller)
    return JSONResponse(body, status, headers={"ETag": f'"{machine.revision}"'})
