"""The ledger under chance: whatever owners, workers and reconcilers do in whatever order over days, deletions included,
it is the sum over all jobs that ever were, for each day what was reported on it, and no quota of jobs is passed."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from interleaf.errors import CompositionFailed, DayQuotaReached, JobActive, JobFinal, RunCanceled
from tests.workers.job_store import Store
from tests.workers.store.test_job_machine import CLAIM, JOB, JobMachine
from workers.store.api_keys import ApiKeys
from workers.store.job import Use
from workers.store.leases import Note
from workers.store.ledger import Amounts, Ledger

USE = st.builds(Use, st.sampled_from([0.0, 0.25, 3.5]), st.integers(0, 3))


class LedgerMachine(JobMachine):
    """The job machine, whose workers report what they use, whose days pass, and whose key has quotas at times."""

    @initialize()
    def begin(self) -> None:
        super().begin()
        ApiKeys(self.store.database).change(self.store.owner, {"max_jobs_per_day": None})
        self.quota: int | None = None
        self.by_day: Counter[date] = Counter()

    # What workers report stands in for the rules of the job machine, in which they use nothing.

    @rule(number=CLAIM, use=USE)
    def beat(self, number: int, use: Use) -> None:  # type: ignore[override]
        self._work(number, lambda c: self.store.leases.beat(c, use), lets_go=False)

    @rule(number=CLAIM, use=USE)
    def note(self, number: int, use: Use) -> None:  # type: ignore[override]
        self._work(number, lambda c: self.store.leases.tell(c, [Note("log", self.store.clock())], use), lets_go=False)

    @rule(number=CLAIM, use=USE)
    def release(self, number: int, use: Use) -> None:  # type: ignore[override]
        self._work(number, lambda c: self.store.leases.release(c, use), lets_go=True)

    @rule(number=CLAIM, use=USE, ending=st.sampled_from(["succeeded", "incomplete", "failed", "canceled"]))
    def finish(self, number: int, use: Use, ending: Any) -> None:  # type: ignore[override]
        error = CompositionFailed("draft", "gave up") if ending == "failed" else None
        finish = self.store.leases.finish
        self._work(number, lambda c: finish(c, ending, result={}, error=error, used=use), lets_go=True)

    @rule(number=CLAIM, use=USE, limit_s=st.sampled_from([None, 20]), on_timeout=st.sampled_from(["approve", "cancel"]))
    def ask(self, number: int, use: Use, limit_s: int | None, on_timeout: Any) -> None:  # type: ignore[override]
        deadline = None if limit_s is None else self.store.clock() + timedelta(seconds=limit_s)

        def ask(held: Any) -> None:
            try:
                self.store.leases.ask(held, {"asks": "outline"}, deadline, on_timeout, use)
            except RunCanceled:
                self.store.leases.finish(held, "canceled", used=use)

        self._work(number, ask, lets_go=True)

    @rule(days=st.sampled_from([0.5, 1, 2]))
    def days_pass(self, days: float) -> None:
        self.store.clock.move(days * 86_400)

    @rule(most=st.sampled_from([None, 0, 2, 4]))
    def set_quota(self, most: int | None) -> None:
        ApiKeys(self.store.database).change(self.store.owner, {"max_jobs_per_day": most})
        self.quota = most

    # What was taken in is counted here by the day; the job machine has no quotas.

    @rule(attempts=st.integers(1, 3), expires_s=st.sampled_from([None, 5, 100]))
    def create(self, attempts: int, expires_s: int | None) -> None:
        self._take_in(lambda: super(LedgerMachine, self).create(attempts, expires_s))

    @rule(number=JOB)
    def retry(self, number: int) -> None:
        self._take_in(lambda: super(LedgerMachine, self).retry(number))

    @rule(number=JOB)
    def rerun(self, number: int) -> None:
        if (before := self._picked(number)) is not None:
            self._take_in(lambda: self._see(self.store.jobs.rerun(before.id, self.store.owner)))

    def _take_in(self, take: Any) -> None:
        known, today = len(self.known), self.store.clock().date()
        room = self.quota is None or self.by_day[today] < self.quota
        try:
            take()
        except DayQuotaReached:
            assert not room
            assert len(self.known) == known
        except (JobActive, JobFinal):
            assert len(self.known) == known
        else:
            assert room or len(self.known) == known
            self.by_day[today] += len(self.known) - known

    @precondition(lambda self: hasattr(self, "by_day"))
    @invariant()
    def the_ledger_is_the_sum_over_all_jobs(self) -> None:
        ledger, jobs = Ledger(self.store.database), list(self.known.values())
        expected = Amounts(
            jobs=len(jobs),
            ended=sum(job.final for job in jobs),
            failed=sum(job.state == "failed" for job in jobs),
            seconds=sum(job.seconds_used for job in jobs),
            tokens=sum(job.tokens_used for job in jobs),
        )
        since, until = date(2026, 1, 1), date(2036, 1, 1)
        assert ledger.total(self.store.owner, since, until) == expected  # quarters of a second add up exactly
        days = ledger.days(self.store.owner, since, until, 1000)
        assert {one.day: one.used.jobs for one in days if one.used.jobs} == {d: n for d, n in self.by_day.items() if n}
        assert sum((one.used for one in days), Amounts()) == expected


def test_the_ledger_machine(store: Store) -> None:
    class Machine(LedgerMachine):
        pass

    Machine.store = store
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine, settings=settings(max_examples=40, stateful_step_count=50, deadline=None)
    )
