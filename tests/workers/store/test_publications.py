"""Publication: a piece of a schedule is published at its time, once, however many beats look."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.orm import Session

from interleaf.errors import ServiceAway
from tests.agents.editing.pieces import PIECE
from tests.workers.job_store import LEASE_S, Store
from tests.workers.store.schedule_hands import ScheduleHands, at_noon
from workers.store.artifacts import StoredFile
from workers.store.pieces import Document, Pieces
from workers.store.publications import PUBLISHED, Publications
from workers.store.results import Results
from workers.store.schedule import Schedule


@pytest.fixture
def hands(store: Store) -> ScheduleHands:
    return ScheduleHands(store)


def written(hands: ScheduleHands, job_id: str) -> Document:
    """What a worker does: the piece of a job is there."""
    claim = hands.store.leases.claim(job_id, "worker-1", LEASE_S)
    assert claim is not None
    results = Results(hands.store.database, hands.store.leases, clock=hands.store.clock)
    made = results.keep_document(claim, PIECE, StoredFile(f"jobs/x/{job_id}", 2, "0" * 64))
    hands.store.leases.finish(claim, "succeeded", result={})
    return seen(hands, made.id)


def seen(hands: ScheduleHands, document_id: str) -> Document:
    return Pieces(hands.store.database).document(document_id, hands.store.owner)


def run_of(hands: ScheduleHands, schedule: Schedule) -> str:
    job_id = hands.runs(schedule)[-1].job_id
    assert job_id is not None
    return job_id


def test_a_piece_is_published_at_its_time_and_not_when_it_is_made(hands: ScheduleHands) -> None:
    told: list[tuple[str, str, str]] = []

    def announce(session: Session, owner: str, event: str, data: Mapping[str, Any]) -> None:
        assert session.in_transaction()
        told.append((owner, event, data["id"]))

    publications = Publications(hands.store.database, clock=hands.store.clock, announce=announce)
    schedule = hands.create(publish_after_s=1800)
    hands.to(1.1)
    document = written(hands, run_of(hands, schedule))
    assert (document.publish_at, document.published_at) == (at_noon(1.5), None)
    assert hands.runs(schedule)[0].publish_at == at_noon(1.5)
    other = written(hands, hands.store.create().id)
    assert (other.publish_at, other.published_at) == (None, None)
    hands.to(1.49, tick=False)
    assert publications.publish() == 0
    hands.to(1.51, tick=False)
    assert publications.publish() == 1
    assert publications.publish() == 0
    document = seen(hands, document.id)
    assert (document.publish_at, document.published_at) == (None, at_noon(1.51))
    assert told == [(hands.store.owner, PUBLISHED, document.id)]
    assert seen(hands, other.id).published_at is None
    listed = Pieces(hands.store.database).documents(hands.store.owner, 10)
    assert {one.id: one.published_at for one in listed} == {document.id: at_noon(1.51), other.id: None}


def test_a_piece_that_is_late_is_published_when_it_is_there(hands: ScheduleHands) -> None:
    publications = Publications(hands.store.database, clock=hands.store.clock)
    schedule = hands.create(publish_after_s=60)
    hands.to(1.1)
    hands.to(1.9, tick=False)
    document = written(hands, run_of(hands, schedule))
    assert publications.publish() == 1
    assert seen(hands, document.id).published_at == at_noon(1.9)


def test_a_retry_of_a_run_is_published_when_the_run_was_to_be(hands: ScheduleHands) -> None:
    schedule = hands.create(publish_after_s=7_200)
    hands.to(1)
    first = run_of(hands, schedule)
    hands.store.jobs.cancel(first, hands.store.owner)
    second = hands.store.jobs.retry(first, hands.store.owner)
    hands.store.jobs.cancel(second.id, hands.store.owner)
    third = hands.store.jobs.retry(second.id, hands.store.owner)
    assert written(hands, third.id).publish_at == at_noon(3)


def test_each_is_published_once_when_several_look_at_once(hands: ScheduleHands) -> None:
    schedule = hands.create(publish_after_s=0)
    told: list[str] = []

    def announce(session: Session, owner: str, event: str, data: Mapping[str, Any]) -> None:
        told.append(data["id"])

    documents = set()
    for hour in range(1, 9):
        hands.to(hour)
        documents.add(written(hands, run_of(hands, schedule)).id)
    beats = [Store(hands.store.url, clock=hands.store.clock) for _ in range(3)]
    publishers = [Publications(beat.database, clock=hands.store.clock, announce=announce) for beat in beats]
    with ThreadPoolExecutor(3) as pool:
        counts = list(pool.map(lambda one: sum(one.publish(2) for _ in range(6)), publishers))
    assert sum(counts) == len(told) == 8 and set(told) == documents
    for beat in beats:
        beat.database.close()


def test_what_cannot_be_announced_is_not_published(hands: ScheduleHands) -> None:
    schedule = hands.create(publish_after_s=0)
    hands.to(1)
    document = written(hands, run_of(hands, schedule))

    def failing(*_: Any) -> None:
        raise ServiceAway("database", "is away.")

    with pytest.raises(ServiceAway):
        Publications(hands.store.database, clock=hands.store.clock, announce=failing).publish()
    assert seen(hands, document.id).published_at is None
    assert Publications(hands.store.database, clock=hands.store.clock).publish() == 1
