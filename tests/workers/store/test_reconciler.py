"""Reconciler: what nobody else puts right is put right, once, by however many reconcilers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from interleaf.errors import JobExpired, WorkerLost, error_from_record
from tests.workers.job_store import LEASE_S, Store, assert_whole
from workers.store.ids import new_id
from workers.store.tables import DocumentRow


def test_a_lost_job_is_queued_again_until_its_last_attempt(store: Store) -> None:
    job = store.create(max_attempts=2)
    for failed in (1, 2):
        claim = store.leases.claim(job.id, f"worker-{failed}", LEASE_S)
        assert claim is not None
        store.leases.note(claim, "stage.started", stage="draft")
        store.clock.move(LEASE_S - 1)
        assert store.reconciler.lost() == []
        store.clock.move(1)
        (found,) = store.reconciler.lost()
        assert found == store.get(job)
        assert found.failed_attempts == failed
        assert (found.lease_owner, found.lease_until) == (None, None)
    assert found.state == "failed"
    assert found.error is not None
    error = error_from_record(dict(found.error))
    assert isinstance(error, WorkerLost)
    assert "worker-2" in error.message
    assert found.stage == "draft"  # where it was lost
    assert store.names(job)[-1] == "job.failed"
    assert store.names(job).count("job.requeued") == 1
    assert store.reconciler.lost() == []
    # What failed so can be tried again, with all its attempts.
    assert store.jobs.retry(job.id, store.owner).failed_attempts == 0


def test_a_finished_piece_outlives_more_workers_and_not_any_number(store: Store) -> None:
    """What waits for its files is lost with every other one of its worker, through no fault of its own."""
    job = store.create(max_attempts=2)
    piece = {"owner": store.owner, "job_id": job.id, "created_at": store.clock()}
    with store.database.transaction() as session:
        session.add(DocumentRow(id=new_id("doc", store.clock()), title="Tides", version=1, article={}, **piece))
    states = []
    for _ in range(20):
        assert store.leases.claim(job.id, "worker-1", LEASE_S) is not None
        store.clock.move(LEASE_S)
        (found,) = store.reconciler.lost()
        states.append(found.state)
    assert states == ["queued"] * 19 + ["failed"]
    assert found.failed_attempts == 20


def test_a_lost_job_that_was_being_canceled_is_canceled(store: Store) -> None:
    claim = store.claimed()
    store.jobs.cancel(claim.job_id, store.owner)
    assert store.reconciler.lost() == []
    store.clock.move(LEASE_S)
    assert [job.state for job in store.reconciler.lost()] == ["canceled"]


def test_a_question_that_nobody_answers_is_answered_or_expires_as_it_says(store: Store) -> None:
    soon, later = (store.clock() + timedelta(seconds=s) for s in (60, 120))
    approved = store.asked(deadline=soon, on_timeout="approve")
    expired = store.asked(deadline=soon, on_timeout="cancel")
    answered = store.asked(deadline=soon, on_timeout="cancel")
    patient, endless = store.asked(deadline=later), store.asked()
    store.jobs.answer(answered.id, store.owner, str(answered.request_id), "edit", {"x": 1})
    store.clock.move(59)
    assert store.reconciler.overdue() == []
    store.clock.move(1)
    assert {job.id for job in store.reconciler.overdue()} == {approved.id, expired.id}
    assert store.reconciler.overdue() == []
    assert (store.get(approved).state, store.get(approved).answer) == ("awaiting_input", {"decision": "approve"})
    assert store.told(approved)[-1].data["by"] == "timeout"
    ended = store.get(expired)
    assert ended.state == "expired"
    assert ended.error is not None
    assert isinstance(error_from_record(dict(ended.error)), JobExpired)
    assert store.get(answered).answer == {"decision": "edit", "x": 1}
    assert store.state(patient) == store.state(endless) == "awaiting_input"
    assert {job.id for job in store.outbox.take()} == {approved.id, answered.id}
    assert store.leases.claim(approved.id, "worker-1", LEASE_S) is not None
    assert store.jobs.retry(expired.id, store.owner).run_id == expired.run_id


def test_a_job_that_does_not_begin_in_time_expires_and_one_that_began_does_not(store: Store) -> None:
    expires = store.clock() + timedelta(seconds=60)
    late, begun, running = (store.create(expires_at=expires) for _ in range(3))
    never = store.create()
    for job in (begun, running):
        claim = store.leases.claim(job.id, "worker-1", 3600)
        assert claim is not None
        if job is begun:
            store.leases.release(claim)
    store.clock.move(60)
    assert [(job.id, job.state) for job in store.reconciler.overdue()] == [(late.id, "expired")]
    assert [store.state(job) for job in (begun, running, never)] == ["queued", "running", "queued"]
    assert store.leases.claim(late.id, "worker-1", LEASE_S) is None


def test_a_round_does_no_more_than_it_is_told(store: Store) -> None:
    soon = store.clock() + timedelta(seconds=1)
    for _ in range(3):
        store.asked(deadline=soon)
        store.create(expires_at=soon)
        store.claimed()
    store.clock.move(LEASE_S)
    assert [len(store.reconciler.overdue(limit=4)) for _ in range(3)] == [4, 2, 0]
    assert [len(store.reconciler.lost(limit=2)) for _ in range(3)] == [2, 1, 0]


def test_several_reconcilers_do_each_thing_once(store: Store) -> None:
    soon = store.clock() + timedelta(seconds=1)
    with store.database.transaction():
        for number in range(20):
            store.claimed()
            store.create(expires_at=soon)
            store.asked(deadline=soon, on_timeout="approve" if number % 2 else "cancel")
    store.clock.move(LEASE_S)

    def rounds(_: int) -> list[str]:
        done: list[str] = []
        for _round in range(8):
            done += [job.id for job in (*store.reconciler.lost(limit=5), *store.reconciler.overdue(limit=5))]
        return done

    with ThreadPoolExecutor(4) as pool:
        done = [one for got in pool.map(rounds, range(4)) for one in got]
    done += rounds(0)
    assert len(done) == len(set(done)) == 60
    assert assert_whole(store.database) == 60
    assert store.jobs.count(["queued"]) == 20
    assert store.jobs.count(["expired"]) == 30


def test_a_beat_and_the_reconciler_agree_on_who_was_first(store: Store) -> None:
    claims = [store.claimed() for _ in range(20)]
    store.clock.move(LEASE_S)

    def beat(number: int) -> bool:
        try:
            return store.leases.beat(claims[number]) == "go_on"
        except Exception as error:
            assert type(error).__name__ == "LeaseLost"
            return False

    with ThreadPoolExecutor(4) as pool:
        beating = [pool.submit(beat, number) for number in range(20)]
        lost = pool.submit(store.reconciler.lost)
        kept = {claims[number].job_id for number, one in enumerate(beating) if one.result(10)}
        given_up = {job.id for job in lost.result(10)}
    given_up |= {job.id for job in store.reconciler.lost()}
    assert kept | given_up == {claim.job_id for claim in claims}
    assert not kept & given_up
