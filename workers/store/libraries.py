"""Libraries: the picture libraries of the service's keys: named, counted, deleted. Their pictures lie in folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from interleaf.errors import InvalidBrief, InvalidRequest, NameTaken, ObjectUnknown, QuotaReached, shown
from interleaf.text import clean, clean_line
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.ids import is_id, new_id
from workers.store.new_rows import insert_new
from workers.store.stored_bytes import byte_quota, stored_bytes
from workers.store.tables import LibraryRow

__all__ = ["MAX_DESCRIPTION_CHARS", "MAX_NAME_CHARS", "Libraries", "Library"]

MAX_NAME_CHARS: Final = 200
MAX_DESCRIPTION_CHARS: Final = 2_000
MAX_LIBRARIES: Final = 1_000
# A worker that was told to remove the pictures of a deleted library is told again after so long.
SWEEP_AGAIN: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Library:
    """A picture library. Its pictures are the collection `id` of the owner's library folder."""

    id: str
    owner: str
    name: str
    description: str
    picture_count: int
    bytes: int
    """Of its stored files, as the last change left them."""
    encoder: str | None
    """Which weights its words were encoded with; None before the first ingest."""
    created_at: datetime
    changed_at: datetime
    deleted_at: datetime | None

    @classmethod
    def of_row(cls, row: LibraryRow) -> Library:
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__})


