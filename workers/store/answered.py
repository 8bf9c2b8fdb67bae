"""Answered: the first answer to a request that may come twice, kept by its Idempotency-Key for a day."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, bindparam, delete, select, update
from sqlalchemy.orm import Session

from interleaf.errors import IdempotencyMismatch, InterleafError, InvalidRequest, RequestInProgress, shown
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.new_rows import insert_if_new
from workers.store.tables import IdempotencyRow

__all__ = ["Answer", "Answered", "Request"]

KEPT: Final = timedelta(hours=24)
# A request that is at work for so long has died with its process; its key is free again.
ABANDONED: Final = timedelta(minutes=15)
_FIND: Final = select(
    IdempotencyRow.route,
    IdempotencyRow.body_sha256,
    IdempotencyRow.status,
    IdempotencyRow.body,
    IdempotencyRow.headers,
    IdempotencyRow.created_at,
).where(IdempotencyRow.key_id == bindparam("key_id"), IdempotencyRow.key == bindparam("name"))
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """Who asked for what, under which name."""

    key_id: str
    """Id of the API key."""
    name: str
    """The Idempotency-Key."""
    route: str
    """Method, path and query."""
    body_sha256: bytes

    @classmethod
    def of(cls, key_id: str, name: str, route: str, body: bytes) -> Request:
        """InvalidRequest when `name` is none: 1 to 255 visible ASCII characters."""
        if not _KEY.fullmatch(name):
            raise InvalidRequest(
                "Idempotency-Key", f"{shown(name)!r} is none.", "Use 1 to 255 visible ASCII characters, such as a UUID."
            )
        # A long query must not overflow its column; what is compared is the whole of it.
        digest = hashlib.sha256(route.encode() + b"\n" + body).digest()
        return cls(key_id, name, route[:200], digest)


class Answered:
    """Answers that were given. Errors are never kept: who corrects a request may use its key again."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def once(self, request: Request, answer: Callable[[], Answer]) -> tuple[Answer, bool]:
        """The answer, and whether it is a repeated one. `answer` writes what it writes to the database in the same
        transaction that keeps the answer: both are there, or neither. Of several requests that come at once, one
        answers and the others repeat it. What `answer` raises comes through, unless there is an answer already.
        IdempotencyMismatch; RequestInProgress."""

        def first() -> tuple[Answer, bool]:
            with self._database.transaction() as session:
                given = answer()
                if not self._insert(session, request, given):
                    raise _Answered
                return given, False

        def again() -> tuple[Answer, bool]:
            found = look()
            return (found, True) if found is not None else first()

        def look() -> Answer | None:
            with self._database.transaction() as session:
                return self._found(session, request)

        # Nearly all requests come once: it is answered first, which is undone if there turns out to be an answer.
        try:
            return self._database.together(first, request.key_id)
        except _Answered:
            try:
                return self._database.together(again, request.key_id)
            except _Answered:  # forgotten, and answered by yet another, between these two statements
                raise _in_progress(request) from None
        except InterleafError:
            # It may have been answered while there was room for it, and what it names.
            found = look()
            if found is None:
                raise
            return found, True

    def begin(self, request: Request) -> Answer | None:
        """For work that is too long for a transaction: the kept answer, or None when the caller is now the one to
        answer; it then calls `keep`, or `abandon`. IdempotencyMismatch; RequestInProgress."""
        with self._database.transaction() as session:
            return self._begin(session, request)

    def keep(self, request: Request, answer: Answer) -> None:
        """Keep the answer to what was begun. Inside the transaction that writes what it tells of."""
        with self._database.transaction() as session:
            _keep(session, request, answer)

    def abandon(self, request: Request) -> None:
        """Let go of what was begun: it was not done."""
        with self._database.transaction() as session:
            session.execute(delete(IdempotencyRow).where(*_same(request), IdempotencyRow.status.is_(None)))

    def forget(self, before: datetime) -> int:
        """Forget answers that were given before that time; how many."""
        with self._database.transaction() as session:
            gone = session.connection().execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < before))
            return gone.rowcount

    def _begin(self, session: Session, request: Request) -> Answer | None:
        found = self._found(session, request)
        if found is None and not self._insert(session, request):
            found = self._found(session, request)
            if found is None:  # let go of between the statements
                raise _in_progress(request)
        return found

    def _insert(self, session: Session, request: Request, given: Answer | None = None) -> bool:
        """Whether it was inserted: there was none, whoever else may have tried."""
        return insert_if_new(
            session,
            IdempotencyRow,
            key_id=request.key_id,
            key=request.name,
            route=request.route,
            body_sha256=request.body_sha256,
            status=None if given is None else given.status,
            body=None if given is None else given.body,
            headers=None if given is None else dict(given.headers),
            created_at=self._clock(),
        )

    def _found(self, session: Session, request: Request) -> Answer | None:
        row = session.execute(_FIND, {"key_id": request.key_id, "name": request.name}).one_or_none()
        if row is None:
            return None
        age = self._clock() - row.created_at
        if age > KEPT or (row.status is None and age > ABANDONED):
            session.execute(delete(IdempotencyRow).where(*_same(request), IdempotencyRow.created_at == row.created_at))
            return None
        if row.body_sha256 != request.body_sha256:
            raise IdempotencyMismatch(
                "Idempotency-Key",
                f"{shown(request.name)!r} was used for another request ({shown(row.route)}).",
                "Use a new key for each request, and the same key only to send it again.",
            )
        if row.status is None:
            raise _in_progress(request)
        return Answer(row.status, row.body or b"", dict(row.headers or {}))


class _Answered(Exception):
    """There is an answer to a request of this name."""


def _same(request: Request) -> tuple[ColumnElement[bool], ...]:
    return (IdempotencyRow.key_id == request.key_id, IdempotencyRow.key == request.name)


def _keep(session: Session, request: Request, answer: Answer) -> None:
    session.execute(
        update(IdempotencyRow)
        .where(*_same(request))
        .values(status=answer.status, body=answer.body, headers=dict(answer.headers))
    )


def _in_progress(request: Request) -> RequestInProgress:
    return RequestInProgress(
        "Idempotency-Key", f"{shown(request.name)!r}: that request is still at work.", "Send it again in a moment."
    )
