"""Schedules: what their owner does with them, and what becomes of the times that come, on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

import workers.store.schedule_ticks as schedule_ticks
from interleaf.errors import (
    InvalidBrief,
    InvalidRequest,
    ObjectUnknown,
    QuotaReached,
    ServiceAway,
    VersionStale,
    error_from_record,
)
from tests.workers.job_store import Store, new_key
from tests.workers.store.schedule_hands import KEPT, ScheduleHands, at_noon
from workers.store.api_keys import ApiKeys
from workers.store.schedule import moment_of_run, run_id_of
from workers.store.schedule_ticks import LOOK_AGAIN, MOST_WAITING
from workers.store.schedules import MAX_SCHEDULES
from workers.store.tables import ApiKeyRow, ScheduleRow
from workers.store.timetable import jittered

UNKNOWN = "sch_01kaj5v1c8m2n4p6q8r0s2t4v6"


@pytest.fixture
def hands(store: Store) -> ScheduleHands:
    return ScheduleHands(store)


# What owners do


def test_a_schedule_is_made_looked_at_listed_and_deleted(hands: ScheduleHands) -> None:
    first = hands.create(name="hourly")
    hands.store.clock.move(1)
    second = hands.create(name="once", at=at_noon(5), time_zone="Asia/Tokyo")
    owner = hands.store.owner
    assert hands.get(first) == first
    assert first.next_due_at == at_noon(1) and (first.version, first.run_count) == (1, 0)
    assert second.next_times(hands.store.clock()) == [at_noon(5)]
    listed = hands.schedules.list(owner, 10)
    assert [one.id for one in listed] == [second.id, first.id]
    assert listed[0].order.brief == {}, "a list does not carry briefs"
    assert [one.id for one in hands.schedules.list(owner, 10, after=second.id)] == [first.id]
    assert [one.id for one in hands.schedules.list(owner, 10, before=first.id)] == [second.id]
    hands.schedules.delete(first.id, owner)
    with pytest.raises(ObjectUnknown):
        hands.get(first)


def test_what_is_anothers_is_not_there(hands: ScheduleHands) -> None:
    schedule = hands.create()
    other = new_key(hands.store.database, hands.store.clock)
    one = hands.schedules
    for schedule_id, owner in ((schedule.id, other), (UNKNOWN, hands.store.owner), ("x\0'", hands.store.owner)):
        for act in (one.get, one.pause, one.resume, one.trigger, one.delete, lambda i, o: one.change(i, o, None, {})):
            with pytest.raises(ObjectUnknown):
                act(schedule_id, owner)
        with pytest.raises(ObjectUnknown):
            one.runs(schedule_id, owner, 10)
    assert one.list(other, 10) == []


@pytest.mark.parametrize(
    ("fields", "error", "thing"),
    [
        ({"cron": "x"}, InvalidRequest, "cron"),
        ({"cron": None}, InvalidRequest, "cron"),
        ({"cron": "0 0 * * *", "at": at_noon(1)}, InvalidRequest, "cron"),
        ({"at": at_noon(-1)}, InvalidRequest, "at"),
        ({"time_zone": "../etc/passwd"}, InvalidRequest, "time_zone"),
        ({"ends_at": at_noon(-1)}, InvalidRequest, "cron"),
        ({"starts_at": at_noon(2), "ends_at": at_noon(1)}, InvalidRequest, "ends_at"),
        ({"starts_at": datetime(2026, 1, 2)}, InvalidRequest, "starts_at"),
        ({"name": ""}, InvalidRequest, "name"),
        ({"name": "two\nlines"}, InvalidRequest, "name"),
        ({"overlap": "both"}, InvalidRequest, "overlap"),
        ({"catch_up_s": 59}, InvalidRequest, "catch_up_s"),
        ({"jitter_s": -1}, InvalidRequest, "jitter_s"),
        ({"publish_after_s": 10**9}, InvalidRequest, "publish_after_s"),
        ({"variables": {"date": "x"}}, InvalidRequest, "variables.date"),
        ({"brief": {"instruction": "{{ town }}"}}, InvalidRequest, "brief.instruction"),
        ({"brief": {}}, InvalidBrief, "instruction"),
        ({"brief": {"instruction": "x", "length_words": "{{ number }}"}}, InvalidBrief, "length_words"),
        ({"brief": {"instruction": "x", "sources": ["/etc/passwd"]}}, InvalidBrief, "sources[0].path"),
        ({"brief": {"instruction": "x", "pictures": ["upload:upl_x"]}}, InvalidBrief, "pictures[0].path"),
        ({"brief": {"instruction": "x", "libraries": ["none"]}}, InvalidBrief, "libraries[0]"),
        (
            {"brief": {"instruction": "x", "sources": ["upload:upl_01kaj5v1c8m2n4p6q8r0s2t4v6"]}},
            ObjectUnknown,
            "upl_01kaj5v1c8m2n4p6q8r0s2t4v6",
        ),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_kept(
    hands: ScheduleHands, fields: dict[str, Any], error: type[Exception], thing: str
) -> None:
    with pytest.raises(error) as refused:
        hands.create(**fields)
    assert refused.value.thing == thing  # type: ignore[attr-defined]
    assert hands.schedules.list(hands.store.owner, 10) == []


def test_a_key_has_only_so_many(hands: ScheduleHands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.store.schedules.MAX_SCHEDULES", 2)
    assert MAX_SCHEDULES > 2
    hands.create()
    hands.create()
    with pytest.raises(QuotaReached):
        hands.create()


def test_a_change_needs_the_version_that_is_there(hands: ScheduleHands) -> None:
    schedule, owner = hands.create(), hands.store.owner
    changed = hands.schedules.change(schedule.id, owner, 1, {"name": "new", "cron": "30 * * * *"})
    assert (changed.version, changed.order.name, changed.next_due_at) == (2, "new", at_noon(0.5))
    with pytest.raises(VersionStale):
        hands.schedules.change(schedule.id, owner, 1, {"name": "newer"})
    assert hands.schedules.change(schedule.id, owner, 2, {"name": "new"}).version == 2, "nothing changed"
    assert hands.schedules.change(schedule.id, owner, None, {"name": "newest"}).version == 3
    with pytest.raises(InvalidRequest, match="two"):
        hands.schedules.change(schedule.id, owner, 3, {"at": at_noon(9)})
    once = hands.schedules.change(schedule.id, owner, 3, {"at": at_noon(9), "cron": None})
    assert once.next_due_at == at_noon(9)


def test_what_was_due_before_a_change_is_decided_as_it_was(hands: ScheduleHands) -> None:
    schedule, owner = hands.create(), hands.store.owner
    hands.to(1.1, tick=False)
    hands.schedules.change(schedule.id, owner, 1, {"brief": {"instruction": "new {{ date }}"}, "cron": "15 * * * *"})
    (run,) = hands.runs(schedule)
    assert (run.due_at, run.outcome) == (at_noon(1), "ordered")
    assert "number 1" in hands.store.jobs.brief(run.job_id or "", owner)["instruction"]
    hands.to(1.3)
    assert hands.runs(schedule)[-1].due_at == at_noon(1.25)


def test_a_time_that_waits_for_its_jitter_stays_when_its_schedule_is_changed(hands: ScheduleHands) -> None:
    schedule = hands.create(jitter_s=3_600, cron="0 13 * * *")
    fire_at = hands.fire_at(schedule)
    assert fire_at == jittered(at_noon(1), schedule.id, 3_600) and fire_at > at_noon(1)
    hands.to(1, tick=False)
    changed = hands.schedules.change(schedule.id, hands.store.owner, 1, {"ends_at": at_noon(48)})
    assert changed.next_due_at == at_noon(1)


# What comes of times


def test_each_time_is_ordered_once_with_its_date_and_its_number(hands: ScheduleHands) -> None:
    schedule = hands.create(
        brief={"instruction": "{{ city }} on {{ weekday }} at {{ time }}, {{ number }}"},
        variables={"city": ["Brest", "Cork"]},
        time_zone="Asia/Tokyo",
    )
    for hour in (0.5, 1, 1.5, 2, 3):
        hands.to(hour)
        hands.ticks.tick()  # once more does nothing
        hands.finish_all()
    said = [hands.store.jobs.brief(job.id, hands.store.owner)["instruction"] for job in hands.jobs()]
    assert said == ["Brest on Thursday at 22:00, 1", "Cork on Thursday at 23:00, 2", "Brest on Friday at 00:00, 3"]
    runs = hands.runs(schedule)
    assert [run.job_id for run in runs] == [job.id for job in hands.jobs()]
    assert [(run.outcome, run.number) for run in runs] == [("ordered", 1), ("ordered", 2), ("ordered", 3)]
    assert [dict(job.metadata) for job in hands.jobs()] == [
        {"schedule": schedule.id, "number": str(number)} for number in (1, 2, 3)
    ]
    assert hands.get(schedule).run_count == 3
    assert len(hands.store.outbox.take()) == 0, "they have ended"


def test_once_is_once(hands: ScheduleHands) -> None:
    schedule = hands.create(at=at_noon(2))
    hands.to(3)
    hands.to(4)
    assert hands.outcomes(schedule) == ["ordered"]
    assert hands.get(schedule).next_due_at is None and hands.fire_at(schedule) is None
    assert len(hands.store.outbox.take()) == 1, "its message is to be sent"


def test_the_last_time_is_the_last_before_the_end(hands: ScheduleHands) -> None:
    schedule = hands.create(starts_at=at_noon(2), ends_at=at_noon(4), overlap="queue")
    for hour in range(8):
        hands.to(hour)
        hands.finish_all()
    assert [run.due_at for run in hands.runs(schedule)] == [at_noon(2), at_noon(3)]
    assert hands.get(schedule).next_due_at is None


def test_jitter_delays_the_order_and_not_the_time(hands: ScheduleHands) -> None:
    schedule = hands.create(jitter_s=600)
    fire_at = hands.fire_at(schedule)
    assert fire_at is not None and at_noon(1) < fire_at < at_noon(1, minutes=10)
    hands.store.clock.now = fire_at - timedelta(milliseconds=1)
    assert hands.ticks.tick() == 0
    hands.store.clock.now = fire_at
    assert hands.ticks.tick() == 1
    assert [run.due_at for run in hands.runs(schedule)] == [at_noon(1)]


def test_skip_leaves_out_times_while_a_run_is_at_work(hands: ScheduleHands) -> None:
    schedule = hands.create(overlap="skip")
    hands.to(1)
    hands.to(2)
    hands.to(3)
    hands.finish_all()
    hands.to(4)
    assert hands.outcomes(schedule) == ["ordered", "skipped", "skipped", "ordered"]
    assert [run.number for run in hands.runs(schedule)] == [1, None, None, 2]


def test_a_run_by_hand_is_a_run_that_may_be_at_work(hands: ScheduleHands) -> None:
    schedule = hands.create(overlap="skip")
    job = hands.schedules.trigger(schedule.id, hands.store.owner)
    hands.to(1)
    assert hands.outcomes(schedule) == ["ordered", "skipped"]
    hands.finish(job.id)
    hands.to(2)
    assert hands.outcomes(schedule) == ["ordered", "skipped", "ordered"]


def test_queue_runs_one_after_the_other_in_the_order_of_their_times(hands: ScheduleHands) -> None:
    schedule = hands.create(overlap="queue", brief={"instruction": "at {{ time }}"})
    for hour in (1, 2, 3):
        hands.to(hour)
    assert hands.outcomes(schedule) == ["ordered", "waiting", "waiting"]
    hands.to(3.2)
    assert hands.outcomes(schedule) == ["ordered", "waiting", "waiting"], "the first has not ended"
    for step in range(3):
        hands.finish_all()
        hands.store.clock.move(LOOK_AGAIN.total_seconds())
        hands.ticks.tick()
        assert sum(not job.final for job in hands.jobs()) == (1 if step < 2 else 0)
    assert hands.outcomes(schedule) == ["ordered"] * 3
    said = [hands.store.jobs.brief(job.id, hands.store.owner)["instruction"] for job in hands.jobs()]
    assert said == ["at 13:00", "at 14:00", "at 15:00"]
    assert [run.number for run in hands.runs(schedule)] == [1, 2, 3]


def test_no_more_than_so_many_wait(hands: ScheduleHands) -> None:
    schedule = hands.create(overlap="queue", cron="* * * * *", catch_up_s=6 * 3600)
    hands.to(0.1)
    hands.to(2.5)
    hands.to(2.5)
    outcomes = hands.outcomes(schedule)
    assert outcomes[0] == "ordered" and outcomes.count("waiting") == MOST_WAITING
    assert set(outcomes[MOST_WAITING + 1 :]) == {"skipped"} and len(outcomes) == 150


def test_cancel_running_ends_the_run_before(hands: ScheduleHands) -> None:
    schedule = hands.create(overlap="cancel_running")
    hands.to(1)
    (first,) = hands.jobs()
    claim = hands.store.leases.claim(first.id, "worker-1", 7_200)
    assert claim is not None
    hands.to(2)
    hands.to(3)
    assert hands.outcomes(schedule) == ["ordered"] * 3
    assert [job.state for job in hands.jobs()] == ["canceling", "canceled", "queued"]


def test_what_is_older_than_the_window_is_missed_and_the_rest_is_run(hands: ScheduleHands) -> None:
    schedule = hands.create(catch_up_s=2 * 3600, overlap="queue")
    hands.to(5.5)  # 13:00 to 17:00 were due; until 15:30 they are too old
    runs = hands.runs(schedule)
    assert [(run.due_at, run.outcome, run.missed_count) for run in runs] == [
        (at_noon(1), "missed", 3),
        (at_noon(4), "ordered", 0),
        (at_noon(5), "waiting", 0),
    ]
    hands.to(30)
    assert hands.runs(schedule)[3].missed_count == 23 - 1, "from 18:00 on to the 22nd"


def test_a_year_that_was_slept_through_is_decided_in_bounded_steps(hands: ScheduleHands) -> None:
    schedule = hands.create(cron="0 * * * *", catch_up_s=3600)
    hands.to(365 * 24 + 0.5, tick=False)
    rounds = 0
    while hands.ticks.tick(10):
        rounds += 1
    runs = hands.runs(schedule)
    assert rounds == 9 and sum(run.missed_count or 1 for run in runs) == 365 * 24
    assert [run.outcome for run in runs] == ["missed"] * 9 + ["ordered"]


def test_a_brief_that_is_refused_fails_its_run_and_the_schedule_goes_on(hands: ScheduleHands) -> None:
    schedule = hands.create(
        brief={"instruction": "x", "length_words": "{{ words }}"}, variables={"words": [100, "many", 200]}
    )
    for hour in (1, 2, 3):
        hands.to(hour)
        hands.finish_all()
    runs = hands.runs(schedule)
    assert [run.outcome for run in runs] == ["ordered", "failed", "ordered"]
    assert runs[1].error is not None and runs[1].job_id is None
    error = error_from_record(dict(runs[1].error))
    assert isinstance(error, InvalidBrief) and error.thing == "length_words"
    assert [run.number for run in runs] == [1, None, 3], "a number is not tried for ever"


def test_a_quota_that_is_used_up_fails_a_run_and_its_number_comes_again(store: Store) -> None:
    hands = ScheduleHands(store, max_active=1)
    schedule = hands.create()
    blocker = store.create()
    hands.to(1)
    hands.finish(blocker.id)
    hands.to(2)
    runs = hands.runs(schedule)
    assert [(run.outcome, run.number) for run in runs] == [("failed", None), ("ordered", 1)]
    assert runs[0].error is not None and runs[0].error["code"] == "quota_reached"
    full = ScheduleHands(store, max_queued=1)
    other = full.create(name="other")
    full.to(3)
    assert full.runs(other)[0].error["code"] == "queue_full"  # type: ignore[index]
    with store.database.transaction() as session:
        session.execute(update(ApiKeyRow).where(ApiKeyRow.id == store.owner).values(max_active_jobs=0))
    hands.finish_all()
    hands.to(4)
    assert hands.runs(schedule)[-1].error["code"] == "quota_reached"  # type: ignore[index]


def test_a_key_that_was_revoked_orders_nothing_and_its_schedule_stops(hands: ScheduleHands) -> None:
    schedule = hands.create()
    ApiKeys(hands.store.database, clock=hands.store.clock).revoke(hands.store.owner)
    hands.to(1)
    hands.to(2)
    (run,) = hands.runs(schedule)
    assert run.error is not None and run.error["code"] == "key_refused"
    assert hands.get(schedule).paused_at == at_noon(1) and hands.jobs() == []


def test_paused_nothing_fires_and_nothing_is_caught_up(hands: ScheduleHands) -> None:
    schedule, owner = hands.create(), hands.store.owner
    hands.to(1)
    hands.finish_all()
    hands.to(1.5, tick=False)
    paused = hands.schedules.pause(schedule.id, owner)
    assert (paused.version, paused.next_due_at, paused.next_times(at_noon(1.5))) == (2, None, [])
    assert hands.schedules.pause(schedule.id, owner).version == 2
    hands.to(2)
    hands.to(3.5)
    resumed = hands.schedules.resume(schedule.id, owner)
    assert (resumed.version, resumed.next_due_at) == (3, at_noon(4))
    assert hands.schedules.resume(schedule.id, owner).version == 3
    hands.to(3.6)
    hands.to(4)
    assert [run.due_at for run in hands.runs(schedule)] == [at_noon(1), at_noon(4)]


def test_what_was_due_before_a_pause_is_not_lost(hands: ScheduleHands) -> None:
    schedule = hands.create()
    hands.to(1.1, tick=False)
    hands.schedules.pause(schedule.id, hands.store.owner)
    assert hands.outcomes(schedule) == ["ordered"]


def test_runs_that_wait_go_on_waiting_while_it_is_paused(hands: ScheduleHands) -> None:
    schedule, owner = hands.create(overlap="queue"), hands.store.owner
    hands.to(1)
    hands.to(2)
    hands.schedules.pause(schedule.id, owner)
    hands.finish_all()
    hands.to(2.5)
    assert hands.outcomes(schedule) == ["ordered", "waiting"]
    hands.schedules.resume(schedule.id, owner)
    hands.to(2.6)
    assert hands.outcomes(schedule) == ["ordered", "ordered"]


def test_a_once_that_passed_while_paused_is_over(hands: ScheduleHands) -> None:
    schedule, owner = hands.create(at=at_noon(1)), hands.store.owner
    hands.schedules.pause(schedule.id, owner)
    hands.to(2)
    assert hands.schedules.resume(schedule.id, owner).next_due_at is None
    hands.to(3)
    assert hands.runs(schedule) == []


def test_run_now_works_whatever_the_timetable_says(hands: ScheduleHands) -> None:
    schedule, owner = hands.create(publish_after_s=60), hands.store.owner
    hands.schedules.pause(schedule.id, owner)
    first = hands.schedules.trigger(schedule.id, owner)
    second = hands.schedules.trigger(schedule.id, owner)  # in the same moment
    runs = hands.runs(schedule)
    assert [run.job_id for run in runs] == [first.id, second.id]
    assert all(run.by_hand and run.outcome == "ordered" for run in runs)
    assert [run.number for run in runs] == [1, 2] and runs[0].publish_at == at_noon(0, minutes=1)
    assert runs[0].due_at < runs[1].due_at
    # A hand at the very time of the schedule does not stand in its way.
    hands.schedules.resume(schedule.id, owner)
    hands.finish_all()
    hands.to(1, tick=False)
    hands.finish(hands.schedules.trigger(schedule.id, owner).id)
    hands.ticks.tick()
    assert [(run.due_at, run.by_hand) for run in hands.runs(schedule)[2:]] == [(at_noon(1), False), (at_noon(1), True)]


def test_history_comes_in_pages_from_both_ends(hands: ScheduleHands) -> None:
    schedule, owner = hands.create(), hands.store.owner
    for hour in range(1, 6):
        hands.to(hour)
        hands.finish_all()
    hands.schedules.trigger(schedule.id, owner)
    everything = list(reversed(hands.runs(schedule)))
    assert len(everything) == 6 and everything == hands.schedules.runs(schedule.id, owner, 100)
    for number, run in enumerate(everything):
        assert hands.schedules.runs(schedule.id, owner, 100, after=run.id) == everything[number + 1 :]
        newer = hands.schedules.runs(schedule.id, owner, 100, before=run.id)
        assert newer == list(reversed(everything[:number]))
    with pytest.raises(InvalidRequest, match="run"):
        hands.schedules.runs(schedule.id, owner, 1, after="run_1")


def test_ids_of_runs_tell_their_moment_and_sort_by_it() -> None:
    moments = [at_noon(0, microseconds=n) for n in (0, 1, 10**6, 10**12)]
    ids = [run_id_of(moment, by_hand=False) for moment in moments]
    assert ids == sorted(ids)
    assert [moment_of_run(one, "after") for one in ids] == [(moment, False) for moment in moments]
    for wrong in ("", "run_" + "1" * 16 + "s", "run_" + "1" * 17 + "x"):
        with pytest.raises(InvalidRequest):
            moment_of_run(wrong, "after")


# Several at once


def test_a_time_that_was_decided_is_not_decided_again(hands: ScheduleHands) -> None:
    """The unique row: also where a restored or wrong clock had set the schedule's own mark back."""
    schedule = hands.create(catch_up_s=7_200)
    hands.to(1)
    hands.finish_all()
    hands.to(2)
    hands.finish_all()
    with hands.store.database.transaction() as session:
        session.execute(update(ScheduleRow).values(next_due_at=at_noon(1), next_fire_at=at_noon(1)))
    hands.to(2.1)
    assert len(hands.jobs()) == 2
    assert hands.outcomes(schedule) == ["ordered", "ordered"]
    assert hands.get(schedule).next_due_at == at_noon(3)
    with hands.store.database.transaction() as session:
        session.execute(update(ScheduleRow).values(next_due_at=at_noon(1), next_fire_at=at_noon(1)))
    hands.to(10)
    assert sum(run.missed_count or 1 for run in hands.runs(schedule)) == 10


