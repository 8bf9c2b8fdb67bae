"""Document deletion: a document goes with its versions and files; its run folder, when nothing needs that any more."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from workers.store.database import Database
from workers.store.document_versions import document_row, stale
from workers.store.tables import ArtifactRow, DocumentRow, JobRow

__all__ = ["DocumentDeletion", "delete_document", "run_is_needed"]


@dataclass(frozen=True)
class DocumentDeletion:
    """What has nobody left. Remove it after the transaction is committed."""

    document_id: str
    file_keys: tuple[str, ...]
    """Files that no other artifact uses."""
    free_run_id: str | None
    """The run folder, when nothing needs it."""


def delete_document(database: Database, document_id: str, owner: str, expected: int | None = None) -> DocumentDeletion:
    """Delete a document; with `expected`, only while that is its newest version (VersionStale). The records of its jobs
    stay; one that is at work on it fails. ObjectUnknown; ServiceAway."""
    with database.transaction() as session:
        row = document_row(session, document_id, owner, lock=True)
        if expected is not None and row.version != expected:
            raise stale(document_id, expected, row.version)
        run_id = row.run_id
        files = ArtifactRow.document_id == document_id
        keys = set(session.scalars(select(ArtifactRow.file_key).where(files)))
        session.execute(delete(ArtifactRow).where(files))
        keys -= set(session.scalars(select(ArtifactRow.file_key).where(ArtifactRow.file_key.in_(sorted(keys)))))
        session.execute(delete(DocumentRow).where(DocumentRow.id == document_id))
        free = run_id if run_id is not None and not run_is_needed(session, run_id) else None
    return DocumentDeletion(document_id, tuple(sorted(keys)), free)


def run_is_needed(session: Session, run_id: str) -> bool:
    """Whether a document was made from that run, or a job is at work on it or may go on with it."""
    made = exists().where(DocumentRow.run_id == run_id)
    # A job that succeeded has nothing to go on with.
    may_go_on = exists().where(JobRow.run_id == run_id, JobRow.state != "succeeded")
    return bool(session.scalar(select(made | may_go_on)))
