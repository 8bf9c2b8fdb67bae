"""Tables: what the job store writes down, as SQLAlchemy rows; workers/migrations makes the same in a database.

Rows stay inside workers/: what leaves is a frozen value. A change here needs a new revision in migrations/versions,
and tests/workers/test_migrations.py holds the two against one another.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from workers.store.ids import ID_CHARS
from workers.store.job_transitions import FINAL, STATES

__all__ = [
    "ApiKeyRow",
    "ArtifactRow",
    "DocumentRow",
    "DocumentVersionRow",
    "IdempotencyRow",
    "JobBriefRow",
    "JobEventRow",
    "JobRow",
    "LibraryRequestRow",
    "LibraryRow",
    "Row",
    "UploadRow",
    "UtcTime",
    "WorkerBeatRow",
]


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, to the microsecond. SQLite keeps text of one width, so both databases order it alike."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone is not written")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Compared byte by byte on PostgreSQL too, whatever the language of its database: ids sort by time.
Id = String(ID_CHARS).with_variant(String(ID_CHARS, collation="C"), "postgresql")
# Not JSONB: that refuses an escaped NUL and reorders keys. A missing value is SQL's NULL.
Json = JSON(none_as_null=True)


_ENDS = tuple(sorted(FINAL))


def _listed(states: tuple[str, ...]) -> str:
    return ", ".join(f"'{state}'" for state in states)


class Row(DeclarativeBase):
    """A row of the job store."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcTime(), dict[str, Any]: Json, int: BigInteger()}


class ApiKeyRow(Row):
    """A key of the service. Never deleted, only revoked: everything that is kept belongs to one."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    prefix: Mapped[str] = mapped_column(String(16))
    """The first characters of the secret, which a person may see again."""
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    scopes: Mapped[list[str]] = mapped_column(Json)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    # None: the service's own limit holds.
    max_active_jobs: Mapped[int | None]
    max_stored_bytes: Mapped[int | None]
    requests_per_minute: Mapped[int | None]


class JobRow(Row):
    """A job. Its brief lies in a row of its own: SQLite writes a row anew at each beat, and a brief may be large."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    kind: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(default=0)
    failed_attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    meta: Mapped[dict[str, Any]] = mapped_column("metadata")
    external_id: Mapped[str | None] = mapped_column(String(200))
    run_id: Mapped[str] = mapped_column(String(64))
    # No foreign keys: the first job may be deleted before the one that followed it.
    retry_of: Mapped[str | None] = mapped_column(Id)
    rerun_of: Mapped[str | None] = mapped_column(Id)

    created_at: Mapped[datetime]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    awaiting_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    canceling_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    dispatched_at: Mapped[datetime | None]

    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_until: Mapped[datetime | None]

    stage: Mapped[str | None] = mapped_column(String(40))
    share_done: Mapped[float | None]
    message: Mapped[str] = mapped_column(String(4000), default="")
    event_count: Mapped[int] = mapped_column(default=0)
    seconds_used: Mapped[float] = mapped_column(default=0.0)
    tokens_used: Mapped[int] = mapped_column(default=0)

    request_id: Mapped[str | None] = mapped_column(Id)
    input_deadline: Mapped[datetime | None]
    on_timeout: Mapped[str | None] = mapped_column(String(10))
    question: Mapped[dict[str, Any] | None] = mapped_column(Json)
    answer: Mapped[dict[str, Any] | None] = mapped_column(Json)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (
        CheckConstraint(f"state IN ({_listed(STATES)})", name="state_is_known"),
        CheckConstraint("lease_until IS NOT NULL OR state <> 'running'", name="running_has_lease"),
        CheckConstraint("lease_until IS NULL OR state IN ('running', 'canceling')", name="lease_fits_state"),
        CheckConstraint(f"(state IN ({_listed(_ENDS)})) = (finished_at IS NOT NULL)", name="end_fits_state"),
        # An id begins with the time of its making: this is the order of every list.
        Index(None, "owner", "id"),
        Index(None, "owner", "external_id"),
        # What the outbox and the reconciler look for.
        Index(None, "state", "dispatched_at"),
        Index(None, "lease_until"),
        Index(None, "input_deadline"),
        Index(None, "expires_at"),
    )


# One job at a time may work on a run folder.
_LIVE = JobRow.state.not_in(_ENDS)
Index("uq_jobs_live_run", JobRow.run_id, unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)


class JobBriefRow(Row):
    """What a job was asked."""

    __tablename__ = "job_briefs"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    brief: Mapped[dict[str, Any]]


class JobEventRow(Row):
    """An event of a job; ids rise by one from 1 within a job."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(60))
    at: Mapped[datetime]
    data: Mapped[dict[str, Any]]


class IdempotencyRow(Row):
    """The first answer to a request with an Idempotency-Key; without a status while that request is at work."""

    __tablename__ = "idempotency"

    key_id: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    route: Mapped[str] = mapped_column(String(200))
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    status: Mapped[int | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    headers: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(index=True)


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

    __table_args__ = (Index(None, "owner", "id"),)


class DocumentVersionRow(Row):
    """A piece in one of its versions, the newest included."""

    __tablename__ = "document_versions"

    document_id: Mapped[str] = mapped_column(Id, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    article: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ArtifactRow(Row):
    """A file that a job made."""

    __tablename__ = "artifacts"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    owner: Mapped[str] = mapped_column(Id, ForeignKey("api_keys.id"))
    # Restricted: whoever deletes a job must learn which files go with it.
    job_id: Mapped[str | None] = mapped_column(Id, ForeignKey("jobs.id"))
    document_id: Mapped[str | None] = mapped_column(Id, ForeignKey("documents.id", ondelete="SET NULL"), index=True)
    format: Mapped[str] = mapped_column(String(16))
    media_type: Mapped[str] = mapped_column(String(200))
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    file_key: Mapped[str] = mapped_column(String(200), index=True)
    created_at: Mapped[datetime]

    # A job makes a format once: a second worker cannot add it again.
    __table_args__ = (UniqueConstraint("job_id", "format"), Index(None, "owner", "id"))


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


class WorkerBeatRow(Row):
    """When a worker was last seen."""

    __tablename__ = "worker_beats"

    worker_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    queue: Mapped[str] = mapped_column(String(40))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)