def test_a_beat_in_the_middle_holds_the_schedule(hands: ScheduleHands) -> None:
    """The lock: another beat does not wait for it, and an owner's pause comes after it and stays."""
    if hands.store.database.kind != "postgresql":
        pytest.skip("SQLite has one writer")
    schedule = hands.create()
    other = Store(hands.store.url, clock=hands.store.clock)
    second = hands.ticker(other)
    hands.to(1, tick=False)
    inside, go_on = threading.Event(), threading.Event()
    order = hands.ticks._order

    def slow(*said: Any) -> None:
        inside.set()
        assert go_on.wait(20)
        order(*said)

    hands.ticks._order = slow  # type: ignore[method-assign]
    first = threading.Thread(target=hands.ticks.tick)
    first.start()
    assert inside.wait(20)
    assert second.tick() == 0
    pausing = threading.Thread(target=hands.schedules.pause, args=(schedule.id, hands.store.owner))
    pausing.start()
    pausing.join(0.3)
    assert pausing.is_alive(), "it waits for the beat"
    go_on.set()
    first.join(20)
    pausing.join(20)
    hands.ticks._order = order  # type: ignore[method-assign]
    assert hands.outcomes(schedule) == ["ordered"] and hands.get(schedule).paused_at == at_noon(1)
    assert hands.fire_at(schedule) is None
    hands.to(2)
    assert hands.outcomes(schedule) == ["ordered"], "the beat did not undo the pause"
    other.database.close()


