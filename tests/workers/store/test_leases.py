"""Leases: one worker at a time, refused when late, and a job ends once with all that belongs to it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from interleaf.errors import CompositionFailed, LeaseLost, RunCanceled, error_from_record
from tests.workers.job_store import LEASE_S, Store, assert_whole
from tests.workers.store.test_database import beat_values, beats, child
from workers.store.ids import new_id
from workers.store.job import Claim, Use
from workers.store.leases import Ending
from workers.store.tables import JobRow, WorkerBeatRow

JOBS = 200


def test_a_claim_starts_the_job(store: Store) -> None:
    job = store.create()
    store.clock.move(5)
    claim = store.leases.claim(job.id, "worker-1", LEASE_S)
    assert claim is not None
    assert claim.job == store.get(job)
    assert (claim.job.state, claim.attempt, claim.job.lease_owner) == ("running", 1, "worker-1")
    assert claim.job.started_at == store.clock()
    assert claim.job.lease_until == store.clock() + timedelta(seconds=LEASE_S)
    assert store.leases.claim(job.id, "worker-2", LEASE_S) is None
    assert store.leases.claim(new_id("job", store.clock()), "worker-2", LEASE_S) is None
    assert store.told(job)[-1].data == {"state": "running", "attempt": 1, "worker": "worker-1"}


def test_a_job_past_its_time_is_not_begun_but_goes_on_once_begun(store: Store) -> None:
    expires = store.clock() + timedelta(seconds=10)
    late, begun = store.create(expires_at=expires), store.create(expires_at=expires)
    claim = store.leases.claim(begun.id, "worker-1", LEASE_S)
    assert claim is not None
    store.leases.release(claim)
    store.clock.move(10)
    assert store.leases.claim(late.id, "worker-1", LEASE_S) is None
    assert store.leases.claim(begun.id, "worker-1", LEASE_S) is not None


def test_a_beat_keeps_the_job_adds_up_its_use_and_tells_of_a_cancel(store: Store) -> None:
    claim = store.claimed()
    for _ in range(3):
        store.clock.move(LEASE_S * 0.9)
        assert store.leases.beat(claim, Use(seconds=1.5, tokens=10)) == "go_on"
        assert store.reconciler.lost() == []
    job = store.get(claim)
    assert (job.seconds_used, job.tokens_used) == (4.5, 30)
    assert job.event_count == 2  # a beat is no event
    store.jobs.cancel(claim.job_id, store.owner)
    assert store.leases.beat(claim) == "cancel"


def test_notes_say_where_the_job_is(store: Store) -> None:
    claim = store.claimed()
    assert store.leases.note(claim, "stage.started", stage="draft", message="two\nlines\x07") == "go_on"
    store.leases.note(claim, "stage.progress", {"section": 2}, share_done=0.25)
    job = store.get(claim)
    assert (job.stage, job.share_done, job.message) == ("draft", 0.25, "two lines")
    store.leases.note(claim, "stage.started", stage="spot")
    assert (store.get(claim).stage, store.get(claim).share_done, store.get(claim).message) == (
        "spot",
        None,
        "two lines",
    )
    assert [event.id for event in store.told(claim)] == [1, 2, 3, 4, 5]
    assert store.told(claim)[3].data == {"attempt": 1, "section": 2, "share_done": 0.25}
    store.jobs.cancel(claim.job_id, store.owner)
    assert store.leases.note(claim, "log", message="x" * 9000) == "cancel"
    assert len(store.get(claim).message) == 4000


@pytest.mark.parametrize("name", ["job.succeeded", "", "Stage", "a b", "stage.", "a" * 9 + "\n"])
def test_a_worker_cannot_speak_for_the_store(store: Store, name: str) -> None:
    claim = store.claimed()
    with pytest.raises(ValueError, match="name"):
        store.leases.note(claim, name)
    assert store.get(claim).event_count == 2


def test_asking_lets_go_of_the_job(store: Store) -> None:
    claim = store.claimed()
    deadline = store.clock() + timedelta(hours=1)
    job = store.leases.ask(claim, {"asks": "outline", "outline": {}}, deadline, "approve", Use(2.0, 5))
    assert (job.state, job.lease_owner, job.lease_until) == ("awaiting_input", None, None)
    assert (job.question, job.input_deadline, job.on_timeout) == (
        {"asks": "outline", "outline": {}},
        deadline,
        "approve",
    )
    assert (job.seconds_used, job.tokens_used) == (2.0, 5)
    for late in (lambda: store.leases.beat(claim), lambda: store.leases.finish(claim, "succeeded")):
        with pytest.raises(LeaseLost):
            late()
    assert store.leases.claim(job.id, "worker-2", LEASE_S) is None
    assert store.outbox.take() == []


def test_who_asks_while_the_job_is_canceled_is_told_and_can_end_it(store: Store) -> None:
    claim = store.claimed()
    store.jobs.cancel(claim.job_id, store.owner)
    with pytest.raises(RunCanceled):
        store.leases.ask(claim, {"asks": "outline"})
    assert store.leases.finish(claim, "canceled").state == "canceled"


@pytest.mark.parametrize("canceling", [False, True])
@pytest.mark.parametrize("ending", ["succeeded", "incomplete", "failed", "canceled"])
def test_every_ending(store: Store, ending: Ending, canceling: bool) -> None:
    claim = store.claimed()
    if canceling:
        store.jobs.cancel(claim.job_id, store.owner)
    error = CompositionFailed("draft", "gave up", "Try again.") if ending == "failed" else None
    job = store.leases.finish(claim, ending, result={"n": 1}, error=error, used=Use(1.0, 2))
    # Somebody who asked to stop does not wait for a piece that a limit cut short.
    assert job.state == ("canceled" if canceling and ending == "incomplete" else ending)
    assert job.result == {"n": 1}
    assert (job.finished_at, job.lease_until, job.lease_owner) == (store.clock(), None, None)
    assert (job.seconds_used, job.tokens_used) == (1.0, 2)
    if error is not None:
        assert job.error is not None
        assert error_from_record(dict(job.error)).args == error.args
        assert store.told(job)[-1].data["code"] == "composition_failed"
    for late in (
        lambda: store.leases.finish(claim, ending, error=error),
        lambda: store.leases.beat(claim),
        lambda: store.leases.note(claim, "log"),
        lambda: store.leases.release(claim),
        lambda: store.leases.ask(claim, {}),
    ):
        with pytest.raises(LeaseLost):
            late()
    assert store.get(job) == job
    assert_whole(store.database)


def test_a_failure_has_a_reason_and_a_success_has_none(store: Store) -> None:
    claim = store.claimed()
    with pytest.raises(ValueError, match="failed"):
        store.leases.finish(claim, "failed")
    with pytest.raises(ValueError, match="succeeded"):
        store.leases.finish(claim, "succeeded", error=CompositionFailed("a", "b"))
    assert store.state(claim) == "running"


def test_what_is_written_with_the_end_is_there_exactly_if_the_job_ended_so(store: Store) -> None:
    kept, lost = store.claimed(), store.claimed()
    store.clock.move(LEASE_S)
    store.leases.beat(kept)
    store.reconciler.lost()
    for claim in (kept, lost):
        try:
            with store.database.transaction() as session:
                session.add(WorkerBeatRow(**beat_values(claim.job_id)))
                store.leases.finish(claim, "succeeded", result={})
        except LeaseLost:
            assert claim is lost
    assert beats(store.database) == [kept.job_id]


def test_a_clean_stop_is_no_failed_attempt(store: Store) -> None:
    job = store.create(max_attempts=1)
    for attempt in (1, 2, 3):
        claim = store.leases.claim(job.id, "worker-1", LEASE_S)
        assert claim is not None
        assert claim.attempt == attempt
        released = store.leases.release(claim)
        assert (released.state, released.failed_attempts, released.dispatched_at) == ("queued", 0, None)
    assert store.names(job)[-1] == "job.requeued"
    claim = store.leases.claim(job.id, "worker-1", LEASE_S)
    assert claim is not None
    store.jobs.cancel(job.id, store.owner)
    assert store.leases.release(claim).state == "canceled"


def test_the_first_start_stays_whoever_begins_again(store: Store) -> None:
    claim = store.claimed()
    first = store.clock()
    store.clock.move(3)
    store.leases.release(claim)
    store.clock.move(4)
    again = store.leases.claim(claim.job_id, "worker-2", LEASE_S)
    assert again is not None
    assert (again.job.started_at, again.job.queued_at) == (first, first + timedelta(seconds=3))


def test_who_has_read_a_job_reads_it_anew_once_it_has_changed(store: Store) -> None:
    claim = store.claimed()
    with store.database.transaction() as session:
        row = session.get_one(JobRow, claim.job_id)
        store.leases.note(claim, "stage.started", stage="plan")
        assert (row.stage, row.event_count) == ("plan", 3)
        store.leases.finish(claim, "succeeded")
        assert (row.state, row.lease_owner) == ("succeeded", None)


def test_a_worker_that_comes_back_late_can_write_nothing(store: Store) -> None:
    old = store.claimed("worker-1")
    store.clock.move(LEASE_S)
    assert [job.id for job in store.reconciler.lost()] == [old.job_id]
    before = store.get(old)
    late: list[Any] = [
        lambda: store.leases.beat(old),
        lambda: store.leases.note(old, "log"),
        lambda: store.leases.ask(old, {}),
        lambda: store.leases.finish(old, "succeeded", result={}),
        lambda: store.leases.finish(old, "canceled"),
        lambda: store.leases.release(old),
    ]
    for call in late:  # while it is queued again
        with pytest.raises(LeaseLost):
            call()
    assert store.get(old) == before
    # The same worker by name claims it anew: still its old claim is void.
    new = store.leases.claim(old.job_id, "worker-1", LEASE_S)
    assert new is not None
    before = store.get(old)
    for call in late:
        with pytest.raises(LeaseLost):
            call()
    assert store.get(old) == before
    store.jobs.cancel(old.job_id, store.owner)
    with pytest.raises(LeaseLost):
        store.leases.finish(old, "canceled")
    assert store.leases.finish(new, "canceled").state == "canceled"


CLAIMING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from tests.workers.job_store import LEASE_S, Store
from workers.store.clock import utc_now
url, owner, name = sys.argv[1:4]
store = Store(url, utc_now)
store.database.ping()
print("ready", flush=True)
ids = sys.stdin.readline().split()

def claim(thread):
    got = []
    for job_id in ids:
        claim = store.leases.claim(job_id, f"{name}-{thread}", LEASE_S)
        if claim is not None:
            got.append(job_id)
            store.leases.note(claim, "log")
            store.leases.finish(claim, "succeeded", result={})
    return got

with ThreadPoolExecutor(2) as pool:
    print(*(job_id for got in pool.map(claim, range(2)) for job_id in got))
"""


