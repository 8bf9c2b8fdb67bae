"""The library worker as a real process: ingests that are killed, stopped, canceled, lost and made to wait; searches
meanwhile; pieces with the pictures of a library."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from filelock import FileLock

from retrieval.reading import PictureReader
from tests.api.library_hands import picture, zipped
from tests.workers.job_service import JobService
from tests.workers.job_store import assert_accounted
from workers.store.job import Job
from workers.store.libraries import Library
from workers.store.uploads import Uploads

Begin = Callable[..., "Shelves"]


class Shelves:
    """A service with a library worker, and what its door would do."""

    def __init__(self, service: JobService) -> None:
        self.service = service
        self.store = service.store
        self.uploads = Uploads(
            self.store.database, self.store.artifacts, kept=timedelta(days=1), max_bytes=2**28, clock=self.store.clock
        )

    def library(self, name: str = "harbour") -> Library:
        return self.store.libraries.create(self.service.owner, name)

    def archive(self, count: int, begin: int = 0) -> str:
        """Id of an upload of so many pictures."""
        files = {f"p{i:03}.png": picture(i) for i in range(begin, begin + count)}
        rows = "".join(f"p{i:03}.png,boat number {i}\n" for i in range(begin, begin + count))
        path = self.service.home / f"a{begin}.zip"
        path.write_bytes(zipped({**files, "manifest.csv": f"file,caption\n{rows}".encode()}))
        with path.open("rb") as content:
            return self.uploads.add(self.service.owner, "boats.zip", content).id

    def ingest(self, library: Library, *uploads: str, send: bool = True) -> Job:
        asked = {"kind": "ingest", "library_id": library.id, "uploads": list(uploads), "dedupe": "exact"}
        job = self.store.jobs.create(self.service.owner, "ingest", asked)
        if send:
            self.service.send(job)
        return job

    def count(self, library: Library) -> int:
        reader = PictureReader.opened(self.store.settings.libraries_dir / self.service.owner)
        if reader is None:
            return 0
        with reader:
            return reader.totals(library.id).pictures

    def done(self, job: Job) -> int:
        """How many files the ingest says that it has looked at."""
        said = [data.get("done", 0) for name, data in self.service.events(job) if name == "stage.progress"]
        return max(said, default=0)

    def ask(self, library: Library, text: str = "boat", timeout_s: float = 20) -> list[str]:
        """Captions that a search finds."""
        where = {"licence_policy": {}, "min_width_px": 1, "min_height_px": 1}
        asked = {"text": text, "upload": None, "k": 5, "where": where}
        request = self.store.library_requests.ask(self.service.owner, library.id, "search", asked, 60)
        self.service.dispatcher.deliver(request.id)
        until = time.monotonic() + timeout_s
        while (found := self.store.library_requests.answer(request.id)) is None:
            assert time.monotonic() < until, self.service.logs()
            time.sleep(0.02)
        return [hit["picture"]["caption"] for hit in found["hits"]]

    def assert_whole(self, library: Library, job: Job, count: int) -> None:
        """Every picture is there once, its file as it was written down, and the row tells of it."""
        assert job.state == "succeeded", (job.error, self.service.logs())
        root = self.store.settings.libraries_dir / self.service.owner
        with PictureReader(root) as reader:
            pictures = reader.page(library.id, 1_000)
            assert len({one.id for one in pictures}) == len(pictures) == count
            for one in pictures:
                path, sha256, size = reader.file(one)
                content = path.read_bytes()
                assert (hashlib.sha256(content).hexdigest(), len(content)) == (sha256, size)
        assert not list((root / "pictures" / ".aside").glob("*"))
        told = self.store.libraries.get(library.id, self.service.owner)
        assert told.picture_count == count
        assert told.bytes == sum(one.size_bytes for one in pictures)
        assert job.result is not None
        counts = job.result["counts"]
        assert counts["added"] + counts["already_there"] == count
        ends = [name for name in self.service.names(job) if name in ("job.succeeded", "job.incomplete", "job.failed")]
        assert ends == ["job.succeeded"]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start a service with these roles and settings."""
    started: list[JobService] = []

    def start(*roles: str, **values: object) -> Shelves:
        service = JobService(tmp_path / "home", **values)
        started.append(service)
        service.start(*roles)
        return Shelves(service)

    yield start
    try:
        for service in started:
            service.halt()
            assert_accounted(service.store.database)
    finally:
        for service in started:
            service.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else str(request.getfixturevalue("new_postgres")(None))


def test_an_ingest_and_a_search_meanwhile(begin: Begin, database_url: str) -> None:
    shelves = begin("library", "beat", database_url=database_url)
    first, second = shelves.library("first"), shelves.library("second")
    job = shelves.service.wait(shelves.ingest(first, shelves.archive(5)))
    shelves.assert_whole(first, job, 5)
    assert shelves.ask(first, "boat number 3")[0] == "boat number 3"
    # Two more of the same owner: one after the other, and neither keeps those waiting who search.
    shelves.service.pace(0.2)
    jobs = [shelves.ingest(second, shelves.archive(12, 100 * i)) for i in (1, 2)]
    shelves.service.wait_for(lambda: any(shelves.done(job) > 2 for job in jobs))
    assert sorted(shelves.service.get(job).state for job in jobs) == ["queued", "running"]
    assert shelves.ask(first, "boat number 4")[0] == "boat number 4"
    assert any(not shelves.service.get(job).final for job in jobs)
    shelves.service.pace(0)
    for job in jobs:
        assert shelves.service.wait(job).state == "succeeded"
    assert shelves.count(second) == 24


