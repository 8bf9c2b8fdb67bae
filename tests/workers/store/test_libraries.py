"""Libraries and what is asked of them, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from interleaf.errors import InvalidBrief, InvalidRequest, NameTaken, ObjectUnknown, PictureMissing, QuotaReached
from tests.workers.job_store import Store, new_key
from workers.store.ids import new_id
from workers.store.ingest_order import INGEST, IngestOrder
from workers.store.libraries import Libraries, Library
from workers.store.library_requests import LibraryRequests
from workers.store.outbox import of_kinds
from workers.store.stored_bytes import stored_bytes


@pytest.fixture
def libraries(store: Store) -> Libraries:
    return Libraries(store.database, clock=store.clock)


@pytest.fixture
def requests(store: Store) -> LibraryRequests:
    return LibraryRequests(store.database, clock=store.clock)


def test_a_library_belongs_to_its_owner(store: Store, libraries: Libraries) -> None:
    alice, bob = new_key(store.database, store.clock), new_key(store.database, store.clock)
    made = libraries.create(alice, " old\n harbour ", "Boats.\x00")
    assert (made.name, made.description, made.picture_count, made.bytes, made.encoder) == (
        *("old harbour", "Boats.", 0, 0, None),
    )
    assert libraries.get(made.id, alice) == made
    for ask in (lambda: libraries.get(made.id, bob), lambda: libraries.delete(made.id, bob)):
        with pytest.raises(ObjectUnknown):
            ask()
    for strange in ("", "lib_", "lib_" + "u" * 26, "x\x00", new_id("lib", store.clock())):
        with pytest.raises(ObjectUnknown):
            libraries.get(strange, alice)
    assert libraries.list(bob, 10) == []


@pytest.mark.parametrize("name", ["", " \u200b\n", "\u200b\u2060", "x" * 201])
def test_a_name_has_limits(store: Store, libraries: Libraries, name: str) -> None:
    with pytest.raises(InvalidRequest):
        libraries.create(new_key(store.database, store.clock), name)


def test_one_of_many_that_come_at_once_gets_the_name(store: Store, libraries: Libraries) -> None:
    alice = new_key(store.database, store.clock)

    def make(_: int) -> Library | None:
        try:
            return libraries.create(alice, "harbour")
        except NameTaken:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = [one for one in pool.map(make, range(8)) if one is not None]
    assert len(made) == 1
    libraries.delete(made[0].id, alice)
    again = libraries.create(alice, "harbour")
    assert libraries.resolve(alice, ["harbour"]) == [again]
    with pytest.raises(NameTaken):
        libraries.create(alice, "harbour")


def test_briefs_name_libraries_by_name_or_id(store: Store, libraries: Libraries) -> None:
    alice, bob = new_key(store.database, store.clock), new_key(store.database, store.clock)
    a, b = libraries.create(alice, "a"), libraries.create(alice, "b")
    assert [one.id for one in libraries.resolve(alice, ["b", a.id, "a"])] == [b.id, a.id, a.id]
    assert libraries.resolve(alice, []) == []
    for named in (["a", "c"], ["a", libraries.create(bob, "c").id]):
        with pytest.raises(InvalidBrief) as caught:
            libraries.resolve(alice, named)
        assert caught.value.thing == "libraries[1]"
    libraries.delete(a.id, alice)
    with pytest.raises(InvalidBrief):
        libraries.resolve(alice, [a.id])


def test_pages_and_names(store: Store, libraries: Libraries) -> None:
    alice = new_key(store.database, store.clock)
    ids = []
    for i in range(5):
        store.clock.move(1)
        ids.append(libraries.create(alice, f"n{i}").id)
    assert [one.id for one in libraries.list(alice, 2)] == ids[:2:-1]
    assert [one.id for one in libraries.list(alice, 2, after=ids[3])] == [ids[2], ids[1]]
    assert [one.id for one in libraries.list(alice, 2, before=ids[1])] == [ids[2], ids[3]]
    assert [one.id for one in libraries.list(alice, 9, name=" n3 ")] == [ids[3]]


def test_what_is_counted_counts_for_the_quota(store: Store, libraries: Libraries) -> None:
    alice = new_key(store.database, store.clock)
    a, b = libraries.create(alice, "a"), libraries.create(alice, "b")
    libraries.record(a.id, 3, 700, "enc@1")
    libraries.record(b.id, 1, 200)
    found = libraries.get(a.id, alice)
    assert (found.picture_count, found.bytes, found.encoder) == (3, 700, "enc@1")
    libraries.record(a.id, 4, 800)
    assert libraries.get(a.id, alice).encoder == "enc@1"
    with store.database.reading() as session:
        assert stored_bytes(session, alice) == 1_000
        assert stored_bytes(session, alice, but_library=a.id) == 200
    libraries.require_room(a, 800, 1_000)
    with pytest.raises(QuotaReached, match="1001 of 1000"):
        libraries.require_room(a, 801, 1_000)
    libraries.delete(b.id, alice)
    libraries.require_room(a, 1_000, 1_000)


def test_a_deleted_library_is_swept_until_it_is_forgotten(store: Store, libraries: Libraries) -> None:
    alice = new_key(store.database, store.clock)
    a, b = libraries.create(alice, "a"), libraries.create(alice, "b")
    assert list(libraries.sweeps()) == []
    libraries.delete(a.id, alice)
    assert list(libraries.sweeps(library_id=b.id)) == []
    assert list(libraries.sweeps(library_id=a.id)) == [a.id]
    assert list(libraries.sweeps()) == []
    store.clock.move(61)
    assert list(libraries.sweeps()) == [a.id]
    standing = libraries.standing(a.id)
    assert standing is not None
    assert standing.deleted_at is not None
    libraries.forget(b.id)  # is not deleted
    libraries.forget(a.id)
    assert libraries.standing(a.id) is None
    assert libraries.get(b.id, alice) == b
    store.clock.move(61)
    assert list(libraries.sweeps()) == []


def test_a_question_is_taken_once_and_answered(store: Store, libraries: Libraries, requests: LibraryRequests) -> None:
    alice = new_key(store.database, store.clock)
    library = libraries.create(alice, "a")
    asked = requests.ask(alice, library.id, "search", {"text": "boats"}, 60)
    assert requests.answer(asked.id) is None
    with ThreadPoolExecutor(4) as pool:
        taken = [one for one in pool.map(lambda _: requests.take(asked.id), range(4)) if one is not None]
    assert taken == [asked]
    assert not requests.withdraw(asked.id)
    requests.give(asked.id, {"hits": []})
    assert requests.answer(asked.id) == {"hits": []}


def test_an_answer_may_be_an_error(store: Store, libraries: Libraries, requests: LibraryRequests) -> None:
    alice = new_key(store.database, store.clock)
    asked = requests.ask(alice, libraries.create(alice, "a").id, "remove", {"picture_id": "x"}, 60)
    assert requests.take(asked.id) == asked
    requests.refuse(asked.id, PictureMissing("x", "is not there.", "Look."))
    with pytest.raises(PictureMissing, match="is not there"):
        requests.answer(asked.id)


def test_questions_end(store: Store, libraries: Libraries, requests: LibraryRequests) -> None:
    alice = new_key(store.database, store.clock)
    library = libraries.create(alice, "a")
    withdrawn = requests.ask(alice, library.id, "search", {}, 60)
    assert requests.withdraw(withdrawn.id)
    assert requests.take(withdrawn.id) is None
    expired = requests.ask(alice, library.id, "search", {}, 60)
    kept = requests.ask(alice, library.id, "search", {}, 90)
    assert requests.forget_expired() == 0
    store.clock.move(60)
    assert requests.take(expired.id) is None
    assert requests.forget_expired() == 1
    assert requests.take(kept.id) == kept
    for strange in ("", "lrq_x", "job_01kaj5v1c8m2n4p6q8r0s2t4v6"):
        assert requests.take(strange) is None
        assert requests.answer(strange) is None
    # With its library a question goes, too.
    libraries.delete(library.id, alice)
    libraries.forget(library.id)
    requests.give(kept.id, {"hits": []})
    assert requests.answer(kept.id) is None


def test_lost_messages_are_told_apart_by_kind(store: Store) -> None:
    alice = new_key(store.database, store.clock)
    order: dict[str, Any] = {"kind": INGEST}
    ingest = store.jobs.create(alice, INGEST, order)
    article = store.jobs.create(alice, "article", {"kind": "article"})
    assert {job.id for job in store.outbox.take()} == {ingest.id, article.id}
    store.clock.move(10)
    assert store.outbox.forget_sent(store.clock(), of_kinds(INGEST)) == 1
    assert [job.id for job in store.outbox.take()] == [ingest.id]
    store.clock.move(10)
    assert store.outbox.forget_sent(store.clock(), of_kinds(INGEST, others=True)) == 1
    assert [job.id for job in store.outbox.take()] == [article.id]


def test_an_order_names_an_upload_once() -> None:
    upload = "upl_01kaj5v1c8m2n4p6q8r0s2t4v6"
    order = IngestOrder(
        library_id="lib_01kaj5v1c8m2n4p6q8r0s2t4v6", uploads=(upload, f"upload:{upload}"), licence="CC0-1.0"
    )
    assert order.upload_ids == (upload,)
    assert order.given == {"licence": "CC0-1.0"}
