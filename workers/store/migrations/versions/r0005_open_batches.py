"""Which batches have something left to do, and which job of an item is to be tried again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None

# Written out here and not taken from workers/store/tables: what a revision makes never changes afterwards.
ID = sa.String(30).with_variant(sa.String(30, collation="C"), "postgresql")


def upgrade() -> None:
    # No batch was ever made before this revision: there was no way to make one.
    op.add_column("batches", sa.Column("open_since", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_batches_open_since"), "batches", ["open_since"], unique=False)
    op.add_column("batch_items", sa.Column("retry_of", ID, nullable=True))


def downgrade() -> None:
    op.drop_column("batch_items", "retry_of")
    op.drop_index(op.f("ix_batches_open_since"), table_name="batches")
    op.drop_column("batches", "open_since")
