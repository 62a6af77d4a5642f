# SPDX-License-Identifier: Apache-2.0
"""How alembic reaches the database."""

from alembic import context
from sqlalchemy import create_engine, pool

from arbaro_machines.database.models import Base

with create_engine(context.config.attributes["url"], poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, user_module_prefix="")
    with context.begin_transaction():
        context.run_migrations()
