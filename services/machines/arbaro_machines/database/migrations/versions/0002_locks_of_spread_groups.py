# SPDX-License-Identifier: Apache-2.0
"""Locks of spread groups."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Change the schema."""
    locks = op.create_table("spread_locks", sa.Column("id", sa.Integer(), autoincrement=False, primary_key=True))
    op.bulk_insert(locks, [{"id": number} for number in range(64)])
