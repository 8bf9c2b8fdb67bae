"""Soon: everything comes after its delay, in its order, whatever the ones before it raise; from one thread."""

from __future__ import annotations

import threading
import time

import pytest

from workers.queue.soon import Soon

WAIT_S = 10.0


def test_in_their_order_not_before_the_delay_and_by_one_thread() -> None:
    soon, came, done = Soon(0.05, "soon"), [], threading.Event()
    begun = time.monotonic()
    for number in range(100):
        soon.call(lambda number=number: came.append((number, time.monotonic(), threading.get_ident())))
    soon.call(done.set)
    assert done.wait(WAIT_S)
    assert [number for number, _, _ in came] == list(range(100))
    assert min(at for _, at, _ in came) >= begun + 0.05
    assert {ident for _, _, ident in came} != {threading.get_ident()} and len({ident for _, _, ident in came}) == 1


def test_one_that_fails_is_logged_and_the_next_comes(caplog: pytest.LogCaptureFixture) -> None:
    soon, done = Soon(0.0, "soon"), threading.Event()

    def fail() -> None:
        raise RuntimeError("not this one")

    soon.call(fail)
    soon.call(done.set)
    assert done.wait(WAIT_S)
    assert "not this one" in caplog.text


def test_what_is_handed_in_while_it_rests_or_works_comes_too() -> None:
    soon, first, second = Soon(0.01, "soon"), threading.Event(), threading.Event()
    soon.call(lambda: soon.call(first.set))
    assert first.wait(WAIT_S)
    time.sleep(0.1)  # nothing waits any more
    soon.call(second.set)
    assert second.wait(WAIT_S)
