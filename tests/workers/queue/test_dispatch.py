"""Dispatch, upkeep and results: what is sent, what is said when nothing can be, who ends a job."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
import redis
from sqlalchemy import select

from interleaf.errors import InvalidBrief, LeaseLost, ServiceAway, Unsupported
from interleaf.schema import Article, Brief, Report, Run
from tests.workers.job_store import Store, new_key
from workers.queue.celery_app import make_app
from workers.queue.dispatch import Dispatcher
from workers.queue.redis_server import RedisServer
from workers.queue.rendering import render_format, store_file
from workers.queue.upkeep import upkeep
from workers.queue.worker_beat import WorkerBeat
from workers.queue.worker_process import argv_of
from workers.run.given_files import bring_given
from workers.settings import Settings
from workers.store.artifacts import StoredFile
from workers.store.job import Claim
from workers.store.job_store import JobStore
from workers.store.jobs import Jobs
from workers.store.tables import UploadRow, WorkerBeatRow

FILE = StoredFile("jobs/job_1/file", 3, "0" * 64)


@pytest.fixture
def here(store: Store, tmp_path: Path) -> Iterator[JobStore]:
    """A worker's store over the database of the test."""
    made = JobStore(Settings(home=tmp_path / "home", database_url=store.url, lease_s=30.0))
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


def dispatcher_of(here: JobStore, url: str) -> Dispatcher:
    return Dispatcher(make_app(here.settings.model_copy(update={"redis_url": url})), here)


def client_of(server: RedisServer) -> redis.Redis:
    client = redis.Redis(unix_socket_path=str(server.socket_path))
    client.flushall()
    return client


def claimed(here: JobStore, **brief: object) -> Claim:
    owner = new_key(here.database, here.clock)
    job = here.jobs.create(owner, "article", {"instruction": "Explain the tides.", **brief})
    claim = here.leases.claim(job.id, here.worker, 30.0)
    assert claim is not None
    return claim


def article() -> Article:
    return Article(
        title="Tides",
        language="en",
        blocks=(),
        pictures=(),
        sources=(),
        report=Report(),
        run=Run(
            interleaf_version="0",
            writer="w",
            writer_version="0",
            encoder="e",
            encoder_sha256="",
            seed=0,
            brief_sha256="0" * 64,
        ),
    )


def test_a_message_carries_the_id_alone_and_is_sent_once(here: JobStore, server: RedisServer) -> None:
    client, dispatcher = client_of(server), dispatcher_of(here, server.url)
    owner = new_key(here.database, here.clock)
    job = here.jobs.create(owner, "article", {"instruction": "A secret."})
    assert dispatcher.deliver(job.id)
    assert not dispatcher.deliver(job.id)
    assert client.llen("compose") == 1
    message = client.lindex("compose", 0)
    assert isinstance(message, bytes)
    assert b"application/json" in message
    assert b"secret" not in message
    assert dispatcher.send_waiting() == 0


def test_after_a_flush_every_waiting_job_is_sent_again(here: JobStore, server: RedisServer) -> None:
    client, dispatcher = client_of(server), dispatcher_of(here, server.url)
    owner = new_key(here.database, here.clock)
    for _ in range(120):
        here.jobs.create(owner, "article", {"instruction": "Explain."})
    upkeep(here, dispatcher)
    assert client.llen("compose") == 120
    client.flushall()
    upkeep(here, dispatcher)
    assert client.llen("compose") == 120
    upkeep(here, dispatcher)
    assert client.llen("compose") == 120