def test_a_worker_that_is_killed_loses_nothing(begin: Begin) -> None:
    shelves = begin("library", "beat")
    library = shelves.library()
    shelves.service.pace(0.15)
    # More than a batch, so that there is something to go on with.
    job = shelves.ingest(library, shelves.archive(150))
    shelves.service.wait_for(lambda: shelves.count(library) >= 64)
    os.killpg(shelves.service.processes[0].pid, signal.SIGKILL)
    shelves.service.pace(0)
    kept = shelves.count(library)
    assert 64 <= kept < 150
    shelves.service.begin("library")
    ended = shelves.service.wait(job)
    assert ended.attempt == 2
    shelves.assert_whole(library, ended, 150)
    assert ended.result is not None
    assert ended.result["counts"]["already_there"] == kept
    assert "job.requeued" in shelves.service.names(job)


def test_canceling_stops_between_two_pictures_and_keeps_what_came(begin: Begin) -> None:
    shelves = begin("library", "beat")
    library = shelves.library()
    shelves.service.pace(0.2)
    job = shelves.ingest(library, shelves.archive(60))
    shelves.service.wait_for(lambda: shelves.done(job) >= 4)
    shelves.store.jobs.cancel(job.id, shelves.service.owner)
    ended = shelves.service.wait(job)
    assert ended.state == "canceled"
    kept = shelves.count(library)
    assert 4 <= kept < 60
    assert shelves.store.libraries.get(library.id, shelves.service.owner).picture_count == kept
    shelves.service.pace(0)
    again = shelves.store.jobs.retry(job.id, shelves.service.owner)
    shelves.service.send(again)
    shelves.assert_whole(library, shelves.service.wait(again), 60)


def test_a_worker_that_is_stopped_gives_its_ingest_back(begin: Begin) -> None:
    shelves = begin("library", "beat")
    library = shelves.library()
    shelves.service.pace(0.2)
    job = shelves.ingest(library, shelves.archive(40))
    shelves.service.wait_for(lambda: shelves.done(job) >= 3)
    shelves.service.processes[0].terminate()
    assert shelves.service.processes[0].wait(30) is not None
    back = shelves.service.get(job)
    assert (back.state, back.failed_attempts) == ("queued", 0)
    shelves.service.pace(0)
    shelves.service.begin("library")
    shelves.assert_whole(library, shelves.service.wait(job), 40)


def test_a_folder_that_another_process_changes_is_waited_for(begin: Begin) -> None:
    shelves = begin("library", "beat")
    library = shelves.library()
    root = shelves.store.settings.libraries_dir / shelves.service.owner
    root.mkdir(parents=True)
    lock = FileLock(root / ".lock")
    lock.acquire()
    job = shelves.ingest(library, shelves.archive(3))
    shelves.service.wait(job, "running")
    # Longer than its lease: it is kept while it waits.
    time.sleep(1.5 * shelves.store.settings.lease_s)
    waiting = shelves.service.get(job)
    assert (waiting.state, waiting.attempt) == ("running", 1)
    lock.release()
    shelves.assert_whole(library, shelves.service.wait(job), 3)


def test_messages_that_redis_lost_are_sent_again(begin: Begin) -> None:
    shelves = begin("beat")
    library = shelves.library()
    job = shelves.ingest(library, shelves.archive(3))
    deleted = shelves.library("deleted")
    shelves.store.libraries.delete(deleted.id, shelves.service.owner)
    shelves.service.dispatcher.deliver(deleted.id)
    with redis.Redis(unix_socket_path=str(shelves.service.redis.socket_path)) as client:
        client.flushall()
    shelves.service.begin("library")
    shelves.assert_whole(library, shelves.service.wait(job), 3)


def test_a_piece_shows_pictures_of_its_owners_library(begin: Begin) -> None:
    shelves = begin("library", "compose", "render", "beat")
    library, empty = shelves.library("by the sea"), shelves.library("empty")
    rows = "a.png,A tide mill stores water behind a dam at high tide\nb.png,Ships wait for high tide in a harbour\n"
    path = shelves.service.home / "tides.zip"
    path.write_bytes(
        zipped({"a.png": picture(1), "b.png": picture(2), "manifest.csv": f"file,caption\n{rows}".encode()})
    )
    with path.open("rb") as content:
        upload = shelves.uploads.add(shelves.service.owner, "tides.zip", content).id
    shelves.assert_whole(library, shelves.service.wait(shelves.ingest(library, upload)), 2)
    ids = {one.id for one in _pictures(shelves, library)}
    piece = shelves.service.wait(shelves.service.submit(libraries=["by the sea", empty.id], pictures_wanted=2))
    assert piece.state == "succeeded", (piece.error, shelves.service.logs())
    document = shelves.store.results.document_of(piece.id)
    assert document is not None
    shown = {figure.picture_id for figure in document.article.figures}
    assert shown
    assert shown <= ids
    # The formats were rendered with the pixels.
    page = next(file for file in piece.result["artifacts"] if file["format"] == "html")  # type: ignore[index]
    assert b"data:image/" in shelves.store.artifacts.read_all(f"jobs/{piece.id}/{page['sha256']}")
    # A library that went between the order and its beginning is named.
    late = shelves.service.submit(send=False, libraries=[library.id])
    shelves.store.libraries.delete(library.id, shelves.service.owner)
    shelves.service.send(late)
    failed = shelves.service.wait(late)
    assert (failed.state, failed.error and failed.error["code"]) == ("failed", "invalid_brief")


def _pictures(shelves: Shelves, library: Library) -> list[Any]:
    with PictureReader(shelves.store.settings.libraries_dir / shelves.service.owner) as reader:
        return list(reader.page(library.id, 100))
