"""The ledger on both databases: what is accounted when, to whom and to which day; quotas of a day; days that go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from interleaf.errors import CompositionFailed, DayQuotaReached, LeaseLost, ObjectUnknown, error_from_record
from tests.workers.job_store import BRIEF, LEASE_S, Store, new_key
from workers.store.api_keys import ApiKeys
from workers.store.artifacts import StoredFile
from workers.store.database import write_last
from workers.store.job import Use
from workers.store.leases import Note
from workers.store.ledger import Amounts, Ledger, account, standing_of
from workers.store.new_rows import insert_if_new
from workers.store.results import Results
from workers.store.tables import DocumentRow, LedgerRow

TODAY = date(2026, 1, 1)  # the clock of the store's tests begins at noon of it
EVER = (date(2020, 1, 1), date(2040, 1, 1))


def used(store: Store, day: date | None = TODAY, owner: str | None = None) -> Amounts:
    since, until = EVER if day is None else (day, day)
    return Ledger(store.database).total(owner or store.owner, since, until)


def set_quotas(store: Store, **quotas: int | None) -> None:
    ApiKeys(store.database).change(store.owner, quotas)


def test_a_job_is_accounted_from_its_acceptance_to_its_end(store: Store) -> None:
    claim = store.claimed()
    assert used(store) == Amounts(jobs=1)
    store.leases.beat(claim, Use(2.5, 10))
    store.leases.tell(claim, [Note("log", store.clock())], Use(1.0, 0))
    assert used(store) == Amounts(jobs=1, seconds=3.5, tokens=10)
    store.leases.finish(claim, "succeeded", result={}, used=Use(0.5, 7))
    assert used(store) == Amounts(jobs=1, ended=1, seconds=4.0, tokens=17)
    job = store.get(claim)
    assert (job.seconds_used, job.tokens_used) == (4.0, 17)
    store.jobs.delete(claim.job_id, store.owner)
    assert used(store) == Amounts(jobs=1, ended=1, seconds=4.0, tokens=17)


def test_each_end_counts_once_and_failures_apart(store: Store) -> None:
    store.leases.finish(store.claimed(), "failed", error=CompositionFailed("draft", "gave up"))
    store.leases.finish(store.claimed(), "incomplete", result={})
    store.jobs.cancel(store.create().id, store.owner)
    canceled = store.claimed()
    store.jobs.cancel(canceled.job_id, store.owner)  # canceling is no end
    assert used(store) == Amounts(jobs=4, ended=3, failed=1)
    store.leases.finish(canceled, "canceled", used=Use(1.0))
    asked = store.asked()
    store.jobs.answer(asked.id, store.owner, str(asked.request_id), "cancel")
    assert used(store) == Amounts(jobs=5, ended=5, failed=1, seconds=1.0)


def test_every_report_of_a_worker_counts(store: Store) -> None:
    claim = store.claimed()
    store.leases.release(claim, Use(1.0, 10))
    again = store.leases.claim(claim.job_id, "worker-2", LEASE_S)
    assert again is not None
    job = store.leases.ask(again, {"asks": "outline"}, used=Use(2.0, 20))
    assert used(store) == Amounts(jobs=1, seconds=3.0, tokens=30)
    store.jobs.answer(job.id, store.owner, str(job.request_id), "approve")
    last = store.leases.claim(job.id, "worker-3", LEASE_S)
    assert last is not None
    store.jobs.cancel(job.id, store.owner)
    assert store.leases.release(last, Use(4.0, 40)).state == "canceled"
    assert used(store) == Amounts(jobs=1, ended=1, seconds=7.0, tokens=70)


def test_a_report_counts_once_whether_or_not_its_lost_answer_meant_that_it_arrived(store: Store) -> None:
    first = store.claimed()
    store.leases.release(first, Use(100.0, 100))  # an attempt before
    claim = store.leases.claim(first.job_id, "worker-2", LEASE_S)
    assert claim is not None
    store.leases.beat(claim, Use(5.0, 5))
    # The answer to this one was lost; it had arrived.
    store.leases.beat(claim, Use(2.0, 2))
    store.leases.beat(claim, Use(3.0, 3, in_all=Use(8.0, 8)))
    assert used(store) == Amounts(jobs=1, seconds=108.0, tokens=108)
    # The next one had not.
    store.leases.tell(claim, [Note("log", store.clock())], Use(4.0, 4, in_all=Use(12.0, 12)))
    assert used(store) == Amounts(jobs=1, seconds=112.0, tokens=112)
    store.leases.tell(claim, [Note("log", store.clock())], Use(4.0, 4, in_all=Use(12.0, 12)))
    job = store.leases.finish(claim, "succeeded", result={}, used=Use(1.0, 1, in_all=Use(13.0, 13)))
    assert (job.seconds_used, job.tokens_used) == (113.0, 113)
    assert used(store) == Amounts(jobs=1, ended=1, seconds=113.0, tokens=113)
    with pytest.raises(LeaseLost):
        store.leases.beat(claim, Use(1.0, 1, in_all=Use(99.0, 99)))


def test_what_the_service_ends_by_itself_counts(store: Store) -> None:
    store.create(expires_at=store.clock() + timedelta(seconds=1))
    store.asked(deadline=store.clock() + timedelta(seconds=1))
    lost = store.leases.claim(store.create(max_attempts=1).id, "worker-1", LEASE_S)
    assert lost is not None
    store.clock.move(LEASE_S + 1)
    assert {job.state for job in store.reconciler.overdue()} == {"expired"}
    assert {job.state for job in store.reconciler.lost()} == {"failed"}
    assert used(store) == Amounts(jobs=3, ended=3, failed=1)


def test_a_late_or_repeated_report_adds_nothing_and_each_attempt_its_own(store: Store) -> None:
    late = store.claimed("worker-1")
    store.leases.beat(late, Use(5.0, 50))
    store.clock.move(LEASE_S + 1)
    assert [job.state for job in store.reconciler.lost()] == ["queued"]
    second = store.leases.claim(late.job_id, "worker-2", LEASE_S)
    assert second is not None
    reports: list[Callable[[], object]] = [
        lambda: store.leases.beat(late, Use(100.0, 1000)),
        lambda: store.leases.tell(late, [Note("log", store.clock())], Use(100.0, 1000)),
        lambda: store.leases.release(late, Use(100.0, 1000)),
        lambda: store.leases.ask(late, {"asks": "outline"}, used=Use(100.0, 1000)),
        lambda: store.leases.finish(late, "succeeded", result={}, used=Use(100.0, 1000)),
    ]
    for report in reports:
        with pytest.raises(LeaseLost):
            report()
    store.leases.finish(second, "succeeded", result={}, used=Use(3.0, 30))
    with pytest.raises(LeaseLost):
        store.leases.finish(second, "succeeded", result={}, used=Use(3.0, 30))
    assert used(store) == Amounts(jobs=1, ended=1, seconds=8.0, tokens=80)


def test_what_goes_on_at_midnight_counts_for_both_days(store: Store) -> None:
    claim = store.claimed()
    store.leases.beat(claim, Use(10.0, 1))
    store.clock.now = datetime(2026, 1, 1, 23, 59, 59, 999999, tzinfo=UTC)
    store.leases.beat(claim, Use(1.0, 2))
    store.clock.move(0.000001)
    store.leases.finish(claim, "succeeded", result={}, used=Use(4.0, 3))
    assert used(store) == Amounts(jobs=1, seconds=11.0, tokens=3)
    assert used(store, date(2026, 1, 2)) == Amounts(ended=1, seconds=4.0, tokens=3)
    ledger = Ledger(store.database)
    days = ledger.days(store.owner, *EVER, 10)
    assert [day.id for day in days] == ["2026-01-02", "2026-01-01"]
    assert ledger.days(store.owner, *EVER, 10, after=days[0].id) == days[1:]
    assert ledger.days(store.owner, *EVER, 10, before=days[1].id) == days[:1]
    assert ledger.days(store.owner, TODAY, TODAY, 10) == days[1:]
    assert ledger.days(store.owner, *EVER, 1) == days[:1]


def test_what_is_undone_is_not_accounted(store: Store) -> None:
    kept = store.create()
    with store.database.transaction() as session:
        store.create()
        with pytest.raises(ValueError, match="undo"), store.database.transaction():  # a part alone
            store.create()
            account(session, store.owner, store.clock(), Amounts(seconds=7.0))
            raise ValueError("undo")
    with pytest.raises(ValueError, match="all"), store.database.transaction():
        store.create()
        raise ValueError("all of it")
    assert used(store) == Amounts(jobs=2)
    assert store.jobs.count(("queued",), store.owner) == 2
    assert kept.state == "queued"


def test_one_statement_for_a_transaction_however_much_it_does(store: Store) -> None:
    calls: list[list[int]] = []

    def write(session: Any, values: list[int]) -> None:
        calls.append(list(values))

    with store.database.transaction() as session:
        write_last(session, write, 1)
        with store.database.transaction():
            write_last(session, write, 2)
        assert calls == []
    assert calls == [[1, 2]]
    store.database.together(lambda: write_last(_session(store), write, 3), store.owner)
    assert calls == [[1, 2], [3]]


def _session(store: Store) -> Any:
    with store.database.transaction() as session:
        return session


def test_transactions_that_take_keys_in_different_orders_do_not_wait_for_each_other(store: Store) -> None:
    """Reconcilers move jobs of many keys in one transaction, a batch is canceled while its jobs end."""
    other = new_key(store.database, store.clock)
    start = threading.Barrier(2)
    wrong: list[BaseException] = []

    def work(owners: list[str]) -> None:
        try:
            start.wait(60)
            for _ in range(20):
                with store.database.transaction():
                    for owner in owners:
                        store.jobs.create(owner, "article", BRIEF)
        except BaseException as error:  # looked at below
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(owners,)) for owners in ([store.owner, other], [other, store.owner])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == []
    assert used(store) == used(store, owner=other) == Amounts(jobs=40)


def test_bytes_of_files_count_once_for_each_that_is_kept(store: Store) -> None:
    results = Results(store.database, store.leases, clock=store.clock)
    claim = store.claimed()
    with store.database.transaction() as session:
        assert insert_if_new(
            session,
            DocumentRow,
            id="doc_" + "0" * 26,
            owner=store.owner,
            job_id=claim.job_id,
            title="t",
            version=1,
            article={},
            created_at=store.clock(),
            run_id=claim.job.run_id,
            formats=None,
            theme=None,
            publish_at=None,
            published_at=None,
            render_job_id=None,
        )
    file = StoredFile("jobs/x/page", 1000, "0" * 64)
    for _ in range(2):  # a message may come twice
        results.keep_file(claim, "doc_" + "0" * 26, "html", "text/html", file, ["html", "md"])
    assert used(store) == Amounts(jobs=1, bytes=1000)


def test_a_rename_a_quota_and_a_revoked_key_change_nothing_of_what_was_used(store: Store) -> None:
    keys = ApiKeys(store.database)
    store.create()
    assert keys.change(store.owner, {"name": " new\nname ", "max_jobs_per_day": 5}).name == "new name"
    keys.revoke(store.owner)
    assert used(store) == Amounts(jobs=1)
    assert Ledger(store.database, clock=store.clock).standing(store.owner).quotas[0].used == 1
    for unknown in ("key_" + "0" * 26, "x", "\0"):
        with pytest.raises(ObjectUnknown):
            Ledger(store.database).standing(unknown)
        with pytest.raises(ObjectUnknown):
            keys.change(unknown, {"name": "x"})


def test_a_quota_of_jobs_is_told_and_ends_at_midnight(store: Store) -> None:
    set_quotas(store, max_jobs_per_day=2)
    first = store.create()
    store.jobs.cancel(first.id, store.owner)  # what was taken in stays counted
    store.create()
    with pytest.raises(DayQuotaReached) as refused:
        store.create()
    error = refused.value
    assert (error.quota, error.limit, error.used) == ("max_jobs_per_day", 2, 2)
    assert (error.free_at, error.wait_s) == ("2026-01-02T00:00:00Z", 12 * 3600)
    assert "jobs" in error.message and "used so far: 2." in error.message
    assert "2026-01-02T00:00:00Z" in error.message
    assert used(store) == Amounts(jobs=2, ended=1)
    with pytest.raises(DayQuotaReached):
        store.jobs.retry(first.id, store.owner)
    with pytest.raises(DayQuotaReached):
        store.jobs.rerun(first.id, store.owner)
    followed = store.jobs.create(store.owner, "article", BRIEF, follows=True)  # its files, say
    assert used(store).jobs == 3
    store.clock.move(12 * 3600)
    store.jobs.retry(first.id, store.owner)
    assert used(store, date(2026, 1, 2)) == Amounts(jobs=1)
    set_quotas(store, max_jobs_per_day=0)
    with pytest.raises(DayQuotaReached):
        store.create()
    set_quotas(store, max_jobs_per_day=None)
    store.create()
    assert followed.state == "queued"


@pytest.mark.parametrize(
    ("quota", "use"), [("max_seconds_per_day", Use(60.0, 0)), ("max_tokens_per_day", Use(0.0, 60))]
)
def test_quotas_of_seconds_and_tokens_refuse_what_is_new_and_end_no_work(store: Store, quota: str, use: Use) -> None:
    set_quotas(store, **{quota: 100})
    claim = store.claimed()
    store.leases.beat(claim, use)
    store.create()
    store.leases.beat(claim, use)
    with pytest.raises(DayQuotaReached) as refused:
        store.create()
    assert (refused.value.quota, refused.value.limit, refused.value.used) == (quota, 100, 120)
    store.leases.beat(claim, use)
    assert store.leases.finish(claim, "succeeded", result={}, used=use).state == "succeeded"
    with store.database.reading() as session:
        standing = standing_of(session, store.owner, store.clock())
    assert (standing.quotas[0].left, standing.quotas[0].used, standing.jobs_left) == (0, 240, 0)


def test_of_many_that_come_at_once_as_many_get_in_as_there_is_room_for(store: Store) -> None:
    set_quotas(store, max_jobs_per_day=5)
    came: list[str] = []

    def submit(through: Callable[[], Any]) -> None:
        for _ in range(3):
            try:
                came.append(through().id)
            except DayQuotaReached:
                came.append("")

    ways = [store.create, lambda: store.database.together(store.create, store.owner)]
    threads = [threading.Thread(target=submit, args=(ways[number % 2],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(came) == 18
    assert len([one for one in came if one]) == 5
    assert used(store) == Amounts(jobs=5)
    assert store.jobs.count(("queued",), store.owner) == 5


def test_who_is_over_a_quota_costs_those_nothing_who_write_with_it(store: Store) -> None:
    """On SQLite writes of several requests are one commit."""
    other = new_key(store.database, store.clock)
    set_quotas(store, max_jobs_per_day=0)
    made: list[str] = []
    refused: list[str] = []
    start = threading.Barrier(8)

    def submit(owner: str) -> None:
        start.wait(60)
        for _ in range(5):
            try:
                job = store.database.together(lambda: store.jobs.create(owner, "article", BRIEF), store.owner)
                made.append(job.owner)
            except DayQuotaReached:
                refused.append(owner)

    threads = [threading.Thread(target=submit, args=(owner,)) for owner in [store.owner, other] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert (set(made), len(made)) == ({other}, 20)
    assert (set(refused), len(refused)) == ({store.owner}, 20)
    assert used(store, owner=other) == Amounts(jobs=20)
    assert used(store) == Amounts()


def test_old_days_are_forgotten_and_no_others(store: Store) -> None:
    ledger = Ledger(store.database, clock=store.clock)
    for _ in range(3):
        store.create()
        store.clock.move(86_400)
    assert ledger.forget(date(2026, 1, 3)) == 2
    assert ledger.forget(date(2026, 1, 3)) == 0
    assert [day.id for day in ledger.days(store.owner, *EVER, 10)] == ["2026-01-03"]


def test_numbers_are_those_of_large_sums(store: Store) -> None:
    """PostgreSQL sums whole numbers as decimals."""
    with store.database.transaction() as session:
        account(session, store.owner, store.clock(), Amounts(tokens=2**61, bytes=2**61, seconds=0.25))
    store.clock.move(86_400)
    with store.database.transaction() as session:
        account(session, store.owner, store.clock(), Amounts(tokens=2**60, bytes=1))
    assert used(store, None) == Amounts(tokens=2**61 + 2**60, bytes=2**61 + 1, seconds=0.25)


def test_the_refusal_outlives_a_queue() -> None:
    given = DayQuotaReached("max_jobs_per_day", "2 are used.", "Wait.", "max_jobs_per_day", 2, 2, "2026-01-02", 60)
    back = error_from_record({"type": "DayQuotaReached", "args": list(given.args)})
    assert isinstance(back, DayQuotaReached)
    assert (back.quota, back.limit, back.used, back.free_at, back.wait_s) == (
        "max_jobs_per_day",
        2,
        2,
        "2026-01-02",
        60,
    )
    assert DayQuotaReached("a", "b").wait_s == 0


def test_rows_are_there_for_days_on_which_something_was_used(store: Store) -> None:
    store.leases.beat(store.claimed(), Use())
    with store.database.transaction() as session:
        session.execute(update(LedgerRow).values(bytes=5))
        account(session, store.owner, store.clock(), Amounts())  # nothing is not written
        assert session.scalars(select(LedgerRow.bytes)).all() == [5]
