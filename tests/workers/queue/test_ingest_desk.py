"""The ingest desk: few at a time, one for each owner, nothing forgotten, nothing twice."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from workers.queue.ingest_desk import IngestDesk


def test_what_waits_is_done_by_who_is_there() -> None:
    desk, done, inside, go_on = IngestDesk(2), [], threading.Event(), threading.Event()

    def slow() -> None:
        inside.set()
        assert go_on.wait(20)
        done.append("slow")

    worker = threading.Thread(target=lambda: desk.take("slow", "alice", slow))
    worker.start()
    assert inside.wait(20)
    # Alice has one at work; the thread that brings her next one is free again at once.
    desk.take("next", "alice", lambda: done.append("next"))
    desk.take("next", "alice", lambda: done.append("twice"))
    desk.take("bobs", "bob", lambda: done.append("bobs"))
    assert done == ["bobs"]
    go_on.set()
    worker.join(20)
    assert done == ["bobs", "slow", "next"]


def test_no_more_than_so_many_and_no_two_of_one_owner() -> None:
    desk, lock = IngestDesk(2), threading.Lock()
    now: Counter[str] = Counter()
    most, faults, done = [0], [], []

    def work(owner: str, number: int) -> None:
        with lock:
            now[owner] += 1
            most[0] = max(most[0], now.total())
            if now[owner] > 1:
                faults.append(owner)
        threading.Event().wait(0.002)
        with lock:
            now[owner] -= 1
            done.append(number)

    with ThreadPoolExecutor(8) as pool:
        for number in range(200):
            owner = f"o{number % 3}"
            pool.submit(desk.take, str(number), owner, lambda owner=owner, number=number: work(owner, number))
    assert sorted(done) == list(range(200))
    assert not faults
    assert most[0] <= 2


def test_work_that_fails_frees_its_owner() -> None:
    desk, done = IngestDesk(1), []

    def broken() -> None:
        raise ValueError("broken")

    try:
        desk.take("a", "alice", broken)
    except ValueError:
        done.append("raised")
    desk.take("b", "alice", lambda: done.append("b"))
    assert done == ["raised", "b"]


def test_nothing_is_begun_after_the_end() -> None:
    desk, done = IngestDesk(1), []
    desk.close()
    desk.take("a", "alice", lambda: done.append("a"))
    assert desk.closed
    assert done == []