def test_a_broker_that_is_away_is_said_soon_and_the_job_is_kept_for_later(here: JobStore, server: RedisServer) -> None:
    owner = new_key(here.database, here.clock)
    job = here.jobs.create(owner, "article", {"instruction": "Explain."})
    for url in ("redis+socket:///nowhere/redis.sock", "redis://127.0.0.1:9/0"):
        away = dispatcher_of(here, url)
        began = time.monotonic()
        for ask in (lambda: away.deliver(job.id), away.send_waiting, away.epoch):  # noqa: B023
            with pytest.raises(ServiceAway, match="queue"):
                ask()
        assert time.monotonic() - began < 8
    assert here.jobs.get(job.id, owner).dispatched_at is None
    client = client_of(server)
    assert dispatcher_of(here, server.url).send_waiting() == 1
    assert client.llen("compose") == 1


def test_jobs_whose_caller_sends_are_sent_once_and_put_back_where_they_cannot(
    here: JobStore, server: RedisServer
) -> None:
    owner = new_key(here.database, here.clock)
    made = Jobs(here.database, clock=here.clock, caller_sends=lambda: True)
    jobs = [made.create(owner, "article", {"instruction": "Explain."}) for _ in range(5)]
    client, dispatcher = client_of(server), dispatcher_of(here, server.url)
    assert here.outbox.take() == []
    dispatcher.send_new(jobs)
    assert client.llen("compose") == 5
    assert dispatcher.send_waiting() == 0
    late = [made.create(owner, "article", {"instruction": "Explain."}) for _ in range(3)]
    with pytest.raises(ServiceAway, match="queue"):
        dispatcher_of(here, "redis+socket:///nowhere/redis.sock").send_new(late)
    assert {here.jobs.get(job.id, owner).dispatched_at for job in late} == {None}
    assert dispatcher.send_waiting() == 3
    assert client.llen("compose") == 8


def test_of_formats_that_end_together_one_ends_the_job(here: JobStore) -> None:
    wanted = tuple(f"f{n}" for n in range(6))
    claim = claimed(here)
    document = here.results.keep_document(claim, article(), FILE)
    gate = threading.Barrier(len(wanted))

    def keep(format: str) -> str:
        gate.wait()
        try:
            done = here.results.keep_file(claim, document.id, format, "text/plain", FILE, wanted)
        except LeaseLost:
            return "lost"
        return "open" if done is None else done.state

    with ThreadPoolExecutor(len(wanted)) as pool:
        said = sorted(pool.map(keep, wanted))
    assert said == ["open"] * 5 + ["succeeded"]
    job = here.results.job(claim.job_id)
    assert job is not None
    assert job.result is not None
    assert [file["format"] for file in job.result["artifacts"]] == [*wanted, "json"]


