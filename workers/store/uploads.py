"""Uploads: files that people send, known by what is in them, kept until they expire; a brief names them by id."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.orm import Session

from interleaf.errors import MediaUnsupported, ObjectUnknown, QuotaReached
from interleaf.text import clean_line
from retrieval.pictures.sniff import HEAD_BYTES, is_archive, picture_kind
from workers.store.artifacts import ArtifactStore
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import is_id, new_id
from workers.store.stored_bytes import stored_bytes
from workers.store.tables import UploadRow

__all__ = ["REFERENCE", "Upload", "Uploads", "require_uploads", "upload_named"]

REFERENCE: Final = "upload:"
"""A brief that came over REST names an upload as `upload:upl_…` where a brief of one's own names a path."""

MAX_NAME_CHARS: Final = 200
PIECE_BYTES: Final = 2**18
_MARKDOWN: Final = frozenset({".md", ".markdown", ".mdown", ".mkd"})
_TAKEN: Final = "a picture (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF), a ZIP archive, or UTF-8 text"


@dataclass(frozen=True)
class Upload:
    """A file that somebody sent."""

    id: str
    owner: str
    name: str
    """What its sender calls it: a label of one line without slashes, never a path."""
    media_type: str
    """By its content: image/…, application/zip, text/markdown or text/plain."""
    bytes: int
    sha256: str
    file_key: str
    created_at: datetime
    expires_at: datetime | None
    """None: it is kept, since a schedule or a batch needs it (kept_uploads.py)."""

    @classmethod
    def of_row(cls, row: UploadRow) -> Upload:
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__})


class Uploads:
    """The uploads of all owners. Another owner's is ObjectUnknown. Every method may raise ServiceAway."""

    def __init__(
        self, database: Database, store: ArtifactStore, *, kept: timedelta, max_bytes: int, clock: Clock = utc_now
    ) -> None:
        """`kept`: how long an upload stays; `max_bytes`: of one upload."""
        self._database = database
        self._store = store
        self._kept = kept
        self._max_bytes = max_bytes
        self._clock = clock

    def add(
        self,
        owner: str,
        name: str,
        content: BinaryIO,
        *,
        max_stored_bytes: int | None = None,
        also: Callable[[Upload], None] | None = None,
    ) -> Upload:
        """Keep a file: it lies in the store before its row is there, and both or neither stay. `also(upload)` is called
        inside the transaction that writes the row.

        MediaUnsupported when it is nothing that a brief can use; FileOverLimit; QuotaReached when the owner's files
        would be more than `max_stored_bytes`; OutputUnwritable when the disk is full.
        """
        label = file_label(name)
        sniffed = _Sniffed(content, label)
        now = self._clock()
        upload_id = new_id("upl", now)
        kept = self._store.put(f"uploads/{upload_id}", sniffed, max_bytes=self._max_bytes)
        try:
            media_type = sniffed.media_type
            with self._database.transaction() as session:
                if max_stored_bytes is not None:
                    stored = stored_bytes(session, owner)
                    if stored + kept.bytes > max_stored_bytes:
                        raise QuotaReached(
                            "stored bytes",
                            f"{stored} of {max_stored_bytes} are used, and the file has {kept.bytes}.",
                            "Delete uploads, jobs or libraries that are no longer needed.",
                        )
                row = UploadRow(
                    id=upload_id,
                    owner=owner,
                    name=label,
                    media_type=media_type,
                    bytes=kept.bytes,
                    sha256=kept.sha256,
                    file_key=kept.key,
                    created_at=now,
                    expires_at=now + self._kept,
                )
                session.add(row)
                session.flush()
                upload = Upload.of_row(row)
                if also is not None:
                    also(upload)
                return upload
        except BaseException:
            self._store.delete(kept.key)
            raise

    def get(self, upload_id: str, owner: str) -> Upload:
        """ObjectUnknown, too when it has expired."""
        found = self._found([upload_id], owner)
        if not found:
            raise _unknown(upload_id)
        return found[0]

    def require(self, upload_ids: Sequence[str], owner: str) -> list[Upload]:
        """Each of them once. ObjectUnknown names the first that is not the owner's, or not there any more."""
        with self._database.reading() as session:
            return require_uploads(session, upload_ids, owner, self._clock())

    def delete(self, upload_id: str, owner: str) -> None:
        """Delete it, first its row and then its file. ObjectUnknown."""
        with self._database.transaction() as session:
            row = (
                session.scalars(
                    select(UploadRow).where(UploadRow.id == upload_id, UploadRow.owner == owner)
                ).one_or_none()
                if is_id("upl", upload_id)
                else None
            )
            if row is None:
                raise _unknown(upload_id)
            file_key = row.file_key
            session.delete(row)
        self._store.delete(file_key)

    def forget_expired(self, limit: int = 100) -> int:
        """Delete at most `limit` uploads that have expired; how many."""
        now = self._clock()
        due = select(UploadRow.id).where(UploadRow.expires_at <= now).order_by(UploadRow.id).limit(limit)
        with self._database.transaction() as session:
            # Asked again by the statement that deletes: a schedule may keep one of them in this moment.
            file_keys = session.scalars(
                delete(UploadRow)
                .where(UploadRow.id.in_(session.scalars(due).all()), UploadRow.expires_at <= now)
                .returning(UploadRow.file_key),
                execution_options={"synchronize_session": False},
            ).all()
        for file_key in file_keys:
            self._store.delete(file_key)
        return len(file_keys)

    def _found(self, upload_ids: Sequence[str], owner: str) -> list[Upload]:
        with self._database.reading() as session:
            return _those_there(session, upload_ids, owner, self._clock())

    def list(self, owner: str, limit: int, after: str | None = None, before: str | None = None) -> list[Upload]:
        """At most `limit` uploads, newest first; older than `after`, or, oldest first, newer than `before`."""
        order = UploadRow.id.desc() if before is None else UploadRow.id.asc()
        wanted = select(UploadRow).where(UploadRow.owner == owner, _is_there(self._clock()))
        if after is not None:
            wanted = wanted.where(UploadRow.id < after)
        if before is not None:
            wanted = wanted.where(UploadRow.id > before)
        with self._database.reading() as session:
            return [Upload.of_row(row) for row in session.scalars(wanted.order_by(order).limit(limit))]


