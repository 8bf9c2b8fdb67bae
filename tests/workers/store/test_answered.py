"""Answered on both databases: one of many answers, the others repeat it; a failure leaves nothing, work and answer
stand or fall together."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from interleaf.errors import IdempotencyMismatch, InvalidRequest, QuotaReached, RequestInProgress
from tests.workers.job_store import BRIEF, Store
from workers.store.answered import Answer, Answered, Request


def test_many_at_once_do_it_once(store: Store) -> None:
    answered = Answered(store.database, clock=store.clock)
    request = Request.of(store.owner, "k", "POST /x", b"body")
    numbers, got = count(), []

    def answer() -> Answer:
        store.create()
        return Answer(202, str(next(numbers)).encode(), {"Location": "/x"})

    threads = [threading.Thread(target=lambda: got.append(answered.once(request, answer))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # On PostgreSQL two may answer side by side; then the later one is undone, whichever of the two that is.
    assert len(got) == 10
    assert len({given.body for given, _ in got}) == 1
    assert sorted(replayed for _, replayed in got) == [False] + [True] * 9
    assert len(store.jobs.list(store.owner).jobs) == 1


def test_a_failure_leaves_neither_work_nor_answer(store: Store) -> None:
    answered = Answered(store.database, clock=store.clock)
    request = Request.of(store.owner, "k", "POST /x", b"")

    def fail() -> Answer:
        store.jobs.create(store.owner, "article", BRIEF)
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        answered.once(request, fail)
    assert store.jobs.list(store.owner).jobs == ()
    assert answered.once(request, lambda: Answer(201, b"", {})) == (Answer(201, b"", {}), False)


def test_a_request_that_was_answered_is_answered_again_also_where_it_would_be_refused_now(store: Store) -> None:
    answered = Answered(store.database, clock=store.clock)
    request = Request.of(store.owner, "k", "POST /x", b"")
    full = False

    def answer() -> Answer:
        if full:
            raise QuotaReached("jobs", "are too many.")
        return Answer(202, store.create().id.encode(), {})

    first, _ = answered.once(request, answer)
    full = True
    assert answered.once(request, answer) == (first, True)
    with pytest.raises(QuotaReached):
        answered.once(Request.of(store.owner, "other", "POST /x", b""), answer)
    with pytest.raises(IdempotencyMismatch):
        answered.once(Request.of(store.owner, "k", "POST /x", b"other"), answer)
    assert len(store.jobs.list(store.owner).jobs) == 1


def test_what_a_repetition_writes_before_it_is_noticed_is_undone(store: Store) -> None:
    answered = Answered(store.database, clock=store.clock)
    request = Request.of(store.owner, "k", "POST /x", b"")
    for replayed in (False, True, True):
        assert answered.once(request, lambda: Answer(202, b"same" + store.create().id[:0].encode(), {}))[1] == replayed
    assert len(store.jobs.list(store.owner).jobs) == 1
    # After its day the name is free.
    store.clock.move(24 * 3600 + 1)
    assert not answered.once(request, lambda: Answer(202, store.create().id.encode(), {}))[1]
    assert len(store.jobs.list(store.owner).jobs) == 2


def test_work_that_takes_long_is_begun_kept_or_abandoned(store: Store) -> None:
    answered = Answered(store.database, clock=store.clock)
    request = Request.of(store.owner, "k", "POST /x", b"")
    assert answered.begin(request) is None
    with pytest.raises(RequestInProgress):
        answered.begin(request)
    answered.abandon(request)
    assert answered.begin(request) is None
    answered.keep(request, Answer(201, b"x", {"A": "b"}))
    answered.abandon(request)  # too late: it was done
    assert answered.begin(request) == Answer(201, b"x", {"A": "b"})
    with pytest.raises(IdempotencyMismatch):
        answered.begin(Request.of(store.owner, "k", "POST /x", b"other"))
    with pytest.raises(IdempotencyMismatch):
        answered.begin(Request.of(store.owner, "k", "POST /x?" + "y" * 5_000, b""))


def test_what_is_no_name_is_refused(store: Store) -> None:
    for name in ("", "a b", "\n", "é", "\0", "x" * 256):
        with pytest.raises(InvalidRequest):
            Request.of(store.owner, name, "POST /x", b"")
