"""Job moves: the one way in which a job changes: one conditional statement, its time stamp and its event together.

A worker makes some of these with every job, so their statements are made once for each shape: which columns are
written, under which conditions. Conditions are therefore constants of their modules, with parameters for what varies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Update, and_, bindparam, case, func, inspect, or_, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.util import identity_key

from workers.store.announcements import announce_job
from workers.store.events import append_event, append_events
from workers.store.job import Job
from workers.store.job_transitions import FINAL, STAMPS, JobState, sources_of
from workers.store.ledger import Amounts, account
from workers.store.tables import JobRow

__all__ = ["JOBS", "change", "move", "state_is", "tell", "write"]

JOBS: Final = JobRow.__table__.c
"""The columns of jobs, for conditions."""


def move(
    session: Session,
    job_id: str,
    state: JobState,
    now: datetime,
    *conditions: ColumnElement[bool],
    given: Mapping[str, Any] | None = None,
    sources: tuple[JobState, ...] = (),
    event: str | None = None,
    data: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    added: Mapping[str, float] | None = None,
) -> Job | None:
    """Move a job to `state`; the job as it is then, or None when it was not in a state from which it may go there.

    The question whether it may is part of the statement that writes, so of several that try at once one succeeds.
    `sources` narrows the states to come from; `conditions` are further ones (fencing), constants, with `given` for
    their parameters; `event` is `job.<state>` if not said, its data are the state, the attempt and `data`; `values` are
    further columns to write, `added` what is added to some.
    """
    allowed = sources_of(state)
    assert set(sources) <= set(allowed), f"no table lets a job go from {sources} to {state}"
    written: dict[str, Any] = {"state": state}
    if state != "running":
        written |= {STAMPS[state]: now, "input_deadline": None}
    if state not in ("running", "canceling"):
        written |= {"lease_owner": None, "lease_until": None}
    if state == "queued":
        written["dispatched_at"] = None
    return change(
        session,
        job_id,
        now,
        state_is(*(sources or allowed)),
        *conditions,
        given=given,
        event=event or f"job.{state}",
        data={"state": state} | dict(data or {}),
        values=written | dict(values or {}),
        added=added,
        computed=state if state in _COMPUTED else None,
    )


def change(
    session: Session,
    job_id: str,
    now: datetime,
    *conditions: ColumnElement[bool],
    given: Mapping[str, Any] | None = None,
    event: str,
    data: Mapping[str, Any],
    values: Mapping[str, Any],
    added: Mapping[str, float] | None = None,
    computed: JobState | None = None,
) -> Job | None:
    """Write `values` and an event, for webhooks too, if the job is there, is not final, and fits `conditions`; the job
    as it is then. Its end is accounted to its owner. `computed`: with the columns that a move to that state works out
    of what they were."""
    row = _written(
        session,
        _changing(conditions, tuple(values), ("event_count", *(added or ())), computed, whole=True),
        job_id,
        {"moment": now} if computed == "running" else {},
        given,
        values,
        {"event_count": 1, **(added or {})},
    )
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
    given: Mapping[str, Any],
    values: Mapping[str, Any],
    added: Mapping[str, float],
) -> JobState | None:
    """Write `values` and several events at once, each by name, time and data, under the conditions of `change`; the
    state in which the job is."""
    row = write(session, job_id, *conditions, given=given, values=values, added={"event_count": len(told), **added})
    if row is None:
        return None
    events = [(name, at, {"attempt": row.attempt} | dict(data)) for name, at, data in told]
    append_events(session, job_id, row.event_count - len(told) + 1, events)
    return cast(JobState, row.state)


def write(
    session: Session,
    job_id: str,
    *conditions: ColumnElement[bool],
    given: Mapping[str, Any],
    values: Mapping[str, Any],
    added: Mapping[str, float],
) -> Any:
    """Write columns without an event, under the conditions of `change`: state, attempt and event_count as they are
    then, or None."""
    statement = _changing(conditions, tuple(values), tuple(added), None, whole=False)
    return _written(session, statement, job_id, {}, given, values, added)


@cache
def state_is(*states: JobState) -> ColumnElement[bool]:
    """The condition that a job is in one of these. Not IN, which is put together anew each time it is sent."""
    return or_(*(JOBS.state == state for state in states))


def _while_running(column: Any) -> Any:
    return case((JOBS.state == "running", column), else_=None)


_COMPUTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "running": {"started_at": func.coalesce(JOBS.started_at, bindparam("moment", type_=JOBS.started_at.type))},
    # A lease lasts while somebody works, which while canceling is so only if somebody worked before.
    "canceling": {name: _while_running(JOBS[name]) for name in ("lease_owner", "lease_until")},
}
_GOES_ON: Final = and_(*(JOBS.state != state for state in sorted(FINAL)))
_COLUMNS: Final = {attribute.key: attribute.columns[0] for attribute in inspect(JobRow).column_attrs}


@cache
def _changing(
    conditions: tuple[ColumnElement[bool], ...],
    values: tuple[str, ...],
    added: tuple[str, ...],
    computed: JobState | None,
    *,
    whole: bool,
) -> Update:
    """`whole`: the row is returned, and not only what tells of its course."""
    returned = _COLUMNS if whole else {name: _COLUMNS[name] for name in ("state", "attempt", "event_count")}
    return (
        update(JobRow.__table__)  # type: ignore[arg-type]
        .where(JOBS.id == bindparam("job"), _GOES_ON, *conditions)
        .values(
            {
                **{_COLUMNS[name]: bindparam(f"new_{name}", type_=_COLUMNS[name].type) for name in values},
                **{
                    _COLUMNS[name]: _COLUMNS[name] + bindparam(f"more_{name}", type_=_COLUMNS[name].type)
                    for name in added
                },
                **{_COLUMNS[name]: made for name, made in _COMPUTED.get(computed or "", {}).items()},
            }
        )
        .returning(*(column.label(name) for name, column in returned.items()))
    )


def _written(
    session: Session,
    statement: Update,
    job_id: str,
    fixed: Mapping[str, Any],
    given: Mapping[str, Any] | None,
    values: Mapping[str, Any],
    added: Mapping[str, float],
) -> Any:
    session.flush()
    row = (
        session.connection()
        .execute(
            statement,
            {
                "job": job_id,
                **fixed,
                **(given or {}),
                **{f"new_{name}": value for name, value in values.items()},
                **{f"more_{name}": value for name, value in added.items()},
            },
        )
        .one_or_none()
    )
    # Who has read the job in this transaction is to read it anew.
    known = session.identity_map.get(identity_key(JobRow, job_id))
    if known is not None:
        session.expire(known)
    return row
