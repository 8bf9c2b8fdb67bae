"""Tables of keys, and of the answers that are given to them again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from workers.store.tables.row import Id, Json, Row

__all__ = ["ApiKeyRow", "IdempotencyRow"]


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
    max_jobs_per_day: Mapped[int | None]
    max_seconds_per_day: Mapped[int | None]
    max_tokens_per_day: Mapped[int | None]


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
