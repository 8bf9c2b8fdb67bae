"""Pieces over time: schedules, batches, webhooks, the ledger, and versions that edits make."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None

# Written out here and not taken from workers/store/tables: what a revision makes never changes afterwards.
ID = sa.String(30).with_variant(sa.String(30, collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)
JSON = sa.JSON()


# Columns are added and dropped in place: SQLite copied a table otherwise, and dropping the old one would take with it
# what refers to it.
def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("brief", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("item_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("canceled_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_batches_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_owner_id"), "batches", ["owner", "id"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("key_id", ID, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_ledger_key_id")),
        sa.PrimaryKeyConstraint("key_id", "day", name=op.f("pk_ledger")),
    )
    op.create_table(
        "schedules",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("brief", JSON, nullable=False),
        sa.Column("variables", JSON, nullable=False),
        sa.Column("cron", sa.String(length=200), nullable=True),
        sa.Column("once_at", TIME, nullable=True),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("overlap", sa.String(length=20), nullable=False),
        sa.Column("catch_up_s", sa.BigInteger(), nullable=False),
        sa.Column("jitter_s", sa.BigInteger(), nullable=False),
        sa.Column("publish_after_s", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", TIME, nullable=True),
        sa.Column("ends_at", TIME, nullable=True),
        sa.Column("paused_at", TIME, nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("run_count", sa.BigInteger(), nullable=False),
        sa.Column("next_due_at", TIME, nullable=True),
        sa.Column("next_fire_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.CheckConstraint("(cron IS NULL) <> (once_at IS NULL)", name=op.f("ck_schedules_cron_or_once")),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_schedules_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    op.create_index(op.f("ix_schedules_next_fire_at"), "schedules", ["next_fire_at"], unique=False)
    op.create_index(op.f("ix_schedules_owner_id"), "schedules", ["owner", "id"], unique=False)
    op.create_table(
        "webhooks",
        sa.Column("id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("events", JSON, nullable=False),
        sa.Column("description", sa.String(length=400), nullable=False),
        sa.Column("secrets", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("disabled_at", TIME, nullable=True),
        sa.Column("disabled_why", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_webhooks_owner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_owner_id"), "webhooks", ["owner", "id"], unique=False)
    op.create_table(
        "batch_items",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("custom_id", sa.String(length=200), nullable=False),
        sa.Column("variables", JSON, nullable=False),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_items_batch_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("batch_id", "number", name=op.f("pk_batch_items")),
        sa.UniqueConstraint("batch_id", "custom_id", name=op.f("uq_batch_items_batch_id_custom_id")),
    )
    op.create_index(op.f("ix_batch_items_job_id"), "batch_items", ["job_id"], unique=False)
    op.create_table(
        "schedule_runs",
        sa.Column("schedule_id", ID, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("decided_at", TIME, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("publish_at", TIME, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("missed_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name=op.f("fk_schedule_runs_schedule_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("schedule_id", "due_at", "by_hand", name=op.f("pk_schedule_runs")),
    )
    op.create_index(op.f("ix_schedule_runs_job_id"), "schedule_runs", ["job_id"], unique=False)
    op.create_index(
        op.f("ix_schedule_runs_schedule_id_outcome"), "schedule_runs", ["schedule_id", "outcome"], unique=False
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("webhook_id", ID, nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("event", sa.String(length=60), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempt_count", sa.BigInteger(), nullable=False),
        sa.Column("next_at", TIME, nullable=True),
        sa.Column("claimed_until", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["api_keys.id"], name=op.f("fk_webhook_deliveries_owner")),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_deliveries_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )
    op.create_index(op.f("ix_webhook_deliveries_next_at"), "webhook_deliveries", ["next_at"], unique=False)
    op.create_index(op.f("ix_webhook_deliveries_owner_id"), "webhook_deliveries", ["owner", "id"], unique=False)
    op.create_index(
        op.f("ix_webhook_deliveries_webhook_id_id"), "webhook_deliveries", ["webhook_id", "id"], unique=False
    )
    op.create_table(
        "webhook_attempts",
        sa.Column("delivery_id", ID, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["webhook_deliveries.id"], name=op.f("fk_webhook_attempts_delivery_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("pk_webhook_attempts")),
    )
    op.add_column("api_keys", sa.Column("max_jobs_per_day", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("max_seconds_per_day", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("max_tokens_per_day", sa.BigInteger(), nullable=True))
    op.add_column("artifacts", sa.Column("version", sa.BigInteger(), nullable=True))
    op.add_column("document_versions", sa.Column("how", sa.String(length=10), server_default="made", nullable=False))
    op.add_column("document_versions", sa.Column("same_as", sa.BigInteger(), nullable=True))
    op.add_column("document_versions", sa.Column("edit", JSON, nullable=True))
    op.add_column("document_versions", sa.Column("job_id", ID, nullable=True))
    op.add_column("documents", sa.Column("run_id", sa.String(length=64), nullable=True))
    op.add_column("documents", sa.Column("formats", JSON, nullable=True))
    op.add_column("documents", sa.Column("theme", sa.String(length=40), nullable=True))
    op.add_column("documents", sa.Column("publish_at", TIME, nullable=True))
    op.add_column("documents", sa.Column("published_at", TIME, nullable=True))
    op.create_index(op.f("ix_documents_publish_at"), "documents", ["publish_at"], unique=False)
    op.create_index(op.f("ix_documents_run_id"), "documents", ["run_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_documents_run_id"), "documents")
    op.drop_index(op.f("ix_documents_publish_at"), "documents")
    op.drop_column("documents", "published_at")
    op.drop_column("documents", "publish_at")
    op.drop_column("documents", "theme")
    op.drop_column("documents", "formats")
    op.drop_column("documents", "run_id")
    op.drop_column("document_versions", "job_id")
    op.drop_column("document_versions", "edit")
    op.drop_column("document_versions", "same_as")
    op.drop_column("document_versions", "how")
    op.drop_column("artifacts", "version")
    op.drop_column("api_keys", "max_tokens_per_day")
    op.drop_column("api_keys", "max_seconds_per_day")
    op.drop_column("api_keys", "max_jobs_per_day")
    op.drop_table("webhook_attempts")
    op.drop_table("webhook_deliveries")
    op.drop_table("schedule_runs")
    op.drop_table("batch_items")
    op.drop_table("webhooks")
    op.drop_table("schedules")
    op.drop_table("ledger")
    op.drop_table("batches")
