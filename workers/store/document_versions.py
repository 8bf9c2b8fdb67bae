"""Document versions: a piece is changed by writing its next version, and only if nobody wrote that one before.

The question whether the document is still at the version that was edited is part of the statement that moves it on, so
of two people who edit at the same time one is told that it has changed (VersionStale), and nothing of either is lost.
Versions are never taken away: undoing and restoring write a further one that repeats an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import ValidationError
from sqlalchemy import insert, literal, select, update
from sqlalchemy.orm import Session

from agents.editing.history import Step, redo_target, undo_target
from interleaf.errors import EditRefused, ObjectUnknown, VersionStale
from interleaf.schema import Article
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import is_id
from workers.store.tables import DocumentFileRow, DocumentRow, DocumentVersionRow

__all__ = [
    "MAX_VERSIONS",
    "DocumentVersions",
    "EditedDocument",
    "How",
    "VersionLine",
    "article_of",
    "document_row",
    "stale",
]

How = Literal["made", "edit", "restore", "undo", "redo"]

MAX_VERSIONS: Final = 10_000
"""Of one document: undoing looks at all of them."""

MAX_TITLE_CHARS: Final = 4_000
# Of documents that were made before the wish was kept.
DEFAULT_FORMATS: Final = ("html", "md")
DEFAULT_THEME: Final = "paper"


@dataclass(frozen=True)
class EditedDocument:
    """A document in its newest version, with what an edit needs of it."""

    id: str
    owner: str
    version: int
    article: Article
    job_id: str | None
    run_id: str | None
    """The run folder with its notes and given pictures; None: it was made before these were kept."""
    formats: tuple[str, ...]
    """As the brief wanted them; the article's own JSON is kept in any case."""
    theme: str

    @property
    def wanted(self) -> tuple[str, ...]:
        """The formats of its files, none twice."""
        return tuple(dict.fromkeys(("json", *self.formats)))

    @classmethod
    def of_row(cls, row: DocumentRow) -> EditedDocument:
        """EditRefused when the article is none that this version of interleaf can edit."""
        return cls(
            id=row.id,
            owner=row.owner,
            version=row.version,
            article=article_of(row.article),
            job_id=row.job_id,
            run_id=row.run_id,
            formats=tuple(row.formats if row.formats is not None else DEFAULT_FORMATS),
            theme=row.theme or DEFAULT_THEME,
        )


@dataclass(frozen=True)
class VersionLine:
    """A version in a list."""

    version: int
    how: How
    same_as: int | None
    """The version whose content a restore, an undo or a redo repeats."""
    edit: Mapping[str, Any] | None
    job_id: str | None
    created_at: datetime
    title: str
    words: int | None

    @property
    def id(self) -> str:
        """For lists, which go by ids."""
        return str(self.version)


class DocumentVersions:
    """The versions of all owners' documents. Another owner's is ObjectUnknown. Every method may raise ServiceAway.

    Every method that writes says which version it expects to be the newest: VersionStale when it is not, and then
    nothing is written. Several calls inside one `database.transaction()` happen wholly or not at all.
    """

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def newest(self, document_id: str, owner: str) -> EditedDocument:
        """ObjectUnknown; EditRefused when the article is none that this version of interleaf can edit."""
        with self._database.reading() as session:
            return EditedDocument.of_row(document_row(session, document_id, owner))

    def list(
        self, document_id: str, owner: str, limit: int, after: int | None = None, before: int | None = None
    ) -> Sequence[VersionLine]:
        """At most `limit` versions without their articles, the newest first; older than `after`, or, oldest first,
        newer than `before`. ObjectUnknown."""
        row = DocumentVersionRow
        wanted = select(
            row.version,
            row.how,
            row.same_as,
            row.edit,
            row.job_id,
            row.created_at,
            row.article["title"].as_string().label("title"),
            row.article["report"]["words"].as_integer().label("words"),
        ).where(row.document_id == document_id)
        if after is not None:
            wanted = wanted.where(row.version < after)
        if before is not None:
            wanted = wanted.where(row.version > before)
        order = row.version.desc() if before is None else row.version.asc()
        with self._database.reading() as session:
            document_row(session, document_id, owner)
            rows = session.execute(wanted.order_by(order).limit(limit)).all()
        return [
            VersionLine(r.version, r.how, r.same_as, r.edit, r.job_id, r.created_at, r.title or "", r.words)
            for r in rows
        ]

    def write(
        self,
        document_id: str,
        owner: str,
        expected: int,
        article: Article,
        *,
        edit: Mapping[str, Any] | None = None,
        job_id: str | None = None,
    ) -> int:
        """Write what an edit made of version `expected`; the number of the new version."""
        return self._write(document_id, owner, expected, "edit", lambda session: None, article, edit, job_id)

    def undo(self, document_id: str, owner: str, expected: int) -> int:
        """Go back to what was there before the last step. EditRefused when there is nothing to undo."""
        return self._write(document_id, owner, expected, "undo", lambda s: undo_target(_steps(s, document_id)))

    def redo(self, document_id: str, owner: str, expected: int) -> int:
        """Take an undo back. EditRefused when nothing was undone since the last edit."""
        return self._write(document_id, owner, expected, "redo", lambda s: redo_target(_steps(s, document_id)))

    def restore(self, document_id: str, owner: str, expected: int, version: int) -> int:
        """Make an earlier version the newest. EditRefused when it is the newest already."""
        if version == expected:
            raise EditRefused("version", f"{version} is the newest one already.", "Name an earlier one.")
        return self._write(document_id, owner, expected, "restore", lambda session: version)

    def _write(
        self,
        document_id: str,
        owner: str,
        expected: int,
        how: How,
        repeats: Callable[[Session], int | None],
        article: Article | None = None,
        edit: Mapping[str, Any] | None = None,
        job_id: str | None = None,
    ) -> int:
        now, version = self._clock(), expected + 1
        with self._database.transaction() as session:
            same_as = None
            # First of all the document is moved on, which is what others wait for; what follows is its alone.
            _move_on(session, document_id, owner, expected)
            if article is None:
                same_as = repeats(session)
                written = _content_of(session, document_id, same_as)
            else:
                written = article.model_dump(mode="json")
            session.execute(
                update(DocumentRow)
                .where(DocumentRow.id == document_id)
                .values(article=written, title=str(written.get("title", ""))[:MAX_TITLE_CHARS])
            )
            session.execute(
                insert(DocumentVersionRow).values(
                    document_id=document_id,
                    version=version,
                    article=written,
                    created_at=now,
                    how=how,
                    same_as=same_as,
                    edit=None if edit is None else dict(edit),
                    job_id=job_id,
                )
            )
            if same_as is not None:
                _share_files(session, document_id, same_as, version)
        return version


