"""How Alembic runs a migration: on the connection, and in the transaction, that revision.py hands over."""

from __future__ import annotations

from alembic import context

from workers.store.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
