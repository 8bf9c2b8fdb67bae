"""Events: what a job has told, by ids that rise by one from 1; kept until pruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from interleaf.errors import InvalidRequest, JobUnknown
from workers.store.database import Database
from workers.store.ids import is_id
from workers.store.job_transitions import FINAL
from workers.store.tables import JobEventRow, JobRow

__all__ = ["MAX_EVENTS", "EventPage", "JobEvent", "JobEvents", "append_event", "append_events"]

# Made once: a statement that is made anew is also looked up anew among the compiled ones.
_APPEND: Final = insert(JobEventRow.__table__)  # type: ignore[arg-type]
MAX_EVENTS: Final = 1_000
"""Most events of one page."""


@dataclass(frozen=True)
class JobEvent:
    """One event. `name` is `job.<state>`, `job.requeued`, `job.answered`, or what a worker noted."""

    job_id: str
    id: int
    name: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True)
class EventPage:
    """Events after a position, in order and without a hole."""

    events: tuple[JobEvent, ...]
    gap_until: int | None
    """When events right after the position are no longer kept: id of the first that is. None: nothing is missing."""
    last_id: int
    """Id of the job's newest event at the time of reading."""
    ended: bool
    """The job is final and this page reaches its last event: nothing will follow."""


def append_event(
    session: Session, job_id: str, event_id: int, name: str, at: datetime, data: Mapping[str, Any]
) -> None:
    """Write an event. `event_id` is the job's new `event_count`, raised in the same transaction."""
    append_events(session, job_id, event_id, [(name, at, data)])


def first_event(job_id: str, name: str, at: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a new job's first event, which is inserted with the job."""
    return {"job_id": job_id, "id": 1, "name": name, "at": at, "data": dict(data)}


def append_events(
    session: Session, job_id: str, first_id: int, told: Sequence[tuple[str, datetime, Mapping[str, Any]]]
) -> None:
    """Write events with rising ids, each by name, time and data; the last has the job's new `event_count`."""
    session.connection().execute(
        _APPEND,
        [
            {"job_id": job_id, "id": event_id, "name": name, "at": at, "data": dict(data)}
            for event_id, (name, at, data) in enumerate(told, first_id)
        ],
    )


class JobEvents:
    """Reading and pruning the events of jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, job_id: str, owner: str, position: int = 0, *, limit: int = 100) -> EventPage:
        """At most `limit` (1..1,000) events with ids above `position` (0: from the beginning).

        JobUnknown when the job is not `owner`'s. InvalidRequest when `position` or `limit` is out of range; a position
        beyond the newest event is out of range: it belongs to another job.
        """
        if not 1 <= limit <= MAX_EVENTS:
            raise InvalidRequest("limit", f"{limit} is out of range.", f"Give 1 to {MAX_EVENTS}.")
        with self._database.reading() as session:
            # The job first: events that are written in between are then more than promised, never fewer.
            wanted = select(JobRow.state, JobRow.event_count).where(JobRow.id == job_id, JobRow.owner == owner)
            job = session.execute(wanted).one_or_none() if is_id("job", job_id) else None
            if job is None:
                raise JobUnknown(job_id, "there is no such job of yours.", "List them with GET /v1/jobs.")
            if not 0 <= position <= job.event_count:
                raise InvalidRequest(
                    "position", f"{position} is no event of this job.", f"Give 0 to {job.event_count}."
                )
            rows = session.execute(
                select(JobEventRow.id, JobEventRow.name, JobEventRow.at, JobEventRow.data)
                .where(JobEventRow.job_id == job_id, JobEventRow.id > position)
                .order_by(JobEventRow.id)
                .limit(limit)
            ).all()
        events = tuple(JobEvent(job_id, row.id, row.name, row.at, row.data) for row in rows)
        reached = events[-1].id if events else position
        return EventPage(
            events=events,
            gap_until=events[0].id if events and events[0].id != position + 1 else None,
            last_id=max(job.event_count, reached),
            ended=job.state in FINAL and reached >= job.event_count,
        )

    def prune(self, before: datetime, *, limit: int = 1_000) -> int:
        """Forget events of at most `limit` jobs that ended before that time; how many events were forgotten.

        A job keeps its last event, so that whoever still follows it learns how it ended.
        """
        with self._database.transaction() as session:
            jobs = session.scalars(
                select(JobRow.id)
                .join(JobEventRow, JobEventRow.job_id == JobRow.id)
                .where(JobRow.finished_at < before)
                .group_by(JobRow.id)
                .having(func.count() > 1)
                .order_by(JobRow.id)
                .limit(limit)
            ).all()
            forgotten = 0
            for job_id in jobs:
                last = select(JobRow.event_count).where(JobRow.id == job_id).scalar_subquery()
                gone = session.connection().execute(
                    delete(JobEventRow).where(JobEventRow.job_id == job_id, JobEventRow.id < last)
                )
                forgotten += gone.rowcount
        return forgotten
