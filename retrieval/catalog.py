"""Catalog: what the library knows of its pictures; the truth from which every index is derived.

Every picture has an id (sha256 of its pixels) and a `number`. A number is never used twice, and a
picture whose words change gets a new one: an index that knows numbers only can be brought up to
date by comparing two sets of numbers. Collections are sets of pictures; pixels are stored once.
Letters: N pictures, D vector width.
"""

# ruff: noqa: S608 - only constants and conditions of selection.py are joined into SQL; every value is bound.

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from interleaf.errors import PictureMissing, RetrievalError
from interleaf.schema import Picture, PictureFilter
from retrieval.database import Database
from retrieval.picture_rows import CATALOG_FILE, FIELDS, picture_of
from retrieval.selection import selection

__all__ = ["Catalog", "Numbers", "PictureRow", "Vectors"]

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]

PAGE_ROWS: Final = 2_000
LOOK_BYTES: Final = 16 * 16 * 3  # of duplicates.Look.tiny

_HOME: Final = "(SELECT collection FROM memberships m WHERE m.number = pictures.number ORDER BY joined LIMIT 1)"


@dataclass(frozen=True)
class PictureRow:
    """A picture as it is written down: the Picture, its stored file's sha256, and how it looks (duplicates.py)."""

    picture: Picture
    file_sha256: str
    look: bytes


def _values(picture: Picture) -> tuple[Any, ...]:
    return (
        *(picture.id, picture.media_type, picture.width_px, picture.height_px, picture.size_bytes, picture.name),
        *(picture.caption, picture.caption_origin, picture.alt, json.dumps(picture.keywords, ensure_ascii=False)),
        *(picture.author, picture.licence, picture.source_url),
        *(picture.taken_at.isoformat() if picture.taken_at else None, picture.perceptual_hash),
    )


