"""Results: what workers write down of finished work: the document, its files, and the end of the job, each fenced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, bindparam, insert, select
from sqlalchemy.orm import Session

from interleaf.errors import InterleafError, error_from_record, error_to_record
from interleaf.schema import Article
from workers.store.artifacts import StoredFile
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import new_id
from workers.store.job import Claim, Job, Use
from workers.store.leases import NOTHING, Ending, Leases, Note
from workers.store.ledger import Amounts, account
from workers.store.publications import publish_time_of
from workers.store.reruns import COMPARED
from workers.store.tables import (
    ArtifactRow,
    DocumentFileRow,
    DocumentRow,
    DocumentVersionRow,
    JobBriefRow,
    JobEventRow,
    JobRow,
)

__all__ = ["LIMIT_CODES", "JobDocument", "Results", "limit_reached"]

LIMIT_CODES: Final = {"seconds": "budget_seconds", "tokens": "budget_tokens"}
"""Codes of the notice in the report of a piece that a limit of its job's budget stopped."""

MAX_TITLE_CHARS: Final = 4_000


@dataclass(frozen=True)
class JobDocument:
    """The document that a job made."""

    id: str
    article: Article


def limit_reached(article: Article) -> bool:
    """Whether a limit stopped the piece before it was finished."""
    return any(notice.code in LIMIT_CODES.values() for notice in article.report.warnings)


