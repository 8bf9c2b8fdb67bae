"""Watch and lease keeper: when a run is told to stop, and that a lease lives as long as somebody beats for it."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from interleaf.errors import LeaseLost, ServiceAway
from interleaf.schema import Budget
from tests.workers.job_store import Store
from workers.queue.lease_keeper import LeaseKeeper
from workers.queue.watch import Watch
from workers.store.clock import utc_now
from workers.store.job import Claim, Use
from workers.store.leases import Order


class Leases:
    """Answers beats as told, and counts them."""

    def __init__(self) -> None:
        self.answer: Order | Exception = "go_on"
        self.uses: list[Use] = []
        self.released: list[str] = []
        self.beaten = threading.Event()

    def beat(self, claim: Claim, used: Use = Use()) -> Order:  # noqa: B008
        self.beaten.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        self.uses.append(used)
        return self.answer

    def release(self, claim: Claim, used: Use = Use()) -> None:  # noqa: B008
        self.released.append(claim.job_id)


@pytest.fixture
def claim(store: Store) -> Claim:
    store.clock = utc_now
    job = store.create()
    found = store.leases.claim(job.id, "worker", 0.4)
    assert found is not None
    return found


def keeper_of(leases: Leases, lease_s: float = 0.4) -> LeaseKeeper:
    return LeaseKeeper(leases, lease_s)  # type: ignore[arg-type]


def wait_for(what: object, timeout_s: float = 5) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_lease_that_is_kept_outlives_its_length_and_one_let_go_does_not(store: Store, claim: Claim) -> None:
    keeper = LeaseKeeper(store.leases, claim.lease_s)
    watch = Watch(claim, renew=keeper.renew)
    keeper.keep(watch)
    time.sleep(3 * claim.lease_s)
    assert store.reconciler.lost() == []
    assert not watch.canceled()
    keeper.let_go(watch)
    time.sleep(1.5 * claim.lease_s)
    assert [job.id for job in store.reconciler.lost()] == [claim.job_id]
    # Now it asks by itself, and learns that it is too late.
    assert watch.canceled()
    assert watch.reason == "lost"
    assert store.jobs.get(claim.job_id, claim.job.owner).seconds_used >= 2 * claim.lease_s


def test_a_wish_to_stop_reaches_the_run_with_the_next_beat(store: Store, claim: Claim) -> None:
    keeper = LeaseKeeper(store.leases, claim.lease_s)
    watch = Watch(claim, renew=keeper.renew)
    keeper.keep(watch)
    store.jobs.cancel(claim.job_id, claim.job.owner)
    wait_for(watch.canceled)
    assert watch.reason == "canceled"
    keeper.let_go(watch)


def test_the_limits_count_over_all_attempts(claim: Claim) -> None:
    before = replace(claim, job=replace(claim.job, seconds_used=10.0, tokens_used=90))
    watch = Watch(before)
    watch.limit(Budget(seconds=10.2, tokens=100))
    assert not watch.canceled()
    watch.spend(9)
    assert not watch.canceled()
    watch.spend(1)
    assert watch.canceled()
    assert watch.reason == "tokens"
    other = Watch(before)
    other.limit(Budget(seconds=10.1))
    wait_for(other.canceled)
    assert other.reason == "seconds"


def test_a_limit_that_is_nearly_reached_is_told_once(claim: Claim) -> None:
    watch = Watch(replace(claim, job=replace(claim.job, seconds_used=85.0, tokens_used=70)))
    assert watch.nearly_spent() == [], "no limits yet"
    watch.limit(Budget(seconds=100.0, tokens=100))
    assert [(name, most) for name, _, most in watch.nearly_spent()] == [("seconds", 100.0)]
    watch.spend(9)
    assert watch.nearly_spent() == []
    watch.spend(1)
    assert watch.nearly_spent() == [("tokens", 80, 100)]
    assert watch.nearly_spent() == []
    assert watch.reason is None


def test_the_first_reason_counts_but_a_lost_lease_before_all(claim: Claim) -> None:
    watch = Watch(claim)
    watch.stop("canceled")
    watch.stop("released")
    assert watch.reason == "canceled"
    watch.stop("lost")
    watch.stop("canceled")
    assert watch.reason == "lost"


def test_a_heartbeat_that_arrived_without_an_answer_counts_once(store: Store, claim: Claim) -> None:
    """The connection breaks after the commit: the same use is told again, and the job has it once."""
    real, beat = store.leases, store.leases.beat
    answered, lost = threading.Event(), threading.Event()

    def broken(claim: Claim, used: Use) -> Order:
        order = beat(claim, used)
        if not lost.is_set():
            lost.set()
            raise ServiceAway("database", "broke off.", "")
        answered.set()
        return order

    watch = Watch(claim)
    watch.spend(7)
    keeper = LeaseKeeper(real, 0.4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real, "beat", broken)
        keeper.keep(watch)
        assert lost.wait(30)
        assert answered.wait(30)
        keeper.let_go(watch)
        wait_for(lambda: keeper._thread is None, 30)
    watch.spend(2)
    watch.end()
    job = real.finish(claim, "succeeded", result={}, used=watch.take_use())
    assert watch._ended is not None
    assert job.tokens_used == 9
    assert job.seconds_used == pytest.approx(watch._ended - watch._begun)


def test_use_is_told_once_and_again_when_it_did_not_arrive(claim: Claim) -> None:
    leases, watch = Leases(), Watch(claim)
    keeper = keeper_of(leases)
    watch.spend(7)
    leases.answer = ServiceAway("database", "is away.", "")
    keeper.keep(watch)
    assert leases.beaten.wait(5)
    leases.answer = "go_on"
    wait_for(lambda: len(leases.uses) >= 2)
    keeper.let_go(watch)
    assert sum(use.tokens for use in leases.uses) == 7
    watch.end()
    told = sum(use.seconds for use in [*leases.uses, watch.take_use()])
    time.sleep(0.05)
    assert watch.take_use().seconds == 0
    assert told > 0


def test_a_lost_lease_is_kept_no_more_and_a_run_waits_while_the_store_is_away(claim: Claim) -> None:
    leases = Leases()
    keeper = keeper_of(leases)
    watch = Watch(claim, renew=keeper.renew)
    leases.answer = ServiceAway("database", "is away.", "")
    time.sleep(claim.lease_s)
    answers: list[bool] = []
    asking = threading.Thread(target=lambda: answers.append(watch.canceled()))
    asking.start()
    asking.join(0.5)
    assert asking.is_alive(), "nothing may be written while nobody can say whose the job is"
    leases.answer = "go_on"
    asking.join(5)
    assert answers == [False]
    leases.answer = LeaseLost("job", "gone.", "")
    keeper.keep(watch)
    wait_for(lambda: watch.reason == "lost")
    wait_for(lambda: keeper.kept() == [])


def test_what_waits_is_released_at_the_end_and_what_runs_is_told(claim: Claim) -> None:
    leases = Leases()
    keeper = keeper_of(leases, lease_s=60)
    running, waiting = Watch(claim), Watch(claim)
    keeper.keep(running)
    keeper.keep(waiting, lambda: None)
    keeper.release_all()
    assert (running.reason, waiting.reason) == ("released", "released")
    assert leases.released == [claim.job_id]
    assert [watch for watch, _ in keeper.kept()] == [running]


def test_each_is_called_at_every_beat_whatever_it_raises(claim: Claim) -> None:
    leases = Leases()
    keeper = keeper_of(leases)
    calls: list[int] = []

    def each() -> None:
        calls.append(1)
        raise ServiceAway("queue", "is away.", "") if len(calls) < 3 else LeaseLost("job", "ended.", "")

    keeper.keep(Watch(claim), each)
    wait_for(lambda: keeper.kept() == [])
    assert len(calls) == 3
