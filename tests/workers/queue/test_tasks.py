"""Jobs through real workers: each test kills, stops, floods or asks real processes over a real Redis and database."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
import redis

from interleaf.schema import Article
from tests.workers.job_service import JobService
from tests.workers.job_store import assert_accounted
from workers.store.job import Job

Begin = Callable[..., JobService]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start a service with these roles and settings. Whatever happens to it, its ledger tells of all that it did.

    On a machine that is busy with much else nobody loses a lease of ten seconds who is not meant to; who is, has a
    shorter one."""
    started: list[JobService] = []

    def start(*roles: str, **values: object) -> JobService:
        service = JobService(tmp_path / "home", **{"lease_s": 10.0, **values})
        started.append(service)
        service.start(*roles)
        return service

    yield start
    try:
        for service in started:
            service.halt()
            assert assert_accounted(service.store.database).jobs > 0
    finally:
        for service in started:
            service.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Where the jobs are kept: a file of the data folder, or a real PostgreSQL."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("new_postgres")(None))


def assert_whole(service: JobService, job: Job, formats: tuple[str, ...] = ("html", "json", "md")) -> Article:
    """The result's files are in the store, whole; the job ended once and its events have no hole."""
    job = service.get(job)
    assert job.result is not None
    assert [file["format"] for file in job.result["artifacts"]] == list(formats)
    for file in job.result["artifacts"]:
        content = service.store.artifacts.read_all(f"jobs/{job.id}/{file['sha256']}")
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert len(content) == file["bytes"]
        if file["format"] == "json":
            article = Article.model_validate_json(content)
        if file["format"] == "html":
            assert content.startswith((b"<!doctype html>", b"<!DOCTYPE html>"))
        if file["format"] == "md":
            assert zipfile.ZipFile(BytesIO(content)).testzip() is None
    kept = service.store.results.document_of(job.id)
    assert kept is not None
    assert kept.id == job.result["document_id"]
    assert kept.article == article
    ends = [name for name in service.names(job) if name in ("job.succeeded", "job.incomplete", "job.failed")]
    assert ends == [f"job.{job.state}"]
    return article


def drafted(service: JobService, job: Job) -> int:
    """How many of its sections are finished."""
    return sum(name == "stage.completed" and data["stage"] == "draft" for name, data in service.events(job))


def test_a_job_runs_to_its_end_and_its_files_are_whole(begin: Begin, database_url: str) -> None:
    service = begin("compose", "render", "beat", database_url=database_url)
    job = service.wait(service.submit())
    assert job.state == "succeeded", (job.error, service.logs())
    article = assert_whole(service, job)
    assert "moon" in json.dumps(article.model_dump(mode="json"))
    names = service.names(job)
    assert names[:3] == ["job.queued", "job.started", "run.started"]
    assert names[-1] == "job.succeeded"
    assert names.count("artifact.ready") == 3
    assert names.index("document.ready") < names.index("artifact.ready")
    assert job.attempt == 1
    assert job.seconds_used > 0


def test_a_killed_worker_loses_its_lease_and_another_goes_on(begin: Begin, database_url: str) -> None:
    service = begin("compose", "render", "beat", database_url=database_url, lease_s=2.0)
    service.pace(0.0, 0.8)  # the first is finished at once, the next is under way
    job = service.submit()
    service.wait_for(lambda: len(service.begun()) >= 2 and drafted(service, job) >= 1)
    first = service.processes[0]
    os.killpg(first.pid, signal.SIGKILL)
    before = service.begun()
    service.pace(0.0)
    service.begin("compose")
    done = service.wait(job)
    assert done.state == "succeeded"
    assert_whole(service, job)
    assert (done.attempt, done.failed_attempts) == (2, 1)
    again = {section for pid, section in service.begun()[len(before) :] if pid != first.pid}
    assert again
    assert 0 not in again, "the finished sections were drafted again"
    assert "job.requeued" in service.names(job)


