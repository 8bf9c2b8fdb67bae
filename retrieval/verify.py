"""Verify: catalog and pixel files held against one another, byte by byte; and put right where that loses nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from interleaf.errors import LibraryDamaged
from retrieval.catalog import Catalog
from retrieval.store import PixelStore, unwritable

__all__ = ["Problem", "VerifyProgress", "VerifyReport", "verify"]


class Problem(NamedTuple):
    """`what` is wrong with the picture or file called `name`."""

    kind: Literal["lost_file", "damaged_file", "leftover_file", "no_collection"]
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
    repair: bool = False,
    on_progress: Callable[[VerifyProgress], None] | None = None,
) -> VerifyReport:
    """Read every stored file and compare it with the catalog. LibraryDamaged when the catalog itself is broken.

    Repairing removes pictures whose file is lost or damaged (their words go with them: add them again) and
    files that belong to no picture."""
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
    if repair and problems:
        gone = catalog.remove(broken) if broken else []
        for picture_id, media_type in gone:
            store.remove(picture_id, media_type)
        for path in leftovers:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(store.folder, error) from error
        store.clear_aside()
    return VerifyReport(total, bytes_read, tuple(problems), repair and bool(problems))
