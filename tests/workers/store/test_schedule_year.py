"""A year of times in three zones, through all changes of clocks, with three beats over one database: each time has one
run, one job and one number, though one beat dies on the way and another dies between its claim and its commit."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, func, select, text

from tests.workers.job_store import Store
from tests.workers.store.schedule_hands import ScheduleHands
from workers.store.schedule import Schedule
from workers.store.tables import JobRow, ScheduleRow, ScheduleRunRow
from workers.store.timetable import Timetable

pytestmark = pytest.mark.slow

FIRST = datetime(2027, 1, 1, tzinfo=UTC)
LAST = datetime(2028, 1, 1, tzinfo=UTC)
# Both hemispheres, and clocks that go by half an hour; times that a change leaves out, times that it repeats, and what
# goes on through it.
TIMETABLES = {
    "Europe/Berlin": ("30 2 * * *", "0 */8 * 3,10 SUN"),
    "America/New_York": ("30 1 * * SUN", "15 2 * 3,11 *"),
    "Australia/Lord_Howe": ("45 1 * * *", "*/30 1-2 * 4,10 SUN"),
}


class Killed(BaseException):
    """A process is gone: nothing that it would have done is done."""


def times_of(cron: str, zone: str) -> list[datetime]:
    every = Timetable(cron, None, zone).times(FIRST)
    return list(takewhile(lambda time: time < LAST, every))


def test_the_times_are_those_that_a_person_expects() -> None:
    """The test below holds the ticks against the timetable; this holds the timetable against a calendar."""
    for zone, (daily, _) in TIMETABLES.items():
        days = Counter(time.astimezone(ZoneInfo(zone)).date() for time in times_of(daily, zone))
        assert set(days.values()) == {1}
        assert len(days) == (52 if "SUN" in daily else 365)


def test_every_time_of_a_year_is_decided_once_by_three_beats(store: Store) -> None:
    store.clock.now = FIRST
    hands = ScheduleHands(store, max_active=10**6)
    expected: dict[str, list[datetime]] = {}
    schedules: list[Schedule] = []
    for zone, crons in TIMETABLES.items():
        for cron in crons:
            made = hands.create(name=f"{cron} in {zone}", cron=cron, time_zone=zone, overlap="skip", catch_up_s=600)
            schedules.append(made)
            expected[made.id] = times_of(cron, zone)
    beats = [Store(store.url, clock=store.clock) for _ in range(3)]
    for one in (store, *beats):
        write_loosely(one)
    tickers = [hands.ticker(beat) for beat in beats]
    chance = random.Random(7)
    moments = sorted({time for times in expected.values() for time in times})
    dies_at, stops_at = moments[len(moments) // 3], moments[len(moments) // 2]
    lost = 0
    for moment in moments:
        # A round comes up to five seconds after the time; any of the beats, or all, in any order.
        store.clock.now = moment + timedelta(seconds=chance.random() * 5)
        if moment == dies_at:
            tickers[0] = dying(tickers[0], "_order")  # with its row written and its job not made
        if moment == stops_at:
            tickers[1] = dying(tickers[1], "aim")  # all is done but the commit
        for ticker in chance.sample(tickers, chance.randint(1, len(tickers))):
            try:
                ticker.tick()
            except Killed:
                lost += 1
                tickers.remove(ticker)
        for ticker in tickers[-1:]:
            ticker.tick()  # the one that is left does what the others did not come to
        end_jobs(store)
    assert lost == 2, "both died on the way"
    store.clock.now = LAST
    tickers[0].tick()
    total = 0
    with store.database.reading() as session:
        for made in schedules:
            rows = session.scalars(
                select(ScheduleRunRow).where(ScheduleRunRow.schedule_id == made.id).order_by(ScheduleRunRow.due_at)
            ).all()
            times = expected[made.id]
            assert [row.due_at for row in rows] == times, made.order.name
            assert {row.outcome for row in rows} == {"ordered"}
            assert [row.number for row in rows] == list(range(1, len(times) + 1))
            total += len(times)
            row = session.get(ScheduleRow, made.id)
            assert row is not None and row.run_count == len(times)
            assert row.next_due_at is not None and row.next_due_at >= LAST
        jobs = set(session.scalars(select(JobRow.id)))
        assert {str(job_id) for job_id in session.scalars(select(ScheduleRunRow.job_id))} == jobs
        assert session.scalar(select(func.count()).select_from(JobRow)) == total, "no job without a run"
    assert total > 900
    for beat in beats:
        beat.database.close()


def write_loosely(store: Store) -> None:
    """A power cut is not what this is about: SQLite need not wait for the disk some thousand times."""
    if store.database.kind == "sqlite":
        store.database.close()

        @event.listens_for(store.database._engine, "connect")
        def loosen(connection: Any, _: object) -> None:
            connection.execute("PRAGMA synchronous = OFF")


def dying(ticker: Any, where: str) -> Any:
    """The beat whose process ends at that step, inside its transaction."""

    def ends(*_: object) -> None:
        raise Killed

    setattr(ticker, where, ends)
    return ticker


def end_jobs(store: Store) -> None:
    """What workers would do, in one statement: a year of claims would take minutes."""
    with store.database.transaction() as session:
        session.execute(text("UPDATE jobs SET state = 'succeeded', finished_at = queued_at WHERE state = 'queued'"))


def test_a_commit_that_fails_leaves_nothing_of_the_time(store: Store) -> None:
    """A beat that is cut off from the database at its commit: the next one decides the time, and its job is the only
    one."""
    hands = ScheduleHands(store)
    schedule = hands.create()
    hands.to(1, tick=False)
    beat = Store(store.url, clock=store.clock)
    engine = beat.database._engine

    @event.listens_for(engine, "commit")
    def cut(_: Any) -> None:
        raise Killed

    with pytest.raises(Killed):
        hands.ticker(beat).tick()
    beat.database.close()
    assert hands.outcomes(schedule) == [] and hands.jobs() == []
    hands.ticks.tick()
    assert hands.outcomes(schedule) == ["ordered"] and len(hands.jobs()) == 1
