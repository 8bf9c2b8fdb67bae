"""Common commit: writes of many threads share commits, each stands or falls alone, and nobody is told too early."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from interleaf.errors import JobActive, ServiceAway
from tests.workers.job_store import BRIEF, Store, assert_whole, new_key
from workers.store.common_commit import MOST, CommonCommit, CommonCommits
from workers.store.database import _savepoint
from workers.store.tables import ApiKeyRow

WAIT_S = 20.0


class Commits:
    """A common commit over a real database that counts its transactions, and can be made to wait or to fail."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        self.failing = False
        self._store = store
        self.common = CommonCommit(self._transaction, _savepoint)

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with self._store.database.transaction() as session:
            self.count += 1
            yield session
            if self.failing:
                raise ServiceAway("disk", "is full.")

    def beside_one_that_waits(self, writes: list[Callable[[], Any]]) -> list[Future[Any]]:
        """The writes, all of which came while another one was at work."""
        begun, over = threading.Event(), threading.Event()

        def slow() -> None:
            begun.set()
            assert over.wait(WAIT_S)

        with ThreadPoolExecutor(len(writes) + 1) as pool:
            first = pool.submit(self.common.run, slow)
            assert begun.wait(WAIT_S)
            futures = [pool.submit(self.common.run, write) for write in writes]
            while len(self.common._waiting) < len(writes):
                assert not first.done()
            over.set()
        first.result()
        return futures


def test_what_comes_while_another_commits_shares_the_next_commit(store: Store) -> None:
    commits = Commits(store)
    futures = commits.beside_one_that_waits([store.create for _ in range(10)])
    assert len({future.result().id for future in futures}) == 10
    assert commits.count == 2
    assert assert_whole(store.database) == 10


def test_a_commit_is_not_made_longer_without_end(store: Store) -> None:
    commits, count = Commits(store), MOST + 10
    futures = commits.beside_one_that_waits([partial(int, number) for number in range(count)])
    assert sorted(future.result() for future in futures) == list(range(count))
    assert commits.count == 3


def test_an_error_undoes_its_own_writes_and_comes_to_its_own_caller(store: Store) -> None:
    def broken() -> None:
        store.create()
        raise JobActive("half", "way.")

    commits = Commits(store)
    futures = commits.beside_one_that_waits([store.create, broken, store.create, broken])
    told = [future.exception() for future in futures]
    assert [type(error) for error in told] == [type(None), JobActive, type(None), JobActive]
    assert told[1] is not told[3]
    made = {future.result().id for future in futures[::2]}
    assert {job.id for job in store.jobs.list(store.owner).jobs} == made
    assert assert_whole(store.database) == 2


def test_what_could_not_be_done_beside_others_is_done_by_itself(store: Store) -> None:
    tried: list[int] = []

    def in_the_way() -> str:
        tried.append(threading.get_ident())
        made = store.create().id
        if len(tried) == 1:
            raise ServiceAway("database", "found a deadlock.")
        return made

    commits = Commits(store)
    first, second = commits.beside_one_that_waits([store.create, in_the_way])
    assert {first.result().id, second.result()} == {job.id for job in store.jobs.list(store.owner).jobs}
    assert len(tried) == 2
    assert commits.count == 3
    assert assert_whole(store.database) == 2


def test_what_cannot_be_done_alone_either_is_told(store: Store) -> None:
    def away() -> None:
        store.create()
        raise ServiceAway("disk", "is full.")

    commits = Commits(store)
    first, second = commits.beside_one_that_waits([store.create, away])
    assert first.result()
    assert isinstance(second.exception(), ServiceAway)
    assert assert_whole(store.database) == 1


