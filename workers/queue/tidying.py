"""Tidying: what the service does every few minutes: it removes what expired and what belongs to nobody."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final, Generic, TypeVar

from interleaf.errors import ArtifactMissing, InterleafError
from workers.run.takeover import aside_of
from workers.store.answered import KEPT, Answered
from workers.store.artifacts import KeptFile
from workers.store.ids import is_job_run_id
from workers.store.job_store import JobStore
from workers.store.ledger import Ledger
from workers.store.unowned import Unowned
from workers.store.uploads import Uploads

__all__ = ["PASS_EVERY", "UNOWNED_AGE", "Tidying"]

log = logging.getLogger(__name__)

T = TypeVar("T")

UNOWNED_AGE: Final = timedelta(days=7)
"""Younger things are left: a worker writes a file before its row, and a person may want to bring a row back."""
PARTS_AGE: Final = timedelta(days=1)
PASS_EVERY: Final = timedelta(hours=6)
"""Between the beginnings of two passes over all files and all run folders."""
_FOLDERS: Final = ("jobs", "uploads")
_AT_ONCE: Final = 200
_TIMES: Final = 5


class Tidying:
    """Rounds of bounded work. Several processes may do them at once: what one removed, another does not find."""

    def __init__(self, store: JobStore) -> None:
        chosen = store.settings
        self._store, self._clock = store, store.clock
        self._runs_dir = chosen.runs_dir
        self._aside_dir = aside_of(chosen.runs_dir)
        self._kept = timedelta(days=chosen.upload_kept_days)
        self._max_bytes = chosen.max_upload_mb * 2**20
        self._deliveries_kept = timedelta(days=chosen.webhook_deliveries_kept_days)
        self._answered = Answered(store.database, clock=store.clock)
        self._ledger, self._ledger_kept = Ledger(store.database), timedelta(days=chosen.ledger_kept_days)
        self._unowned = Unowned(store.database)
        self._files = _Passes(self._all_files, self._clock)
        self._runs = _Passes(lambda: _folders(self._runs_dir), self._clock)

    def round(self) -> None:
        """One round. What fails is logged, and hinders nothing else."""
        steps = (
            self._end_uploads,
            self._forget_answers,
            self._forget_deliveries,
            self._forget_days,
            self._sweep_parts,
            self._end_runs,
            self._end_files,
        )
        for step in steps:
            try:
                step()
            except (InterleafError, OSError) as error:
                log.warning("not tidied: %s", error)

    def _end_uploads(self) -> None:
        artifacts = self._store.artifacts
        uploads = Uploads(
            self._store.database, artifacts, kept=self._kept, max_bytes=self._max_bytes, clock=self._clock
        )
        for _ in range(_TIMES):
            count = uploads.forget_expired(_AT_ONCE)
            if count:
                log.info("%d uploads expired", count)
            if count < _AT_ONCE:
                break

    def _forget_answers(self) -> None:
        self._answered.forget(self._clock() - KEPT)

    def _forget_deliveries(self) -> None:
        for _ in range(_TIMES):
            if self._store.deliveries.forget(self._clock() - self._deliveries_kept, _AT_ONCE) < _AT_ONCE:
                break

    def _forget_days(self) -> None:
        count = self._ledger.forget((self._clock() - self._ledger_kept).date())
        if count:
            log.info("%d days of keys are forgotten", count)

    def _sweep_parts(self) -> None:
        count = self._store.artifacts.sweep(self._clock() - PARTS_AGE)
        if count:
            log.info("%d files that were never finished are removed", count)

    def _end_runs(self) -> None:
        """Folders of jobs and documents that are not there any more, and what a takeover that was killed left aside."""
        is_old = self._is_old()
        gone = [path for path in _folders(self._aside_dir) if is_old(_changed_at(path))]
        for _ in range(_TIMES):
            some = self._runs.take(_AT_ONCE)
            # A run that a person began with `interleaf compose` has no job and is left alone.
            old = {path.name: path for path in some if is_job_run_id(path.name) and is_old(_changed_at(path))}
            gone += [old[run_id] for run_id in self._unowned.runs(list(old))]
            if len(some) < _AT_ONCE:
                break
        for path in gone:
            log.info("run folder %s belongs to no job and to no document, and is removed", path.name)
            shutil.rmtree(path)

    def _end_files(self) -> None:
        is_old = self._is_old()
        for _ in range(_TIMES):
            some = self._files.take(_AT_ONCE)
            for key in self._unowned.files([file.key for file in some if is_old(file.modified_at)]):
                self._end_file(key, is_old)
            if len(some) < _AT_ONCE:
                break

    def _end_file(self, key: str, is_old: Callable[[datetime | None], bool]) -> None:
        """Remove a file, unless somebody has written it anew since it was listed."""
        try:
            modified_at = self._store.artifacts.info(key).modified_at
        except ArtifactMissing:
            return
        if is_old(modified_at) and self._store.artifacts.delete(key):
            log.info("file %s belongs to nobody and is removed", key)

    def _is_old(self) -> Callable[[datetime | None], bool]:
        """Whether something that was changed then may be removed if nobody owns it. What is older than the database is
        another database's, to which somebody may want to go back."""
        since, until = self._unowned.since(), self._clock() - UNOWNED_AGE
        return lambda changed_at: since is not None and changed_at is not None and since <= changed_at < until

    def _all_files(self) -> Iterator[KeptFile]:
        for folder in _FOLDERS:
            yield from self._store.artifacts.list(folder)


class _Passes(Generic[T]):
    """Everything that there is, a few at a time, and after a while again from the beginning."""

    def __init__(self, everything: Callable[[], Iterator[T]], clock: Callable[[], datetime]) -> None:
        self._everything, self._clock = everything, clock
        self._left: Iterator[T] = iter(())
        self._next = datetime.min.replace(tzinfo=UTC)

    def take(self, count: int) -> list[T]:
        """The next ones; fewer than `count` when the pass is over."""
        some = list(islice(self._left, count))
        if not some and self._clock() >= self._next:
            self._next = self._clock() + PASS_EVERY
            self._left = self._everything()
            some = list(islice(self._left, count))
        return some


def _folders(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (path for path in sorted(place.iterdir()) if path.is_dir() and not path.is_symlink())


def _changed_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:  # somebody else removed it
        return None
