# SPDX-License-Identifier: Apache-2.0
"""Reserve some machines of a kind."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from arbaro_machines import reservations
from arbaro_machines.api import answers, bodies
from arbaro_machines.api.context import Member, Parts
from arbaro_machines.api.present import present_machine
from arbaro_machines.api.verbs import project_for

router = APIRouter(prefix="/v1/reservations", tags=["reservations"])


@router.post("", status_code=201, response_model=answers.ReservationOut)
def reserve(service: Parts, caller: Member, body: bodies.ReserveSome) -> JSONResponse:
    """Reserve `count` machines, all or none."""
    asked = body.model_dump(exclude={"project_id", "spread_policy"})
    wish = reservations.Wish(**asked, project_id=project_for(caller, body), strict=body.spread_policy == "strict")

    def do(session: Session) -> JSONResponse:
        quota = service.settings.project_quota
        reservation_id, machines = reservations.reserve(session, wish, caller, quota)
        shown = [present_machine(machine, caller) for machine in machines]
        return JSONResponse({"reservation_id": reservation_id, "machines": shown}, 201)

    try:
        return service.store.write(do)
    except IntegrityError:
        # The same reservation_id was sent twice at once, and the other was first: this time it is found.
        return service.store.write(do)
