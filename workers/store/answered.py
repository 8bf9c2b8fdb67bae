"""Answered: the first answer to a request that may come twice, kept by its Idempotency-Key for a day."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from interleaf.errors import IdempotencyMismatch, InvalidRequest, RequestInProgress, shown
from workers.store.clock import Clock, utc_now
from workers.store.database import Database, insert_new
from workers.store.tables import IdempotencyRow

__all__ = ["Answer", "Answered", "Request"]

KEPT: Final = timedelta(hours=24)
# A request that is at work for so long has died with its process; its key is free again.
ABANDONED: Final = timedelta(minutes=15)
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
        answers and the others repeat it. IdempotencyMismatch; RequestInProgress."""
        with self._database.transaction() as session:
            found = self._begin(session, request)
            if found is not None:
                return found, True
            given = answer()
            _keep(session, request, given)
        return given, False

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
        now = self._clock()
        over = (IdempotencyRow.created_at < now - KEPT) | (
            IdempotencyRow.status.is_(None) & (IdempotencyRow.created_at < now - ABANDONED)
        )
        session.execute(delete(IdempotencyRow).where(*_same(request), over))
        begun = insert_new(
            session,
            IdempotencyRow,
            key_id=request.key_id,
            key=request.name,
            route=request.route,
            body_sha256=request.body_sha256,
            created_at=now,
        )
        if begun is not None:
            return None
        row = session.scalars(select(IdempotencyRow).where(*_same(request))).one_or_none()
        if row is None:  # let go of between the two statements
            raise _in_progress(request)
        if row.body_sha256 != request.body_sha256:
            raise IdempotencyMismatch(
                "Idempotency-Key",
                f"{shown(request.name)!r} was used for another request ({shown(row.route)}).",
                "Use a new key for each request, and the same key only to send it again.",
            )
        if row.status is None:
            raise _in_progress(request)
        return Answer(row.status, row.body or b"", dict(row.headers or {}))


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
