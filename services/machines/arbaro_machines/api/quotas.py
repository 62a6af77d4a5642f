# SPDX-License-Identifier: Apache-2.0
"""Quotas: how many machines a project may hold, and holds."""

import logging
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from arbaro_machines import quotas
from arbaro_machines.api import answers, bodies
from arbaro_machines.api.context import Operator, Parts, Reader, Service
from arbaro_machines.caller import Caller
from arbaro_machines.database.models import Quota
from arbaro_machines.errors import Refusal

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1/quotas", tags=["quotas"])

ProjectId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


@router.get("/{project_id}", response_model=answers.QuotaOut)
def show_quota(service: Parts, caller: Reader, project_id: ProjectId) -> JSONResponse:
    """How many machines a project may hold, and holds; readers see their own project's."""
    if project_id != caller.project_id and not caller.operator:
        raise Refusal("forbidden", "project_id: only operators see another project's quota.")
    with service.store.reading() as session:
        return _answer(session, service, project_id)


@router.put("/{project_id}", response_model=answers.QuotaOut)
def set_quota(service: Parts, caller: Operator, project_id: ProjectId, body: bodies.QuotaBody) -> JSONResponse:
    """Give a project a number of its own. What it holds already, it keeps, though it be more."""
    return _change(service, caller, project_id, body.machines)


@router.delete("/{project_id}", response_model=answers.QuotaOut)
def unset_quota(service: Parts, caller: Operator, project_id: ProjectId) -> JSONResponse:
    """Let the settings' number count for a project again."""
    return _change(service, caller, project_id, None)


def _change(service: Service, caller: Caller, project_id: str, machines: int | None) -> JSONResponse:
    def do(session: Session) -> JSONResponse:
        # Two who set the same project's at once would both insert it.
        quotas.lock_project(session, project_id)
        own = session.get(Quota, project_id, populate_existing=True)
        if own is not None:
            session.delete(own)
            session.flush()
        if machines is not None:
            session.add(Quota(project_id=project_id, machines=machines))
            session.flush()
        log.info("%s: %s sets the quota of project %s to %s", caller.request_id, caller.user, project_id, machines)
        return _answer(session, service, project_id)

    return service.store.write(do)


def _answer(session: Session, service: Service, project_id: str) -> JSONResponse:
    now = quotas.standing(session, project_id, service.settings.project_quota)
    return JSONResponse(
        {"project_id": project_id, "machines": now.limit, "used": now.used, "is_default": now.is_default}
    )
