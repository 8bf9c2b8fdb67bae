"""Tables of finished pieces, and of files that jobs made or people sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workers.store.tables.row import Id, Json, Row

__all__ = ["ArtifactRow", "DocumentFileRow", "DocumentRow", "DocumentVersionRow", "UploadRow"]


class DocumentRow(Row):
    """A piece in its newest version."""

    __tablename__ = "documents"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    # A piece outlives the record of the job that made it.
    job_id: Mapped[str | None] = mapped_column(Id, ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    title: Mapped[str] = mapped_column(String(4000))
    version: Mapped[int]
    article: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    # What an edit needs of the run: its folder (notes, pictures), and how it was to be rendered.
    run_id: Mapped[str | None] = mapped_column(String(64), index=True)
    formats: Mapped[list[str] | None] = mapped_column(Json)
    theme: Mapped[str | None] = mapped_column(String(40))
    publish_at: Mapped[datetime | None] = mapped_column(index=True)
    published_at: Mapped[datetime | None]
    # The newest job that was to make its files; perhaps ended, perhaps deleted.
    render_job_id: Mapped[str | None] = mapped_column(Id)

    __table_args__ = (Index(None, "owner", "id"),)


class DocumentVersionRow(Row):
    """A piece in one of its versions, the newest included."""

    __tablename__ = "document_versions"

    document_id: Mapped[str] = mapped_column(Id, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    article: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    how: Mapped[str] = mapped_column(String(10), server_default="made")
    """made, edit, restore, undo or redo (agents/editing/history.py)."""
    same_as: Mapped[int | None]
    """The version whose content a restore, an undo or a redo repeats."""
    edit: Mapped[dict[str, Any] | None] = mapped_column(Json)
    job_id: Mapped[str | None] = mapped_column(Id)
    """The job that wrote it, where one did."""


class ArtifactRow(Row):
    """A file that a job made."""

    __tablename__ = "artifacts"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    # Restricted: whoever deletes a job must learn which files go with it.
    job_id: Mapped[str | None] = mapped_column(Id, ForeignKey("jobs.id"))
    document_id: Mapped[str | None] = mapped_column(Id, ForeignKey("documents.id", ondelete="SET NULL"), index=True)
    version: Mapped[int | None]
    """Of the document."""
    format: Mapped[str] = mapped_column(String(16))
    media_type: Mapped[str] = mapped_column(String(200))
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    file_key: Mapped[str] = mapped_column(String(200), index=True)
    created_at: Mapped[datetime]

    # A job makes a format once: a second worker cannot add it again.
    __table_args__ = (UniqueConstraint("job_id", "format"), Index(None, "owner", "id"))


class DocumentFileRow(Row):
    """Which file a version of a piece has in a format. Versions that look the same in it share one."""

    __tablename__ = "document_files"

    document_id: Mapped[str] = mapped_column(Id, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    format: Mapped[str] = mapped_column(String(16), primary_key=True)
    artifact_id: Mapped[str] = mapped_column(Id, ForeignKey("artifacts.id", ondelete="CASCADE"), index=True)


class UploadRow(Row):
    """A file that somebody sent."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    name: Mapped[str] = mapped_column(String(400))
    """What the sender calls it: a label, never a path."""
    media_type: Mapped[str] = mapped_column(String(200))
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    file_key: Mapped[str] = mapped_column(String(200), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None] = mapped_column(index=True)

    __table_args__ = (Index(None, "owner", "id"),)