def test_a_worker_with_an_old_attempt_adds_no_file_and_ends_nothing(here: JobStore) -> None:
    old = claimed(here)
    document = here.results.keep_document(old, article(), FILE)
    here.leases.release(old)
    new = here.leases.claim(old.job_id, here.worker, 30.0)
    assert new is not None
    for write in (
        lambda: here.results.keep_file(old, document.id, "html", "text/html", FILE, ("html",)),
        lambda: here.results.keep_failure(old, "html", Unsupported("x", "y", "z"), ("html",)),
        lambda: here.results.keep_document(old, article(), FILE),
        lambda: here.results.settle(old, ()),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert sorted(here.results.outcomes(new)) == ["json"]
    assert render_format(here, old.job_id, old.attempt, old.worker, "html") is None
    assert sorted(here.results.outcomes(new)) == ["json"]
    done = render_format(here, new.job_id, new.attempt, new.worker, "html")
    assert done is None  # the brief wants html and md
    done = render_format(here, new.job_id, new.attempt, new.worker, "md")
    assert done is not None
    assert done.state == "succeeded"
    assert render_format(here, new.job_id, new.attempt, new.worker, "md") is None


def test_a_full_artifact_store_fails_the_job_with_that_reason(here: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = claimed(here, formats=["html"])
    here.results.keep_document(claim, article(), store_file(here, claim.job, b"{}"))

    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr("workers.store.artifacts.os.fsync", full)
        job = render_format(here, claim.job_id, claim.attempt, claim.worker, "html")
    assert job is not None
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["code"] == "output_unwritable"
    assert len(list(here.artifacts.list())) == 1
    retried = here.jobs.retry(claim.job_id, claim.job.owner)
    again = here.leases.claim(retried.id, here.worker, 30.0)
    assert again is not None
    here.results.keep_document(again, article(), store_file(here, again.job, b"{}"))
    done = render_format(here, again.job_id, again.attempt, again.worker, "html")
    assert done is not None
    assert done.state == "succeeded"


def test_uploads_of_a_brief_become_files_of_the_run(here: JobStore, tmp_path: Path) -> None:
    owner, other = (new_key(here.database, here.clock) for _ in range(2))
    upload_id = "upl_01kaj5v1c8m2n4p6q8r0s2t4v6"
    here.artifacts.put(f"uploads/{upload_id}", BytesIO(b"# Tides\n"))
    with here.database.transaction() as session:
        session.add(
            UploadRow(
                id=upload_id,
                owner=owner,
                name="../../etc/My notes.md",
                media_type="text/markdown",
                bytes=8,
                sha256="0" * 64,
                file_key=f"uploads/{upload_id}",
                created_at=datetime.now(UTC),
                expires_at=None,
            )
        )
    brief = Brief.model_validate({"instruction": "x", "sources": [f"upload:{upload_id}", "other.md"]})
    folder = tmp_path / "run" / "uploads"
    found = bring_given(brief, owner, here.database, here.artifacts, folder, max_notes_bytes=2**20)
    assert found.sources[0].path == str(folder / f"{upload_id}.md")
    assert found.sources[0].name == "../../etc/My notes.md"  # a label, and no path
    assert found.sources[1] == brief.sources[1]
    assert (folder / f"{upload_id}.md").read_bytes() == b"# Tides\n"
    assert [path.name for path in folder.iterdir()] == [f"{upload_id}.md"]
    with pytest.raises(InvalidBrief, match=r"sources\[0\]\.path"):
        bring_given(brief, other, here.database, here.artifacts, folder, max_notes_bytes=2**20)
    here.artifacts.delete(f"uploads/{upload_id}")
    with pytest.raises(InvalidBrief, match="Upload the file again"):
        bring_given(brief, owner, here.database, here.artifacts, tmp_path / "another", max_notes_bytes=2**20)


def test_a_worker_says_that_it_is_there_until_it_goes(here: JobStore) -> None:
    def seen() -> list[str]:
        with here.database.reading() as session:
            return list(session.scalars(select(WorkerBeatRow.worker_id)))

    beat = WorkerBeat(here, "compose", interval_s=0.05)
    beat.start()
    deadline = time.monotonic() + 5
    while seen() != [here.worker]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    beat.beat()
    assert seen() == [here.worker]
    beat.stop()
    assert seen() == []


def test_each_role_has_the_pool_that_it_needs() -> None:
    assert argv_of("compose")[argv_of("compose").index("--pool") + 1] == "solo"
    assert argv_of("render", 3)[argv_of("render").index("--concurrency") + 1] == "3"
    assert argv_of("beat")[0] == "beat"


def test_the_app_takes_json_only_and_acknowledges_late(tmp_path: Path) -> None:
    conf = make_app(Settings(home=tmp_path, visibility_timeout_s=77)).conf
    assert conf.accept_content == ["json"]
    assert conf.task_serializer == "json"
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_ignore_result
    assert conf.broker_transport_options["visibility_timeout"] == conf.visibility_timeout == 77
    named = {queue.name: (queue.exchange.name, queue.routing_key) for queue in conf.task_queues}
    assert named.keys() >= {"compose", "render", "library", "search"}
    assert all(of == (name, name) for name, of in named.items()), "each has an exchange and a key of its own"
    assert conf.broker_url.startswith("redis+socket://")
    named = make_app(Settings(home=tmp_path, redis_url="redis://:secret@example:6379/1")).conf
    assert named.broker_url == "redis://:secret@example:6379/1"
