"""Tables of batches: many pieces of one brief."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workers.store.tables.row import Id, Json, Row

__all__ = ["BatchItemRow", "BatchRow"]


class BatchRow(Row):
    """One brief with many sets of variables, or several variants of it."""

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    kind: Mapped[str] = mapped_column(String(20))
    """sets or variants."""
    name: Mapped[str] = mapped_column(String(200))
    brief: Mapped[dict[str, Any]]
    meta: Mapped[dict[str, Any]] = mapped_column("metadata")
    item_count: Mapped[int]
    created_at: Mapped[datetime]
    canceled_at: Mapped[datetime | None]
    open_since: Mapped[datetime | None] = mapped_column(index=True)
    """Since when the service has jobs of it to order, or to cancel; None: there is nothing left to do."""
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the service saw that all items have ended, and told of it; None again once it is tried again."""

    __table_args__ = (Index(None, "owner", "id"),)


class BatchItemRow(Row):
    """One piece of a batch: the job that makes it now, or why there is none."""

    __tablename__ = "batch_items"

    batch_id: Mapped[str] = mapped_column(Id, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    custom_id: Mapped[str] = mapped_column(String(200))
    variables: Mapped[dict[str, Any]]
    # No foreign key: the job may be deleted before its batch.
    job_id: Mapped[str | None] = mapped_column(Id, index=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    retry_of: Mapped[str | None] = mapped_column(Id)
    """The job that is to be gone on with; None once that is ordered."""

    __table_args__ = (UniqueConstraint("batch_id", "custom_id"),)
