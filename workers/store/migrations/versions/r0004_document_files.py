"""Which file a version of a piece has in a format, and which job makes them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

# Written out here and not taken from workers/store/tables: what a revision makes never changes afterwards.
ID = sa.String(30).with_variant(sa.String(30, collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("documents", sa.Column("render_job_id", ID, nullable=True))
    op.create_table(
        "document_files",
        sa.Column("document_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("artifact_id", ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name=op.f("fk_document_files_artifact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_document_files_document_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("document_id", "version", "format", name=op.f("pk_document_files")),
    )
    op.create_index(op.f("ix_document_files_artifact_id"), "document_files", ["artifact_id"], unique=False)
    # Until now a piece had one version, and the files of one job.
    op.execute(
        "INSERT INTO document_files (document_id, version, format, artifact_id) "
        "SELECT document_id, coalesce(min(version), 1), format, min(id) FROM artifacts "
        "WHERE document_id IS NOT NULL GROUP BY document_id, format"
    )


def downgrade() -> None:
    op.drop_table("document_files")
    op.drop_column("documents", "render_job_id")
