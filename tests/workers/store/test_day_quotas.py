"""Quotas of a day where nobody waits for an answer: a schedule leaves the run out and says why, a batch waits."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from interleaf.errors import DayQuotaReached, error_from_record
from tests.workers.job_store import LEASE_S, Store
from tests.workers.store.batch_hands import BatchHands
from tests.workers.store.schedule_hands import ScheduleHands
from workers.store.api_keys import ApiKeys
from workers.store.job import Use
from workers.store.ledger import Standing

HOUR = 3_600


def set_quotas(store: Store, **quotas: int | None) -> None:
    ApiKeys(store.database).change(store.owner, quotas)


def test_a_schedule_leaves_a_run_out_and_goes_on_tomorrow(store: Store) -> None:
    hands = ScheduleHands(store)
    set_quotas(store, max_jobs_per_day=2)
    schedule = hands.create(brief={"instruction": "Number {{ number }}."})
    for hour in range(1, 14):  # from 13:00 to 01:00 of the next day
        hands.to(hour)
        hands.finish_all()
    assert hands.outcomes(schedule) == ["ordered"] * 2 + ["skipped"] * 9 + ["ordered"] * 2
    skipped = hands.runs(schedule)[2]
    assert skipped.error is not None
    error = error_from_record(dict(skipped.error))
    assert isinstance(error, DayQuotaReached)
    assert (error.quota, error.limit, error.used, error.free_at) == (
        "max_jobs_per_day", 2, 2, "2026-01-02T00:00:00Z",
    )  # fmt: skip
    assert hands.get(schedule).paused_at is None
    numbers = [run.number for run in hands.runs(schedule) if run.outcome == "ordered"]
    assert numbers == [1, 2, 3, 4], "a run that was left out has no number"


def test_runs_that_wait_are_left_out_too(store: Store) -> None:
    hands = ScheduleHands(store)
    set_quotas(store, max_jobs_per_day=1)
    schedule = hands.create(overlap="queue")
    hands.to(1)
    hands.to(2)
    assert hands.outcomes(schedule) == ["ordered", "waiting"]
    hands.finish_all()
    hands.to(2.01)
    assert hands.outcomes(schedule) == ["ordered", "skipped"]


def test_a_run_by_hand_is_refused_and_leaves_no_trace(store: Store) -> None:
    hands = ScheduleHands(store)
    set_quotas(store, max_jobs_per_day=0)
    schedule = hands.create()
    with pytest.raises(DayQuotaReached):
        hands.schedules.trigger(schedule.id, store.owner)
    assert hands.runs(schedule) == []


def test_the_items_of_a_batch_wait_for_tomorrow(store: Store) -> None:
    hands = BatchHands(store)
    set_quotas(store, max_jobs_per_day=3)
    batch = hands.create(7)
    hands.drain()
    assert hands.counts(batch) == {"queued": 3, "waiting": 4}, "no item is refused for it"
    for item in hands.items(batch)[:3]:
        hands.end(item)
    assert hands.drain() == 0, "what ended does not come back on the same day"
    store.clock.move(12 * HOUR)
    hands.drain()
    assert hands.counts(batch) == {"succeeded": 3, "queued": 3, "waiting": 1}
    set_quotas(store, max_jobs_per_day=None, max_seconds_per_day=10)
    hands.drain()
    assert hands.counts(batch) == {"succeeded": 3, "queued": 4}


def test_a_batch_waits_where_seconds_are_used_up(store: Store) -> None:
    hands = BatchHands(store)
    set_quotas(store, max_seconds_per_day=10)
    claim = store.claimed()
    store.leases.beat(claim, Use(10.0))
    batch = hands.create(2)
    assert hands.drain() == 0
    assert hands.counts(batch) == {"waiting": 2}
    store.clock.move(12 * HOUR)
    hands.drain()
    assert hands.counts(batch) == {"queued": 2}


def test_who_loses_the_race_for_the_last_job_of_a_day_tries_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Between the look at the quota and the commit another process may take what was left."""
    caplog.set_level(logging.INFO)
    hands, batches = ScheduleHands(store), BatchHands(store)
    schedule, batch = hands.create(), batches.create(1)
    set_quotas(store, max_jobs_per_day=0)
    with monkeypatch.context() as patch:
        patch.setattr(Standing, "jobs_left", property(lambda self: None))
        require = Standing.require
        looked: list[Any] = []

        def let(self: Standing, jobs: int = 1) -> None:
            looked.append(self)
            if len(looked) > 1:  # the first look is the schedule's, the next one is the commit's
                require(self, jobs)

        patch.setattr(Standing, "require", let)
        hands.to(1)
        assert batches.rounds.advance(batch.id) is None
    assert len(looked) == 3
    assert hands.outcomes(schedule) == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert batches.counts(batch) == {"waiting": 1}
    hands.to(1.01)
    assert hands.outcomes(schedule) == ["skipped"]
    set_quotas(store, max_jobs_per_day=1)
    assert batches.drain() == 1
    assert store.leases.claim(batches.items(batch)[0].job_id or "", "worker-1", LEASE_S) is not None