def require_uploads(session: Session, upload_ids: Sequence[str], owner: str, now: datetime) -> list[Upload]:
    """Each of them once. ObjectUnknown names the first that is not the owner's, or not there any more."""
    found = _those_there(session, upload_ids, owner, now)
    known = {upload.id for upload in found}
    for upload_id in upload_ids:
        if upload_id not in known:
            raise _unknown(upload_id)
    return found


def upload_named(path: str) -> str | None:
    """The id that a brief's path `upload:upl_…` names; None when it names none."""
    found = path.removeprefix(REFERENCE)
    return found if found != path and is_id("upl", found) else None


def file_label(name: str) -> str:
    """A person's file name as a label: its last part, one clean line, at most 200 characters."""
    label = clean_line(PurePosixPath(clean_line(name).replace("\\", "/")).name)[:MAX_NAME_CHARS].strip()
    return label if label not in ("", ".", "..") else "file"


class _Sniffed:
    """A stream in pieces that learns what passes: the kind of file, and whether text is UTF-8 to its end."""

    def __init__(self, content: BinaryIO, label: str) -> None:
        self.media_type = ""
        self._content = content
        self._label = label

    def __iter__(self) -> Iterator[bytes]:
        head = self._content.read(PIECE_BYTES)
        if not head:
            raise MediaUnsupported(self._label, "is empty.", f"Send {_TAKEN}.")
        kind = picture_kind(head[:HEAD_BYTES])
        if kind is not None:
            self.media_type = f"image/{kind.lower()}"
        elif is_archive(head):
            self.media_type = "application/zip"
        else:
            self.media_type = (
                "text/markdown" if PurePosixPath(self._label).suffix.lower() in _MARKDOWN else "text/plain"
            )
        decoder = codecs.getincrementaldecoder("utf-8")() if self.media_type.startswith("text/") else None
        piece = head
        while piece:
            if decoder is not None:
                self._require_text(decoder, piece, final=False)
            yield piece
            piece = self._content.read(PIECE_BYTES)
        if decoder is not None:
            self._require_text(decoder, b"", final=True)

    def _require_text(self, decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool) -> None:
        try:
            if "\0" in decoder.decode(piece, final):
                raise ValueError("a NUL character")
        except ValueError as error:
            raise MediaUnsupported(self._label, "is of a kind that is not taken.", f"Send {_TAKEN}.") from error


def _those_there(session: Session, upload_ids: Sequence[str], owner: str, now: datetime) -> list[Upload]:
    known = sorted({upload_id for upload_id in upload_ids if is_id("upl", upload_id)})
    wanted = select(UploadRow).where(UploadRow.owner == owner, _is_there(now))
    found: list[Upload] = []
    for start in range(0, len(known), 500):  # a statement may have only so many values
        rows = session.scalars(wanted.where(UploadRow.id.in_(known[start : start + 500])))
        found += [Upload.of_row(row) for row in rows]
    return found


def _is_there(now: datetime) -> ColumnElement[bool]:
    return or_(UploadRow.expires_at.is_(None), UploadRow.expires_at > now)


def _unknown(upload_id: str) -> ObjectUnknown:
    return ObjectUnknown(upload_id, "there is no such upload of yours.", "Send the file with POST /v1/uploads.")
