"""Library requests: questions to the library worker for which somebody waits, and its answers, kept for a minute.

The message carries the id alone; the answer comes back through the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast

from sqlalchemy import delete, select, update

from interleaf.errors import InterleafError, error_from_record, error_to_record
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import is_id, new_id
from workers.store.tables import LibraryRequestRow

__all__ = ["LibraryRequest", "LibraryRequests", "RequestKind"]

RequestKind = Literal["search", "remove"]


@dataclass(frozen=True)
class LibraryRequest:
    """One question."""

    id: str
    owner: str
    library_id: str
    kind: RequestKind
    asked: Mapping[str, Any]


class LibraryRequests:
    """The questions of all owners. Every method may raise ServiceAway."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def ask(
        self, owner: str, library_id: str, kind: RequestKind, asked: Mapping[str, Any], kept_s: float
    ) -> LibraryRequest:
        """Write a question down; it may be answered, and its answer read, for `kept_s` from now on."""
        now = self._clock()
        request = LibraryRequest(new_id("lrq", now), owner, library_id, kind, dict(asked))
        with self._database.transaction() as session:
            session.add(
                LibraryRequestRow(
                    id=request.id,
                    owner=owner,
                    library_id=library_id,
                    kind=kind,
                    asked=dict(asked),
                    created_at=now,
                    expires_at=now + timedelta(seconds=kept_s),
                    taken_at=None,
                    answer=None,
                    error=None,
                )
            )
        return request

    def answer(self, request_id: str) -> Mapping[str, Any] | None:
        """The answer, or None while there is none. Raises the error that the worker answered with."""
        with self._database.reading() as session:
            wanted = select(LibraryRequestRow.answer, LibraryRequestRow.error).where(LibraryRequestRow.id == request_id)
            row = session.execute(wanted).one_or_none()
        if row is None:
            return None
        if row.error is not None:
            raise error_from_record(row.error)
        return cast("Mapping[str, Any] | None", row.answer)

    def withdraw(self, request_id: str) -> bool:
        """Nobody waits any more: forget the question; False when a worker has taken it already."""
        with self._database.transaction() as session:
            gone = session.connection().execute(
                delete(LibraryRequestRow).where(
                    LibraryRequestRow.id == request_id, LibraryRequestRow.taken_at.is_(None)
                )
            )
            return gone.rowcount == 1

    def forget_expired(self) -> int:
        """Forget what has expired; how many."""
        now = self._clock()
        over = LibraryRequestRow.expires_at <= now
        # Looked for first: a round that finds nothing must not stand in the way of those who write.
        with self._database.reading() as session:
            if session.scalar(select(LibraryRequestRow.id).where(over).limit(1)) is None:
                return 0
        with self._database.transaction() as session:
            return session.connection().execute(delete(LibraryRequestRow).where(over)).rowcount

    # What the worker does

    def take(self, request_id: str) -> LibraryRequest | None:
        """The question, which this worker now answers; None when it is not there (any more), or another has it."""
        if not is_id("lrq", request_id):
            return None
        now = self._clock()
        with self._database.transaction() as session:
            row = session.scalars(
                update(LibraryRequestRow)
                .where(
                    LibraryRequestRow.id == request_id,
                    LibraryRequestRow.taken_at.is_(None),
                    LibraryRequestRow.expires_at > now,
                )
                .values(taken_at=now)
                .returning(LibraryRequestRow),
                execution_options={"synchronize_session": False},
            ).one_or_none()
            if row is None:
                return None
            return LibraryRequest(row.id, row.owner, row.library_id, cast("RequestKind", row.kind), row.asked)

    def give(self, request_id: str, answer: Mapping[str, Any]) -> None:
        """Answer it."""
        self._write(request_id, {"answer": dict(answer)})

    def refuse(self, request_id: str, error: InterleafError) -> None:
        """Answer it with an error, which is raised where it was asked."""
        self._write(request_id, {"error": error_to_record(error)})

    def _write(self, request_id: str, values: dict[str, Any]) -> None:
        with self._database.transaction() as session:
            session.execute(update(LibraryRequestRow).where(LibraryRequestRow.id == request_id).values(values))