def test_a_message_that_died_with_its_worker_is_sent_again(begin: Begin) -> None:
    service = begin("beat")
    job = service.submit()
    with redis.Redis(unix_socket_path=str(service.redis.socket_path)) as client:
        # What Redis does for a worker that dies in the moment in which the message is handed to it.
        service.wait_for(lambda: client.llen("compose") == 1)
        assert client.brpop("compose", timeout=5) is not None
    service.begin("compose")
    service.begin("render")
    assert service.wait(job).state == "succeeded"
    assert_whole(service, job)


def test_a_redis_that_was_flushed_or_away_costs_no_job(begin: Begin) -> None:
    service = begin("render", "beat")
    jobs = [service.submit() for _ in range(3)]
    with redis.Redis(unix_socket_path=str(service.redis.socket_path)) as client:
        service.wait_for(lambda: bool(client.get("interleaf.epoch")))
        client.flushall()
        assert client.llen("compose") == 0
    service.begin("compose")
    for job in jobs:
        assert service.wait(job).state == "succeeded"
        assert_whole(service, job)
        assert service.get(job).attempt == 1
    service.redis.stop()
    away = service.submit()
    assert service.get(away).state == "queued"
    service.redis.start()
    assert service.wait(away, timeout_s=60).state == "succeeded"
    assert_whole(service, away)


def test_a_worker_that_hangs_is_given_up_and_writes_nothing_afterwards(begin: Begin) -> None:
    service = begin("compose", "render", "beat", lease_s=2.0)
    service.pace(0.6)
    job = service.submit()
    service.wait_for(lambda: len(service.begun()) >= 2)
    hung = service.processes[0]
    os.kill(hung.pid, signal.SIGSTOP)
    service.begin("compose")
    done = service.wait(job)
    assert done.state == "succeeded"
    assert done.attempt == 2
    events, result = service.events(job), done.result
    sections = len(service.begun())
    os.kill(hung.pid, signal.SIGCONT)
    # It notices, and is fit for the next job.
    os.killpg(service.processes[-1].pid, signal.SIGKILL)
    service.pace(0.0)
    other = service.wait(service.submit())
    assert other.state == "succeeded"
    assert {pid for pid, _ in service.begun()[sections:]} == {hung.pid}
    assert service.events(job) == events
    assert service.get(job).result == result
    assert_whole(service, job)


def test_a_job_longer_than_the_visibility_timeout_runs_once(begin: Begin) -> None:
    """C15: Redis hands the message out again and again; nobody but the first works on it."""
    service = begin("compose", "compose", "render", "beat", visibility_timeout_s=1.0)
    service.pace(5.0)
    job = service.submit()
    done = service.wait(job, timeout_s=60)
    assert done.state == "succeeded"
    received = sum(line.count("interleaf.compose[") for line in service.logs().splitlines() if "received" in line)
    assert received > 1, "Redis handed the message out once only: nothing was proved"
    assert (done.attempt, service.names(job).count("job.started")) == (1, 1)
    assert done.seconds_used >= 10
    assert len({pid for pid, _ in service.begun()}) == 1
    assert sorted(section for _, section in service.begun()) == sorted({section for _, section in service.begun()})


def test_cancel_while_queued_and_while_running(begin: Begin) -> None:
    service = begin("compose", "beat")
    service.pace(1.0)
    running, queued = service.submit(), service.submit()
    service.wait_for(lambda: len(service.begun()) >= 1)
    assert service.store.jobs.cancel(queued.id, service.owner).state == "canceled"
    assert service.store.jobs.cancel(running.id, service.owner).state == "canceling"
    done = service.wait(running)
    assert done.state == "canceled"
    # Sections that waited for their turn did not begin.
    assert len(service.begun()) <= 2
    assert service.names(queued) == ["job.queued", "job.canceling", "job.canceled"] or service.names(queued) == [
        "job.queued",
        "job.canceled",
    ]
    service.begin("render")
    service.pace(0.0)
    again = service.store.jobs.retry(running.id, service.owner)
    service.send(again)
    assert service.wait(again).state == "succeeded"
    assert_whole(service, again)


