"""Jobs: what an owner may do in which state, one event for each change, and nothing of other people's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interleaf.errors import (
    InterleafError,
    InvalidBrief,
    InvalidRequest,
    JobActive,
    JobFinal,
    JobUnknown,
    RequestStale,
)
from tests.workers.job_store import BRIEF, LEASE_S, Store, assert_whole, new_key
from workers.store.ids import made_at, new_id
from workers.store.job import Job
from workers.store.job_query import JobQuery
from workers.store.job_transitions import FINAL, STATES, TRANSITIONS, sources_of
from workers.store.tables import ArtifactRow, DocumentRow


@pytest.fixture
def ended(store: Store) -> Job:
    claim = store.claimed()
    return store.leases.finish(claim, "incomplete", result={"document_id": "d"})


def test_the_table_is_whole() -> None:
    assert set(TRANSITIONS) == set(STATES)
    assert frozenset({"succeeded", "incomplete", "failed", "canceled", "expired"}) == FINAL
    reached = {after for state in STATES for after in TRANSITIONS[state]} | {"queued"}
    assert reached == set(STATES)
    assert sources_of("canceled") == ("queued", "canceling")


def test_a_new_job_is_queued_and_all_that_was_given_is_kept(store: Store) -> None:
    expires = store.clock() + timedelta(hours=1)
    job = store.create(metadata={"team": "sea"}, external_id="order 7", expires_at=expires, max_attempts=5)
    assert store.jobs.get(job.id, store.owner) == job
    assert (job.state, job.attempt, job.event_count, job.final) == ("queued", 0, 1, False)
    assert (job.metadata, job.external_id, job.expires_at, job.max_attempts) == (
        {"team": "sea"},
        "order 7",
        expires,
        5,
    )
    assert job.created_at == job.queued_at == made_at(job.id) == store.clock()
    assert job.dispatched_at is None
    assert store.jobs.brief(job.id, store.owner) == BRIEF
    assert store.names(job) == ["job.queued"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"metadata": {f"k{n}": "v" for n in range(17)}},
        {"metadata": {'a"].b': "v"}},
        {"metadata": {"": "v"}},
        {"metadata": {"k": "v" * 501}},
        {"metadata": {"k": "a\x00b"}},
        {"metadata": {"k": 7}},
        {"external_id": ""},
        {"external_id": "x" * 201},
        {"external_id": "line\nbreak"},
        {"max_attempts": 0},
    ],
    ids=str,
)
def test_labels_beyond_their_limits_are_refused_by_name(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        store.create(**wrong)
    assert caught.value.thing.split(".")[0] == next(iter(wrong))
    assert store.jobs.list(store.owner).jobs == ()


def test_other_peoples_jobs_are_not_there(store: Store) -> None:
    job = store.asked()
    stranger = new_key(store.database, store.clock)
    for call in (
        lambda: store.jobs.get(job.id, stranger),
        lambda: store.jobs.brief(job.id, stranger),
        lambda: store.jobs.cancel(job.id, stranger),
        lambda: store.jobs.answer(job.id, stranger, str(job.request_id), "approve"),
        lambda: store.jobs.retry(job.id, stranger),
        lambda: store.jobs.rerun(job.id, stranger),
        lambda: store.jobs.delete(job.id, stranger),
        lambda: store.events.after(job.id, stranger),
    ):
        with pytest.raises(JobUnknown) as caught:
            call()
        # The same words as for a job that does not exist.
        with pytest.raises(JobUnknown) as missing:
            store.jobs.get(new_id("job", store.clock()), stranger)
        assert caught.value.args[1:] == missing.value.args[1:]
    assert store.jobs.list(stranger).jobs == ()
    assert store.jobs.list(stranger, JobQuery(after=job.id)).jobs == ()
    assert store.get(job) == job


@pytest.mark.parametrize("hostile", ["", "job_\x00", "job_" + "0" * 26 + "'", "\ud83d", "x" * 10_000])
def test_a_hostile_id_is_an_unknown_one(store: Store, hostile: str) -> None:
    for call in (store.jobs.get, store.jobs.cancel, store.events.after):
        with pytest.raises(JobUnknown):
            call(hostile, store.owner)
    assert store.leases.claim(hostile, "worker-1", LEASE_S) is None


def test_cancel_is_at_once_while_nobody_works(store: Store) -> None:
    queued, asked = store.create(), store.asked()
    for job, names in ((queued, ["job.canceled"]), (asked, ["job.canceling", "job.canceled"])):
        canceled = store.jobs.cancel(job.id, store.owner)
        assert canceled.state == "canceled"
        assert canceled.finished_at == store.clock()
        assert (canceled.lease_owner, canceled.lease_until, canceled.input_deadline) == (None, None, None)
        assert store.names(job)[-len(names) :] == names
        assert store.leases.claim(job.id, "worker-1", LEASE_S) is None
    assert_whole(store.database)


def test_cancel_of_a_running_job_waits_for_its_worker_and_may_be_repeated(store: Store) -> None:
    claim = store.claimed()
    canceling = store.jobs.cancel(claim.job_id, store.owner)
    assert canceling.state == "canceling"
    assert canceling.lease_owner == claim.worker
    assert store.jobs.cancel(claim.job_id, store.owner) == canceling
    assert store.names(claim).count("job.canceling") == 1


def test_what_has_ended_stays_as_it_is(store: Store, ended: Job) -> None:
    with pytest.raises(JobFinal, match="incomplete"):
        store.jobs.cancel(ended.id, store.owner)
    with pytest.raises(JobFinal):
        store.jobs.answer(ended.id, store.owner, "req", "approve")
    assert store.leases.claim(ended.id, "worker-1", LEASE_S) is None
    assert store.get(ended) == ended


def test_an_answer_is_kept_as_the_run_takes_it_and_sent_on(store: Store) -> None:
    job = store.asked(deadline=store.clock() + timedelta(minutes=5))
    outline = {"title": "Tides", "sections": []}
    answered = store.jobs.answer(job.id, store.owner, str(job.request_id), "edit", {"outline": outline})
    assert answered.answer == {"decision": "edit", "outline": outline}
    assert (answered.state, answered.answered_at, answered.input_deadline) == ("awaiting_input", store.clock(), None)
    assert [found.id for found in store.outbox.take()] == [job.id]
    claim = store.leases.claim(job.id, "worker-2", LEASE_S)
    assert claim is not None
    assert claim.job.answer == answered.answer
    assert claim.attempt == 2
    assert store.names(job)[-3:] == ["job.awaiting_input", "job.answered", "job.started"]


def test_only_the_open_question_can_be_answered_and_only_once(store: Store) -> None:
    job = store.asked()
    first = str(job.request_id)
    for wrong in ("", new_id("req", store.clock())):
        with pytest.raises(RequestStale):
            store.jobs.answer(job.id, store.owner, wrong, "approve")
    store.jobs.answer(job.id, store.owner, first, "approve")
    with pytest.raises(RequestStale):
        store.jobs.answer(job.id, store.owner, first, "approve")
    claim = store.leases.claim(job.id, "worker-1", LEASE_S)
    assert claim is not None
    with pytest.raises(RequestStale):
        store.jobs.answer(job.id, store.owner, first, "approve")
    asked = store.leases.ask(claim, {"asks": "pictures"})
    assert asked.request_id != first
    assert (asked.answer, asked.answered_at) == (None, None)
    with pytest.raises(RequestStale):
        store.jobs.answer(job.id, store.owner, first, "approve")
    assert store.leases.claim(job.id, "worker-1", LEASE_S) is None


def test_of_several_answers_at_once_one_is_taken(store: Store) -> None:
    job = store.asked()

    def answer(number: int) -> bool:
        try:
            store.jobs.answer(job.id, store.owner, str(job.request_id), "edit", {"number": number})
        except RequestStale:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(answer, range(12))) == 1
    assert store.names(job).count("job.answered") == 1


def test_a_no_ends_the_job_at_once(store: Store) -> None:
    job = store.asked()
    assert store.jobs.answer(job.id, store.owner, str(job.request_id), "cancel").state == "canceled"


def test_an_answer_that_does_not_fit_is_refused_and_the_job_goes_on_waiting(store: Store) -> None:
    job = store.asked()
    seen = []

    def check(question: Any, answer: Any) -> None:
        seen.append((question, answer))
        raise InvalidBrief("outline", "is missing.")

    with pytest.raises(InvalidBrief):
        store.jobs.answer(job.id, store.owner, str(job.request_id), "edit", {"x": 1}, check=check)
    with pytest.raises(InvalidRequest, match="action"):
        store.jobs.answer(job.id, store.owner, str(job.request_id), "maybe")  # type: ignore[arg-type]
    assert seen == [({"asks": "outline"}, {"x": 1, "decision": "edit"})]
    assert store.get(job) == job


def test_a_retry_goes_on_in_the_same_run_one_at_a_time(store: Store) -> None:
    claim = store.leases.claim(store.create(metadata={"a": "b"}, external_id="e").id, "worker-1", LEASE_S)
    assert claim is not None
    with pytest.raises(JobActive):
        store.jobs.retry(claim.job_id, store.owner)
    store.leases.finish(claim, "incomplete", result={})
    again = store.jobs.retry(claim.job_id, store.owner)
    assert (again.retry_of, again.run_id, again.state, again.attempt) == (claim.job_id, claim.job.run_id, "queued", 0)
    assert (again.metadata, again.external_id) == ({"a": "b"}, "e")
    assert store.jobs.brief(again.id, store.owner) == BRIEF
    with pytest.raises(JobActive, match="already"):
        store.jobs.retry(claim.job_id, store.owner)
    store.jobs.cancel(again.id, store.owner)
    assert store.jobs.retry(claim.job_id, store.owner).run_id == again.run_id


def test_of_several_retries_at_once_one_is_made(store: Store, ended: Job) -> None:
    def retry(_: int) -> bool:
        try:
            store.jobs.retry(ended.id, store.owner)
        except JobActive:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(retry, range(12))) == 1
    assert store.jobs.count(["queued"], store.owner) == 1


def test_what_succeeded_is_not_retried_but_can_be_run_again(store: Store) -> None:
    claim = store.claimed()
    store.leases.finish(claim, "succeeded", result={})
    with pytest.raises(JobFinal, match="rerun"):
        store.jobs.retry(claim.job_id, store.owner)
    same = store.jobs.rerun(claim.job_id, store.owner)
    other = store.jobs.rerun(claim.job_id, store.owner, BRIEF | {"kind": "webpage", "seed": 7})
    assert len({claim.job.run_id, same.run_id, other.run_id}) == 3
    assert same.rerun_of == other.rerun_of == claim.job_id
    assert (same.kind, other.kind) == ("article", "webpage")
    assert store.jobs.brief(same.id, store.owner) == BRIEF
    assert store.jobs.brief(other.id, store.owner)["seed"] == 7


def test_delete_takes_the_job_its_events_and_the_files_that_nobody_else_uses(store: Store) -> None:
    claim = store.claimed()
    with pytest.raises(JobActive):
        store.jobs.delete(claim.job_id, store.owner)
    document = new_id("doc", store.clock())
    with store.database.transaction() as session:
        session.add(DocumentRow(id=document, owner=store.owner, job_id=claim.job_id, title="t", version=1,
                                article={}, created_at=store.clock()))  # fmt: skip
        session.flush()
        for form, key, job_id in (
            ("html", "own", claim.job_id),
            ("md", "shared", claim.job_id),
            ("md", "shared", None),
        ):
            session.add(
                ArtifactRow(
                    id=new_id("art", store.clock()),
                    owner=store.owner,
                    job_id=job_id,
                    document_id=document,
                    format=form,
                    media_type="text/plain",
                    bytes=1,
                    sha256="0" * 64,
                    file_key=key,
                    created_at=store.clock(),
                )
            )
        store.leases.finish(claim, "incomplete", result={"document_id": document})
    again = store.jobs.retry(claim.job_id, store.owner)
    done = store.jobs.delete(claim.job_id, store.owner)
    assert done.file_keys == ("own",)
    assert not done.run_is_free
    with pytest.raises(JobUnknown):
        store.jobs.delete(claim.job_id, store.owner)
    with pytest.raises(JobUnknown):
        store.events.after(claim.job_id, store.owner)
    with store.database.reading() as session:
        kept = session.get(DocumentRow, document)
        assert kept is not None
        assert kept.job_id is None
    store.jobs.cancel(again.id, store.owner)
    assert store.jobs.delete(again.id, store.owner).run_is_free
    assert assert_whole(store.database) == 0


def test_jobs_are_counted_by_state_and_owner(store: Store) -> None:
    store.create()
    store.claimed()
    other = new_key(store.database, store.clock)
    store.jobs.create(other, "article", BRIEF)
    assert store.jobs.count(["queued"]) == 2
    assert store.jobs.count(["queued"], store.owner) == 1
    assert store.jobs.count(["queued", "running"], store.owner) == 2
    assert store.jobs.count(["failed"]) == 0


def test_pages_hold_every_job_once_newest_first_in_both_directions(store: Store) -> None:
    made = []
    for number in range(11):
        made.append(store.create().id)
        store.clock.move(number % 3 * 0.0005)  # several jobs in one millisecond, too
    order = sorted(made, reverse=True)
    down: list[str] = []
    after = None
    while True:
        page = store.jobs.list(store.owner, JobQuery(limit=4, after=after))
        down += [job.id for job in page.jobs]
        assert page.has_more == (len(down) < 11)
        if not page.has_more:
            break
        after = page.last_id
    assert down == order
    up: list[str] = []
    before = order[-1]
    while True:
        page = store.jobs.list(store.owner, JobQuery(limit=4, before=before))
        up = [job.id for job in page.jobs] + up
        if not page.has_more:
            break
        before = str(page.first_id)
    assert up == order[:-1]
    assert [made_at(one) for one in order] == [store.jobs.get(one, store.owner).created_at for one in order]


def test_a_page_stays_where_it_is_while_jobs_come_and_go(store: Store) -> None:
    ids = sorted((store.create().id for _ in range(6)), reverse=True)
    page = store.jobs.list(store.owner, JobQuery(limit=3))
    store.clock.move(1)
    store.create()
    store.jobs.cancel(ids[2], store.owner)
    store.jobs.delete(ids[2], store.owner)
    rest = store.jobs.list(store.owner, JobQuery(limit=3, after=page.last_id))
    assert [job.id for job in rest.jobs] == ids[3:]


def test_filters(store: Store) -> None:
    start = store.clock()
    a = store.create(metadata={"team": "sea", "n": "1"}, external_id="one")
    store.clock.move(0.0015)
    b = store.jobs.create(store.owner, "webpage", BRIEF, metadata={"team": "sea", "n": "2"})
    store.clock.move(60)
    c = store.create(metadata={"team.x-y": "Ünï 'q' \"d\""})
    store.jobs.cancel(c.id, store.owner)

    def found(**fields: Any) -> list[str]:
        return [job.id for job in store.jobs.list(store.owner, JobQuery(**fields)).jobs]

    assert found() == [c.id, b.id, a.id]
    assert found(states=("queued",)) == [b.id, a.id]
    assert found(states=("queued", "canceled"), kinds=("article",)) == [c.id, a.id]
    assert found(kinds=("webpage",)) == [b.id]
    assert found(metadata={"team": "sea"}) == [b.id, a.id]
    assert found(metadata={"team": "sea", "n": "2"}) == [b.id]
    assert found(metadata={"team": "SEA"}) == []
    assert found(metadata={"team.x-y": "Ünï 'q' \"d\""}) == [c.id]
    assert found(metadata={"team": "x' OR '1'='1"}) == []
    assert found(external_id="one") == [a.id]
    assert found(created_from=start, created_before=b.created_at) == [a.id]
    assert found(created_from=start + timedelta(microseconds=1)) == [c.id, b.id]
    assert found(created_from=b.created_at, created_before=b.created_at) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": 101},
        {"after": "x"},
        {"before": "job_'"},
        {"states": ("done",)},
        {"kinds": ("\x00",)},
        {"created_from": datetime(2026, 1, 1)},
        {"metadata": {"a'b": "c"}},
        {"external_id": "\x00"},
        {"after": "job_" + "0" * 26, "before": "job_" + "0" * 26},
    ],
    ids=str,
)
def test_a_wrong_query_names_its_field(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        store.jobs.list(store.owner, JobQuery(**wrong))
    name = list(wrong)[-1]
    assert caught.value.thing.split(".")[0] in (name, name.removesuffix("s"))


def test_a_page_is_never_longer_than_its_limit(store: Store) -> None:
    with store.database.transaction():
        for _ in range(300):
            store.create()
    assert store.jobs.count(["queued"], store.owner) == 300
    page = store.jobs.list(store.owner, JobQuery(limit=100, states=("queued",)))
    assert len(page.jobs) == 100
    assert page.has_more


def test_every_refusal_says_what_to_do(store: Store, ended: Job) -> None:
    refusals = (
        lambda: store.jobs.cancel(ended.id, store.owner),
        lambda: store.jobs.get("x", store.owner),
        lambda: store.jobs.delete(store.create().id, store.owner),
        lambda: store.jobs.answer(store.asked().id, store.owner, "x", "approve"),
    )
    for refusal in refusals:
        with pytest.raises(InterleafError) as caught:
            refusal()
        assert caught.value.http_status in (404, 409)
        assert caught.value.args[2]


def test_times_are_utc(store: Store) -> None:
    claim = store.claimed()
    job = store.get(claim)
    for at in (job.created_at, job.queued_at, job.started_at, job.lease_until):
        assert at is not None
        assert at.tzinfo is UTC