def test_processes_that_claim_at_once_get_each_job_once(store: Store) -> None:
    store.clock = _RealClock()
    with store.database.transaction():
        ids = [store.create().id for _ in range(JOBS)]
    processes = [child(CLAIMING, store.url, store.owner, f"p{number}") for number in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    claimed: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for out, errors in pool.map(lambda p: p.communicate(" ".join(ids) + "\n", timeout=120), processes):
            assert not errors
            claimed += out.split()
    assert sorted(claimed) == sorted(ids)
    assert store.jobs.count(["succeeded"]) == JOBS
    assert assert_whole(store.database) == JOBS


class _RealClock:
    def __call__(self) -> Any:
        from workers.store.clock import utc_now

        return utc_now()


def test_threads_that_claim_at_once_get_each_job_once(store: Store) -> None:
    with store.database.transaction():
        ids = [store.create().id for _ in range(JOBS)]
    start = threading.Barrier(8)

    def work(thread: int) -> list[Claim]:
        start.wait(10)
        # Every thread wants every job; each begins elsewhere, so that they meet all the time.
        order = ids[thread * 5 :] + ids[: thread * 5]
        return [c for one in order[: JOBS // 2] if (c := store.leases.claim(one, f"w{thread}", LEASE_S)) is not None]

    with ThreadPoolExecutor(8) as pool:
        claims = [claim for got in pool.map(work, range(8)) for claim in got]
    taken = [claim.job_id for claim in claims]
    assert len(taken) == len(set(taken)) >= JOBS // 2
    assert all(claim.attempt == 1 for claim in claims)
    assert store.jobs.count(["running"]) == len(taken)
    assert_whole(store.database)


def test_one_of_cancel_and_finish_wins_and_both_agree(store: Store) -> None:
    for _ in range(10):
        claim = store.claimed()
        with ThreadPoolExecutor(2) as pool:
            finishing = pool.submit(store.leases.finish, claim, "incomplete", result={})
            pool.submit(store.jobs.cancel, claim.job_id, store.owner).exception(10)
            ended = finishing.result(10)
        assert ended.state in ("incomplete", "canceled")
        assert store.get(claim) == ended
    assert_whole(store.database)