def test_a_question_is_asked_and_answered_by_a_person_or_by_the_clock(begin: Begin) -> None:
    service = begin("compose", "render", "beat")
    job = service.submit(approvals={"outline": True, "timeout_s": 600})
    asked = service.wait(job, "awaiting_input")
    assert asked.question is not None
    assert asked.request_id is not None
    assert asked.lease_owner is None
    outline = json.loads(json.dumps(asked.question["outline"]))
    outline["sections"] = outline["sections"][:2]
    service.store.jobs.answer(job.id, service.owner, asked.request_id, "edit", {"outline": outline})
    service.send(job)
    done = service.wait(job)
    assert done.state == "succeeded"
    assert_whole(service, job)
    assert {section for _, section in service.begun()} == {0, 1}
    # Questions that nobody answers.
    approved = service.submit(approvals={"outline": True, "timeout_s": 0.5, "on_timeout": "approve"})
    expired = service.submit(approvals={"outline": True, "timeout_s": 0.5})
    assert service.wait(approved).state == "succeeded"
    assert service.wait(expired).state == "expired"


def test_a_limit_or_a_format_that_fails_ends_a_job_as_incomplete_with_what_there_is(begin: Begin) -> None:
    service = begin("compose", "render", "beat")
    service.wait(service.submit())  # the worker has all that it needs by now: its time goes into sections
    service.pace(0.0, 2.0)  # one of them is written at once, and then time runs out
    job = service.wait(service.submit(budget={"seconds": 2.0}))
    assert job.state == "incomplete", job.error
    article = assert_whole(service, job)
    assert "budget_seconds" in [notice.code for notice in article.report.warnings]
    assert article.report.words > 0
    # Nothing was written yet: there is nothing to keep.
    nothing = service.wait(service.submit(budget={"seconds": 0.01}))
    assert nothing.state == "failed"
    assert nothing.error is not None
    assert nothing.error["code"] == "budget_spent"
    # Formats that cannot be made.
    service.pace(0.0)
    some = service.wait(service.submit(formats=["html", "nosuch"]))
    assert some.state == "incomplete"
    assert_whole(service, some, ("html", "json"))
    assert some.result is not None
    assert some.result["failed_formats"] == ["nosuch"]
    none = service.wait(service.submit(formats=["nosuch"]))
    assert none.state == "failed"
    assert none.error is not None
    assert none.error["code"] == "unsupported"


def test_no_job_works_longer_than_the_service_allows_whatever_its_brief_says(begin: Begin) -> None:
    service = begin("compose", "render", "beat", job_seconds=2.0)
    service.wait(service.submit())  # as above, whatever becomes of it
    service.pace(0.0, 2.0)
    for budget in ({}, {"seconds": 1e9}):
        job = service.wait(service.submit(budget=budget))
        assert job.state == "incomplete", job.error
        assert "budget_seconds" in [notice.code for notice in assert_whole(service, job).report.warnings]


def test_a_stopped_worker_gives_its_job_back(begin: Begin) -> None:
    service = begin("compose", "render", "beat")
    service.pace(0.7)
    job = service.submit()
    service.wait_for(lambda: len(service.begun()) >= 1)
    service.processes[0].send_signal(signal.SIGTERM)
    back = service.wait(job, "queued")
    assert back.failed_attempts == 0
    assert service.processes[0].wait(timeout=60) == 0
    service.pace(0.0)
    service.begin("compose")
    assert service.wait(job).state == "succeeded"
    assert_whole(service, job)
    assert ("job.requeued", "released") in [(name, data.get("reason")) for name, data in service.events(job)]


def test_formats_that_wait_outlive_redis_and_their_worker(begin: Begin) -> None:
    service = begin("compose", "beat", lease_s=2.0)
    job = service.submit()
    with redis.Redis(unix_socket_path=str(service.redis.socket_path)) as client:
        service.wait_for(lambda: client.llen("render") == 2)
        client.flushall()
        # Its worker notices, and sends them again.
        service.wait_for(lambda: client.llen("render") == 2)
    os.killpg(service.processes[0].pid, signal.SIGKILL)
    service.begin("compose")
    service.wait(job, lambda now: now.attempt == 2 and now.stage == "render")
    service.begin("render")
    done = service.wait(job)
    assert done.state == "succeeded"
    assert done.attempt == 2
    assert_whole(service, job)
    assert service.names(job).count("document.ready") == 1