class Results:
    """The worker's side of documents and artifacts. Every method with a claim raises LeaseLost and then wrote nothing.
    Every method may raise ServiceAway."""

    def __init__(self, database: Database, leases: Leases, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._leases = leases
        self._clock = clock

    def job(self, job_id: str) -> Job | None:
        """The job, whoever owns it."""
        with self._database.reading() as session:
            row = session.get(JobRow, job_id)
            return None if row is None else Job.of_row(row)

    def brief(self, job_id: str) -> Mapping[str, Any]:
        """What the job was asked."""
        with self._database.reading() as session:
            found: Mapping[str, Any] = session.execute(_BRIEF, {"job": job_id}).scalar_one()
            return found

    def document_of(self, job_id: str) -> JobDocument | None:
        """The first version of the document that the job made; None while there is none."""
        with self._database.reading() as session:
            found = session.execute(_DOCUMENT, {"job": job_id}).one_or_none()
        return None if found is None else JobDocument(found.id, Article.model_validate(found.article))

    def keep_document(
        self,
        claim: Claim,
        article: Article,
        json_file: StoredFile,
        *,
        asked: Mapping[str, Any] | None = None,
        notes: Sequence[Note] = (),
        then: Sequence[Note] = (),
        used: Use = NOTHING,
    ) -> JobDocument:
        """Keep the finished piece, with its JSON as the job's first file, and what an edit will need of its run. Events
        document.ready and artifact.ready, told in one with `notes`, which come before them, and with `then`.

        `asked`: the job's brief, if it is at hand; `used`: since the worker last said so."""
        now = self._clock()
        document_id = new_id("doc", now)
        artifact, told = _artifact(claim, document_id, "json", "application/json", json_file, now)
        ready = Note("document.ready", now, {"document_id": document_id, "title": article.title})
        written = article.model_dump(mode="json")
        with self._database.transaction() as session:
            self._leases.tell(claim, (*notes, ready, told, *then), used)
            brief = self.brief(claim.job_id) if asked is None else asked
            connection = session.connection()
            connection.execute(
                _ADD_DOCUMENT,
                {
                    "id": document_id,
                    "owner": claim.job.owner,
                    "job_id": claim.job_id,
                    "title": article.title[:MAX_TITLE_CHARS],
                    "version": 1,
                    "article": written,
                    "created_at": now,
                    "run_id": claim.job.run_id,
                    "formats": brief.get("formats"),
                    "theme": brief.get("theme"),
                    "publish_at": publish_time_of(session, claim.job),
                },
            )
            connection.execute(
                _ADD_VERSION, {"document_id": document_id, "version": 1, "article": written, "created_at": now}
            )
            _add_artifact(session, artifact)
        return JobDocument(document_id, article)

    def keep_piece(
        self,
        claim: Claim,
        article: Article,
        json_file: StoredFile,
        wanted: Sequence[str],
        *,
        asked: Mapping[str, Any],
        notes: Sequence[Note] = (),
        then: Sequence[Note] = (),
        used: Use = NOTHING,
    ) -> Job | None:
        """As `keep_document`; and end the job if no other file is `wanted`. The job if it ended."""
        with self._database.transaction():
            document = self.keep_document(claim, article, json_file, asked=asked, notes=notes, then=then, used=used)
            return None if wanted else self._settle(claim, document, wanted, asked)

    def keep_file(
        self, claim: Claim, document_id: str, format: str, media_type: str, file: StoredFile, wanted: Sequence[str]
    ) -> Job | None:
        """Keep a rendered file, event artifact.ready; end the job if it was the last of `wanted`. The job if it ended.

        A format that another worker kept already stays as it is."""
        with self._database.transaction() as session:
            if format not in self.outcomes(claim):
                artifact, told = _artifact(claim, document_id, format, media_type, file, self._clock())
                self._leases.tell(claim, (told,))
                _add_artifact(session, artifact)
            return self.settle(claim, wanted)

    def keep_failure(self, claim: Claim, format: str, error: InterleafError, wanted: Sequence[str]) -> Job | None:
        """Note that a format cannot be made, event artifact.failed; otherwise as `keep_file`."""
        with self._database.transaction():
            if format not in self.outcomes(claim):
                self._leases.note(claim, "artifact.failed", {"format": format, "error": error_to_record(error)})
            return self.settle(claim, wanted)

    def outcomes(self, claim: Claim) -> dict[str, dict[str, Any] | InterleafError]:
        """By format, what became of it so far: the file as a job's result shows it, or why this attempt failed."""
        with self._database.reading() as session:
            files = session.execute(_FILES, {"job": claim.job_id}).all()
            failed = session.execute(_FAILURES, {"job": claim.job_id}).scalars().all()
        found: dict[str, dict[str, Any] | InterleafError] = {
            data["format"]: error_from_record(data["error"]) for data in failed if data["attempt"] == claim.attempt
        }
        return found | {row.format: dict(row._mapping) for row in files}

    def settle(self, claim: Claim, wanted: Sequence[str]) -> Job | None:
        """End the job if nothing of `wanted` is open any more; None while something is.

        Succeeded with all its files; incomplete when a limit stopped the piece or a format failed; failed when every
        format did. Whoever comes first ends it: the others find the lease gone.
        """
        with self._database.transaction():
            # The row is held from here on, so of two that end at the same time the second sees the first's file.
            self._leases.beat(claim)
            return self._settle(claim, None, wanted, None)

    def _settle(
        self, claim: Claim, document: JobDocument | None, wanted: Sequence[str], asked: Mapping[str, Any] | None
    ) -> Job | None:
        """The job's row is held. The document and the brief are read if they are not at hand."""
        outcomes = self.outcomes(claim)
        if any(format not in outcomes for format in wanted):
            return None
        errors = {name: found for name, found in outcomes.items() if isinstance(found, InterleafError)}
        document = document or self.document_of(claim.job_id)
        assert document is not None
        state: Ending = "succeeded"
        error: InterleafError | None = None
        if errors:
            state = "failed" if len(errors) == len(set(wanted)) else "incomplete"
            error = next(errors[name] for name in wanted if name in errors)
        elif limit_reached(document.article):
            state = "incomplete"
        result: dict[str, Any] = {
            "document_id": document.id,
            "artifacts": [outcomes[name] for name in sorted(outcomes) if name not in errors],
            "report": self._told_of(claim.job_id, document.article, asked),
            "run": document.article.run.model_dump(mode="json"),
        }
        if claim.job.rerun_of is not None:
            result["rerun"] = self._compared(claim.job_id)
        if errors:
            result["failed_formats"] = sorted(errors)
        return self._leases.finish(claim, state, result=result, error=error)

    def _told_of(self, job_id: str, article: Article, asked: Mapping[str, Any] | None) -> dict[str, Any]:
        """The piece in numbers, for who polls the job and for estimates of later ones; its notices are in the piece."""
        with self._database.reading() as session:
            writer = session.execute(_WRITER, {"job": job_id}).scalar() if asked is None else asked.get("writer")
        return {
            "writer": writer or article.run.writer,
            "source_chars": sum(source.length_chars for source in article.sources),
            **article.report.model_dump(mode="json", exclude={"warnings"}),
            "warnings": len(article.report.warnings),
        }

    def _compared(self, job_id: str) -> Mapping[str, Any] | None:
        """What the worker that composed the piece found otherwise than for the job that this one does anew."""
        with self._database.reading() as session:
            told: Mapping[str, Any] | None = session.scalar(
                select(JobEventRow.data)
                .where(JobEventRow.job_id == job_id, JobEventRow.name == COMPARED)
                .order_by(JobEventRow.id.desc())
                .limit(1)
            )
        return None if told is None else {name: told[name] for name in ("of", "overrides", "notices")}


# Made once: every job needs them.
_JOB: Final[BindParameter[Any]] = bindparam("job")
_BRIEF: Final = select(JobBriefRow.brief).where(JobBriefRow.job_id == _JOB)
_WRITER: Final = select(JobBriefRow.brief["writer"].as_string()).where(JobBriefRow.job_id == _JOB)
_DOCUMENT: Final = (
    select(DocumentRow.id, DocumentVersionRow.article)
    .join(DocumentVersionRow, DocumentVersionRow.document_id == DocumentRow.id)
    .where(DocumentRow.job_id == _JOB, DocumentVersionRow.version == 1)
)
_FILES: Final = select(
    ArtifactRow.id, ArtifactRow.format, ArtifactRow.media_type, ArtifactRow.bytes, ArtifactRow.sha256
).where(ArtifactRow.job_id == _JOB)
_FAILURES: Final = select(JobEventRow.data).where(JobEventRow.job_id == _JOB, JobEventRow.name == "artifact.failed")
_ADD_DOCUMENT: Final = insert(DocumentRow.__table__)  # type: ignore[arg-type]
_ADD_VERSION: Final = insert(DocumentVersionRow.__table__)  # type: ignore[arg-type]
_ADD_ARTIFACT: Final = insert(ArtifactRow.__table__)  # type: ignore[arg-type]
_ADD_FILE: Final = insert(DocumentFileRow.__table__)  # type: ignore[arg-type]


def _artifact(
    claim: Claim, document_id: str, format: str, media_type: str, file: StoredFile, now: datetime
) -> tuple[dict[str, Any], Note]:
    """The row of a file, and what is told of it."""
    row = {
        "id": new_id("art", now),
        "owner": claim.job.owner,
        "job_id": claim.job_id,
        "document_id": document_id,
        "version": 1,
        "format": format,
        "media_type": media_type,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "file_key": file.key,
        "created_at": now,
    }
    data = {"artifact_id": row["id"], "format": format, "bytes": file.bytes, "sha256": file.sha256}
    return row, Note("artifact.ready", now, data)


def _add_artifact(session: Session, row: Mapping[str, Any]) -> None:
    connection = session.connection()
    connection.execute(_ADD_ARTIFACT, row)
    connection.execute(
        _ADD_FILE,
        {
            "document_id": row["document_id"],
            "version": row["version"],
            "format": row["format"],
            "artifact_id": row["id"],
        },
    )
    account(session, row["owner"], row["created_at"], Amounts(bytes=row["bytes"]))
