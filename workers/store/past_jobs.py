"""Past jobs: what the newest jobs that succeeded took, for estimates; a bounded look at a store of any size."""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import select

from workers.store.database import Database
from workers.store.estimates import MIN_JUDGED, PastJob
from workers.store.tables import JobRow

__all__ = ["PastJobs", "Whose"]

Whose = Literal["own", "service", "nobody"]

LOOKED_AT: Final = 1_000
"""Newest jobs, whatever became of them."""
MOST: Final = 200
"""Of these that are learned from."""
MIN_OF_SERVICE: Final = 5
"""So that nothing can be told of one stranger's job."""


class PastJobs:
    """Jobs of the same writer: the owner's own where these are enough to judge by, else everybody's. May raise
    ServiceAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def like(self, writer: str, owner: str) -> tuple[Whose, list[PastJob]]:
        """Whose jobs they are, and the jobs, newest first."""
        own = self._newest(writer, owner)
        if len(own) >= MIN_JUDGED:
            return "own", own
        every = self._newest(writer, None)
        if len(every) >= MIN_OF_SERVICE:
            return "service", every
        return ("own", own) if own else ("nobody", [])

    def _newest(self, writer: str, owner: str | None) -> list[PastJob]:
        # By (owner, id), or by id: both have an index, so no more than LOOKED_AT rows are read.
        newest = select(JobRow.id).order_by(JobRow.id.desc()).limit(LOOKED_AT)
        if owner is not None:
            newest = newest.where(JobRow.owner == owner)
        ids = newest.subquery()
        wanted = (
            select(JobRow.result, JobRow.seconds_used, JobRow.tokens_used)
            .join(ids, ids.c.id == JobRow.id)
            # What a retry used is a part of the work only.
            .where(JobRow.state == "succeeded", JobRow.retry_of.is_(None), JobRow.result.is_not(None))
            .order_by(JobRow.id.desc())
        )
        found: list[PastJob] = []
        with self._database.reading() as session:
            for row in session.execute(wanted):
                job = PastJob.of(row.result, float(row.seconds_used), row.tokens_used)
                if job is not None and job.order.writer == writer:
                    found.append(job)
                    if len(found) == MOST:
                        break
        return found
