"""Audit: whether the jobs of a service are what they have to be after all that was done to it."""

from __future__ import annotations

import itertools
import zipfile
from collections import Counter
from collections.abc import Collection, Sequence
from io import BytesIO

from sqlalchemy import func, select

from interleaf import Client
from interleaf.errors import InterleafError
from interleaf.schema import Article
from interleaf.service.service_records import JobEvent, JobRecord
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict
from workers.store.job_transitions import TRANSITIONS
from workers.store.tables import ArtifactRow, DocumentRow, JobRow

__all__ = ["Audit"]

_REASONS = {"worker_lost"}
# Another person was quicker; the notes hold no other sentence; a single sentence cannot be shortened.
_EDIT_REASONS = {"version_stale", "nothing_to_say", "edit_refused"}


class Audit:
    """Looks at every accepted job through the API, as its owner would, and at the tables behind it."""

    def __init__(self, service: ChaosService, accepted: Sequence[str]) -> None:
        self._service = service
        self._accepted = [*service.warmed, *accepted]
        self.jobs: dict[str, JobRecord] = {}
        self.events: dict[str, list[JobEvent]] = {}
        self.troubles: dict[str, list[str]] = {
            "jobs lost": [],
            "jobs not ended": [],
            "jobs ended twice": [],
            "event streams with a hole": [],
            "moves that no table allows": [],
            "files torn": [],
            "pieces torn": [],
            "jobs with two pieces": [],
            "files that the tables name and the store lacks": [],
        }
        self._rows = self._pieces = self._unnamed = 0
        self.files = 0
        self.bytes = 0

    def run(self) -> None:
        """Look at everything. Takes some milliseconds for each job."""
        with self._service.client() as client:
            for job_id in self._accepted:
                try:
                    self._look_at(client, job_id)
                except InterleafError as error:
                    self.troubles["jobs lost"].append(f"{job_id}: {error.code}")
        self._look_at_tables()

    def tell(self, verdict: Verdict) -> None:
        """What was found, as lines of a verdict."""
        states = Counter(job.state for job in self.jobs.values())
        verdict.tell("jobs accepted", len(self._accepted))
        verdict.tell("jobs by state", ", ".join(f"{state} {count}" for state, count in sorted(states.items())))
        attempts = [job.attempt for job in self.jobs.values()]
        verdict.tell("attempts", f"{sum(attempts)} (most of one job: {max(attempts, default=0)})")
        verdict.tell("events", sum(map(len, self.events.values())))
        verdict.tell("files held against their hashes", f"{self.files} ({self.bytes / 1e6:.1f} MB)")
        for what, found in self.troubles.items():
            verdict.none(what, found)
        verdict.equal("rows of jobs", self._rows, len(self._accepted))
        succeeded = sum(job.state == "succeeded" and job.kind == "article" for job in self.jobs.values())
        verdict.hold("pieces", self._pieces, self._pieces >= succeeded, f"at least {succeeded}")
        # Written by a process that was killed before it could say so; upkeep takes them away after a while.
        verdict.tell("files that no table names yet", self._unnamed)

    def unexplained(self, canceled: Collection[str]) -> list[str]:
        """Jobs that neither succeeded, nor were canceled by somebody, nor lost a worker too often; and edits that were
        not refused with good reason."""
        return [
            f"{job.id} ({job.kind}) is {job.state}: {job.error.code if job.error else ''}"
            for job in self.jobs.values()
            if job.state != "succeeded"
            and not (job.state == "canceled" and job.id in canceled)
            and not (job.state == "failed" and job.error is not None and job.error.code in _REASONS)
            and not (job.kind == "edit" and job.error is not None and job.error.code in _EDIT_REASONS)
        ]

    def _look_at(self, client: Client, job_id: str) -> None:
        troubles, job = self.troubles, client.jobs.get(job_id)
        record = self.jobs[job_id] = job.record
        if not record.final:
            troubles["jobs not ended"].append(f"{job_id}: {record.state}")
            return
        events = self.events[job_id] = list(job.events())
        if [event.id for event in events] != list(range(1, record.last_event_id + 1)):
            troubles["event streams with a hole"].append(job_id)
        if [event.final for event in events].count(True) != 1 or not events[-1].final:
            troubles["jobs ended twice"].append(job_id)
        states = [event.data["state"] for event in events if event.name.startswith("job.") and "state" in event.data]
        moves = [(a, b) for a, b in itertools.pairwise(states) if a != b]
        if any(after not in TRANSITIONS[before] for before, after in moves):  # type: ignore[index]
            troubles["moves that no table allows"].append(f"{job_id}: {' '.join(states)}")
        if record.state == "succeeded" and record.kind == "article":
            self._look_at_piece(client, record)

    def _look_at_piece(self, client: Client, record: JobRecord) -> None:
        assert record.result is not None
        kept = {file.format: file for file in record.result.artifacts}
        if set(kept) != {"html", "json", "md"} or record.result.document_id is None:
            self.troubles["pieces torn"].append(f"{record.id}: {sorted(kept)}")
            return
        try:
            read = {name: client.artifacts.read(file) for name, file in kept.items()}
            document = client.documents.get(record.result.document_id, 1)
        except InterleafError as error:
            self.troubles["files torn"].append(f"{record.id}: {error}")
            return
        self.files += len(read)
        self.bytes += sum(map(len, read.values()))
        article = Article.model_validate_json(read["json"])
        whole = (
            article == document.article
            and article.title.encode() in read["html"]
            and zipfile.ZipFile(BytesIO(read["md"])).testzip() is None
        )
        if not whole:
            self.troubles["pieces torn"].append(record.id)

    def _look_at_tables(self) -> None:
        with self._service.store.database.reading() as session:
            self._rows = len(session.scalars(select(JobRow.id)).all())
            pieces = session.execute(select(DocumentRow.job_id, func.count()).group_by(DocumentRow.job_id)).all()
            keys = set(session.scalars(select(ArtifactRow.file_key)))
        stored = {file.key for file in self._service.store.artifacts.list("jobs")}
        self._pieces = len(pieces)
        self._unnamed = len(stored - keys)
        self.troubles["jobs with two pieces"] += [str(job_id) for job_id, count in pieces if count != 1]
        self.troubles["files that the tables name and the store lacks"] += sorted(keys - stored)
