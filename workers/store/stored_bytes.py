"""Stored bytes: how much of the disk one key uses, and how much it may."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from workers.store.tables import ApiKeyRow, ArtifactRow, LibraryRow, UploadRow

__all__ = ["byte_quota", "stored_bytes"]


def stored_bytes(session: Session, owner: str, *, but_library: str | None = None) -> int:
    """Uploads, finished files and pictures of the libraries of that key, without one of the libraries if so said."""
    pictures = select(func.coalesce(func.sum(LibraryRow.bytes), 0)).where(
        LibraryRow.owner == owner, LibraryRow.deleted_at.is_(None)
    )
    if but_library is not None:
        pictures = pictures.where(LibraryRow.id != but_library)
    files = [
        select(func.coalesce(func.sum(row.bytes), 0)).where(row.owner == owner) for row in (UploadRow, ArtifactRow)
    ]
    return sum(int(session.scalar(wanted) or 0) for wanted in (*files, pictures))


def byte_quota(session: Session, owner: str) -> int | None:
    """The key's own quota of bytes; None where the service's holds."""
    return session.scalar(select(ApiKeyRow.max_stored_bytes).where(ApiKeyRow.id == owner))
