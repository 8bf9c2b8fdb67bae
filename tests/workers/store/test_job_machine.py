"""The job store as one machine: whatever owners, workers and reconcilers do in whatever order while time passes, only
moves of the table happen, events have no hole, what has ended stays, nobody shares a job, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from interleaf.errors import CompositionFailed, JobActive, JobFinal, LeaseLost, RequestStale, RunCanceled
from tests.workers.job_store import LEASE_S, Store, assert_whole
from workers.store.job import Claim, Job, Use
from workers.store.job_query import JobQuery
from workers.store.job_transitions import FINAL, TRANSITIONS

WORKERS = ("worker-1", "worker-2", "worker-3")
HELD = ("running", "canceling")
# Few jobs and few claims, the newest first, so that what is done in one step meets what was done before.
JOB = st.integers(0, 2)
CLAIM = st.integers(0, 2)


class JobMachine(RuleBasedStateMachine):
    """Drives a store and keeps what must be true in plain dictionaries."""

    store: Store

    @initialize()
    def begin(self) -> None:
        self.store.clear()
        self.known: dict[str, Job] = {}
        self.deleted: set[str] = set()
        self.holder: dict[str, Claim] = {}
        """Whose claim is good, as far as the outside can tell: the newest, until it let go or was given up."""
        self.claims: list[Claim] = []

    # What owners do.

    @rule(attempts=st.integers(1, 3), expires_s=st.sampled_from([None, 5, 100]))
    def create(self, attempts: int, expires_s: int | None) -> None:
        expires = None if expires_s is None else self.store.clock() + timedelta(seconds=expires_s)
        self._see(self.store.create(max_attempts=attempts, expires_at=expires))

    @rule(number=JOB)
    def cancel(self, number: int) -> None:
        if (before := self._picked(number)) is None:
            return
        job_id = before.id
        try:
            after = self._see(self.store.jobs.cancel(job_id, self.store.owner))
        except JobFinal:
            assert before.final
        else:
            assert after.state == ("canceling" if before.state in HELD else "canceled")

    @rule(number=JOB, action=st.sampled_from(["approve", "edit", "cancel"]), stale=st.booleans())
    def answer(self, number: int, action: Any, stale: bool) -> None:
        if (before := self._picked(number)) is None:
            return
        job_id = before.id
        request = "req_" + "0" * 26 if stale else str(before.request_id)
        try:
            after = self._see(self.store.jobs.answer(job_id, self.store.owner, request, action))
        except (JobFinal, RequestStale):
            assert stale or before.state != "awaiting_input" or before.answered_at is not None
        else:
            assert not stale
            assert before.state == "awaiting_input"
            assert before.answered_at is None
            assert after.state == ("canceled" if action == "cancel" else "awaiting_input")

    @rule(number=JOB)
    def retry(self, number: int) -> None:
        if (before := self._picked(number)) is None:
            return
        job_id = before.id
        alive = [
            j for j in self.known.values() if j.run_id == before.run_id and j.id not in self.deleted and not j.final
        ]
        try:
            after = self._see(self.store.jobs.retry(job_id, self.store.owner))
        except (JobActive, JobFinal):
            assert alive or before.state == "succeeded"
            return
        assert before.state in FINAL - {"succeeded"}
        assert not alive
        assert (after.run_id, after.retry_of) == (before.run_id, job_id)

    @rule(number=JOB)
    def delete(self, number: int) -> None:
        if (before := self._picked(number)) is None:
            return
        job_id = before.id
        try:
            self.store.jobs.delete(job_id, self.store.owner)
        except JobActive:
            assert not before.final
        else:
            assert before.final
            self.deleted.add(job_id)

    # What workers do.

    @rule(number=JOB, worker=st.sampled_from(WORKERS))
    def claim(self, number: int, worker: str) -> None:
        if (before := self._picked(number)) is None:
            return
        job_id = before.id
        claim = self.store.leases.claim(job_id, worker, LEASE_S)
        late = before.started_at is None and before.expires_at is not None and before.expires_at <= self.store.clock()
        answered = before.state == "awaiting_input" and before.answered_at is not None
        assert (claim is not None) == ((before.state == "queued" and not late) or answered)
        if claim is None:
            return
        assert claim.attempt == before.attempt + 1
        # Nobody else may hold it now.
        assert job_id not in self.holder
        self.holder[job_id] = claim
        self.claims.append(claim)
        self._see(claim.job)

    @rule(number=CLAIM)
    def beat(self, number: int) -> None:
        self._work(number, lambda c: self.store.leases.beat(c, Use(1.0, 1)), lets_go=False)

    @rule(number=CLAIM)
    def note(self, number: int) -> None:
        self._work(number, lambda c: self.store.leases.note(c, "log", stage="draft"), lets_go=False)

    @rule(number=CLAIM, limit_s=st.sampled_from([None, 20]), on_timeout=st.sampled_from(["approve", "cancel"]))
    def ask(self, number: int, limit_s: int | None, on_timeout: Any) -> None:
        deadline = None if limit_s is None else self.store.clock() + timedelta(seconds=limit_s)

        def ask(held: Claim) -> None:
            if self.known[held.job_id].state == "canceling":
                try:
                    self.store.leases.ask(held, {"asks": "outline"}, deadline, on_timeout)
                except RunCanceled:
                    self.store.leases.finish(held, "canceled")
                else:
                    raise AssertionError("a canceled job asked")
            else:
                self.store.leases.ask(held, {"asks": "outline"}, deadline, on_timeout)

        self._work(number, ask, lets_go=True)

    @rule(number=CLAIM, ending=st.sampled_from(["succeeded", "incomplete", "failed", "canceled"]))
    def finish(self, number: int, ending: Any) -> None:
        error = CompositionFailed("draft", "gave up") if ending == "failed" else None
        self._work(number, lambda c: self.store.leases.finish(c, ending, result={}, error=error), lets_go=True)

    @rule(number=CLAIM)
    def release(self, number: int) -> None:
        self._work(number, lambda c: self.store.leases.release(c), lets_go=True)

    def _work(self, number: int, call: Callable[[Claim], object], *, lets_go: bool) -> None:
        if number >= len(self.claims):
            return
        claim = self.claims[-1 - number]
        good = self.holder.get(claim.job_id) == claim
        try:
            call(claim)
        except LeaseLost:
            assert not good, "the holder was refused"
        else:
            assert good, "a late writer was not refused"
            if lets_go:
                del self.holder[claim.job_id]
        self._look(claim.job_id)

    # What the service does, and time.

    @rule(seconds=st.sampled_from([1, 10, LEASE_S, 100]))
    def time_passes(self, seconds: float) -> None:
        self.store.clock.move(seconds)

    @rule(limit=st.sampled_from([1, 100]))
    def find_lost(self, limit: int) -> None:
        now = self.store.clock()
        for job in self.store.reconciler.lost(limit):
            before = self.known[job.id]
            assert before.lease_until is not None
            assert before.lease_until <= now
            assert job.state == "canceled" or job.failed_attempts == before.failed_attempts + 1
            assert (job.state == "failed") == (job.state != "canceled" and job.failed_attempts == job.max_attempts)
            del self.holder[job.id]
            self._see(job)

    @rule(limit=st.sampled_from([1, 100]))
    def find_overdue(self, limit: int) -> None:
        for job in self.store.reconciler.overdue(limit):
            assert job.state in ("expired", "awaiting_input")
            self._see(job)

    @rule()
    def send(self) -> None:
        now = self.store.clock()
        sent = {job.id: self._see(job) for job in self.store.outbox.take(1000)}
        for job in self._all():
            waits = job.state == "queued" or (job.state == "awaiting_input" and job.answered_at is not None)
            assert job.id not in sent or waits
            # Whatever waits has a message on its way that is not too old.
            assert not waits or (job.dispatched_at is not None and now - job.dispatched_at < timedelta(seconds=300))

    # What must be true at all times.

    @precondition(lambda self: hasattr(self, "known"))
    @invariant()
    def nothing_is_lost_and_nothing_ended_changes(self) -> None:
        jobs = self._all()
        assert {job.id for job in jobs} == set(self.known) - self.deleted
        for job in jobs:
            self._see(job)
            assert (job.state in HELD) == (job.id in self.holder)

    def teardown(self) -> None:
        if not hasattr(self, "known"):
            return
        assert assert_whole(self.store.database) == len(self.known) - len(self.deleted)
        # Left alone, everything comes to its end: lost jobs are found, and one good worker does the rest.
        for _ in range(8):
            self.store.clock.move(1000)
            self.store.reconciler.lost(1000)
            self.store.reconciler.overdue(1000)
            for job in self.store.outbox.take(1000):
                if (claim := self.store.leases.claim(job.id, "last", LEASE_S)) is not None:
                    self.store.leases.finish(claim, "succeeded", result={})
        left = [job for job in self._all() if not job.final]
        # Only who asked without a deadline still waits.
        assert all(job.state == "awaiting_input" and job.input_deadline is None for job in left), left
        assert_whole(self.store.database)

    def _all(self) -> list[Job]:
        jobs: list[Job] = []
        after = None
        while (page := self.store.jobs.list(self.store.owner, JobQuery(limit=100, after=after))).jobs:
            jobs += page.jobs
            after = page.last_id
        return jobs

    def _picked(self, number: int) -> Job | None:
        """The newest job, the one before it, and so on; None when there are not so many."""
        there = [job_id for job_id in self.known if job_id not in self.deleted]  # in the order of their making
        return self._look(there[-1 - number]) if number < len(there) else None

    def _look(self, job_id: str) -> Job | None:
        return None if job_id in self.deleted else self._see(self.store.jobs.get(job_id, self.store.owner))

    def _see(self, job: Job) -> Job:
        before = self.known.get(job.id)
        if before is not None:
            assert not before.final or job == before, "what has ended changed"
            assert job.attempt >= before.attempt
            assert job.event_count >= before.event_count
            if job.event_count == before.event_count:
                assert job.state == before.state
            assert job.state == before.state or _reachable(before.state, job.state)
        self.known[job.id] = job
        return job


def _reachable(source: Any, target: Any) -> bool:
    """Whether the table leads from one state to the other, by way of canceling if need be."""
    return target in TRANSITIONS[source] or any(target in TRANSITIONS[step] for step in TRANSITIONS[source])


def test_the_job_machine(store: Store) -> None:
    class Machine(JobMachine):
        pass

    Machine.store = store
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine, settings=settings(max_examples=25, stateful_step_count=50, deadline=None)
    )
