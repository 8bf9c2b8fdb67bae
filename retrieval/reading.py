"""Reading: the pictures of one collection, page by page, for whoever only looks; loads neither numpy nor an encoder."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from interleaf.errors import PictureMissing
from interleaf.schema import Picture, PictureFilter
from retrieval.database import Database
from retrieval.picture_rows import CATALOG_FILE, FIELDS, picture_of
from retrieval.pictures.store import PixelStore
from retrieval.selection import selection

__all__ = ["PictureReader", "PixelFile", "Totals"]

_FROM = "FROM pictures JOIN memberships USING (number) WHERE collection = ?"


class Totals(NamedTuple):
    """What a collection holds."""

    pictures: int
    bytes: int
    """Of the stored files. A picture of two collections counts in both, though its file lies there once."""


class PixelFile(NamedTuple):
    """A stored file."""

    path: Path
    sha256: str
    bytes: int


class PictureReader:
    """A library's catalog, opened to be read while another process may write. Errors are those of the library."""

    def __init__(self, folder: Path) -> None:
        """RetrievalError when there is no library in `folder`."""
        self._store = PixelStore(folder / "pictures")
        self._database = Database(folder / CATALOG_FILE, create=False)

    @classmethod
    def opened(cls, folder: Path) -> Self | None:
        """The reader, or None where nobody has added a picture yet."""
        return cls(folder) if (folder / CATALOG_FILE).is_file() else None

    def totals(self, collection: str) -> Totals:
        """Counted now."""
        row = self._database.row(f"SELECT count(*), coalesce(sum(size_bytes), 0) {_FROM}", [collection])
        assert row is not None
        return Totals(int(row[0]), int(row[1]))

    def picture(self, collection: str, picture_id: str) -> Picture:
        """PictureMissing when the collection has no such picture."""
        row = self._database.row(f"SELECT {FIELDS} {_FROM} AND id = ?", [collection, picture_id])
        if row is None:
            raise _missing(picture_id)
        return picture_of(row, collection)

    def page(
        self,
        collection: str,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        *,
        where: PictureFilter | None = None,
        id_prefix: str = "",
    ) -> list[Picture]:
        """At most `limit` pictures, those that joined last first; that joined before the picture `after`, or, the
        oldest first, after the picture `before`. `where`: what they must satisfy besides. PictureMissing when the
        named one is not there (any more)."""
        licences = [row[0] for row in self._database.rows(f"SELECT DISTINCT licence {_FROM}", [collection])]
        condition, values = selection(where or PictureFilter(), licences)
        query = f"SELECT {FIELDS} {_FROM} AND {condition}"
        values = [collection, *values]
        if id_prefix:
            query += " AND id >= ? AND id < ?"
            values += [id_prefix, id_prefix + "g"]
        for named, sign in ((after, "<"), (before, ">")):
            if named is not None:
                query += f" AND joined {sign} ?"
                values.append(self._joined(collection, named))
        order = "DESC" if before is None else "ASC"
        rows = self._database.rows(f"{query} ORDER BY joined {order} LIMIT ?", [*values, limit])
        return [picture_of(row, collection) for row in rows]

    def file(self, picture: Picture) -> PixelFile:
        """The file with the picture's pixels. PictureMissing when it is lost."""
        row = self._database.row("SELECT file_sha256, size_bytes FROM pictures WHERE id = ?", [picture.id])
        if row is None:
            raise _missing(picture.id)
        path = self._store.path(picture.id, picture.media_type)
        if not path.is_file():
            raise PictureMissing(picture.id, "its file is lost.", "Add the picture again.")
        return PixelFile(path, row[0], int(row[1]))

    def close(self) -> None:
        """Close the catalog."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _joined(self, collection: str, picture_id: str) -> int:
        row = self._database.row(f"SELECT joined {_FROM} AND id = ?", [collection, picture_id])
        if row is None:
            raise _missing(picture_id)
        return int(row[0])


def _missing(picture_id: str) -> PictureMissing:
    return PictureMissing(picture_id, "the library has no picture with this id.", "List its pictures.")
