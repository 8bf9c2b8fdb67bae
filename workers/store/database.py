"""Database: where jobs are kept; SQLite or PostgreSQL, opened, spoken to in transactions, brought to our schema.

The only file in which errors of SQLAlchemy and its drivers become errors of interleaf.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy import exc as foreign
from sqlalchemy.orm import Session

from interleaf.errors import (
    DatabaseUnusable,
    InterleafError,
    OutputUnwritable,
    ServiceAway,
    SettingInvalid,
    Unsupported,
)
from interleaf.text import fold_space
from workers.store.common_commit import CommonCommit, CommonCommits
from workers.store.tables import Row

__all__ = ["Database", "write_last"]

R = TypeVar("R", bound=Row)
T = TypeVar("T")
V = TypeVar("V")

KEY: Final = "INTERLEAF_DATABASE_URL"
CONNECT_TIMEOUT_S: Final = 5
# How long a writer waits for its turn (SQLite) or for a row that another holds (PostgreSQL).
BUSY_TIMEOUT_S: Final = 30
STATEMENT_TIMEOUT_S: Final = 60
# A process that was stopped inside a transaction must not hold its rows for ever.
IDLE_IN_TRANSACTION_S: Final = 60
# A connection that nobody used for so long is asked for a sign of life first.
REST_S: Final = 1.0
# Any number that nothing else in the database uses: one process at a time changes the schema.
UPGRADE_LOCK: Final = 0x494C4A42

_AWAY: Final = (foreign.OperationalError, foreign.InterfaceError, foreign.InternalError, foreign.TimeoutError)
# SQLite calls these operational, too: a mistake in a statement (a table that is missing), a damaged file, no database.
_UNUSABLE: Final = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database:
    """The database of jobs behind `url`: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.

    Safe to share between threads; a process that forks opens one of its own afterwards. Opening makes no
    connection. Every method may raise ServiceAway (it cannot be reached, is busy or full: nothing was written, try
    again later) or DatabaseUnusable (damaged, or of another version).
    """

    def __init__(self, url: str, *, pool_connections: int = 5) -> None:
        """SettingInvalid when `url` is none that we can use, Unsupported when its driver is not installed."""
        parsed = _checked(url)
        self.kind: Literal["sqlite", "postgresql"] = "sqlite" if parsed.drivername == "sqlite" else "postgresql"
        self.shown_url = parsed.render_as_string(hide_password=True)
        """The URL without its password, fit for a message."""
        self._engine = _engine(parsed, pool_connections)
        # SQLite has one writer. Threads of a process wait here in a row instead of sleeping for chance turns.
        self._turn = threading.Lock() if self.kind == "sqlite" else None
        self._common = CommonCommits(lambda: CommonCommit(self.transaction, _savepoint))
        self._writing = self._engine.execution_options(writes=True)
        self._open: ContextVar[tuple[int, Session] | None] = ContextVar("open_transaction", default=None)
        self._read: ContextVar[tuple[int, Session] | None] = ContextVar("open_reading", default=None)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction that writes: committed when the block ends, rolled back when it raises.

        On SQLite it holds the writer's lock from its beginning (BEGIN IMMEDIATE). Inside another transaction of the
        same thread it joins that one as a savepoint: so several methods of the store can be made to happen wholly or
        not at all, by calling them inside one `transaction()`.
        """
        joined = self._joined()
        with self._translated():
            if joined is not None:
                with _part(joined) if _WHOLE in joined.info else _savepoint(joined):
                    yield joined
                return
            self._take_turn()
            try:
                with Session(self._writing, expire_on_commit=False) as session:
                    token = self._open.set((threading.get_ident(), session))
                    try:
                        with session.begin():
                            session.connection()  # begins now, not with the first statement
                            yield session
                            _write_last(session)
                    finally:
                        self._open.reset(token)
            finally:
                if self._turn is not None:
                    self._turn.release()

    def together(self, write: Callable[[], T], owner: str) -> T:
        """`write()` in a transaction, committed when this returns. It may be one with what other threads write at the
        same time (common_commit.py): on SQLite anybody, on PostgreSQL for the same owner. `write` may be called on
        another thread, and again where it could not be carried out beside theirs. What it raises undoes all that it
        wrote, and nothing else; so what it calls needs no savepoints, and errors must come through. For what many
        write at once; not inside a transaction."""

        def whole() -> T:
            session = self._joined()
            assert session is not None
            with _whole(session):
                written = write()
                _write_last(session)  # here, so that what it raises is this one's alone
                return written

        return self._common.run("" if self.kind == "sqlite" else owner, whole)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads; on SQLite it hinders no writer. Inside a `transaction()`, or another reading,
        it joins that one."""
        joined = self._joined() or _of_this_thread(self._read.get())
        with self._translated():
            if joined is not None:
                yield joined
                return
            with Session(self._engine, expire_on_commit=False) as session:
                token = self._read.set((threading.get_ident(), session))
                try:
                    yield session
                finally:
                    self._read.reset(token)

    def upgrade(self) -> None:
        """Bring the schema to this version, wholly or not at all; safe to call from several processes at once.

        DatabaseUnusable when a newer version of interleaf has changed the database.
        """
        from workers.store import revision  # Alembic is slow to import and needed at a start only

        with self.transaction() as session:
            connection = session.connection()
            if self.kind == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": UPGRADE_LOCK})
            revision.upgrade(connection)

    def require_schema(self) -> None:
        """DatabaseUnusable, with the remedy, when the database does not have this version's schema."""
        from workers.store import revision

        with self.reading() as session:
            revision.require_newest(session.connection())

    def ping(self) -> None:
        """Ask the database for a sign of life. ServiceAway when there is none."""
        with self.reading() as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections that are not in use. The database may be used again afterwards."""
        self._engine.dispose()

    def _joined(self) -> Session | None:
        """The transaction that this thread has open; a thread that inherited the context does not share it."""
        return _of_this_thread(self._open.get())

    def _take_turn(self) -> None:
        if self._turn is not None and not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise ServiceAway(self.shown_url, f"was busy for {BUSY_TIMEOUT_S} seconds.", "Try again in a moment.")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (foreign.StatementError, foreign.TimeoutError) as error:  # others are mistakes of this program
            raise self._translation(error) from error
        except foreign.PendingRollbackError as error:
            raise ServiceAway(
                self.shown_url, "ended the transaction by itself; nothing of it was written.", "Try again in a moment."
            ) from error

    def _translation(self, error: foreign.SQLAlchemyError) -> InterleafError:
        if "no such savepoint" in str(error) and isinstance(error.__context__, Exception):
            # The database had rolled everything back by itself before we could: what counts is why.
            error = _first_foreign(error)
        origin = getattr(error, "orig", None)
        if isinstance(origin, InterleafError):
            return origin  # of _to_json
        # The first line only: PostgreSQL repeats in the next ones what was to be written.
        said = fold_space((str(origin or error).splitlines() or [""])[0])[:300]
        code = getattr(origin, "sqlite_errorcode", 0) & 0xFF
        if isinstance(error, _AWAY) and code not in _UNUSABLE:
            return ServiceAway(
                self.shown_url,
                f"cannot be used now ({said}).",
                "Try again in a moment.",
            )
        if isinstance(error, foreign.IntegrityError | foreign.DataError) or not isinstance(error, foreign.DBAPIError):
            return DatabaseUnusable(self.shown_url, f"refused what was written ({said}).")
        return DatabaseUnusable(
            self.shown_url,
            f"cannot be used ({said}).",
            "Upgrade its schema, or restore a backup.",
        )


def _of_this_thread(found: tuple[int, Session] | None) -> Session | None:
    return found[1] if found is not None and found[0] == threading.get_ident() else None


# In a session's `info`: what is to be written at the end.
_LAST: Final = "last"


def write_last(session: Session, write: Callable[[Session, list[V]], None], value: V) -> None:
    """Have `write(session, values)` called when all else of the transaction is written, once, with the values that were
    handed in for it by then; those of a part that was undone are not among them. What it raises undoes everything.

    For rows on which many transactions would wait: they are held no longer than the commit takes, and after all others,
    so that two transactions never wait for each other as long as `write` takes its rows in one order."""
    session.info.setdefault(_LAST, []).append((write, value))


def _write_last(session: Session) -> None:
    handed_in: list[tuple[Callable[[Session, list[Any]], None], Any]] = session.info.pop(_LAST, [])
    if not handed_in:
        return
    session.flush()
    values: dict[Callable[[Session, list[Any]], None], list[Any]] = {}
    for write, value in handed_in:
        values.setdefault(write, []).append(value)
    for write, those in values.items():
        write(session, those)


# In a session's `info`: what is written now stands or falls as a whole; and a part of it failed.
_WHOLE: Final = "whole"
_FAILED: Final = "failed"


@contextmanager
def _whole(session: Session) -> Iterator[None]:
    session.info[_WHOLE] = True
    try:
        yield
        assert _FAILED not in session.info, "a part of what stands or falls as a whole failed, and nobody minded"
    finally:
        session.info.pop(_WHOLE)
        session.info.pop(_FAILED, None)


@contextmanager
def _part(session: Session) -> Iterator[None]:
    try:
        yield
    except BaseException:
        session.info[_FAILED] = True
        raise


@contextmanager
def _savepoint(session: Session) -> Iterator[None]:
    connection = session.connection()
    handed_in = len(session.info.get(_LAST, ()))
    savepoint = session.begin_nested()
    try:
        yield
        savepoint.commit()
    except BaseException:
        del session.info.get(_LAST, [])[handed_in:]
        try:
            savepoint.rollback()
        except foreign.SQLAlchemyError:
            connection.invalidate()
        else:
            # On a full disk SQLite ends the whole transaction, and would commit what follows piece by piece.
            driver = None if connection.invalidated else connection.connection.dbapi_connection
            if not getattr(driver, "in_transaction", True):
                connection.invalidate()
        raise


def _first_foreign(error: foreign.SQLAlchemyError) -> foreign.SQLAlchemyError:
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, foreign.SQLAlchemyError):
            error = found
        found = found.__context__
    return error


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except foreign.ArgumentError as error:
        # The value is not repeated: it may hold a password.
        raise SettingInvalid(KEY, "is not a database URL.", "Write sqlite:///FILE or postgresql://…/NAME.") from error
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise SettingInvalid(KEY, f"{parsed.drivername} is not a database of ours.", "Use sqlite or postgresql.")
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise SettingInvalid(KEY, "an SQLite database needs a file.", "Write sqlite:///FILE.")
    return parsed


def _engine(url: URL, pool_connections: int) -> Engine:
    common: dict[str, Any] = {
        "hide_parameters": True,  # what people wrote has no place in a log
        "json_serializer": _to_json,
        "pool_size": pool_connections,
        "max_overflow": 2 * pool_connections,
        "pool_timeout": BUSY_TIMEOUT_S,
    }
    if url.drivername == "sqlite":
        _make_folder(Path(str(url.database)).parent)
        engine = create_engine(url, **common)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    timeouts = {
        "statement_timeout": STATEMENT_TIMEOUT_S,
        "lock_timeout": BUSY_TIMEOUT_S,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_S,
    }
    try:
        engine = create_engine(
            url,
            **common,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "options": " ".join(f"-c {name}={seconds * 1000}" for name, seconds in timeouts.items()),
            },
        )
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", partial(_ping_after_a_rest, engine.dialect))
        return engine
    except ModuleNotFoundError as error:
        raise Unsupported(
            KEY, "the PostgreSQL driver is not installed.", "Install it with: pip install 'interleaf[postgres]'"
        ) from error


def _to_json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise DatabaseUnusable("database", f"refused what was written (it is not JSON: {error}).") from error


# In a pooled connection's `info`: when it was used last.
_USED_AT_S: Final = "used_at_s"


def _note_use(_connection: object, record: Any) -> None:
    record.info[_USED_AT_S] = time.monotonic()


def _ping_after_a_rest(dialect: Dialect, connection: Any, record: Any, _proxy: object) -> None:
    """A connection of before the database's restart is replaced, not met with an error. One that was used just now is
    not asked: that would be a tenth of what an order costs."""
    rested_s = time.monotonic() - record.info.get(_USED_AT_S, time.monotonic())
    if rested_s > REST_S:
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise foreign.InvalidatePoolError from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputUnwritable(
            os.fspath(folder), f"cannot be made ({error.strerror}).", f"Set {KEY} or INTERLEAF_HOME to another place."
        ) from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver begins no transaction by itself; _begin_sqlite says how.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
        "journal_mode = WAL",  # readers and the writer do not wait for one another
        "synchronous = FULL",  # what was accepted outlives a power cut; NORMAL would lose the last commits
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail half-way (SQLITE_BUSY_SNAPSHOT); a writer says so first.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
