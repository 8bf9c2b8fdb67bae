"""The client against the real service on a socket: orders, typed errors, and requests sent again but done once."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from interleaf import Client
from interleaf.errors import (
    IdempotencyMismatch,
    InvalidBrief,
    JobActive,
    JobFinal,
    JobUnknown,
    KeyRefused,
    NeedsInput,
    ObjectUnknown,
    QuotaReached,
    RequestStale,
    RunCanceled,
    ScopeMissing,
    ServiceAway,
    ServiceError,
    SettingInvalid,
    SourceUnreadable,
    WorkerLost,
)
from tests.api.service import BRIEF, Service
from tests.sdk.faulty_transport import QUICK, Cut, Faulty, busy

QUESTION = {"asks": "outline", "outline": {"title": "Tides", "sections": [{"heading": "The moon"}]}}


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with service.served() as url:
        yield url


@pytest.fixture
def client(service: Service, address: str) -> Iterator[Client]:
    with Client(address, service.alice, retrying=QUICK) as opened:
        yield opened


def asking(service: Service, job_id: str) -> str:
    """Make the job ask for approval of its outline; the id of the question."""
    service.leases.ask(service.claim(job_id), QUESTION, None, "cancel")
    request_id = service.jobs.get(job_id, service.alice_id).request_id
    assert request_id is not None
    return request_id


def test_an_order_is_looked_at_listed_and_deleted(service: Service, client: Client) -> None:
    jobs = [client.jobs.create(BRIEF, metadata={"run": str(n)}, external_id=f"e{n}") for n in range(5)]
    assert [job.id for job in client.jobs.each(limit=2)] == [job.id for job in reversed(jobs)]
    page = client.jobs.list(limit=2, metadata={"run": "3"}, states=["queued", "running"], kinds=["article"])
    assert ([job.external_id for job in page.data], page.has_more) == (["e3"], False)
    assert client.jobs.list(before=jobs[3].id).data[0].id == jobs[4].id
    assert jobs[0].brief().instruction == BRIEF["instruction"]
    with pytest.raises(JobActive):
        jobs[0].delete()
    service.finish(jobs[0].id)
    assert jobs[0].wait(5).state == "succeeded"
    jobs[0].delete()
    with pytest.raises(JobUnknown) as caught:
        jobs[0].refresh()
    assert caught.value.request_id
    assert any(caught.value.request_id in note for note in caught.value.__notes__)


def test_canceled_retried_rerun(client: Client) -> None:
    job = client.jobs.create(BRIEF)
    assert job.cancel().state == "canceled"
    with pytest.raises(RunCanceled):
        job.document()
    with pytest.raises(JobFinal):
        client.jobs.cancel(job.id)
    again = client.jobs.retry(job.id)
    assert (again.record.retry_of, again.id != job.id) == (job.id, True)
    assert job.rerun({"seed": 7}).brief().seed == 7
    assert client.jobs.rerun(job.id).brief().seed == 0


def test_errors_are_those_of_this_process(service: Service, address: str, client: Client) -> None:
    with pytest.raises(InvalidBrief) as brief:
        client.jobs.create(BRIEF).rerun(
            {"outline": {"sections": [{"heading": "a"}, {"length_words": -1, "colour": 1}]}}
        )
    assert brief.value.thing == "outline.sections[1].length_words"
    assert any("outline.sections[1].colour" in note for note in brief.value.__notes__)
    with pytest.raises(ObjectUnknown):
        client.documents.get("doc_1")
    with pytest.raises(ScopeMissing):
        client.keys.list()
    with pytest.raises(KeyRefused), Client(address, "ilk_wrong", retrying=QUICK) as stranger:
        stranger.jobs.list()
    for hostile in ("../keys", "", "a/b", "x" * 200, "%2e"):
        with pytest.raises(JobUnknown):
            client.jobs.get(hostile)
    with pytest.raises(IdempotencyMismatch):
        for text in ("a", "b"):
            client.jobs.create(BRIEF | {"instruction": text}, idempotency_key="same")


def test_a_failed_job_raises_what_failed(service: Service, client: Client) -> None:
    job = client.jobs.create(BRIEF)
    service.leases.finish(service.claim(job.id), "failed", error=WorkerLost("worker-1", "died.", "Retry the job."))
    with pytest.raises(WorkerLost) as caught:
        job.wait(5).document()
    assert caught.value.message == "worker-1: died. Retry the job."


def test_one_that_is_busy_is_asked_again(service: Service, address: str) -> None:
    faulty = Faulty(busy(), busy(429), httpx.ConnectError("refused"), concerns="POST /v1/jobs")
    with Client(address, service.alice, retrying=QUICK, transport=faulty) as client:
        client.jobs.create(BRIEF)
    sent = faulty.asked("POST /v1/jobs")
    assert len(sent) == 4
    assert len({request.headers["Idempotency-Key"] for request in sent}) == 1
    assert len(service.jobs.list(service.alice_id).jobs) == 1


def test_retry_after_is_honoured_and_bounded(service: Service, address: str) -> None:
    faulty = Faulty(busy(retry_after="1"))
    with Client(address, service.alice, retrying=QUICK, transport=faulty) as client:
        begun = time.monotonic()
        client.jobs.list()
        assert time.monotonic() - begun >= 1
        faulty.faults = [busy(retry_after="3600")]
        with pytest.raises(ServiceAway):
            client.jobs.list()
        assert time.monotonic() - begun < 8
        faulty.faults = [busy() for _ in range(20)]
        seen = len(faulty.seen)
        with pytest.raises(ServiceAway):
            client.jobs.list()
        assert len(faulty.seen) - seen == QUICK.attempts


def test_a_quota_is_raised_when_it_stays_used_up(service: Service, address: str) -> None:
    _, small = service.key("small", max_active_jobs=1)
    with Client(address, small, retrying=QUICK) as client:
        client.jobs.create(BRIEF)
        with pytest.raises(QuotaReached):
            client.jobs.create(BRIEF)


def test_an_order_whose_answer_was_lost_is_the_same_order(service: Service, address: str) -> None:
    faulty = Faulty(Cut(None), Cut(7), concerns="POST /v1/jobs")
    with Client(address, service.alice, retrying=QUICK, transport=faulty) as client:
        job = client.jobs.create(BRIEF)
        assert [one.id for one in client.jobs.each()] == [job.id]
        assert len(faulty.asked("POST /v1/jobs")) == 3


@pytest.mark.parametrize("after", [None, 5])
def test_lost_answers_to_what_can_be_done_once(service: Service, address: str, after: int | None) -> None:
    faulty = Faulty(concerns="/v1/jobs/")
    with Client(address, service.alice, retrying=QUICK, transport=faulty) as client:
        job = client.jobs.create(BRIEF)
        faulty.faults = [Cut(after)]
        assert job.cancel().state == "canceled"
        if after is None:  # an answer of 204 has no bytes that could be cut
            faulty.faults = [Cut(None)]
            job.delete()
            assert client.jobs.list().data == ()
        other = client.jobs.create(BRIEF)
        request_id = asking(service, other.id)
        faulty.faults = [Cut(after)]
        other.respond("approve", request_id=request_id)
        faulty.faults = [Cut(after)]
        with pytest.raises(RequestStale):  # another answer came first, and it was not this one
            other.respond("edit", outline=QUESTION["outline"], request_id=request_id)  # type: ignore[arg-type]
        service.finish(other.id)
        with pytest.raises((RequestStale, JobFinal)):
            other.respond("cancel", request_id=request_id)


def test_a_key_is_never_made_twice(service: Service, address: str) -> None:
    """Sent again only where it cannot have arrived: no connection, or a service that says it did nothing."""
    faulty = Faulty(httpx.ConnectError("refused"), busy(), Cut(None), concerns="POST /v1/keys")
    with Client(address, service.admin, retrying=QUICK, transport=faulty) as client:
        before = len(client.keys.list().data)
        with pytest.raises(ServiceAway, match="may have been carried out"):
            client.keys.create("news", ["jobs:read"])
        assert len(client.keys.list().data) == before + 1
        faulty.faults = [httpx.Response(504, text="the proxy waited long enough")]
        with pytest.raises(ServiceAway, match="may have been carried out"):
            client.keys.create("news", ["jobs:read"])
        made = client.keys.create("other", ["jobs:read"], requests_per_minute=50)
        assert made.secret not in repr(made)
        assert client.keys.revoke(made.id).revoked_at is not None


def test_a_person_is_asked_and_answers(service: Service, address: str, client: Client) -> None:
    job = client.jobs.create(BRIEF)
    with pytest.raises(ObjectUnknown):
        job.question()
    request_id = asking(service, job.id)
    assert job.wait(5, until="asked").record.input is not None
    question = job.question()
    assert (question.request_id, question.asks, question.question["outline"]["title"]) == (
        request_id,
        "outline",
        "Tides",
    )
    with pytest.raises(RequestStale):
        job.respond("approve", request_id="req_0")
    with pytest.raises(JobActive):
        job.wait(0.3)
    assert job.respond("edit", outline={"title": "Sea", "sections": [{"heading": "Water"}]}).record.input is None
    with pytest.raises(ObjectUnknown):
        job.respond("approve")


def test_composing_says_that_a_person_is_asked(service: Service) -> None:
    service.deliver = lambda job_id: asking(service, job_id)  # type: ignore[assignment, method-assign, return-value]
    with service.served() as url, Client(url, service.alice, retrying=QUICK) as client:
        with pytest.raises(NeedsInput) as caught:
            client.compose(BRIEF, timeout_s=20)
        assert caught.value.question["asks"] == "outline"
        assert client.jobs.get(caught.value.run_id).respond("cancel").state == "canceled"


def test_uploads(client: Client) -> None:
    sent = client.uploads.create(b"# Tides", "tides.md")
    assert client.uploads.get(sent.id) == client.uploads.list().data[0] == sent
    client.uploads.delete(sent.id)
    assert client.uploads.list().data == ()


def test_nobody_there() -> None:
    with (
        Client("http://127.0.0.1:9", "ilk_x", retrying=QUICK) as client,
        pytest.raises(ServiceAway, match="cannot be reached"),
    ):
        client.jobs.list()


def test_what_is_no_service_is_named(address: str) -> None:
    def transport(body: Any) -> httpx.MockTransport:
        return httpx.MockTransport(lambda request: httpx.Response(200, text=body))

    with (
        Client(address, "ilk_x", transport=transport("<html>")) as client,
        pytest.raises(ServiceError, match="address"),
    ):
        client.jobs.get("job_1")


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERLEAF_SERVER", raising=False)
    monkeypatch.delenv("INTERLEAF_API_KEY", raising=False)
    with pytest.raises(SettingInvalid, match="INTERLEAF_SERVER"):
        Client()
    with pytest.raises(SettingInvalid, match="INTERLEAF_API_KEY"):
        Client("http://127.0.0.1:8000")
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(302, headers={"Location": "https://elsewhere.example/"})

    monkeypatch.setenv("INTERLEAF_SERVER", "https://service.example/below/")
    monkeypatch.setenv("INTERLEAF_API_KEY", "ilk_secret")
    with Client(transport=httpx.MockTransport(answer)) as client:
        assert "ilk_secret" not in repr(client) + repr(vars(client))
        with pytest.raises(Exception, match="302"):
            client.jobs.get("job_1")
    assert [str(request.url) for request in seen] == ["https://service.example/below/v1/jobs/job_1"]
    assert seen[0].headers["Authorization"] == "Bearer ilk_secret"


@pytest.mark.parametrize(
    "server", ["127.0.0.1:8000", "ftp://x", "http://", "http://a b", "http://u:p@h", "http://h:99999"]
)
def test_a_wrong_address_is_refused_without_its_password(server: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        Client(server, "ilk_x")
    assert "u:p" not in caught.value.message


def test_the_jitter_is_bounded() -> None:
    chances: list[Callable[[], float]] = [lambda: 0.0, lambda: 1.0]
    for chance, share in zip(chances, (0.5, 1.0), strict=True):
        retrying = type(QUICK)(first_s=1, most_s=8, chance=chance)
        assert [retrying.pause_s(n) for n in (1, 2, 3, 4, 5, 1000)] == [share * s for s in (1, 2, 4, 8, 8, 8)]
        assert retrying.pause_s(1, 30.0) == 30 + share


def test_an_estimate_measures_files_and_sends_none(service: Service, client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("# Words\n" * 500)
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.jpg", "readme.txt", ".hidden.png"):
        (tmp_path / "photos" / name).write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "photos" / "more.zip", "w") as archive:
        for name in ("c.png", "d.webp", "list.csv"):
            archive.writestr(name, b"x")
    (tmp_path / "no.zip").write_bytes(b"no archive")
    brief = {"instruction": "x", "sources": ["notes"], "pictures": ["photos", "photos/a.png", "no.zip"]}
    told = client.estimate(brief, base=tmp_path)
    assert (told.basis, told.basis_of, told.writer) == (0, "nobody", "extractive")
    assert told.pictures.high == 6
    assert told.seconds.likely > client.estimate({"instruction": "x"}).seconds.likely
    assert client.uploads.list().data == ()
    with pytest.raises(InvalidBrief, match="nowhere"):
        client.estimate(brief | {"pictures": ["nowhere"]}, base=tmp_path)
    with pytest.raises(SourceUnreadable):
        client.estimate(brief | {"sources": ["nowhere"]}, base=tmp_path)