def test_what_goes_wrong_with_one_schedule_holds_up_no_other(
    hands: ScheduleHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, whole = hands.create(name="broken"), hands.create(name="whole")
    settle = hands.ticks.settle

    def failing(session: Any, row: Any, now: datetime) -> None:
        if row.id == broken.id:
            raise KeyError("a mistake")
        settle(session, row, now)

    monkeypatch.setattr(hands.ticks, "settle", failing)
    hands.to(1)
    assert (hands.outcomes(broken), hands.outcomes(whole)) == ([], ["ordered"])
    assert hands.ticks.tick() == 0, "it is put off"
    monkeypatch.setattr(hands.ticks, "settle", settle)
    hands.to(1, tick=False)
    hands.store.clock.move(schedule_ticks.PUT_OFF.total_seconds())
    hands.ticks.tick()
    assert hands.outcomes(broken) == ["ordered"], "its time was not lost"

    def away(*_: Any) -> None:
        raise ServiceAway("database", "is away.")

    monkeypatch.setattr(hands.ticks, "settle", away)
    hands.to(3, tick=False)
    with pytest.raises(ServiceAway):
        hands.ticks.tick()


# Uploads


def test_uploads_that_a_schedule_names_stay_while_it_exists(hands: ScheduleHands, tmp_path: Path) -> None:
    uploads, owner = hands.uploads(tmp_path), hands.store.owner
    sent = [uploads.add(owner, f"{n}.md", BytesIO(b"The tide.")) for n in range(4)]
    one, listed, both, free = (upload.id for upload in sent)
    first = hands.create(
        brief={"instruction": "x", "sources": [f"upload:{one}", "{{ file }}", f"upload:{both}"]},
        variables={"file": [f"upload:{listed}"]},
    )
    second = hands.create(brief={"instruction": "x", "pictures": [f"upload:{both}"]})
    hands.store.clock.move(KEPT.total_seconds() * 2)
    assert uploads.forget_expired() == 1
    assert {upload.id for upload in uploads.list(owner, 10)} == {one, listed, both}
    assert [uploads.get(upload_id, owner).expires_at for upload_id in (one, listed, both)] == [None] * 3
    with pytest.raises(ObjectUnknown):
        uploads.get(free, owner)
    now = hands.store.clock()
    hands.schedules.change(
        first.id, owner, None, {"brief": {"instruction": "x", "sources": [f"upload:{one}"]}, "variables": {}}
    )
    assert uploads.get(listed, owner).expires_at == now + KEPT, "it is named no more"
    assert uploads.get(both, owner).expires_at is None, "another one names it"
    hands.schedules.delete(second.id, owner)
    hands.schedules.delete(first.id, owner)
    assert uploads.get(one, owner).expires_at == uploads.get(both, owner).expires_at == now + KEPT
    hands.store.clock.move(KEPT.total_seconds())
    assert uploads.forget_expired() == 3


def test_a_strangers_upload_is_neither_taken_nor_kept(hands: ScheduleHands, tmp_path: Path) -> None:
    uploads = hands.uploads(tmp_path)
    other = new_key(hands.store.database, hands.store.clock)
    theirs = uploads.add(other, "theirs.md", BytesIO(b"Secret."))
    with pytest.raises(ObjectUnknown):
        hands.create(brief={"instruction": "x", "sources": [f"upload:{theirs.id}"]})
    hands.create(brief={"instruction": f"about {theirs.id}"})
    assert uploads.get(theirs.id, other).expires_at == theirs.expires_at


def test_an_upload_that_its_owner_deleted_fails_the_run(hands: ScheduleHands, tmp_path: Path) -> None:
    uploads, owner = hands.uploads(tmp_path), hands.store.owner
    sent = uploads.add(owner, "a.md", BytesIO(b"The tide."))
    schedule = hands.create(brief={"instruction": "x", "sources": [f"upload:{sent.id}"]})
    uploads.delete(sent.id, owner)
    hands.to(1)
    assert hands.runs(schedule)[0].error["code"] == "object_unknown"  # type: ignore[index]


def test_times_before_1970_and_after_2200_are_no_trouble(hands: ScheduleHands) -> None:
    with pytest.raises(InvalidRequest):
        hands.create(at=datetime(1960, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidRequest):
        hands.create(starts_at=datetime(2300, 1, 1, tzinfo=UTC))
