"""Schedule ticks: the service's side of schedules: decides what becomes of each time that is due, exactly once.

Run it every few seconds, in as many processes as you like. A time is decided in one transaction that holds the
schedule's row, writes a run of which the database takes one for each time, orders the job, and moves the schedule on.
So a process that dies on the way has decided nothing, and one that comes second finds it decided.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from interleaf.errors import (
    DayQuotaReached,
    InterleafError,
    JobFinal,
    KeyRefused,
    QuotaReached,
    RequestRefused,
    ServiceAway,
    error_to_record,
)
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.jobs import Jobs
from workers.store.new_rows import insert_if_new
from workers.store.schedule_order import ScheduleOrder
from workers.store.scheduled_jobs import ScheduledJobs
from workers.store.tables import ScheduleRow, ScheduleRunRow
from workers.store.timetable import jittered

__all__ = ["LOOK_AGAIN", "MOST_WAITING", "ScheduleTicks"]

log = logging.getLogger(__name__)

MOST_WAITING: Final = 100
"""Runs of one schedule that wait for the one before them; further times are skipped."""
LOOK_AGAIN: Final = timedelta(seconds=5)
"""Between two looks at a schedule with runs that wait."""
PUT_OFF: Final = timedelta(minutes=1)
"""When a schedule at which this program failed is looked at again: others must not wait for it."""
# Of one schedule in one transaction: others want to write, too. The rest is due still.
_MOST_MISSED: Final = 1_000
_MOST_RUNS: Final = 100


class ScheduleTicks:
    """Every method may raise ServiceAway."""

    def __init__(
        self, database: Database, jobs: Jobs, *, max_active: int, max_queued: int, clock: Clock = utc_now
    ) -> None:
        """`max_active`: jobs of a key that have not ended, where it has no quota of its own; `max_queued`: of all."""
        self._database = database
        self._orders = ScheduledJobs(database, jobs, clock=clock)
        self._max_active = max_active
        self._max_queued = max_queued
        self._clock = clock

    def tick(self, limit: int = 100) -> int:
        """Look at no more than `limit` schedules for which it is time; how many were this call's to decide. What goes
        wrong with one of them is logged, and holds up no other."""
        due = select(ScheduleRow.id).where(ScheduleRow.next_fire_at <= self._clock())
        with self._database.reading() as session:
            ids = session.scalars(due.order_by(ScheduleRow.next_fire_at, ScheduleRow.id).limit(limit)).all()
        taken = 0
        for schedule_id in ids:
            try:
                taken += self._take(schedule_id)
            except ServiceAway:
                raise
            except DayQuotaReached as error:  # others of the key took the room in this moment: the next look skips it
                log.info("schedule %s: %s", schedule_id, error.message)
            except Exception:  # a mistake about one schedule is not to stop all others
                log.exception("schedule %s is put off", schedule_id)
                self._put_off(schedule_id)
        return taken

    def settle(self, session: Session, row: ScheduleRow, now: datetime) -> None:
        """Decide what is due of a schedule that is held and not paused, and write down when to look at it next."""
        self._order_waiting(session, row, now)
        self._decide(session, row, now)
        self.aim(session, row, now)

    def aim(self, session: Session, row: ScheduleRow, now: datetime) -> None:
        """Write down when to look at the schedule next."""
        at = None if row.next_due_at is None else jittered(row.next_due_at, row.id, row.jitter_s)
        if self._waiting(session, row.id, 1):
            at = now + LOOK_AGAIN if at is None else min(at, now + LOOK_AGAIN)
        row.next_fire_at = None if row.paused_at is not None else at

    def _take(self, schedule_id: str) -> bool:
        """Whether this call was the one to decide what is due of it."""
        now = self._clock()
        wanted = select(ScheduleRow).where(ScheduleRow.id == schedule_id, ScheduleRow.next_fire_at <= now)
        with self._database.transaction() as session:
            row = session.scalars(wanted.with_for_update(skip_locked=True)).one_or_none()
            if row is None:  # another one has it, or had it
                return False
            self.settle(session, row, now)
            return True

    def _put_off(self, schedule_id: str) -> None:
        now = self._clock()
        with self._database.transaction() as session:
            session.execute(
                update(ScheduleRow)
                .where(ScheduleRow.id == schedule_id, ScheduleRow.next_fire_at <= now)
                .values(next_fire_at=now + PUT_OFF)
            )

    def _decide(self, session: Session, row: ScheduleRow, now: datetime) -> None:
        """The times that are due, from the first that is not decided on."""
        due = row.next_due_at
        if due is None:
            return
        catch_up = timedelta(seconds=row.catch_up_s)
        later = ScheduleOrder.of_row(row).timetable.times(due)
        missed: list[datetime] = []
        runs = 0
        while due is not None and runs < _MOST_RUNS and len(missed) < _MOST_MISSED:
            fire_at = jittered(due, row.id, row.jitter_s)
            if fire_at > now:
                break
            # A time waits for those before it, so from the first that is within the window on all are.
            if not runs and now - fire_at > catch_up:
                missed.append(due)
            else:
                self._decide_one(session, row, due, now)
                runs += 1
            due = next(later, None)
            if row.paused_at is not None:
                break
        self._write_missed(session, row.id, missed, now)
        row.next_due_at = due

    def _decide_one(self, session: Session, row: ScheduleRow, due: datetime, now: datetime) -> None:
        if not _begun(session, row.id, due, now, outcome="waiting"):
            return  # decided before: the clock, or the schedule's timetable, was set back
        live = self._orders.live(session, row.id)
        if row.overlap == "queue":
            waiting = self._waiting(session, row.id, MOST_WAITING + 1)
            if len(waiting) > MOST_WAITING:
                _write(session, row.id, due, outcome="skipped")
                return
            if live or len(waiting) > 1:
                return
        elif live and row.overlap == "skip":
            _write(session, row.id, due, outcome="skipped")
            return
        else:
            for job_id in live:
                with suppress(JobFinal):  # it ended in this moment, which is as good
                    self._orders.cancel(job_id, row.owner)
        self._order(session, row, due, now)

    def _order_waiting(self, session: Session, row: ScheduleRow, now: datetime) -> None:
        """Order the first run that waits, once nothing of the schedule is at work; the next one if it was refused."""
        for due in self._waiting(session, row.id, MOST_WAITING):
            if row.paused_at is not None or self._orders.live(session, row.id):
                return
            self._order(session, row, due, now)

    def _order(self, session: Session, row: ScheduleRow, due: datetime, now: datetime) -> None:
        """Order the run, or write down why not: the schedule goes on."""
        number = row.run_count + 1
        try:
            self._orders.require_room(session, row.owner, max_active=self._max_active, max_queued=self._max_queued)
            with self._database.transaction():  # of a job that cannot be made nothing is left
                job = self._orders.order(session, row, due)
        except ServiceAway:
            raise
        except InterleafError as error:
            # A day that is used up is a matter of course: the run is left out, and the schedule goes on tomorrow.
            outcome = "skipped" if isinstance(error, DayQuotaReached) else "failed"
            _write(session, row.id, due, outcome=outcome, decided_at=now, error=error_to_record(error))
            if isinstance(error, KeyRefused):
                row.paused_at = now  # for ever: a key that was revoked does not come back
            elif isinstance(error, RequestRefused) and not isinstance(error, QuotaReached):
                # A number whose brief is refused is used up, or the schedule would fail at it again and again.
                row.run_count = number
            log.info("schedule %s, run of %s: %s", row.id, due.isoformat(), error.message)
            return
        row.run_count = number
        publish_at = None if row.publish_after_s is None else due + timedelta(seconds=row.publish_after_s)
        _write(
            session, row.id, due, outcome="ordered", decided_at=now, number=number, job_id=job.id, publish_at=publish_at
        )

    def _waiting(self, session: Session, schedule_id: str, limit: int) -> Sequence[datetime]:
        """The times of runs that wait, the first ones."""
        wanted = select(ScheduleRunRow.due_at).where(
            ScheduleRunRow.schedule_id == schedule_id, ScheduleRunRow.outcome == "waiting"
        )
        return session.scalars(wanted.order_by(ScheduleRunRow.due_at).limit(limit)).all()

    def _write_missed(self, session: Session, schedule_id: str, missed: Sequence[datetime], now: datetime) -> None:
        """One run for all of them."""
        if not missed:
            return
        decided = set(
            session.scalars(
                select(ScheduleRunRow.due_at).where(
                    ScheduleRunRow.schedule_id == schedule_id,
                    ScheduleRunRow.by_hand.is_(False),
                    ScheduleRunRow.due_at.between(missed[0], missed[-1]),
                )
            )
        )
        left = [due for due in missed if due not in decided]
        if left:
            _begun(session, schedule_id, left[0], now, outcome="missed", missed_count=len(left))


def _begun(session: Session, schedule_id: str, due: datetime, now: datetime, **values: Any) -> bool:
    """Write a run of that time; False when there is one already."""
    columns: dict[str, Any] = {
        "number": None,
        "job_id": None,
        "publish_at": None,
        "error": None,
        "missed_count": 0,
        **values,
    }
    return insert_if_new(
        session, ScheduleRunRow, schedule_id=schedule_id, due_at=due, by_hand=False, decided_at=now, **columns
    )


def _write(session: Session, schedule_id: str, due: datetime, **values: Any) -> None:
    session.execute(
        update(ScheduleRunRow)
        .where(
            ScheduleRunRow.schedule_id == schedule_id,
            ScheduleRunRow.due_at == due,
            ScheduleRunRow.by_hand.is_(False),
        )
        .values(values),
        execution_options={"synchronize_session": False},
    )
