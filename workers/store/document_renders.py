"""Document renders: which files a document's newest version has and which it lacks, and the job that makes them.

A document has at most one such job that has not ended. It makes what the newest version lacks when it begins; where an
edit moves the document on meanwhile, the end of the job orders the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from interleaf.errors import InterleafError, error_to_record
from workers.store.artifacts import StoredFile
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.document_versions import EditedDocument, document_row
from workers.store.edit_order import RENDER, FilesOrder
from workers.store.ids import new_id
from workers.store.job import Claim, Job, Use
from workers.store.job_transitions import FINAL
from workers.store.jobs import Jobs
from workers.store.leases import Ending, Leases
from workers.store.ledger import Amounts, account
from workers.store.new_rows import insert_if_new
from workers.store.tables import ArtifactRow, DocumentFileRow, DocumentRow, JobRow

__all__ = ["DocumentRenders", "OrderedRender"]


@dataclass(frozen=True)
class OrderedRender:
    """The job that makes the files of a document."""

    job: Job
    is_new: bool
    """Whether it was made now, so that its message is to be sent."""


class DocumentRenders:
    """The files of all owners' documents. Every method may raise ServiceAway; those with a claim LeaseLost."""

    def __init__(self, database: Database, jobs: Jobs, leases: Leases, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._jobs = jobs
        self._leases = leases
        self._clock = clock

    def order(self, document_id: str, owner: str) -> OrderedRender | None:
        """Have the files made that the newest version lacks; None when it lacks none. ObjectUnknown; EditRefused.

        Inside the transaction that writes a version: there is no version then whose files nobody makes."""
        with self._database.transaction() as session:
            # Held until the end of the transaction, so that two who order at once see each other's job.
            row = document_row(session, document_id, owner, lock=True)
            document = EditedDocument.of_row(row)
            if not _lacked(session, document):
                return None
            if row.render_job_id is not None:
                standing = select(JobRow).where(JobRow.id == row.render_job_id, JobRow.state.not_in(sorted(FINAL)))
                found = session.scalars(standing, execution_options={"populate_existing": True}).one_or_none()
                if found is not None:
                    return OrderedRender(Job.of_row(found), is_new=False)
            order = FilesOrder(document_id=document_id).model_dump(mode="json")
            job = self._jobs.create(owner, RENDER, order, follows=True)
            session.execute(update(DocumentRow).where(DocumentRow.id == document_id).values(render_job_id=job.id))
            return OrderedRender(job, is_new=True)

    def lacked(self, document: EditedDocument) -> tuple[str, ...]:
        """Formats in which that version has no file yet."""
        with self._database.reading() as session:
            return _lacked(session, document)

    def has_same(self, claim: Claim, document: EditedDocument, format: str, sha256: str) -> bool:
        """Whether an earlier version has the very same file in that format; it is then this version's, too."""
        with self._database.transaction() as session:
            self._leases.beat(claim)
            wanted = select(ArtifactRow.id).where(
                ArtifactRow.document_id == document.id, ArtifactRow.format == format, ArtifactRow.sha256 == sha256
            )
            # Held, so that nobody deletes it meanwhile.
            held = wanted.order_by(ArtifactRow.id).limit(1).with_for_update(read=True, key_share=True)
            artifact_id = session.scalar(held)
            if artifact_id is None:
                return False
            _point(session, document, format, artifact_id)
            return True

    def keep(self, claim: Claim, document: EditedDocument, format: str, media_type: str, file: StoredFile) -> None:
        """Keep a file that was made, event artifact.ready. What another attempt kept stays as it is."""
        now = self._clock()
        with self._database.transaction() as session:
            self._leases.beat(claim)
            document_row(session, document.id, document.owner)
            artifact_id = new_id("art", now)
            is_new = insert_if_new(
                session,
                ArtifactRow,
                id=artifact_id,
                owner=document.owner,
                job_id=claim.job_id,
                document_id=document.id,
                version=document.version,
                format=format,
                media_type=media_type,
                bytes=file.bytes,
                sha256=file.sha256,
                file_key=file.key,
                created_at=now,
            )
            if is_new:
                _point(session, document, format, artifact_id)
                account(session, document.owner, now, Amounts(bytes=file.bytes))
                told = {"artifact_id": artifact_id, "format": format, "bytes": file.bytes, "sha256": file.sha256}
                self._leases.note(claim, "artifact.ready", told)

    def end(
        self, claim: Claim, document: EditedDocument, failed: Mapping[str, InterleafError], used: Use
    ) -> OrderedRender | None:
        """End the job: succeeded, incomplete when some format failed, failed when none could be made. The job that goes
        on where the document has a newer version now."""
        with self._database.transaction() as session:
            row = document_row(session, document.id, document.owner, lock=True)
            files = _files(session, document.id, document.version)
            for format in sorted(failed):
                told = {"format": format, "error": error_to_record(failed[format])}
                self._leases.note(claim, "artifact.failed", told)
            state: Ending = "succeeded"
            if failed:
                state = "incomplete" if files else "failed"
            result: dict[str, Any] = {
                "document_id": document.id,
                "artifacts": [_told(files[format]) for format in sorted(files)],
                "report": {"version": document.version},
            }
            if failed:
                result["failed_formats"] = sorted(failed)
            error = failed[min(failed)] if failed else None
            self._leases.finish(claim, state, result=result, error=error, used=used)
            # A format may lack a file though nothing failed: an attempt before this one made it for an earlier version.
            open_ = set(document.wanted) - set(files) - set(failed)
            return self.order(document.id, document.owner) if open_ or row.version != document.version else None


def _lacked(session: Session, document: EditedDocument) -> tuple[str, ...]:
    there = _files(session, document.id, document.version)
    return tuple(format for format in document.wanted if format not in there)


def _files(session: Session, document_id: str, version: int) -> dict[str, ArtifactRow]:
    wanted = (
        select(DocumentFileRow.format, ArtifactRow)
        .join(ArtifactRow, ArtifactRow.id == DocumentFileRow.artifact_id)
        .where(DocumentFileRow.document_id == document_id, DocumentFileRow.version == version)
    )
    return {row.format: row.ArtifactRow for row in session.execute(wanted)}


def _point(session: Session, document: EditedDocument, format: str, artifact_id: str) -> None:
    insert_if_new(
        session,
        DocumentFileRow,
        document_id=document.id,
        version=document.version,
        format=format,
        artifact_id=artifact_id,
    )


def _told(row: ArtifactRow) -> dict[str, Any]:
    """A file as a job's result shows it."""
    return {
        "id": row.id,
        "format": row.format,
        "media_type": row.media_type,
        "bytes": row.bytes,
        "sha256": row.sha256,
    }
