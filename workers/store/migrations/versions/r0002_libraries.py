"""Picture libraries, and what is asked of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None

# Written out here and not taken from workers/store/tables.py: what a revision makes never changes afterwards.
ID = sa.String(30).with_variant(sa.String(30, collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)
JSON = sa.JSON()
KEPT = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "libraries",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.String(length=2000), nullable=False),
        sa.Column("picture_count", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("encoder", sa.String(length=400), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.Column("sweep_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_libraries_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_libraries")),
    )
    op.create_index(op.f("ix_libraries_owner_id"), "libraries", ["owner", "id"], unique=False)
    op.create_index(op.f("ix_libraries_sweep_at"), "libraries", ["sweep_at"], unique=False)
    op.create_index(
        "uq_libraries_kept_name",
        "libraries",
        ["owner", "name"],
        unique=True,
        sqlite_where=KEPT,
        postgresql_where=KEPT,
    )
    op.create_table(
        "library_requests",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("library_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("asked", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("taken_at", TIME, nullable=True),
        sa.Column("answer", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.ForeignKeyConstraint(
            ["library_id"], ["libraries.id"], name=op.f("fk_library_requests_library_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_library_requests_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_library_requests")),
    )
    op.create_index(op.f("ix_library_requests_expires_at"), "library_requests", ["expires_at"], unique=False)
    op.create_index(op.f("ix_library_requests_library_id"), "library_requests", ["library_id"], unique=False)


def downgrade() -> None:
    op.drop_table("library_requests")
    op.drop_table("libraries")
