"""Job moves: the one way in which a job changes: one conditional statement, its time stamp and its event together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, case, func, update
from sqlalchemy.orm import Session

from workers.store.announcements import announce_job
from workers.store.events import append_event, append_events
from workers.store.job import Job
from workers.store.job_transitions import FINAL, STAMPS, JobState, sources_of
from workers.store.ledger import Amounts, account
from workers.store.tables import JobRow

__all__ = ["change", "move", "tell"]


def move(
    session: Session,
    job_id: str,
    state: JobState,
    now: datetime,
    *conditions: ColumnElement[bool],
    sources: Sequence[JobState] | None = None,
    event: str | None = None,
    data: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Job | None:
    """Move a job to `state`; the job as it is then, or None when it was not in a state from which it may go there.

    The question whether it may is part of the statement that writes, so of several that try at once one succeeds.
    `sources` narrows the states to come from; `conditions` are further ones (fencing); `event` is `job.<state>` if
    not said, its data are the state, the attempt and `data`; `values` are further columns to write.
    """
    allowed = sources_of(state)
    assert set(sources or ()) <= set(allowed), f"no table lets a job go from {sources} to {state}"
    written: dict[str, Any] = {"state": state}
    stamp = STAMPS[state]
    written[stamp] = func.coalesce(JobRow.started_at, now) if stamp == "started_at" else now
    if state != "running":
        # A lease lasts while somebody works, which while canceling is so only if somebody worked before.
        written["lease_owner"] = _while_canceling(state, JobRow.lease_owner)
        written["lease_until"] = _while_canceling(state, JobRow.lease_until)
        written["input_deadline"] = None
    if state == "queued":
        written["dispatched_at"] = None
    return change(
        session,
        job_id,
        now,
        JobRow.state.in_(sources or allowed),
        *conditions,
        event=event or f"job.{state}",
        data={"state": state} | dict(data or {}),
        values=written | dict(values or {}),
    )


def change(
    session: Session,
    job_id: str,
    now: datetime,
    *conditions: ColumnElement[bool],
    event: str,
    data: Mapping[str, Any],
    values: Mapping[str, Any],
) -> Job | None:
    """Write `values` and an event, for webhooks too, if the job is there, is not final, and fits `conditions`; the job
    as it is then. Its end is accounted to its owner."""
    row = session.scalars(
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.state.not_in(sorted(FINAL)), *conditions)
        .values({"event_count": JobRow.event_count + 1, **values})
        .returning(JobRow),
        execution_options={"synchronize_session": False, "populate_existing": True},
    ).one_or_none()
    if row is None:
        return None
    append_event(session, job_id, row.event_count, event, now, {"attempt": row.attempt} | dict(data))
    job = Job.of_row(row)
    if job.final:
        account(session, job.owner, now, Amounts(ended=1, failed=int(job.state == "failed")))
    announce_job(session, job, event, now)
    return job


def tell(
    session: Session,
    job_id: str,
    told: Sequence[tuple[str, datetime, Mapping[str, Any]]],
    *conditions: ColumnElement[bool],
    values: Mapping[str, Any],
) -> JobState | None:
    """Write `values` and several events at once, each by name, time and data, under the conditions of `change`; the
    state in which the job is."""
    row = session.execute(
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.state.not_in(sorted(FINAL)), *conditions)
        .values({"event_count": JobRow.event_count + len(told), **values})
        .returning(JobRow.event_count, JobRow.attempt, JobRow.state),
        execution_options={"synchronize_session": False},
    ).one_or_none()
    if row is None:
        return None
    events = [(name, at, {"attempt": row.attempt} | dict(data)) for name, at, data in told]
    append_events(session, job_id, row.event_count - len(told) + 1, events)
    return cast(JobState, row.state)


def _while_canceling(state: JobState, column: Any) -> Any:
    return case((JobRow.state == "running", column), else_=None) if state == "canceling" else None
