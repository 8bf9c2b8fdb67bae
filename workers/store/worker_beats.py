"""Worker beats: which workers are there, by what they said last."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select

from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.tables import WorkerBeatRow

__all__ = ["FRESH", "WorkerBeats"]

FRESH: Final = timedelta(seconds=30)
"""A worker that was not seen for so long is not counted on; it says something three times in that time."""


class WorkerBeats:
    """The heartbeats of all workers. Every method may raise ServiceAway."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self.now = clock
        """The time by which workers are judged."""

    def counts(self) -> dict[str, int]:
        """How many workers of each kind were seen within `FRESH`."""
        wanted = (
            select(WorkerBeatRow.kind, func.count().label("workers"))
            .where(WorkerBeatRow.seen_at > self.now() - FRESH)
            .group_by(WorkerBeatRow.kind)
        )
        with self._database.reading() as session:
            return {row.kind: row.workers for row in session.execute(wanted)}

    def last_seen(self, kind: str, host: str) -> datetime | None:
        """When a worker of that kind on that machine (by its own name for itself) was seen last; None: never."""
        wanted = (
            select(WorkerBeatRow.worker_id, WorkerBeatRow.seen_at)
            .where(WorkerBeatRow.kind == kind)
            .order_by(WorkerBeatRow.seen_at.desc())
        )
        with self._database.reading() as session:
            for worker_id, seen_at in session.execute(wanted):
                # HOST-PID-RANDOM (job_store.py); a host's name may hold hyphens.
                if str(worker_id).rsplit("-", 2)[0] == host:
                    seen: datetime = seen_at
                    return seen
        return None
