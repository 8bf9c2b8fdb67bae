"""Schedules: what the owner of a schedule does with it: create, look, change, pause, resume, run now, delete.

What the service does by itself when a time comes is in schedule_ticks.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.orm import Session, defer

from interleaf.errors import ObjectUnknown, QuotaReached, VersionStale
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import is_id, made_at, new_id
from workers.store.job import Job
from workers.store.jobs import Jobs
from workers.store.kept_uploads import keep_uploads, release_uploads, uploads_in
from workers.store.libraries import Libraries
from workers.store.new_rows import insert_if_new
from workers.store.schedule import Schedule, ScheduleRun, moment_of_run
from workers.store.schedule_order import ScheduleOrder, brief_uploads
from workers.store.schedule_ticks import ScheduleTicks
from workers.store.scheduled_jobs import ScheduledJobs
from workers.store.tables import ScheduleRow, ScheduleRunRow
from workers.store.timetable import jittered
from workers.store.uploads import require_uploads

__all__ = ["MAX_SCHEDULES", "Schedules"]

MAX_SCHEDULES: Final = 1_000
"""Of one key."""

_US: Final = timedelta(microseconds=1)


class Schedules:
    """The schedules of all owners. Another owner's is ObjectUnknown. Every method may raise ServiceAway."""

    def __init__(
        self, database: Database, jobs: Jobs, ticks: ScheduleTicks, *, upload_kept: timedelta, clock: Clock = utc_now
    ) -> None:
        """`upload_kept`: how long an upload stays once no schedule names it any more."""
        self._database = database
        self._ticks = ticks
        self._orders = ScheduledJobs(database, jobs, clock=clock)
        self._libraries = Libraries(database, clock=clock)
        self._upload_kept = upload_kept
        self._clock = clock

    def create(self, owner: str, order: ScheduleOrder) -> Schedule:
        """A new schedule; its first run's brief is filled in and checked.

        InvalidRequest and InvalidBrief name what is wrong (the brief's fields as `ScheduleOrder.brief_of_run` does);
        ObjectUnknown for an upload that is not there; QuotaReached when the key has too many schedules."""
        schedule_id = new_id("sch", self._clock())
        now = made_at(schedule_id)  # to the millisecond, so that ids and creation times have one order
        order.require()
        order.timetable.require(now)
        due = order.timetable.after(now)
        assert due is not None, "a timetable that is right is due"
        with self._database.transaction() as session:
            wanted = select(func.count()).select_from(ScheduleRow).where(ScheduleRow.owner == owner)
            count = session.scalar(wanted) or 0
            if count >= MAX_SCHEDULES:
                raise QuotaReached("schedules", f"this key has {count} of {MAX_SCHEDULES}.", "Delete some.")
            self._require_brief(session, owner, order, due, 1)
            keep_uploads(session, owner, uploads_in(order.brief, order.variables), now)
            row = ScheduleRow(
                id=schedule_id,
                owner=owner,
                **order.columns(),
                paused_at=None,
                version=1,
                run_count=0,
                next_due_at=due,
                next_fire_at=jittered(due, schedule_id, order.jitter_s),
                created_at=now,
                updated_at=now,
            )
            session.add(row)
            session.flush()
            return Schedule.of_row(row)

    def get(self, schedule_id: str, owner: str) -> Schedule:
        """ObjectUnknown."""
        with self._database.reading() as session:
            return Schedule.of_row(_found(session, schedule_id, owner))

    def list(self, owner: str, limit: int, after: str | None = None, before: str | None = None) -> list[Schedule]:
        """At most `limit` schedules without their briefs and variables, newest first; older than `after`, or, oldest
        first, newer than `before`."""
        order = ScheduleRow.id.desc() if before is None else ScheduleRow.id.asc()
        wanted = select(ScheduleRow).where(ScheduleRow.owner == owner)
        if after is not None:
            wanted = wanted.where(ScheduleRow.id < after)
        if before is not None:
            wanted = wanted.where(ScheduleRow.id > before)
        wanted = wanted.options(defer(ScheduleRow.brief, raiseload=True), defer(ScheduleRow.variables, raiseload=True))
        with self._database.reading() as session:
            return [
                Schedule.of_row(row, _without_brief(row))
                for row in session.scalars(wanted.order_by(order).limit(limit))
            ]

    def change(self, schedule_id: str, owner: str, version: int | None, changes: Mapping[str, Any]) -> Schedule:
        """Replace some fields of its order, by the names of ScheduleOrder. What was due before is decided as it was.

        VersionStale when `version` is not the schedule's; None changes it whatever it is. Otherwise as `create`."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _locked(session, schedule_id, owner)
            if version is not None and row.version != version:
                raise VersionStale(
                    schedule_id, f"is at version {row.version}, not {version}.", "Read it again, then change it."
                )
            before = ScheduleOrder.of_row(row)
            order = replace(before, **changes)
            if order == before:
                return Schedule.of_row(row)
            if row.paused_at is None:
                self._settle_all(session, row, now)
            order.require()
            moved = order.timetable != before.timetable
            if moved:
                order.timetable.require(now)
                # A time that has passed and waits for its jitter to be over is one of the new timetable, or of none.
                since = row.next_due_at
                row.next_due_at = order.timetable.after(now if since is None or since > now else since - _US)
            self._require_brief(session, owner, order, row.next_due_at or now, row.run_count + 1)
            named, was = uploads_in(order.brief, order.variables), uploads_in(before.brief, before.variables)
            keep_uploads(session, owner, named - was, now)
            self._release(session, row, was - named, now)
            for name, value in order.columns().items():
                setattr(row, name, value)
            self._ticks.aim(session, row, now)
            return _changed(session, row, now)

    def pause(self, schedule_id: str, owner: str) -> Schedule:
        """Nothing is ordered from now on; what was due before is decided first, and runs that wait go on waiting. One
        that is paused is left as it is. ObjectUnknown."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _locked(session, schedule_id, owner)
            if row.paused_at is not None:
                return Schedule.of_row(row)
            self._settle_all(session, row, now)
            row.paused_at = row.paused_at or now
            row.next_fire_at = None
            return _changed(session, row, now)

    def resume(self, schedule_id: str, owner: str) -> Schedule:
        """Go on with the next time; those that passed meanwhile are not caught up. One that is not paused is left as it
        is. ObjectUnknown."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _locked(session, schedule_id, owner)
            if row.paused_at is None:
                return Schedule.of_row(row)
            row.paused_at = None
            row.next_due_at = ScheduleOrder.of_row(row).timetable.after(now)
            self._ticks.aim(session, row, now)
            return _changed(session, row, now)

    def trigger(self, schedule_id: str, owner: str) -> Job:
        """Order a run now, by hand: whatever the timetable says, also of one that is paused, or over, and beside a run
        that has not ended. ObjectUnknown; for a brief that is refused as `create`."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _locked(session, schedule_id, owner)
            job = self._orders.order(session, row, now)
            row.run_count += 1
            values: dict[str, Any] = {
                "schedule_id": schedule_id,
                "by_hand": True,
                "outcome": "ordered",
                "decided_at": now,
                "number": row.run_count,
                "job_id": job.id,
                "publish_at": None if row.publish_after_s is None else now + timedelta(seconds=row.publish_after_s),
                "error": None,
                "missed_count": 0,
            }
            due = now
            while not insert_if_new(session, ScheduleRunRow, due_at=due, **values):
                due += _US  # another hand in the same moment
            session.flush()
            return job

    def delete(self, schedule_id: str, owner: str) -> None:
        """With its history. Jobs that it ordered stay and go on; uploads that no other schedule names expire as if they
        were sent now. ObjectUnknown."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _locked(session, schedule_id, owner)
            self._release(session, row, uploads_in(row.brief, row.variables), now)
            session.execute(
                delete(ScheduleRow).where(ScheduleRow.id == schedule_id),
                execution_options={"synchronize_session": False},
            )

    def runs(
        self, schedule_id: str, owner: str, limit: int, after: str | None = None, before: str | None = None
    ) -> Sequence[ScheduleRun]:
        """At most `limit` runs, the latest times first; earlier than the run `after`, or, earliest first, later than
        `before`. ObjectUnknown; InvalidRequest when one of these is no id of a run."""
        due, hand = ScheduleRunRow.due_at, ScheduleRunRow.by_hand
        wanted = select(ScheduleRunRow).where(ScheduleRunRow.schedule_id == schedule_id)
        if after is not None:
            at, by_hand = moment_of_run(after, "after")
            wanted = wanted.where(or_(due < at, and_(due == at, hand.is_(False))) if by_hand else due < at)
        if before is not None:
            at, by_hand = moment_of_run(before, "before")
            wanted = wanted.where(due > at if by_hand else or_(due > at, and_(due == at, hand.is_(True))))
        order = (due.desc(), hand.desc()) if before is None else (due.asc(), hand.asc())
        with self._database.reading() as session:
            _require_there(session, schedule_id, owner)
            return [ScheduleRun.of_row(row) for row in session.scalars(wanted.order_by(*order).limit(limit))]

    def _settle_all(self, session: Session, row: ScheduleRow, now: datetime) -> None:
        """Decide what is due, however much that is."""
        self._ticks.settle(session, row, now)
        while row.next_due_at is not None and row.paused_at is None:
            if jittered(row.next_due_at, row.id, row.jitter_s) > now:
                break
            self._ticks.settle(session, row, now)

    def _require_brief(self, session: Session, owner: str, order: ScheduleOrder, due: datetime, number: int) -> None:
        """The brief of that run, and what it names."""
        brief = order.brief_of_run(due, number)
        require_uploads(session, brief_uploads(brief), owner, self._clock())
        self._libraries.resolve(owner, brief.libraries)

    def _release(self, session: Session, row: ScheduleRow, upload_ids: set[str], now: datetime) -> None:
        release_uploads(session, row.owner, upload_ids, now + self._upload_kept, but=row.id)


def _changed(session: Session, row: ScheduleRow, now: datetime) -> Schedule:
    row.version += 1
    row.updated_at = now
    session.flush()
    return Schedule.of_row(row)


def _found(session: Session, schedule_id: str, owner: str, *, lock: bool = False) -> ScheduleRow:
    row = None
    if is_id("sch", schedule_id):
        wanted = select(ScheduleRow).where(ScheduleRow.id == schedule_id, ScheduleRow.owner == owner)
        row = session.scalars(wanted.with_for_update() if lock else wanted).one_or_none()
    if row is None:
        raise _unknown(schedule_id)
    return row


def _locked(session: Session, schedule_id: str, owner: str) -> ScheduleRow:
    """The row, which nobody else changes until the transaction ends."""
    return _found(session, schedule_id, owner, lock=True)


def _require_there(session: Session, schedule_id: str, owner: str) -> None:
    wanted = select(ScheduleRow.id).where(ScheduleRow.id == schedule_id, ScheduleRow.owner == owner)
    if not is_id("sch", schedule_id) or session.scalar(wanted) is None:
        raise _unknown(schedule_id)


def _unknown(schedule_id: str) -> ObjectUnknown:
    return ObjectUnknown(schedule_id, "there is no such schedule of yours.", "List them with GET /v1/schedules.")


def _without_brief(row: ScheduleRow) -> ScheduleOrder:
    return ScheduleOrder(
        name=row.name,
        brief={},
        cron=row.cron,
        at=row.once_at,
        time_zone=row.time_zone,
        overlap=row.overlap,  # type: ignore[arg-type] # a column of text
        catch_up_s=row.catch_up_s,
        jitter_s=row.jitter_s,
        publish_after_s=row.publish_after_s,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )
