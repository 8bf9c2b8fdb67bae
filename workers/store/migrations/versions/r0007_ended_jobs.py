"""The ledger tells how many jobs ended and failed, and old days of it are found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None

# Written out here and not taken from workers/store/tables: what a revision makes never changes afterwards.
ID = sa.String(30).with_variant(sa.String(30, collation="C"), "postgresql")


def upgrade() -> None:
    # Nothing was ever written into the ledger before this revision.
    op.drop_table("ledger")
    op.create_table(
        "ledger",
        sa.Column("key_id", ID, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_ledger_key_id")),
        sa.PrimaryKeyConstraint("key_id", "day", name=op.f("pk_ledger")),
    )
    op.create_index(op.f("ix_ledger_day"), "ledger", ["day"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_ledger_day"), table_name="ledger")
    op.drop_column("ledger", "failed")
    op.drop_column("ledger", "ended")