class Libraries:
    """The libraries of all owners. Another owner's is ObjectUnknown. Every method may raise ServiceAway."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def create(self, owner: str, name: str, description: str = "") -> Library:
        """A new library without pictures. NameTaken; InvalidRequest; QuotaReached when the key has too many."""
        name, description = clean_line(name), clean(description).strip()
        if not 1 <= len(name) <= MAX_NAME_CHARS:
            raise InvalidRequest("body.name", f"has {len(name)} characters.", f"Give 1 to {MAX_NAME_CHARS}.")
        if len(description) > MAX_DESCRIPTION_CHARS:
            raise InvalidRequest(
                "body.description", f"has {len(description)} characters.", f"Give at most {MAX_DESCRIPTION_CHARS}."
            )
        if not any(char.isprintable() and not char.isspace() for char in name):
            raise InvalidRequest("body.name", "cannot be seen.", "Use letters or digits.")
        now = self._clock()
        with self._database.transaction() as session:
            count = session.scalar(select(func.count()).select_from(LibraryRow).where(*_of(owner))) or 0
            if count >= MAX_LIBRARIES:
                raise QuotaReached("libraries", f"this key has {count} of {MAX_LIBRARIES}.", "Delete some.")
            row = insert_new(
                session,
                LibraryRow,
                id=new_id("lib", now),
                owner=owner,
                name=name,
                description=description,
                picture_count=0,
                bytes=0,
                encoder=None,
                created_at=now,
                changed_at=now,
                deleted_at=None,
                sweep_at=None,
            )
            if row is None:
                raise NameTaken(
                    name, "is the name of another library of yours.", "Choose another name, or use that one."
                )
            return Library.of_row(row)

    def get(self, library_id: str, owner: str) -> Library:
        """ObjectUnknown."""
        with self._database.reading() as session:
            return Library.of_row(_found(session, library_id, owner))

    def list(
        self, owner: str, limit: int, after: str | None = None, before: str | None = None, name: str | None = None
    ) -> list[Library]:
        """At most `limit` libraries, newest first; older than `after`, or, oldest first, newer than `before`; with
        `name` the one that has it."""
        wanted = select(LibraryRow).where(*_of(owner))
        if name is not None:
            wanted = wanted.where(LibraryRow.name == clean_line(name))
        if after is not None:
            wanted = wanted.where(LibraryRow.id < after)
        if before is not None:
            wanted = wanted.where(LibraryRow.id > before)
        order = LibraryRow.id.desc() if before is None else LibraryRow.id.asc()
        with self._database.reading() as session:
            return [Library.of_row(row) for row in session.scalars(wanted.order_by(order).limit(limit))]

    def all_of(self, owner: str) -> Sequence[Library]:
        """Every library of that key."""
        with self._database.reading() as session:
            return [Library.of_row(row) for row in session.scalars(select(LibraryRow).where(*_of(owner)))]

    def resolve(self, owner: str, named: Sequence[str]) -> Sequence[Library]:
        """The libraries that a brief names, each by its name or its id. InvalidBrief says which is not there."""
        found: list[Library] = []
        with self._database.reading() as session:
            for number, name in enumerate(named):
                same = LibraryRow.id == name if is_id("lib", name) else LibraryRow.name == clean_line(name)
                row = session.scalars(select(LibraryRow).where(*_of(owner), same)).one_or_none()
                if row is None:
                    raise InvalidBrief(
                        f"libraries[{number}]",
                        f"you have no library {shown(name)!r}.",
                        "List them with GET /v1/libraries, or make one with POST /v1/libraries.",
                    )
                found.append(Library.of_row(row))
        return found

    def delete(self, library_id: str, owner: str) -> Library:
        """Delete it: at once for its owner, and its name is free. Its pictures go when a worker is told (`sweeps`).
        ObjectUnknown."""
        now = self._clock()
        with self._database.transaction() as session:
            row = _found(session, library_id, owner)
            row.deleted_at = row.sweep_at = row.changed_at = now
            session.flush()
            return Library.of_row(row)

    # What workers do

    def standing(self, library_id: str) -> Library | None:
        """The library, whoever owns it, a deleted one too; None when there is none (any more)."""
        with self._database.reading() as session:
            row = session.get(LibraryRow, library_id)
            return None if row is None else Library.of_row(row)

    def record(self, library_id: str, picture_count: int, nbytes: int, encoder: str | None = None) -> None:
        """Write down what the library holds now; None leaves the encoder as it is."""
        values = {"picture_count": picture_count, "bytes": nbytes, "changed_at": self._clock()}
        if encoder is not None:
            values["encoder"] = encoder
        with self._database.transaction() as session:
            session.execute(update(LibraryRow).where(LibraryRow.id == library_id).values(values))

    def require_room(self, library: Library, nbytes: int, most: int) -> None:
        """QuotaReached when the owner would store more than the key's quota, or `most` where it has none, once this
        library has so many bytes."""
        with self._database.reading() as session:
            quota = byte_quota(session, library.owner)
            allowed = most if quota is None else quota
            stored = stored_bytes(session, library.owner, but_library=library.id) + nbytes
        if stored > allowed:
            raise QuotaReached(
                "stored bytes",
                f"{stored} of {allowed} are used.",
                "Delete uploads, jobs or libraries that are no longer needed, then add the rest.",
            )

    def sweeps(self, limit: int = 100, *, library_id: str | None = None) -> Sequence[str]:
        """Ids of at most `limit` deleted libraries whose pictures a worker is to be told to remove (or that one, if it
        is); each is handed out again a minute later, until `forget`."""
        now = self._clock()
        due = select(LibraryRow.id).where(LibraryRow.sweep_at <= now).order_by(LibraryRow.id).limit(limit)
        if library_id is not None:
            due = due.where(LibraryRow.id == library_id)
        with self._database.reading() as session:
            ids = list(session.scalars(due))
        if ids:
            with self._database.transaction() as session:
                session.execute(update(LibraryRow).where(LibraryRow.id.in_(ids)).values(sweep_at=now + SWEEP_AGAIN))
        return ids

    def forget(self, library_id: str) -> None:
        """The pictures of a deleted library are gone: so is its row."""
        with self._database.transaction() as session:
            session.execute(delete(LibraryRow).where(LibraryRow.id == library_id, LibraryRow.deleted_at.is_not(None)))


def _of(owner: str) -> tuple[ColumnElement[bool], ...]:
    return (LibraryRow.owner == owner, LibraryRow.deleted_at.is_(None))


def _found(session: Session, library_id: str, owner: str) -> LibraryRow:
    row = None
    if is_id("lib", library_id):
        row = session.scalars(select(LibraryRow).where(*_of(owner), LibraryRow.id == library_id)).one_or_none()
    if row is None:
        raise ObjectUnknown(library_id, "there is no such library of yours.", "List them with GET /v1/libraries.")
    return row
