"""Which batches have ended and were told of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Batches that ended before are seen, and told to whoever asked to hear it, by the first round of the new program.
    op.add_column("batches", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_batches_ended_at"), "batches", ["ended_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_batches_ended_at"), table_name="batches")
    op.drop_column("batches", "ended_at")
