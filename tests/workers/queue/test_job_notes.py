"""Job notes: in their order, together, within a moment; none twice, none lost; what comes back reaches the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from interleaf.errors import JobActive, LeaseLost, ServiceAway
from tests.workers.job_store import LEASE_S, Store, assert_whole
from workers.queue import job_notes as module
from workers.queue.job_notes import JobNotes
from workers.queue.watch import Watch
from workers.store.job import Claim, Use
from workers.store.leases import Note

AT = datetime(2026, 1, 1, tzinfo=UTC)


def notes_of(store: Store, claim: Claim) -> tuple[JobNotes, Watch]:
    watch = Watch(claim)
    return JobNotes(store.database, store.leases, watch), watch


def until(fits: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not fits():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_several_notes_are_one_write_with_rising_ids(store: Store) -> None:
    claim = store.claimed()
    said = (
        Note("stage.started", AT, {"a": 1}, stage="plan"),
        Note("stage.progress", AT, share_done=0.5, message="half\nway"),
        Note("stage.started", AT, stage="draft"),
    )
    assert store.leases.tell(claim, said, Use(2.0, 3)) == "go_on"
    job = store.get(claim)
    assert (job.stage, job.share_done, job.message) == ("draft", None, "half way")
    assert (job.seconds_used, job.tokens_used, job.event_count) == (2.0, 3, 5)
    told = store.told(claim)[2:]
    assert [(event.id, event.name) for event in told] == [
        (3, "stage.started"),
        (4, "stage.progress"),
        (5, "stage.started"),
    ]
    assert told[0].data == {"attempt": 1, "stage": "plan", "share_done": None, "a": 1}
    assert told[1].data == {"attempt": 1, "share_done": 0.5, "message": "half way"}
    store.jobs.cancel(claim.job_id, store.owner)
    assert store.leases.tell(claim, said) == "cancel"
    store.leases.finish(claim, "canceled")
    with pytest.raises(LeaseLost):
        store.leases.tell(claim, said)
    assert_whole(store.database)
    with pytest.raises(ValueError, match="not the name"):
        Note("job.succeeded", AT)


def test_notes_are_written_after_a_moment_or_with_what_is_written_next(store: Store) -> None:
    claim = store.claimed()
    notes, _ = notes_of(store, claim)
    for number in range(3):
        notes.add(Note("stage.progress", AT, {"number": number}))
    until(lambda: len(store.told(claim)) == 5)
    notes.add(Note("stage.completed", AT))
    notes.with_those(lambda: store.leases.finish(claim, "succeeded"))
    assert store.names(claim)[2:] == ["stage.progress"] * 3 + ["stage.completed", "job.succeeded"]
    assert [event.data.get("number") for event in store.told(claim)[2:5]] == [0, 1, 2]
    time.sleep(module.DELAY_S * 2)
    assert len(store.names(claim)) == 7, "nothing is written twice"
    assert_whole(store.database)


def test_what_fails_leaves_the_notes_where_they_were(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELAY_S", 600.0)
    claim = store.claimed()
    notes, _ = notes_of(store, claim)
    notes.add(Note("stage.started", AT, stage="plan"))

    def refuse() -> None:
        raise JobActive("not", "now.")

    for _ in range(2):
        with pytest.raises(JobActive):
            notes.with_those(refuse)
    assert store.names(claim) == ["job.queued", "job.started"]
    notes.with_those(lambda: None)
    notes.with_those(lambda: None)
    assert store.names(claim) == ["job.queued", "job.started", "stage.started"]


def test_a_store_that_is_away_gets_them_when_it_is_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = store.claimed()
    notes, watch = notes_of(store, claim)
    tell, asked, back = store.leases.tell, [], threading.Event()

    def away(*said: Any) -> Any:
        asked.append(1)
        if not back.is_set():
            raise ServiceAway("database", "is away.")
        return tell(*said)

    monkeypatch.setattr(store.leases, "tell", away)
    notes.add(Note("stage.started", AT, stage="plan"))
    until(lambda: len(asked) >= 2)
    back.set()
    until(lambda: store.names(claim)[2:] == ["stage.started"])
    assert watch.reason is None


@pytest.mark.parametrize("reason", ["canceled", "lost"])
def test_what_comes_back_is_told_to_the_run(store: Store, reason: str) -> None:
    claim = store.claimed()
    notes, watch = notes_of(store, claim)
    if reason == "canceled":
        store.jobs.cancel(claim.job_id, store.owner)
    else:
        store.clock.move(LEASE_S + 1)
        store.reconciler.lost()
    notes.add(Note("stage.started", AT, stage="plan"))
    until(lambda: watch.reason is not None)
    assert watch.reason == reason
    assert ("stage.started" in store.names(claim)) == (reason == "canceled")
