"""The job store's first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out here and not taken from workers/store/tables.py: what a revision makes never changes afterwards.
ID = sa.String(30).with_variant(sa.String(30, collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)
JSON = sa.JSON()
STATES = (
    "'queued', 'running', 'awaiting_input', 'canceling', 'succeeded', 'incomplete', 'failed', 'canceled', 'expired'"
)
ENDS = "'canceled', 'expired', 'failed', 'incomplete', 'succeeded'"
LIVE = sa.text(f"(state NOT IN ({ENDS}))")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.Column("max_active_jobs", sa.BigInteger(), nullable=True),
        sa.Column("max_stored_bytes", sa.BigInteger(), nullable=True),
        sa.Column("requests_per_minute", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_api_keys_secret_sha256")),
    )
    op.create_table(
        "worker_beats",
        sa.Column("worker_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("queue", sa.String(length=40), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_worker_beats")),
    )
    op.create_index(op.f("ix_worker_beats_seen_at"), "worker_beats", ["seen_at"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("key_id", ID, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("route", sa.String(length=200), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("headers", JSON, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_idempotency_key_id")),
        sa.PrimaryKeyConstraint("key_id", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("failed_attempts", sa.BigInteger(), nullable=False),
        sa.Column("max_attempts", sa.BigInteger(), nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("retry_of", ID, nullable=True),
        sa.Column("rerun_of", ID, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("queued_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("awaiting_at", TIME, nullable=True),
        sa.Column("answered_at", TIME, nullable=True),
        sa.Column("canceling_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("dispatched_at", TIME, nullable=True),
        sa.Column("lease_owner", sa.String(length=200), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("stage", sa.String(length=40), nullable=True),
        sa.Column("share_done", sa.Double(), nullable=True),
        sa.Column("message", sa.String(length=4000), nullable=False),
        sa.Column("event_count", sa.BigInteger(), nullable=False),
        sa.Column("seconds_used", sa.Double(), nullable=False),
        sa.Column("tokens_used", sa.BigInteger(), nullable=False),
        sa.Column("request_id", ID, nullable=True),
        sa.Column("input_deadline", TIME, nullable=True),
        sa.Column("on_timeout", sa.String(length=10), nullable=True),
        sa.Column("question", JSON, nullable=True),
        sa.Column("answer", JSON, nullable=True),
        sa.Column("result", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.CheckConstraint(
            f"(state IN ({ENDS})) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_end_fits_state"),
        ),
        sa.CheckConstraint("lease_until IS NOT NULL OR state <> 'running'", name=op.f("ck_jobs_running_has_lease")),
        sa.CheckConstraint(
            "lease_until IS NULL OR state IN ('running', 'canceling')", name=op.f("ck_jobs_lease_fits_state")
        ),
        sa.CheckConstraint(
            f"state IN ({STATES})",
            name=op.f("ck_jobs_state_is_known"),
        ),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_jobs_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_expires_at"), "jobs", ["expires_at"], unique=False)
    op.create_index(op.f("ix_jobs_input_deadline"), "jobs", ["input_deadline"], unique=False)
    op.create_index(op.f("ix_jobs_lease_until"), "jobs", ["lease_until"], unique=False)
    op.create_index(op.f("ix_jobs_owner_external_id"), "jobs", ["owner", "external_id"], unique=False)
    op.create_index(op.f("ix_jobs_owner_id"), "jobs", ["owner", "id"], unique=False)
    op.create_index(op.f("ix_jobs_state_dispatched_at"), "jobs", ["state", "dispatched_at"], unique=False)
    op.create_index(
        "uq_jobs_live_run",
        "jobs",
        ["run_id"],
        unique=True,
        sqlite_where=LIVE,
        postgresql_where=LIVE,
    )
    op.create_table(
        "uploads",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("name", sa.String(length=400), nullable=False),
        sa.Column("media_type", sa.String(length=200), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("file_key", sa.String(length=200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_uploads_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_expires_at"), "uploads", ["expires_at"], unique=False)
    op.create_index(op.f("ix_uploads_file_key"), "uploads", ["file_key"], unique=False)
    op.create_index(op.f("ix_uploads_owner_id"), "uploads", ["owner", "id"], unique=False)
    op.create_table(
        "documents",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("title", sa.String(length=4000), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("article", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_documents_job_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_documents_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
    )
    op.create_index(op.f("ix_documents_job_id"), "documents", ["job_id"], unique=False)
    op.create_index(op.f("ix_documents_owner_id"), "documents", ["owner", "id"], unique=False)
    op.create_table(
        "job_briefs",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("brief", JSON, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_briefs_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_briefs")),
    )
    op.create_table(
        "job_events",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_events_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "id", name=op.f("pk_job_events")),
    )
    op.create_table(
        "artifacts",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("document_id", ID, nullable=True),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("media_type", sa.String(length=200), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("file_key", sa.String(length=200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_artifacts_document_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_artifacts_job_id")),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_artifacts_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        sa.UniqueConstraint("job_id", "format", name=op.f("uq_artifacts_job_id_format")),
    )
    op.create_index(op.f("ix_artifacts_document_id"), "artifacts", ["document_id"], unique=False)
    op.create_index(op.f("ix_artifacts_file_key"), "artifacts", ["file_key"], unique=False)
    op.create_index(op.f("ix_artifacts_owner_id"), "artifacts", ["owner", "id"], unique=False)
    op.create_table(
        "document_versions",
        sa.Column("document_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("article", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_document_versions_document_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("document_id", "version", name=op.f("pk_document_versions")),
    )


def downgrade() -> None:
    for table in (
        "document_versions",
        "artifacts",
        "documents",
        "job_events",
        "job_briefs",
        "uploads",
        "jobs",
        "idempotency",
        "worker_beats",
        "api_keys",
    ):
        op.drop_table(table)
