# SPDX-License-Identifier: Apache-2.0
"""The first form."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from arbaro_machines.database.models import UtcTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("machine_id", sa.String(length=36), nullable=False),
        sa.Column("machine", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("done_by", sa.JSON(), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_at", ["at"], unique=False)
        batch_op.create_index("ix_events_machine_id", ["machine_id"], unique=False)
        batch_op.create_index("ix_events_project_id", ["project_id"], unique=False)
        batch_op.create_index("ix_events_request_id", ["request_id"], unique=False)

    op.create_table(
        "machines",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("power", sa.String(length=10), nullable=False),
        sa.Column("maintenance", sa.Boolean(), nullable=False),
        sa.Column("maintenance_note", sa.JSON(), nullable=True),
        sa.Column("resource_class", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("rack", sa.String(length=64), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("boot_method", sa.String(length=20), nullable=False),
        sa.Column("firmware", sa.String(length=10), nullable=False),
        sa.Column("bmc_address", sa.String(length=255), nullable=False),
        sa.Column("bmc_system", sa.String(length=255), nullable=False),
        sa.Column("bmc_username", sa.String(length=64), nullable=False),
        sa.Column("bmc_secret", sa.Text(), nullable=False),
        sa.Column("bmc_verify_tls", sa.Boolean(), nullable=False),
        sa.Column("console_url", sa.String(length=255), nullable=True),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("server_id", sa.String(length=64), nullable=True),
        sa.Column("reservation_id", sa.String(length=64), nullable=True),
        sa.Column("group_name", sa.String(length=64), nullable=True),
        sa.Column("held_since", UtcTime(), nullable=True),
        sa.Column("deployment", sa.JSON(), nullable=True),
        sa.Column("fault_code", sa.String(length=32), nullable=True),
        sa.Column("fault", sa.JSON(), nullable=True),
        sa.Column("written", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    with op.batch_alter_table("machines", schema=None) as batch_op:
        batch_op.create_index("ix_machines_fault_code", ["fault_code"], unique=False)
        batch_op.create_index("ix_machines_project_id", ["project_id"], unique=False)
        batch_op.create_index("ix_machines_reservation_id", ["reservation_id"], unique=False)
        batch_op.create_index("ix_machines_server_id", ["server_id"], unique=False)
        batch_op.create_index("ix_machines_updated_at", ["updated_at"], unique=False)
        batch_op.create_index("machines_free", ["state", "resource_class", "id"], unique=False)
        batch_op.create_index("machines_place", ["room", "rack"], unique=False)
        batch_op.create_index("machines_stock", ["resource_class", "room", "rack", "model", "state"], unique=False)

    op.create_table(
        "reservations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "interfaces",
        sa.Column("mac", sa.String(length=17), nullable=False),
        sa.Column("machine_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("boot", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["machine_id"], ["machines.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mac"),
    )
    with op.batch_alter_table("interfaces", schema=None) as batch_op:
        batch_op.create_index("ix_interfaces_machine_id", ["machine_id"], unique=False)

    op.create_table(
        "tasks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("machine_id", sa.String(length=36), nullable=False),
        sa.Column("verb", sa.String(length=20), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column(
            "sealed",
            sa.Text().with_variant(mysql.LONGTEXT(), "mariadb").with_variant(mysql.LONGTEXT(), "mysql"),
            nullable=True,
        ),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("word", sa.JSON(), nullable=False),
        sa.Column("asked_by", sa.JSON(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("step_since", UtcTime(), nullable=False),
        sa.Column("trouble_since", UtcTime(), nullable=True),
        sa.Column("wake_at", UtcTime(), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=True),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["machine_id"],
            ["machines.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("machine_id"),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index("ix_tasks_wake_at", ["wake_at"], unique=False)