def article_of(content: Mapping[str, Any] | None) -> Article:
    """The article as a document keeps it. EditRefused when this version of interleaf does not know how it is
    written."""
    try:
        return Article.model_validate(content)
    except ValidationError as error:
        wrong = "is written in a way that this version does not know."
        raise EditRefused("document", wrong, "Compose it anew, or upgrade interleaf.") from error


def document_row(session: Session, document_id: str, owner: str, *, lock: bool = False) -> DocumentRow:
    """The row; with `lock` nobody else changes it until the transaction ends. ObjectUnknown."""
    # What is not written as an id is not even looked up: it may hold what a database refuses.
    row = None
    if is_id("doc", document_id):
        wanted = select(DocumentRow).where(DocumentRow.id == document_id, DocumentRow.owner == owner)
        if lock:
            wanted = wanted.with_for_update()
        row = session.scalars(wanted, execution_options={"populate_existing": True}).one_or_none()
    if row is None:
        raise ObjectUnknown(document_id, "there is no such document of yours.", "See GET /v1/documents.")
    return row


def stale(document_id: str, expected: int, version: int) -> VersionStale:
    """That the document is at another version than was expected."""
    return VersionStale(
        document_id, f"was edited meanwhile: it is at version {version}, not {expected}.", "Read it, and edit that one."
    )


def _move_on(session: Session, document_id: str, owner: str, expected: int) -> None:
    if expected >= MAX_VERSIONS:
        raise EditRefused("document", f"has {expected} versions, and may have no more.", "Compose a new one.")
    moved = session.scalar(
        update(DocumentRow)
        .where(DocumentRow.id == document_id, DocumentRow.owner == owner, DocumentRow.version == expected)
        .values(version=expected + 1)
        .returning(DocumentRow.version),
        execution_options={"synchronize_session": False},
    )
    if moved is None:
        raise stale(document_id, expected, document_row(session, document_id, owner).version)


def _steps(session: Session, document_id: str) -> list[Step]:
    wanted = select(DocumentVersionRow.version, DocumentVersionRow.how).where(
        DocumentVersionRow.document_id == document_id
    )
    return [Step(row.version, row.how) for row in session.execute(wanted.order_by(DocumentVersionRow.version))]


def _content_of(session: Session, document_id: str, version: int | None) -> Mapping[str, Any]:
    wanted = select(DocumentVersionRow.article).where(
        DocumentVersionRow.document_id == document_id, DocumentVersionRow.version == version
    )
    found: Mapping[str, Any] | None = session.scalars(wanted).one_or_none()
    if found is None:
        raise ObjectUnknown(f"{document_id}, version {version}", "there is no such version.", "List its versions.")
    return found


def _share_files(session: Session, document_id: str, same_as: int, version: int) -> None:
    """What looks the same has the same files."""
    files = DocumentFileRow
    session.execute(
        insert(files).from_select(
            ["document_id", "version", "format", "artifact_id"],
            select(files.document_id, literal(version), files.format, files.artifact_id).where(
                files.document_id == document_id, files.version == same_as
            ),
        )
    )
