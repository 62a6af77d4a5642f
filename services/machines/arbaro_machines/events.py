# SPDX-License-Identifier: Apache-2.0
"""What happened to a machine and who did it: one row for each change, in the change's own transaction."""

from typing import Any

from sqlalchemy.orm import Session

from arbaro_machines.database.models import Event, Machine


def record(
    session: Session,
    machine: Machine,
    type_: str,
    text: str,
    *,
    by: dict[str, Any] | None = None,
    request_id: str = "",
    **detail: Any,
) -> None:
    """Write an event down. `by` is None where the service did it by itself."""
    session.add(
        Event(
            machine_id=machine.id,
            machine=machine.name,
            project_id=machine.project_id,
            type=type_,
            text=text,
            by=by,
            user_id=by["user_id"] if by else None,
            request_id=request_id,
            detail=detail,
        )
    )
