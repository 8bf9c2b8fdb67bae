"""Common commit: writes of many threads share commits, each stands or falls alone, and nobody is told too early."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from interleaf.errors import JobActive, ServiceAway
from tests.fresh_database import make_fresh
from tests.workers.job_store import BRIEF, Store, assert_whole
from workers.store.common_commit import MOST, CommonCommit
from workers.store.database import _savepoint

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


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    make_fresh(made.database, made.url)
    assert made.owner
    yield made
    made.database.close()


def test_what_comes_while_another_commits_shares_the_next_commit(sqlite: Store) -> None:
    commits = Commits(sqlite)
    futures = commits.beside_one_that_waits([sqlite.create for _ in range(10)])
    assert len({future.result().id for future in futures}) == 10
    assert commits.count == 2
    assert assert_whole(sqlite.database) == 10


def test_a_commit_is_not_made_longer_without_end(sqlite: Store) -> None:
    commits, count = Commits(sqlite), MOST + 10
    futures = commits.beside_one_that_waits([partial(int, number) for number in range(count)])
    assert sorted(future.result() for future in futures) == list(range(count))
    assert commits.count == 3


def test_an_error_undoes_its_own_writes_and_comes_to_its_own_caller(sqlite: Store) -> None:
    def broken() -> None:
        sqlite.create()
        raise JobActive("half", "way.")

    commits = Commits(sqlite)
    futures = commits.beside_one_that_waits([sqlite.create, broken, sqlite.create, broken])
    told = [future.exception() for future in futures]
    assert [type(error) for error in told] == [type(None), JobActive, type(None), JobActive]
    assert told[1] is not told[3]
    made = {future.result().id for future in futures[::2]}
    assert {job.id for job in sqlite.jobs.list(sqlite.owner).jobs} == made
    assert assert_whole(sqlite.database) == 2


def test_a_commit_that_fails_is_told_to_everybody_whose_part_went_well(sqlite: Store) -> None:
    def broken() -> None:
        raise JobActive("own", "fault.")

    def failing() -> None:
        commits.failing = True

    commits = Commits(sqlite)
    futures = commits.beside_one_that_waits([sqlite.create, broken, failing, sqlite.create])
    assert [type(future.exception()) for future in futures] == [ServiceAway, JobActive, ServiceAway, ServiceAway]
    assert assert_whole(sqlite.database) == 0
    commits.failing = False
    commits.common.run(sqlite.create)
    assert assert_whole(sqlite.database) == 1


def test_together_writes_wholly_or_not_at_all(store: Store) -> None:
    """On both databases, with what the store's methods open for themselves inside."""
    assert store.owner

    def two() -> tuple[str, str]:
        return store.create().id, store.create().id

    def broken() -> None:
        store.create()
        raise JobActive("half", "way.")

    with ThreadPoolExecutor(8) as pool:
        whole = [pool.submit(store.database.together, two) for _ in range(20)]
        halves = [pool.submit(store.database.together, broken) for _ in range(20)]
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
        store.database.together(careless)
    assert assert_whole(store.database) == 0
    # Elsewhere the inner one is a savepoint, as ever.
    with store.database.transaction():
        careless()
    assert assert_whole(store.database) == 2


def test_another_process_sees_it_when_it_returns(sqlite: Store) -> None:
    job = sqlite.database.together(lambda: sqlite.jobs.create(sqlite.owner, "article", BRIEF))
    beside = Store(sqlite.url, clock=sqlite.clock)
    assert beside.jobs.get(job.id, sqlite.owner) == job
    beside.database.close()
