"""Tables of picture libraries, and of what is asked of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from workers.store.tables.row import Id, Json, Row

__all__ = ["LibraryRequestRow", "LibraryRow"]


class LibraryRow(Row):
    """A picture library. Its pictures lie in the owner's library folder, as the collection with this id."""

    __tablename__ = "libraries"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    name: Mapped[str] = mapped_column(String(200))
    """What its owner calls it: a label."""
    description: Mapped[str] = mapped_column(String(2000))
    # As the last change of its pictures left them; the folder's catalog is the truth.
    picture_count: Mapped[int]
    bytes: Mapped[int]
    encoder: Mapped[str | None] = mapped_column(String(400))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    # Gone for its owner; the row goes when its pictures are gone from the folder.
    deleted_at: Mapped[datetime | None]
    sweep_at: Mapped[datetime | None] = mapped_column(index=True)
    """When a worker is to be told (again) to remove its pictures."""

    __table_args__ = (Index(None, "owner", "id"),)


# A name is free again as soon as its library is deleted.
_KEPT = LibraryRow.deleted_at.is_(None)
Index(
    "uq_libraries_kept_name",
    LibraryRow.owner,
    LibraryRow.name,
    unique=True,
    sqlite_where=_KEPT,
    postgresql_where=_KEPT,
)


class LibraryRequestRow(Row):
    """What somebody who waits asks of the library worker, and its answer. Kept for a minute."""

    __tablename__ = "library_requests"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    library_id: Mapped[str] = mapped_column(Id, ForeignKey("libraries.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    asked: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    taken_at: Mapped[datetime | None]
    answer: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
