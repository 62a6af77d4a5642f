# SPDX-License-Identifier: Apache-2.0
"""How many machines a project may hold."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "quotas",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("machines", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project_id"),
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )
