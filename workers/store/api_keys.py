"""Api keys: who may ask the service for what; only the hash of a secret is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from interleaf.errors import InvalidRequest, ObjectUnknown, shown
from interleaf.text import clean_line
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import is_id, new_id
from workers.store.tables import ApiKeyRow

__all__ = ["QUOTAS", "SCOPES", "ApiKey", "ApiKeys", "KeyScope", "Quotas"]

KeyScope = Literal["jobs:read", "jobs:write", "library:write", "metrics:read", "admin"]
"""What a key may do: look at its jobs, pieces and uploads; make and change them; change picture libraries; read
/metrics; everything, and manage keys."""

SCOPES: Final[tuple[KeyScope, ...]] = get_args(KeyScope)

MAX_NAME_CHARS: Final = 200
# 32 random bytes: nothing to guess, so a plain hash is enough and a slow one would only slow every request.
_SECRET: Final = re.compile(r"ilk_[A-Za-z0-9_-]{43}")
_SHOWN_CHARS: Final = 12
# Any number that nothing else in the database uses: one process at a time makes the first key.
_FIRST_KEY_LOCK: Final = 0x494C4B31


@dataclass(frozen=True)
class Quotas:
    """Limits of one key. None: the service's own limit holds; of those for a day it has none."""

    max_active_jobs: int | None = None
    max_stored_bytes: int | None = None
    requests_per_minute: int | None = None
    max_jobs_per_day: int | None = None
    """Days are those of UTC (workers/store/ledger.py)."""
    max_seconds_per_day: int | None = None
    """Of work."""
    max_tokens_per_day: int | None = None


