"""Verify: catalog, pixel files and indexes read byte by byte and held against one another; put right without loss."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from interleaf.errors import IndexUnusable, LibraryDamaged
from retrieval.catalog import Catalog
from retrieval.pictures.store import PixelStore, unwritable
from retrieval.vectors.snapshot import verify_snapshot

__all__ = ["Problem", "VerifyProgress", "VerifyReport", "verify"]


class Problem(NamedTuple):
    """`what` is wrong with the picture or file called `name`."""

    kind: Literal["lost_file", "damaged_file", "leftover_file", "no_collection", "damaged_index"]
    name: str
    what: str


class VerifyProgress(NamedTuple):
    done: int
    total: int


@dataclass(frozen=True)
class VerifyReport:
    """`problems` were found; `repaired` says whether they were put right."""

    pictures: int
    bytes_read: int
    problems: tuple[Problem, ...]
    repaired: bool

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, or all of it has been put right."""
        return not self.problems or self.repaired


def verify(
    catalog: Catalog,
    store: PixelStore,
    index_folder: Path,
    repair: bool = False,
    on_progress: Callable[[VerifyProgress], None] | None = None,
) -> VerifyReport:
    """Read every stored file and compare it with the catalog. LibraryDamaged when the catalog itself is broken.

    Repairing removes pictures whose file is lost or damaged (their words go with them: add them again), files
    that belong to no picture, and damaged indexes (they hold nothing of their own: the next search builds them)."""
    database = catalog.database
    said = [str(row[0]) for row in database.rows("PRAGMA integrity_check(5)")]
    if said != ["ok"] or database.rows("PRAGMA foreign_key_check"):
        raise LibraryDamaged(
            str(database.path),
            f"the catalog contradicts itself ({said[0][:200]}).",
            "Restore it from a backup, or remove the library's folder and add the pictures again.",
        )
    problems: list[Problem] = []
    broken: list[str] = []
    expected: set[str] = set()
    total, bytes_read = catalog.count(), 0
    for done, (picture_id, media_type, size_bytes, sha256) in enumerate(catalog.files(), start=1):
        path = store.path(picture_id, media_type)
        expected.add(path.name)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            problems.append(Problem("lost_file", picture_id, f"its file {path.name} is not there."))
            broken.append(picture_id)
        except OSError as error:
            raise unwritable(store.folder, error) from error
        else:
            bytes_read += len(data)
            if len(data) != size_bytes or hashlib.sha256(data).hexdigest() != sha256:
                problems.append(Problem("damaged_file", picture_id, f"its file {path.name} has changed."))
                broken.append(picture_id)
            elif not catalog.collections_of(picture_id):
                problems.append(Problem("no_collection", picture_id, "it is in no collection."))
                broken.append(picture_id)
        if on_progress is not None:
            on_progress(VerifyProgress(done, total))
    leftovers = [path for path in store.files() if path.name not in expected]
    problems += [Problem("leftover_file", path.name, "no picture of the catalog has this file.") for path in leftovers]
    indexes = _damaged_indexes(index_folder)
    problems += [Problem("damaged_index", path.name, what) for path, what in indexes]
    if repair and problems:
        gone = catalog.remove(broken) if broken else []
        for picture_id, media_type in gone:
            store.remove(picture_id, media_type)
        for path in [*leftovers, *(path for path, _ in indexes)]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(store.folder, error) from error
        store.clear_aside()
    return VerifyReport(total, bytes_read, tuple(problems), repair and bool(problems))


def _damaged_indexes(folder: Path) -> list[tuple[Path, str]]:
    """(file, what is wrong) of every index file whose bytes do not fit their hash or checksum."""
    from retrieval.vectors.lexical import LexicalIndex  # brings scipy, which only search needs

    found: list[tuple[Path, str]] = []
    for path in sorted(folder.glob("*.index")):
        try:
            verify_snapshot(path)
        except IndexUnusable as error:
            found.append((path, f"{error.problem} Searches may err until it is built again."))
    words = folder / "words.npz"
    if words.is_file() and LexicalIndex.open(words) is None:
        found.append((words, "is damaged or of another version; the next search counts the words again."))
    return found
