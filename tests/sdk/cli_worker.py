"""Cli worker: does by hand what a worker does with the job that a command has ordered, as slowly as a test wants."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

from interleaf.schema import Article
from tests.api.service import Service
from tests.templates.sample import article
from workers.store.artifacts import StoredFile
from workers.store.job import Claim, Job
from workers.store.results import Results

HTML = b"<!doctype html><p>words</p>"
OUTLINE = {"title": "Tides", "sections": [{"heading": "The moon", "level": 2, "length_words": 100}]}
QUESTION = {"asks": "outline", "outline": OUTLINE}


def piece(title: str = "Tides") -> Article:
    return article((), title=title)


class CliWorker:
    """Works on the jobs of one service that the test has not made itself."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.results = Results(service.database, service.leases)

    def next_job(self, timeout_s: float = 60.0) -> Job:
        """The newest job, as soon as there is one that is queued."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            queued = [job for job in self.service.jobs.list(self.service.alice_id).jobs if job.state == "queued"]
            if queued:
                return queued[0]
            time.sleep(0.02)
        raise AssertionError("no job came")

    def begin(self, job_id: str) -> Claim:
        claim = self.service.claim(job_id)
        for stage in ("read", "plan", "draft"):
            self.service.leases.note(claim, "stage.started", stage=stage)
            self.service.leases.note(claim, "stage.progress", stage=stage, share_done=0.5, message="half [way]")
            self.service.leases.note(claim, "stage.completed", stage=stage, share_done=1.0, message=f"{stage} is done")
        self.service.leases.note(claim, "stage.started", stage="a stage of a newer service")
        return claim

    def ask(self, claim: Claim) -> str:
        """The id of the question."""
        self.service.leases.ask(claim, QUESTION, None, "cancel")
        request_id = self.service.jobs.get(claim.job_id, self.service.alice_id).request_id
        assert request_id is not None
        return request_id

    def finish(self, claim: Claim, formats: tuple[str, ...] = ("html", "md"), title: str = "Tides") -> None:
        made = piece(title)
        document = self.results.keep_document(claim, made, self._kept((made.model_dump_json(indent=1) + "\n").encode()))
        for format in formats:
            self.results.keep_file(claim, document.id, format, "text/html", self._kept(HTML + format.encode()), formats)

    def does(self, work: Callable[[Claim], None]) -> threading.Thread:
        """Do that with the next job, aside. Join the thread."""

        return _aside(lambda: work(self.begin(self.next_job().id)))

    def goes_on_with(self, job_id: str, work: Callable[[Claim], None]) -> threading.Thread:
        """Do that with a job as soon as its question is answered."""

        def run() -> None:
            until = time.monotonic() + 60
            while self.service.jobs.get(job_id, self.service.alice_id).answered_at is None:
                assert time.monotonic() < until, "nobody answers"
                time.sleep(0.02)
            work(self.begin(job_id))

        return _aside(run)

    def _kept(self, content: bytes) -> StoredFile:
        kept: Any = self.service.store.put(f"jobs/{hashlib.sha256(content).hexdigest()}", [content])
        return StoredFile(kept.key, kept.bytes, kept.sha256)


def _aside(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
