"""Results: what workers write down of finished work: the document, its files, and the end of the job, each fenced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select

from interleaf.errors import InterleafError, error_from_record, error_to_record
from interleaf.schema import Article
from workers.store.artifacts import StoredFile
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import new_id
from workers.store.job import Claim, Job
from workers.store.leases import Ending, Leases
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
            found: Mapping[str, Any] = session.scalars(
                select(JobBriefRow.brief).where(JobBriefRow.job_id == job_id)
            ).one()
            return found

    def document_of(self, job_id: str) -> JobDocument | None:
        """The first version of the document that the job made; None while there is none."""
        with self._database.reading() as session:
            found = session.execute(
                select(DocumentRow.id, DocumentVersionRow.article)
                .join(DocumentVersionRow, DocumentVersionRow.document_id == DocumentRow.id)
                .where(DocumentRow.job_id == job_id, DocumentVersionRow.version == 1)
            ).one_or_none()
        return None if found is None else JobDocument(found.id, Article.model_validate(found.article))

    def keep_document(self, claim: Claim, article: Article, json_file: StoredFile) -> JobDocument:
        """Keep the finished piece, with its JSON as the job's first file, and what an edit will need of its run. Event
        document.ready."""
        now = self._clock()
        document_id = new_id("doc", now)
        written = article.model_dump(mode="json")
        with self._database.transaction() as session:
            self._leases.note(claim, "document.ready", {"document_id": document_id, "title": article.title})
            brief = self.brief(claim.job_id)
            session.add(
                DocumentRow(
                    id=document_id,
                    owner=claim.job.owner,
                    job_id=claim.job_id,
                    title=article.title[:MAX_TITLE_CHARS],
                    version=1,
                    article=written,
                    created_at=now,
                    run_id=claim.job.run_id,
                    formats=brief.get("formats"),
                    theme=brief.get("theme"),
                    publish_at=publish_time_of(session, claim.job_id),
                )
            )
            session.flush()
            session.add(DocumentVersionRow(document_id=document_id, version=1, article=written, created_at=now))
            self._add_artifact(claim, document_id, "json", "application/json", json_file)
        return JobDocument(document_id, article)

    def keep_file(
        self, claim: Claim, document_id: str, format: str, media_type: str, file: StoredFile, wanted: Sequence[str]
    ) -> Job | None:
        """Keep a rendered file, event artifact.ready; end the job if it was the last of `wanted`. The job if it ended.

        A format that another worker kept already stays as it is."""
        with self._database.transaction():
            if format not in self.outcomes(claim):
                self._add_artifact(claim, document_id, format, media_type, file)
            return self.settle(claim, document_id, wanted)

    def keep_failure(
        self, claim: Claim, document_id: str, format: str, error: InterleafError, wanted: Sequence[str]
    ) -> Job | None:
        """Note that a format cannot be made, event artifact.failed; otherwise as `keep_file`."""
        with self._database.transaction():
            if format not in self.outcomes(claim):
                self._leases.note(claim, "artifact.failed", {"format": format, "error": error_to_record(error)})
            return self.settle(claim, document_id, wanted)

    def outcomes(self, claim: Claim) -> dict[str, dict[str, Any] | InterleafError]:
        """By format, what became of it so far: the file as a job's result shows it, or why this attempt failed."""
        with self._database.reading() as session:
            files = session.scalars(select(ArtifactRow).where(ArtifactRow.job_id == claim.job_id)).all()
            failed = session.scalars(
                select(JobEventRow.data).where(
                    JobEventRow.job_id == claim.job_id, JobEventRow.name == "artifact.failed"
                )
            ).all()
        found: dict[str, dict[str, Any] | InterleafError] = {
            data["format"]: error_from_record(data["error"]) for data in failed if data["attempt"] == claim.attempt
        }
        for row in files:
            found[row.format] = {
                "id": row.id,
                "format": row.format,
                "media_type": row.media_type,
                "bytes": row.bytes,
                "sha256": row.sha256,
            }
        return found

    def settle(self, claim: Claim, document_id: str, wanted: Sequence[str]) -> Job | None:
        """End the job if nothing of `wanted` is open any more; None while something is.

        Succeeded with all its files; incomplete when a limit stopped the piece or a format failed; failed when every
        format did. Whoever comes first ends it: the others find the lease gone.
        """
        with self._database.transaction():
            # The row is held from here on, so of two that end at the same time the second sees the first's file.
            self._leases.beat(claim)
            outcomes = self.outcomes(claim)
            if any(format not in outcomes for format in wanted):
                return None
            errors = {name: found for name, found in outcomes.items() if isinstance(found, InterleafError)}
            document = self.document_of(claim.job_id)
            assert document is not None
            state: Ending = "succeeded"
            error: InterleafError | None = None
            if errors:
                state = "failed" if len(errors) == len(set(wanted)) else "incomplete"
                error = next(errors[name] for name in wanted if name in errors)
            elif limit_reached(document.article):
                state = "incomplete"
            result: dict[str, Any] = {
                "document_id": document_id,
                "artifacts": [outcomes[name] for name in sorted(outcomes) if name not in errors],
                "report": self._told_of(claim.job_id, document.article),
                "run": document.article.run.model_dump(mode="json"),
            }
            if claim.job.rerun_of is not None:
                result["rerun"] = self._compared(claim.job_id)
            if errors:
                result["failed_formats"] = sorted(errors)
            return self._leases.finish(claim, state, result=result, error=error)

    def _told_of(self, job_id: str, article: Article) -> dict[str, Any]:
        """The piece in numbers, for who polls the job and for estimates of later ones; its notices are in the piece."""
        with self._database.reading() as session:
            writer = session.scalar(select(JobBriefRow.brief["writer"].as_string()).where(JobBriefRow.job_id == job_id))
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

    def _add_artifact(self, claim: Claim, document_id: str, format: str, media_type: str, file: StoredFile) -> None:
        now = self._clock()
        row = ArtifactRow(
            id=new_id("art", now),
            owner=claim.job.owner,
            job_id=claim.job_id,
            document_id=document_id,
            version=1,
            format=format,
            media_type=media_type,
            bytes=file.bytes,
            sha256=file.sha256,
            file_key=file.key,
            created_at=now,
        )
        data = {"artifact_id": row.id, "format": format, "bytes": file.bytes, "sha256": file.sha256}
        with self._database.transaction() as session:
            self._leases.note(claim, "artifact.ready", data)
            session.add(row)
            session.flush()
            session.add(DocumentFileRow(document_id=document_id, version=1, format=format, artifact_id=row.id))
            session.flush()
            account(session, row.owner, now, Amounts(bytes=file.bytes))