class Catalog:
    """The pictures of one library. Threads may share it; several processes may read while one writes."""

    def __init__(self, folder: Path, create: bool = True) -> None:
        """Open `folder/catalog.sqlite`. RetrievalError when it is not there and `create` is false."""
        self.database = Database(folder / CATALOG_FILE, create)

    # Reading

    def change_counter(self) -> int:
        """Rises with every committed change of pictures, collections or words (not of vectors)."""
        return self._counter("change")

    def count(self, where: PictureFilter | None = None) -> int:
        """How many pictures the filter lets through; all without one."""
        condition, values = self._selection(where)
        row = self.database.row(f"SELECT count(*) FROM pictures WHERE {condition}", values)
        return int(row[0]) if row else 0

    def allowed_numbers(self, where: PictureFilter) -> Numbers:
        """(N,) sorted numbers of the pictures that the filter lets through."""
        condition, values = self._selection(where)
        rows = self.database.rows(f"SELECT number FROM pictures WHERE {condition} ORDER BY number", values)
        return np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))

    def numbers(self) -> Numbers:
        """(N,) sorted numbers of all pictures."""
        rows = self.database.rows("SELECT number FROM pictures ORDER BY number")
        return np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))

    def texts(self, numbers: Sequence[int] | Numbers | None = None, after_number: int = 0) -> Iterator[tuple[int, str]]:
        """(number, Picture.words) in rising order of numbers: of all pictures, or of those asked for."""
        only = None if numbers is None else sorted(int(n) for n in numbers)
        for page in self._pages(only, after_number):
            for number, picture in page:
                yield number, picture.words

    def pictures_by_number(self, numbers: Sequence[int] | Numbers) -> dict[int, Picture]:
        """Number → picture, for those of the numbers that are there."""
        return {n: p for page in self._pages(sorted({int(n) for n in numbers}), 0) for n, p in page}

    def pictures(self, where: PictureFilter | None = None, limit: int = 100, after: str = "") -> list[Picture]:
        """At most `limit` pictures in the order they came, after the picture with the id `after`.

        PictureMissing when `after` is not in the library."""
        start = self.number(after) if after else 0
        condition, values = self._selection(where)
        rows = self.database.rows(
            f"SELECT {FIELDS}, {_HOME} FROM pictures WHERE {condition} AND number > ? ORDER BY number LIMIT ?",
            [*values, start, limit],
        )
        return [picture_of(row[:-1], row[-1]) for row in rows]

    def picture(self, picture_id: str) -> Picture:
        """The picture with that id. PictureMissing when there is none."""
        row = self.database.row(f"SELECT {FIELDS}, {_HOME} FROM pictures WHERE id = ?", [picture_id])
        if row is None:
            raise _missing(picture_id)
        return picture_of(row[:-1], row[-1])

    def number(self, picture_id: str) -> int:
        """The number of the picture with that id. PictureMissing when there is none."""
        row = self.database.row("SELECT number FROM pictures WHERE id = ?", [picture_id])
        if row is None:
            raise _missing(picture_id)
        return int(row[0])

    def ids_beginning(self, prefix: str, limit: int = 10) -> list[str]:
        """Sorted ids that begin with `prefix`, at most `limit`."""
        if not prefix or not set(prefix) <= set("0123456789abcdef"):
            return []
        rows = self.database.rows(
            "SELECT id FROM pictures WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", [prefix, prefix + "g", limit]
        )
        return [row[0] for row in rows]

    def collections(self) -> dict[str, int]:
        """Collection → how many pictures it has, sorted by name."""
        rows = self.database.rows(
            "SELECT collection, count(*) FROM memberships GROUP BY collection ORDER BY collection"
        )
        return {name: int(count) for name, count in rows}

    def collections_of(self, picture_id: str) -> tuple[str, ...]:
        """The collections that hold the picture, in the order it joined them."""
        rows = self.database.rows(
            "SELECT collection FROM memberships JOIN pictures USING (number) WHERE id = ? ORDER BY joined", [picture_id]
        )
        return tuple(row[0] for row in rows)

    def files(self) -> Iterator[tuple[str, str, int, str]]:
        """(id, media type, size in bytes, sha256) of every stored pixel file, by rising id."""
        after = ""
        query = "SELECT id, media_type, size_bytes, file_sha256 FROM pictures WHERE id > ? ORDER BY id LIMIT ?"
        while rows := self.database.rows(query, [after, PAGE_ROWS]):
            yield from rows
            after = rows[-1][0]

    def hashes(self, collection: str) -> tuple[list[str], NDArray[np.uint64]]:
        """(ids, (N,) 64-bit perceptual hashes) of a collection, in the order the pictures came."""
        rows = self.database.rows(
            "SELECT id, perceptual_hash FROM pictures JOIN memberships USING (number) "
            "WHERE collection = ? ORDER BY joined",
            [collection],
        )
        hashes = np.fromiter((int(row[1], 16) for row in rows), dtype=np.uint64, count=len(rows))
        return [row[0] for row in rows], hashes

    def look(self, picture_id: str) -> bytes:
        """How the picture looks, for the near-duplicate check. PictureMissing when there is none."""
        row = self.database.row("SELECT look FROM pictures WHERE id = ?", [picture_id])
        if row is None:
            raise _missing(picture_id)
        return bytes(row[0])

    def looks(self, where: PictureFilter) -> tuple[Numbers, NDArray[np.uint8]]:
        """((N,) rising numbers, (N, LOOK_BYTES) pixels of their tiny versions) of what the filter lets through."""
        condition, values = self._selection(where)
        query = f"SELECT number, look FROM pictures WHERE {condition} AND number > ? ORDER BY number LIMIT ?"
        numbers: list[int] = []
        pixels: list[bytes] = []
        after = 0
        while rows := self.database.rows(query, [*values, after, PAGE_ROWS]):
            after = int(rows[-1][0])
            whole = [row for row in rows if len(row[1]) == LOOK_BYTES]
            numbers += [int(row[0]) for row in whole]
            pixels += [row[1] for row in whole]
        matrix = np.frombuffer(b"".join(pixels), dtype=np.uint8).reshape(-1, LOOK_BYTES)
        return np.asarray(numbers, dtype=np.int64), matrix

    def fingerprints(self) -> dict[str, str]:
        """Collection → sha256 over its pictures' ids and what is said of them, in order of the ids."""
        found: dict[str, str] = {}
        for collection in self.collections():
            digest = hashlib.sha256()
            rows = self.database.rows(
                "SELECT id, caption, alt, keywords, author, licence, source_url FROM pictures "
                "JOIN memberships USING (number) WHERE collection = ? ORDER BY id",
                [collection],
            )
            for row in rows:
                digest.update(json.dumps(row, ensure_ascii=True).encode("ascii") + b"\n")
            found[collection] = digest.hexdigest()
        return found

    # Writing

    def writing(self) -> AbstractContextManager[None]:
        """A transaction: everything written inside is kept together or not at all."""
        return self.database.transaction()

    def add(self, row: PictureRow, collection: str) -> int:
        """Write a new picture down and put it into a collection; its number."""
        places = ", ".join("?" * 17)
        with self.database.transaction():
            self.database.run(
                f"INSERT INTO pictures ({FIELDS}, file_sha256, look) VALUES ({places})",
                [*_values(row.picture), row.file_sha256, row.look],
            )
            number = self.number(row.picture.id)
            self.join(row.picture.id, collection)
        return number

    def join(self, picture_id: str, collection: str) -> bool:
        """Put a picture into a collection; False when it is in it already."""
        with self.database.transaction():
            number, order = self.number(picture_id), self._bump("joined")
            changed = self.database.run(
                "INSERT OR IGNORE INTO memberships VALUES (?, ?, ?)", [number, collection, order]
            )
            self._bump("change")
        return changed > 0

    def describe(self, picture: Picture) -> None:
        """Replace what is said of a picture. Its words changed: it gets a new number and loses its text vectors."""
        with self.database.transaction():
            old = self.picture(picture.id)
            number = self.number(picture.id)
            self.database.run(
                "UPDATE pictures SET name = ?, caption = ?, caption_origin = ?, alt = ?, keywords = ?, author = ?, "
                "licence = ?, source_url = ?, taken_at = ? WHERE number = ?",
                [*_values(picture)[5:14], number],
            )
            if old.words != picture.words:
                self.database.run("DELETE FROM vectors WHERE number = ? AND kind = 'text'", [number])
                row = self.database.row("SELECT seq FROM sqlite_sequence WHERE name = 'pictures'")
                fresh = int(row[0]) + 1 if row else number + 1
                self.database.run("UPDATE pictures SET number = ? WHERE number = ?", [fresh, number])
                self.database.run("UPDATE sqlite_sequence SET seq = ? WHERE name = 'pictures'", [fresh])
            self._bump("change")

    def refile(self, row: PictureRow) -> None:
        """Note another stored file of the same pixels, after the first one was lost."""
        picture = row.picture
        with self.database.transaction():
            self.database.run(
                "UPDATE pictures SET media_type = ?, size_bytes = ?, file_sha256 = ? WHERE id = ?",
                [picture.media_type, picture.size_bytes, row.file_sha256, picture.id],
            )
            self._bump("change")

    def remove(self, ids: Sequence[str], collection: str | None = None) -> list[tuple[str, str]]:
        """Take pictures out of a collection, or out of all. (id, media type) of those that are in none any more.

        PictureMissing, and nothing changed, when one of them is not in the library."""
        gone: list[tuple[str, str]] = []
        with self.database.transaction():
            for picture_id in dict.fromkeys(ids):
                number = self.number(picture_id)
                for statement, key in (
                    ("DELETE FROM memberships WHERE number = ?1 AND (?2 IS NULL OR collection = ?2)", number),
                    ("DELETE FROM seen WHERE picture_id = ?1 AND (?2 IS NULL OR collection = ?2)", picture_id),
                ):
                    self.database.run(statement, [key, collection])
                if not self.collections_of(picture_id):
                    row = self.database.row("SELECT media_type FROM pictures WHERE number = ?", [number])
                    self.database.run("DELETE FROM pictures WHERE number = ?", [number])
                    gone.append((picture_id, row[0] if row else ""))
            self._bump("change")
        return gone

    # Vectors: kept here so that a crash can never leave pictures and vectors in disagreement

    def put_vectors(self, encoder: str, kind: str, numbers: Sequence[int] | Numbers, matrix: Vectors) -> None:
        """Keep (N, D) vectors of pictures; numbers that are gone in the meantime are passed over.

        `encoder` names the weights, `kind` what was encoded: `text` or `pixels`. RetrievalError on a wrong shape."""
        matrix = np.ascontiguousarray(matrix, dtype="<f4")
        if matrix.ndim != 2 or len(matrix) != len(numbers):
            raise RetrievalError(
                encoder, f"{len(numbers)} pictures came with vectors of shape {matrix.shape}.", "Please report this."
            )
        rows = [(encoder, kind, v.tobytes(), int(n)) for n, v in zip(numbers, matrix, strict=True)]
        with self.database.transaction():
            self.database.run_many(
                "INSERT OR REPLACE INTO vectors (number, encoder, kind, vector) "
                "SELECT number, ?, ?, ? FROM pictures WHERE number = ?",
                rows,
            )

    def vectors(self, encoder: str, kind: str) -> tuple[Numbers, Vectors]:
        """((N,) rising numbers, (N, D) float32) of all kept vectors; ((0,), (0, 0)) when there are none."""
        numbers: list[int] = []
        chunks: list[Vectors] = []
        query = (
            "SELECT number, vector FROM vectors WHERE encoder = ? AND kind = ? AND number > ? ORDER BY number LIMIT ?"
        )
        while rows := self.database.rows(query, [encoder, kind, numbers[-1] if numbers else 0, PAGE_ROWS]):
            numbers += [int(row[0]) for row in rows]
            chunks.append(np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4").reshape(len(rows), -1))
        matrix = np.concatenate(chunks) if chunks else np.zeros((0, 0), np.float32)
        return np.asarray(numbers, dtype=np.int64), matrix.astype(np.float32, copy=False)

    def without_vectors(self, encoder: str, kind: str) -> Numbers:
        """(N,) rising numbers of the pictures that have no vector of this encoder and kind yet."""
        rows = self.database.rows(
            "SELECT number FROM pictures WHERE NOT EXISTS (SELECT 1 FROM vectors v "
            "WHERE v.encoder = ? AND v.kind = ? AND v.number = pictures.number) ORDER BY number",
            [encoder, kind],
        )
        return np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    # Inside

    def _selection(self, where: PictureFilter | None) -> tuple[str, list[Any]]:
        if where is None:
            return "1", []
        return selection(where, [row[0] for row in self.database.rows("SELECT DISTINCT licence FROM pictures")])

    def _pages(self, only: list[int] | None, after: int) -> Iterator[list[tuple[int, Picture]]]:
        """Pages of (number, picture) by rising number; no cursor stays open between two pages."""
        if only is None:
            query = f"SELECT number, {FIELDS}, {_HOME} FROM pictures WHERE number > ? ORDER BY number LIMIT ?"
            while rows := self.database.rows(query, [after, PAGE_ROWS]):
                yield [(int(row[0]), picture_of(row[1:-1], row[-1])) for row in rows]
                after = int(rows[-1][0])
            return
        query = (
            f"SELECT number, {FIELDS}, {_HOME} FROM pictures "
            "WHERE number IN (SELECT value FROM json_each(?)) AND number > ? ORDER BY number"
        )
        for start in range(0, len(only), PAGE_ROWS):
            rows = self.database.rows(query, [json.dumps(only[start : start + PAGE_ROWS]), after])
            yield [(int(row[0]), picture_of(row[1:-1], row[-1])) for row in rows]

    def _counter(self, name: str) -> int:
        row = self.database.row("SELECT value FROM counters WHERE name = ?", [name])
        return int(row[0]) if row else 0

    def _bump(self, name: str) -> int:
        self.database.run("UPDATE counters SET value = value + 1 WHERE name = ?", [name])
        return self._counter(name)


def _missing(picture_id: str) -> PictureMissing:
    return PictureMissing(
        picture_id, "the library has no picture with this id.", "See what it has: interleaf library list"
    )
