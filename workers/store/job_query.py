"""Job query: which jobs to list, page by page in a stable order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from interleaf.errors import InvalidRequest, shown
from workers.store.ids import first_id, require_id
from workers.store.job import Job
from workers.store.job_label import require_external_id, require_kind, require_metadata
from workers.store.job_transitions import STATES, JobState
from workers.store.tables import JobRow

__all__ = ["MAX_PAGE", "JobPage", "JobQuery", "list_jobs"]

MAX_PAGE: Final = 100


@dataclass(frozen=True)
class JobQuery:
    """A page of an owner's jobs, newest first. Filters that are left out let every job pass.

    The order is that of (created_at, id), which is the order of the ids: an id begins with `created_at`. So a page
    stays where it is while jobs come and go, even when the job that `after` names was deleted.
    """

    limit: int = 20
    """1..100."""
    after: str | None = None
    """A job id: the page begins with the next older job."""
    before: str | None = None
    """A job id: the page ends with the next newer job. Not together with `after`."""
    states: tuple[JobState, ...] = ()
    kinds: tuple[str, ...] = ()
    created_from: datetime | None = None
    """Jobs that were created then or later."""
    created_before: datetime | None = None
    """Jobs that were created earlier than then."""
    external_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Pairs that a job's metadata must have, all of them."""


@dataclass(frozen=True)
class JobPage:
    """Jobs, newest first."""

    jobs: tuple[Job, ...]
    has_more: bool
    """Whether there are more jobs in the direction of reading: older ones, or newer ones with `before`."""

    @property
    def first_id(self) -> str | None:
        return self.jobs[0].id if self.jobs else None

    @property
    def last_id(self) -> str | None:
        return self.jobs[-1].id if self.jobs else None


def list_jobs(session: Session, owner: str, query: JobQuery) -> JobPage:
    """The page. InvalidRequest names the field that is wrong."""
    _check(query)
    wanted = select(JobRow).where(JobRow.owner == owner)
    if query.after is not None:
        wanted = wanted.where(JobRow.id < query.after)
    if query.before is not None:
        wanted = wanted.where(JobRow.id > query.before)
    if query.states:
        wanted = wanted.where(JobRow.state.in_(query.states))
    if query.kinds:
        wanted = wanted.where(JobRow.kind.in_(query.kinds))
    if query.created_from is not None:
        wanted = wanted.where(JobRow.id >= first_id("job", query.created_from))
    if query.created_before is not None:
        wanted = wanted.where(JobRow.id < first_id("job", query.created_before))
    if query.external_id is not None:
        wanted = wanted.where(JobRow.external_id == query.external_id)
    for name, value in query.metadata.items():
        wanted = wanted.where(JobRow.meta[name].as_string() == value)
    order = JobRow.id.asc() if query.before is not None else JobRow.id.desc()
    jobs = [Job.of_row(row) for row in session.scalars(wanted.order_by(order).limit(query.limit + 1))]
    page = jobs[: query.limit]
    if query.before is not None:
        page.reverse()
    return JobPage(tuple(page), len(jobs) > query.limit)


def _check(query: JobQuery) -> None:
    if not 1 <= query.limit <= MAX_PAGE:
        raise InvalidRequest("limit", f"{query.limit} is out of range.", f"Give 1 to {MAX_PAGE}.")
    if query.after is not None and query.before is not None:
        raise InvalidRequest("before", "cannot be used together with after.", "Leave one of them out.")
    if query.after is not None:
        require_id("job", query.after, "after")
    if query.before is not None:
        require_id("job", query.before, "before")
    for state in query.states:
        if state not in STATES:
            raise InvalidRequest("state", f"{shown(state)!r} is no state.", f"Choose from {', '.join(STATES)}.")
    for kind in query.kinds:
        require_kind(kind)
    for name, time in (("created_from", query.created_from), ("created_before", query.created_before)):
        if time is not None and time.tzinfo is None:
            raise InvalidRequest(name, "has no time zone.", "Write it like 2026-01-31T12:00:00Z.")
    if query.external_id is not None:
        require_external_id(query.external_id)
    require_metadata(query.metadata)
