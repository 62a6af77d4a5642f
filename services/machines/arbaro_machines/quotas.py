# SPDX-License-Identifier: Apache-2.0
"""How many machines a project may hold: a number of its own, or the settings'. Nobody may exceed it for the project.

Operators and nova are no exception, as in OpenStack's other quotas: whoever means more says so by setting the number.
"""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from arbaro_machines.database.models import Machine, Quota
from arbaro_machines.errors import Refusal
from arbaro_machines.locks import lock

UNLIMITED = -1


@dataclass(frozen=True)
class Standing:
    """What a project may hold, and what it holds."""

    project_id: str
    limit: int
    used: int
    #: The limit is the settings' number, not one of the project's own.
    is_default: bool


def standing(session: Session, project_id: str, default: int) -> Standing:
    """Say how a project stands."""
    own = session.get(Quota, project_id, populate_existing=True)
    used = session.scalar(select(func.count()).select_from(Machine).where(Machine.project_id == project_id))
    return Standing(project_id, own.machines if own else default, used or 0, own is None)


def lock_project(session: Session, project_id: str) -> None:
    """Let nobody else reserve for this project until the end of the transaction. Before any machine is locked."""
    lock(session, f"project {project_id}")


def check(session: Session, project_id: str, default: int, more: int) -> None:
    """Refuse when so many more were too many. Lock the project first, so that the count stays true."""
    now = standing(session, project_id, default)
    if now.limit != UNLIMITED and now.used + more > now.limit:
        raise Refusal(
            "over-quota",
            f"The project holds {now.used} of at most {now.limit} machines; {more} more would be too many.",
            "Release some, or ask an operator: openstack machine quota set",
        )
