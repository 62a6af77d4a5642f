# SPDX-License-Identifier: Apache-2.0
"""Any character: MariaDB's utf8mb3 has no emoji, and whoever made the database chose it."""

from itertools import groupby

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

#: JSON columns are utf8mb4 always.
NARROW = """
    SELECT table_name, column_name, column_type, is_nullable FROM information_schema.columns
    WHERE table_schema = DATABASE() AND character_set_name <> 'utf8mb4' AND table_name <> 'alembic_version'
    ORDER BY table_name, ordinal_position
"""
#: Whose machine_id refers to machines, and what becomes of a row when its machine is deleted.
REFERRING = {"interfaces": "CASCADE", "tasks": None}


def upgrade() -> None:
    """Change the schema. Killed anywhere and run again, it does what is left."""
    database = op.get_bind()
    if database.dialect.name not in ("mysql", "mariadb"):
        return
    # MariaDB changes no column that a foreign key uses.
    for table in REFERRING:
        for key in sa.inspect(database).get_foreign_keys(table):
            op.drop_constraint(str(key["name"]), table, type_="foreignkey")
    narrow = database.execute(sa.text(NARROW)).all()
    for table, columns in groupby(narrow, key=lambda row: row[0]):
        # Each column by itself: CONVERT TO would also make larger types of TEXT, and plain text of JSON.
        changes = [
            f"MODIFY `{name}` {type_} CHARACTER SET utf8mb4 {'NULL' if nullable == 'YES' else 'NOT NULL'}"
            for _, name, type_, nullable in columns
        ]
        op.execute(f"ALTER TABLE `{table}` DEFAULT CHARACTER SET utf8mb4, {', '.join(changes)}")
    for table, ondelete in REFERRING.items():
        op.create_foreign_key(None, table, "machines", ["machine_id"], ["id"], ondelete=ondelete)
