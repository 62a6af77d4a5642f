# SPDX-License-Identifier: Apache-2.0
"""Locks by name, in the database: for what is counted first and then added to, by several processes at once."""

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from arbaro_machines.database.models import SPREAD_LOCKS, SpreadLock


def lock(session: Session, *names: str) -> None:
    """Hold these until the end of the transaction; several in one order, so that two who want both do not deadlock."""
    ids = {hashlib.sha256(name.encode()).digest()[0] % SPREAD_LOCKS for name in names}
    rows = select(SpreadLock.id).where(SpreadLock.id.in_(ids)).order_by(SpreadLock.id)
    session.execute(rows.with_for_update()).all()
