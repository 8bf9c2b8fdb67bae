"""Database: one SQLite file, opened, brought to our schema, and spoken to in short transactions.

The only file that knows sqlite3's errors; they leave it as errors of interleaf.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from interleaf.errors import InterleafError, LibraryBusy, LibraryDamaged, OutputUnwritable, RetrievalError

__all__ = ["Database", "translated_sqlite"]

APPLICATION_ID: Final = 0x494C4341  # "ILCA": so that `file` and we know the file again
BUSY_TIMEOUT_S: Final = 30.0

# One entry per schema version; a new version appends an entry and changes none of the old ones.
MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE pictures (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        media_type TEXT NOT NULL,
        width_px INTEGER NOT NULL,
        height_px INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        file_sha256 TEXT NOT NULL,
        name TEXT NOT NULL,
        caption TEXT NOT NULL,
        caption_origin TEXT NOT NULL,
        alt TEXT NOT NULL,
        keywords TEXT NOT NULL,
        author TEXT,
        licence TEXT,
        source_url TEXT,
        taken_at TEXT,
        perceptual_hash TEXT NOT NULL,
        look BLOB NOT NULL
    );
    CREATE TABLE memberships (
        number INTEGER NOT NULL REFERENCES pictures(number) ON DELETE CASCADE ON UPDATE CASCADE,
        collection TEXT NOT NULL,
        joined INTEGER NOT NULL,
        PRIMARY KEY (number, collection)
    ) WITHOUT ROWID;
    CREATE INDEX memberships_by_collection ON memberships(collection, number);
    CREATE TABLE vectors (
        number INTEGER NOT NULL REFERENCES pictures(number) ON DELETE CASCADE ON UPDATE CASCADE,
        encoder TEXT NOT NULL,
        kind TEXT NOT NULL,
        vector BLOB NOT NULL,
        PRIMARY KEY (encoder, kind, number)
    ) WITHOUT ROWID;
    CREATE INDEX vectors_by_number ON vectors(number);
    CREATE TABLE seen (
        place BLOB NOT NULL,
        collection TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        stamp INTEGER NOT NULL,
        words_sha256 TEXT NOT NULL,
        dedupe TEXT NOT NULL,
        outcome TEXT NOT NULL,
        picture_id TEXT NOT NULL,
        PRIMARY KEY (place, collection)
    ) WITHOUT ROWID;
    CREATE INDEX seen_by_picture ON seen(picture_id);
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO counters VALUES ('change', 0), ('joined', 0);
    """,
)


@contextmanager
def translated_sqlite(path: Path) -> Iterator[None]:
    """sqlite3's errors as ours: full disk and read-only, locked, damaged."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, path) from error


def _translate(error: sqlite3.Error, path: Path) -> InterleafError:
    said = str(error)
    if any(part in said for part in ("disk is full", "readonly database", "unable to open", "disk I/O error")):
        return OutputUnwritable(
            str(path.parent),
            f"the library's catalog cannot be written ({said}); what was stored before is unharmed.",
            "Free space there, or make the folder writable, and run the same command again.",
        )
    if "locked" in said or "busy" in said:
        return LibraryBusy(
            str(path.parent), f"another process is writing the catalog ({said}).", "Try again when it is done."
        )
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in said or "not a database" in said):
        return LibraryDamaged(
            str(path),
            f"the catalog is not readable ({said}).",
            "Restore it from a backup, or remove the library's folder and add the pictures again.",
        )
    return RetrievalError(str(path), f"the catalog refused a query ({said}).", "Please report this.")


class Database:
    """A connection that several threads may share: every call holds a lock and leaves no cursor open."""

    def __init__(self, path: Path, create: bool = True) -> None:
        """Open `path`, creating or migrating it. LibraryDamaged when it is not ours or is newer than we are."""
        self.path = path
        self._lock = threading.RLock()
        if not create and not path.is_file():
            raise RetrievalError(
                str(path.parent), "there is no picture library here.", "Add pictures first: interleaf library add DIR"
            )
        with translated_sqlite(path):
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        try:
            with translated_sqlite(path):
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        version = int(run("PRAGMA user_version").fetchone()[0])
        if version and int(run("PRAGMA application_id").fetchone()[0]) != APPLICATION_ID:
            raise LibraryDamaged(
                str(self.path), "this database was not made by interleaf.", "Name another folder for the library."
            )
        if version > len(MIGRATIONS):
            raise LibraryDamaged(
                str(self.path),
                f"the catalog has schema {version}, this interleaf knows {len(MIGRATIONS)}.",
                "Use the newer interleaf that wrote it.",
            )
        if str(run("PRAGMA journal_mode").fetchone()[0]).lower() != "wal":
            run("PRAGMA journal_mode = WAL")
        # FULL: a committed batch survives a power cut; the batches are large enough to afford it.
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        if version < len(MIGRATIONS):
            with self.transaction():
                # Read again under the write lock: another process may have come first.
                version = int(run("PRAGMA user_version").fetchone()[0])
                for script in MIGRATIONS[version:]:
                    for statement in script.split(";"):
                        if statement.strip():
                            run(statement)
                run(f"PRAGMA application_id = {APPLICATION_ID}")
                run(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; nested calls join the outer one."""
        with self._lock, translated_sqlite(self.path):
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Every row that the query gives."""
        with self._lock, translated_sqlite(self.path):
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row, or None."""
        with self._lock, translated_sqlite(self.path):
            found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
            return found

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Rows changed by one statement; call it inside `transaction`."""
        with self._lock, translated_sqlite(self.path):
            return self._connection.execute(statement, values).rowcount

    def run_many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        """The statement once for each row of values; call it inside `transaction`."""
        with self._lock, translated_sqlite(self.path):
            self._connection.executemany(statement, values)

    def close(self) -> None:
        """Close; the write-ahead log is folded back by SQLite."""
        with self._lock, translated_sqlite(self.path):
            self._connection.close()