QUOTAS: Final = tuple(field.name for field in fields(Quotas))


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret. What is made with it belongs to `id`."""

    id: str
    prefix: str
    """The first characters of the secret, to tell keys apart."""
    name: str
    scopes: tuple[KeyScope, ...]
    created_at: datetime
    revoked_at: datetime | None
    quotas: Quotas

    def may(self, scope: KeyScope) -> bool:
        """Whether the key has that scope; admin has all."""
        return scope in self.scopes or "admin" in self.scopes


class ApiKeys:
    """The keys of the service. Every method may raise ServiceAway."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def create(self, name: str, scopes: Sequence[KeyScope], quotas: Quotas | None = None) -> tuple[ApiKey, str]:
        """A new key and its secret, which is told this once and kept nowhere. InvalidRequest names a wrong field."""
        name = _checked_name(name)
        for scope in scopes:
            if scope not in SCOPES:
                raise InvalidRequest("scopes", f"{shown(scope)!r} is no scope.", f"Choose from {', '.join(SCOPES)}.")
        if not scopes:
            raise InvalidRequest("scopes", "is empty: the key could do nothing.", f"Choose from {', '.join(SCOPES)}.")
        with self._database.transaction() as session:
            return self._create(session, name, scopes, quotas or Quotas())

    def first(self) -> str | None:
        """The secret of a new admin key, if no admin key is in force; else None. Of several that start at once, one
        makes it."""
        with self._database.transaction() as session:
            if self._database.kind == "postgresql":
                session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _FIRST_KEY_LOCK})
            in_force = session.scalars(select(ApiKeyRow.scopes).where(ApiKeyRow.revoked_at.is_(None))).all()
            if any("admin" in scopes for scopes in in_force):
                return None
            return self._create(session, "first key", ("admin",), Quotas())[1]

    def at_start(self, *, further: bool = False) -> str | None:
        """What the operator is shown when the service starts: the secret of the first admin key, where none is in
        force; with `further`, that of one more. Else None."""
        first = self.first()
        if first is None and further:
            return self.create("made at a start", ("admin",))[1]
        return first

    def find(self, secret: str) -> ApiKey | None:
        """The key of that secret, unless it is unknown or revoked."""
        if not _SECRET.fullmatch(secret):
            return None
        digest = _hash(secret)
        with self._database.reading() as session:
            row = session.scalars(select(ApiKeyRow).where(ApiKeyRow.secret_sha256 == digest)).one_or_none()
        # The index compared hashes, about which time tells nothing; this comparison takes the same time for all.
        if row is None or not hmac.compare_digest(row.secret_sha256, digest) or row.revoked_at is not None:
            return None
        return _of_row(row)

    def in_force(self, key_id: str) -> bool:
        """Whether the key is there and not revoked."""
        with self._database.reading() as session:
            wanted = select(ApiKeyRow.id).where(ApiKeyRow.id == key_id, ApiKeyRow.revoked_at.is_(None))
            return session.scalar(wanted) is not None

    def list(self, limit: int, after: str | None = None, before: str | None = None) -> list[ApiKey]:
        """At most `limit` keys, newest first, revoked ones too; older than the key `after`, or, oldest first, newer
        than the key `before`."""
        wanted = select(ApiKeyRow).order_by(ApiKeyRow.id.desc() if before is None else ApiKeyRow.id.asc()).limit(limit)
        if after is not None:
            wanted = wanted.where(ApiKeyRow.id < after)
        if before is not None:
            wanted = wanted.where(ApiKeyRow.id > before)
        with self._database.reading() as session:
            return [_of_row(row) for row in session.scalars(wanted)]

    def change(self, key_id: str, changes: Mapping[str, Any]) -> ApiKey:
        """Change the name or quotas of a key, by their names; a quota of None is none of its own. What it has used
        stays. ObjectUnknown; InvalidRequest."""
        assert set(changes) <= {"name", *QUOTAS}, f"{sorted(changes)} cannot be changed"
        values = dict(changes)
        if "name" in values:
            values["name"] = _checked_name(values["name"])
        with self._database.transaction() as session:
            row = session.get(ApiKeyRow, key_id, with_for_update=True) if is_id("key", key_id) else None
            if row is None:
                raise _unknown(key_id)
            for name, value in values.items():
                setattr(row, name, value)
            session.flush()
            return _of_row(row)

    def revoke(self, key_id: str) -> ApiKey:
        """Take the key out of force at once and for ever; its jobs stay. ObjectUnknown; revoking twice changes
        nothing."""
        with self._database.transaction() as session:
            if is_id("key", key_id):
                session.execute(
                    update(ApiKeyRow)
                    .where(ApiKeyRow.id == key_id, ApiKeyRow.revoked_at.is_(None))
                    .values(revoked_at=self._clock())
                )
                row = session.get(ApiKeyRow, key_id, populate_existing=True)
                if row is not None:
                    return _of_row(row)
        raise _unknown(key_id)

    def _create(self, session: Session, name: str, scopes: Sequence[KeyScope], quotas: Quotas) -> tuple[ApiKey, str]:
        secret = f"ilk_{secrets.token_urlsafe(32)}"
        now = self._clock()
        row = ApiKeyRow(
            id=new_id("key", now),
            prefix=secret[:_SHOWN_CHARS],
            secret_sha256=_hash(secret),
            name=name,
            scopes=[scope for scope in SCOPES if scope in scopes],
            created_at=now,
            revoked_at=None,
            **{name: getattr(quotas, name) for name in QUOTAS},
        )
        session.add(row)
        session.flush()
        return _of_row(row), secret


def _checked_name(name: str) -> str:
    name = clean_line(name)
    if not 1 <= len(name) <= MAX_NAME_CHARS:
        raise InvalidRequest("name", f"has {len(name)} characters.", f"Give 1 to {MAX_NAME_CHARS}.")
    return name


def _unknown(key_id: str) -> ObjectUnknown:
    return ObjectUnknown(key_id, "there is no such key.", "List them with GET /v1/keys.")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _of_row(row: ApiKeyRow) -> ApiKey:
    scopes = tuple(scope for scope in SCOPES if scope in row.scopes)
    quotas = Quotas(**{name: getattr(row, name) for name in QUOTAS})
    return ApiKey(row.id, row.prefix, row.name, scopes, row.created_at, row.revoked_at, quotas)
