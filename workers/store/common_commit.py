"""Common commit: what several threads write at the same time, in one transaction: the disk is waited for once.

SQLite has one writer, which waits for the disk at each commit. On PostgreSQL all orders of a key raise one row of the
ledger, so each would wait for the commit of the one before; those of other keys stay apart, and nobody waits for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy.orm import Session

from interleaf.errors import ServiceAway

__all__ = ["CommonCommit", "CommonCommits"]

R = TypeVar("R")

MOST: Final = 64
"""Most writes of one transaction: others than its callers wait for it, too."""


@dataclass(eq=False)
class _Write:
    """What one caller wants written, and what became of it."""

    write: Callable[[], Any]
    done: bool = False
    shared: bool = False
    """It failed by itself, as a part of a transaction."""
    result: Any = None
    error: BaseException | None = None


class CommonCommit:
    """Whoever comes while nobody commits does it for all that wait; the others wait until theirs is on the disk.

    `transaction` opens one on the calling thread; `savepoint` a part of it that can be undone alone.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Session]],
        savepoint: Callable[[Session], AbstractContextManager[None]],
    ) -> None:
        self._transaction = transaction
        self._savepoint = savepoint
        self._changed = threading.Condition()
        self._waiting: list[_Write] = []
        self._busy = False

    def run(self, write: Callable[[], R]) -> R:
        """`write()`, committed when this returns. It may be called on another caller's thread, inside the transaction
        that is open there.

        What it raises undoes its own writes alone, and is raised here; ServiceAway, after it was tried once more by
        itself. When the commit fails, nobody's writes are there, and everybody whose own part went well is told so.
        """
        mine = _Write(write)
        with self._changed:
            self._waiting.append(mine)
        while not mine.done:
            with self._changed:
                while self._busy and not mine.done:
                    self._changed.wait()
                if mine.done:
                    break
                self._busy = True
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                self._commit(batch)
            finally:
                with self._changed:
                    for one in batch:
                        one.done = True
                    self._busy = False
                    self._changed.notify_all()
        if mine.shared and isinstance(mine.error, ServiceAway):
            # Parts of several transactions may take the same rows in any order, so they may stand in each other's way
            # (a deadlock), which one of them alone cannot. Its part was undone, so it is not done twice.
            with self._transaction():
                return write()
        if mine.error is not None:
            raise mine.error
        result: R = mine.result
        return result

    def _commit(self, batch: list[_Write]) -> None:
        """Write and commit them; what went wrong stands in those whom it concerns."""
        try:
            with self._transaction() as session:
                if len(batch) == 1:  # nobody else's writes are to be kept if this one fails
                    batch[0].result = batch[0].write()
                else:
                    for one in batch:
                        self._try(session, one)
        except BaseException as error:  # noqa: BLE001 - each caller raises it on its own thread
            for one in batch:
                one.error = one.error or error

    def _try(self, session: Session, one: _Write) -> None:
        try:
            with self._savepoint(session):
                one.result = one.write()
        except BaseException as error:  # noqa: BLE001 - as above; the others' writes are not its business
            one.error, one.shared = error, True


class CommonCommits:
    """Those of what is written side by side: one for each name, as long as somebody writes there."""

    def __init__(self, make: Callable[[], CommonCommit]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._open: dict[str, tuple[CommonCommit, int]] = {}

    def run(self, name: str, write: Callable[[], R]) -> R:
        """As CommonCommit.run, in one with what is written under that name."""
        with self._lock:
            common, users = self._open.get(name) or (self._make(), 0)
            self._open[name] = (common, users + 1)
        try:
            return common.run(write)
        finally:
            with self._lock:
                common, users = self._open[name]
                if users == 1:
                    del self._open[name]
                else:
                    self._open[name] = (common, users - 1)
