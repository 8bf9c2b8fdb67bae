"""Seen: which files were offered before and what became of them, so that a second run is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from retrieval.database import Database

__all__ = ["Outcome", "Seen", "SeenFile"]

Outcome = Literal["kept", "near"]


@dataclass(frozen=True)
class SeenFile:
    """A file as it was when it was offered: `place` says where it lies, `stamp` is its mtime_ns (of an archive's
    member its checksum), `words_sha256` what was said of it beside it, `picture_id` the picture it became
    (`kept`) or is a near duplicate of (`near`)."""

    place: bytes
    collection: str
    size_bytes: int
    stamp: int
    words_sha256: str
    dedupe: str
    outcome: Outcome = "kept"
    picture_id: str = ""

    def unchanged(self, earlier: SeenFile) -> bool:
        """Whether nothing that decides the outcome has changed since `earlier`."""
        return (self.size_bytes, self.stamp, self.words_sha256, self.dedupe) == (
            *(earlier.size_bytes, earlier.stamp, earlier.words_sha256, earlier.dedupe),
        )


class Seen:
    """The table of files that were offered; a row goes when its picture goes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, place: bytes, collection: str) -> SeenFile | None:
        """The file that was offered from this place for this collection, or None."""
        row = self._database.row("SELECT * FROM seen WHERE place = ? AND collection = ?", [place, collection])
        return SeenFile(bytes(row[0]), *row[1:]) if row else None

    def keep(self, file: SeenFile) -> None:
        """Remember a file; inside a transaction."""
        self._database.run(
            "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(file.place, file.collection, file.size_bytes, file.stamp),
                *(file.words_sha256, file.dedupe, file.outcome, file.picture_id),
            ],
        )
