"""Publications: pieces of schedules whose time to be published has come, apart from the time they were made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.job import Job
from workers.store.tables import DocumentRow, JobRow, ScheduleRunRow

__all__ = ["PUBLISHED", "Announce", "Publications", "publish_time_of"]

PUBLISHED: Final = "document.published"
"""The event that whoever listens is told."""

Announce = Callable[[Session, str, str, Mapping[str, Any]], None]
"""Writes an event of an owner for whoever listens, in the transaction of what it tells of: (session, owner, event,
data)."""

_MOST_RETRIES: Final = 100


def publish_time_of(session: Session, job: Job) -> datetime | None:
    """When the piece of that job is to be published: as the run of the schedule says that ordered it, or the job of
    which it is a retry; None when none does."""
    connection = session.connection()
    asked, before = job.id, job.retry_of
    for _ in range(_MOST_RETRIES):
        found = connection.execute(_PUBLISH_AT, {"job": asked}).first()
        if found is not None:
            at: datetime | None = found.publish_at
            return at
        if before is None:
            return None
        asked, before = before, connection.execute(_RETRY_OF, {"job": before}).scalar()
    return None


# Made once: every finished piece asks.
_PUBLISH_AT: Final = select(ScheduleRunRow.publish_at).where(ScheduleRunRow.job_id == bindparam("job"))
_RETRY_OF: Final = select(JobRow.retry_of).where(JobRow.id == bindparam("job"))


class Publications:
    """The service's side. Every method may raise ServiceAway."""

    def __init__(self, database: Database, *, clock: Clock = utc_now, announce: Announce | None = None) -> None:
        self._database = database
        self._clock = clock
        self._announce = announce

    def publish(self, limit: int = 100) -> int:
        """Mark at most `limit` documents whose time has come as published, each once; how many. Run it in as many
        processes as you like."""
        now = self._clock()
        due = select(DocumentRow.id).where(DocumentRow.publish_at <= now, DocumentRow.published_at.is_(None))
        with self._database.transaction() as session:
            ids = session.scalars(
                due.order_by(DocumentRow.publish_at, DocumentRow.id).limit(limit).with_for_update(skip_locked=True)
            ).all()
            # Without a time to come it is not looked at any more, however many have been published.
            rows = session.execute(
                update(DocumentRow)
                .where(DocumentRow.id.in_(ids))
                .values(published_at=now, publish_at=None)
                .returning(DocumentRow.id, DocumentRow.owner),
                execution_options={"synchronize_session": False},
            ).all()
            if self._announce is not None:
                for row in rows:
                    data = {"id": row.id, "published_at": now.isoformat(), "url": f"/v1/documents/{row.id}"}
                    self._announce(session, row.owner, PUBLISHED, data)
        return len(rows)