def test_transactions_that_stand_in_each_others_way_are_both_written(new_postgres: Any, postgres_template: str) -> None:
    """A deadlock, as PostgreSQL finds it: each of two processes has a row that the other wants."""
    stores = [Store(url) for url in [new_postgres(postgres_template)] * 2]
    keys = sorted(new_key(stores[0].database, stores[0].clock) for _ in range(2))
    both_have_one = threading.Barrier(2)

    def rename(store: Store, key: str, name: str, *, meet: bool = False) -> str:
        with store.database.transaction() as session:
            session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key).values(name=name))
        if meet:
            with suppress(threading.BrokenBarrierError):
                both_have_one.wait(WAIT_S)
        return key

    def process(store: Store, first: str, second: str, name: str) -> list[Future[Any]]:
        commits = Commits(store)
        with_meeting = partial(rename, store, first, name, meet=True)
        return commits.beside_one_that_waits([with_meeting, partial(rename, store, second, name)])

    with ThreadPoolExecutor(2) as pool:
        sides = [pool.submit(process, store, *order, name) for store, order, name in
                 zip(stores, (keys, keys[::-1]), "ab", strict=True)]  # fmt: skip
    assert [sorted(future.result() for future in side.result()) for side in sides] == [keys, keys]
    for store in stores:
        store.database.close()


def test_what_is_written_for_others_waits_for_nobody(store: Store) -> None:
    made: list[CommonCommit] = []

    def make() -> CommonCommit:
        made.append(CommonCommit(store.database.transaction, _savepoint))
        return made[-1]

    commits = CommonCommits(make)
    begun, over = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert over.wait(WAIT_S)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(commits.run, "one", slow)
        assert begun.wait(WAIT_S)
        if store.database.kind == "postgresql":  # SQLite has one writer anyway
            assert commits.run("other", lambda: "quick") == "quick"
            assert len(made) == 2
        over.set()
        assert first.result() == "slow"
    # Nothing is kept of those for whom nobody writes.
    assert commits._open == {}
    with pytest.raises(JobActive):
        commits.run("one", partial(_raise, JobActive("own", "fault.")))
    assert commits._open == {}


def _raise(error: Exception) -> None:
    raise error


def test_a_commit_that_fails_is_told_to_everybody_whose_part_went_well(store: Store) -> None:
    def broken() -> None:
        raise JobActive("own", "fault.")

    def failing() -> None:
        commits.failing = True

    assert store.owner
    commits = Commits(store)
    futures = commits.beside_one_that_waits([store.create, broken, failing, store.create])
    assert [type(future.exception()) for future in futures] == [ServiceAway, JobActive, ServiceAway, ServiceAway]
    assert assert_whole(store.database) == 0
    commits.failing = False
    commits.common.run(store.create)
    assert assert_whole(store.database) == 1


def test_together_writes_wholly_or_not_at_all(store: Store) -> None:
    """On both databases, with what the store's methods open for themselves inside."""
    assert store.owner

    def two() -> tuple[str, str]:
        return store.create().id, store.create().id

    def broken() -> None:
        store.create()
        raise JobActive("half", "way.")

    with ThreadPoolExecutor(8) as pool:
        whole = [pool.submit(store.database.together, two, store.owner) for _ in range(20)]
        halves = [pool.submit(store.database.together, broken, store.owner) for _ in range(20)]
    assert all(isinstance(future.exception(), JobActive) for future in halves)
    assert len({one for future in whole for one in future.result()}) == 40
    assert assert_whole(store.database) == 40


def test_an_error_that_is_swallowed_inside_is_no_success(store: Store) -> None:
    """Nothing inside has a savepoint of its own, so going on would commit half of what failed."""

    def careless() -> None:
        store.create()
        try:
            with store.database.transaction():
                store.create()
                raise JobActive("inner", "fault.")
        except JobActive:
            store.create()

    assert store.owner
    with pytest.raises(AssertionError, match="nobody minded"):
        store.database.together(careless, store.owner)
    assert assert_whole(store.database) == 0
    # Elsewhere the inner one is a savepoint, as ever.
    with store.database.transaction():
        careless()
    assert assert_whole(store.database) == 2


def test_another_process_sees_it_when_it_returns(store: Store) -> None:
    job = store.database.together(lambda: store.jobs.create(store.owner, "article", BRIEF), store.owner)
    beside = Store(store.url, clock=store.clock)
    assert beside.jobs.get(job.id, store.owner) == job
    beside.database.close()
