"""Pieces: finished documents and the files that were made of them, as their owner reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from interleaf.errors import ObjectUnknown
from workers.store.database import Database
from workers.store.ids import is_id
from workers.store.job_transitions import FINAL
from workers.store.tables import ArtifactRow, DocumentFileRow, DocumentRow, DocumentVersionRow, JobRow

__all__ = ["Artifact", "Document", "Pieces"]


@dataclass(frozen=True)
class Artifact:
    """A file that a job made."""

    id: str
    owner: str
    job_id: str | None
    document_id: str | None
    version: int | None
    """Of the document: the first that has this file."""
    format: str
    media_type: str
    bytes: int
    sha256: str
    file_key: str
    created_at: datetime

    @classmethod
    def of_row(cls, row: ArtifactRow) -> Artifact:
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Document:
    """A piece in one of its versions, by default the newest."""

    id: str
    owner: str
    job_id: str | None
    title: str
    version: int
    """1 and rising: what edits make."""
    article: Mapping[str, Any] | None
    """The Article as JSON; None in a list."""
    created_at: datetime
    artifacts: tuple[Artifact, ...]
    """Of this version; versions that look the same in a format share its file."""
    render_job_id: str | None = None
    """The job that makes the files that the newest version lacks, while it is at it."""
    publish_at: datetime | None = None
    """When it is to be published; None when that is done, or no schedule says so (publications.py)."""
    published_at: datetime | None = None


class Pieces:
    """The documents and artifacts of all owners. Another owner's is ObjectUnknown. Every method may raise
    ServiceAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def document(self, document_id: str, owner: str, version: int | None = None) -> Document:
        """The document with its files, in its newest version or in an earlier one. ObjectUnknown."""
        with self._database.reading() as session:
            row = None
            if is_id("doc", document_id):
                wanted = select(DocumentRow).where(DocumentRow.id == document_id, DocumentRow.owner == owner)
                row = session.scalars(wanted).one_or_none()
            if row is None:
                raise ObjectUnknown(document_id, "there is no such document of yours.", "See GET /v1/documents.")
            if version is None or version == row.version:
                return _document(
                    row, row.version, row.article, _artifacts(session, row.id, row.version), _at_work(session, row)
                )
            earlier = session.get(DocumentVersionRow, (document_id, version))
            if earlier is None:
                raise ObjectUnknown(
                    f"{document_id}, version {version}", "there is no such version.", f"The newest is {row.version}."
                )
            return _document(row, version, earlier.article, _artifacts(session, row.id, version))

    def documents(self, owner: str, limit: int, after: str | None = None, before: str | None = None) -> list[Document]:
        """At most `limit` documents without their articles, newest first; older than `after`, or, oldest first, newer
        than `before`."""
        order = DocumentRow.id.desc() if before is None else DocumentRow.id.asc()
        wanted = select(
            DocumentRow.id,
            DocumentRow.owner,
            DocumentRow.job_id,
            DocumentRow.title,
            DocumentRow.version,
            DocumentRow.created_at,
            DocumentRow.publish_at,
            DocumentRow.published_at,
        ).where(DocumentRow.owner == owner)
        if after is not None:
            wanted = wanted.where(DocumentRow.id < after)
        if before is not None:
            wanted = wanted.where(DocumentRow.id > before)
        with self._database.reading() as session:
            rows = session.execute(wanted.order_by(order).limit(limit)).all()
        return [
            Document(
                id=row.id,
                owner=row.owner,
                job_id=row.job_id,
                title=row.title,
                version=row.version,
                article=None,
                created_at=row.created_at,
                artifacts=(),
                publish_at=row.publish_at,
                published_at=row.published_at,
            )
            for row in rows
        ]

    def artifact(self, artifact_id: str, owner: str) -> Artifact:
        """What is known of the file. ObjectUnknown."""
        with self._database.reading() as session:
            row = None
            if is_id("art", artifact_id):
                wanted = select(ArtifactRow).where(ArtifactRow.id == artifact_id, ArtifactRow.owner == owner)
                row = session.scalars(wanted).one_or_none()
        if row is None:
            raise ObjectUnknown(artifact_id, "there is no such file of yours.", "A job's result lists its files.")
        return Artifact.of_row(row)

    def artifacts_of(self, job_ids: Sequence[str], owner: str) -> dict[str, tuple[Artifact, ...]]:
        """The files that each of at most 100 jobs has made so far, in the order of their making."""
        found: dict[str, tuple[Artifact, ...]] = dict.fromkeys(job_ids, ())
        with self._database.reading() as session:
            for row in session.execute(_OF_JOBS, {"job_ids": list(job_ids), "owner": owner}):
                found[row.job_id] += (Artifact(*row),)
        return found


# Columns in the order of Artifact's fields.
_OF_JOBS: Final = (
    select(*(getattr(ArtifactRow, name) for name in Artifact.__dataclass_fields__))
    .where(ArtifactRow.job_id.in_(bindparam("job_ids", expanding=True)), ArtifactRow.owner == bindparam("owner"))
    .order_by(ArtifactRow.id)
)


def _document(
    row: DocumentRow,
    version: int,
    article: Mapping[str, Any],
    artifacts: tuple[Artifact, ...],
    render_job_id: str | None = None,
) -> Document:
    return Document(
        id=row.id,
        owner=row.owner,
        job_id=row.job_id,
        title=str(article.get("title", row.title)),
        version=version,
        article=article,
        created_at=row.created_at,
        artifacts=artifacts,
        render_job_id=render_job_id,
        publish_at=row.publish_at,
        published_at=row.published_at,
    )


def _artifacts(session: Session, document_id: str, version: int) -> tuple[Artifact, ...]:
    wanted = (
        select(ArtifactRow)
        .join(DocumentFileRow, DocumentFileRow.artifact_id == ArtifactRow.id)
        .where(DocumentFileRow.document_id == document_id, DocumentFileRow.version == version)
    )
    return tuple(Artifact.of_row(row) for row in session.scalars(wanted.order_by(DocumentFileRow.format)))


def _at_work(session: Session, row: DocumentRow) -> str | None:
    if row.render_job_id is None:
        return None
    wanted = select(JobRow.id).where(JobRow.id == row.render_job_id, JobRow.state.not_in(sorted(FINAL)))
    return session.scalar(wanted)
