"""Claimed run: what is the same for every kind of job: from its claim to the moment that this worker lets go of it,
whatever happens."""

from __future__ import annotations

import logging
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from sqlalchemy import select

from interleaf.errors import (
    ArtifactMissing,
    CompositionFailed,
    InterleafError,
    InvalidRequest,
    LeaseLost,
    OutputUnwritable,
    RunCanceled,
    ServiceAway,
)
from workers.queue.lease_keeper import LeaseKeeper
from workers.queue.watch import Watch
from workers.run.given_files import bring_upload
from workers.store.job import Claim
from workers.store.job_store import JobStore
from workers.store.leases import Ending
from workers.store.tables import UploadRow

__all__ = ["ClaimedRun"]

log = logging.getLogger(__name__)

T = TypeVar("T")
RETRY_S: Final = 0.5


class ClaimedRun(ABC):
    """Carries out a claimed job, and ends it, or gives it back, as told."""

    what: ClassVar[str]
    """Names the work in an error of this program, ..."""
    failure: ClassVar[type[InterleafError]] = CompositionFailed
    """... which is of this kind."""
    where: ClassVar[str] = "run folder"
    """Names what it writes in an error of the disk."""

    def __init__(self, store: JobStore, keeper: LeaseKeeper, claim: Claim) -> None:
        self._store, self._keeper, self._claim = store, keeper, claim
        self._watch = Watch(claim, renew=keeper.renew)

    def run(self) -> None:
        """From the claim to the end of this worker's part. Raises nothing of interleaf: what went wrong stands in the
        job, or the job is another's now, or the store is away and the lease runs out."""
        self._keeper.keep(self._watch)
        goes_on = False
        try:
            goes_on = self._carried_out()
        except LeaseLost as error:
            log.info("%s", error)
        except ServiceAway as error:
            log.warning("job %s is left to the reconciler: %s", self._claim.job_id, error)
        finally:
            if not goes_on:
                self._keeper.let_go(self._watch)

    @abstractmethod
    def _work(self) -> bool:
        """Do it, and end the job; whether others go on with it now, so that the lease must be kept. What it raises ends
        the job, too."""

    def _carried_out(self) -> bool:
        try:
            return self._work()
        except (LeaseLost, ServiceAway):
            raise
        except RunCanceled:
            self._stop()
        except InterleafError as error:
            self._finish("failed", error=error)
        except (sqlite3.Error, OSError) as error:
            problem = f"cannot be used ({error})."
            self._finish(
                "failed", error=OutputUnwritable(self.where, problem, "Look after the disk, then retry the job.")
            )
        except Exception as error:
            log.exception("job %s", self._claim.job_id)
            problem = f"stopped at an error of this program ({type(error).__name__})."
            self._finish("failed", error=self.failure(self.what, problem, "Please report it."))
        return False

    def _go_on(self) -> None:
        """RunCanceled when it is to stop."""
        if self._watch.canceled():
            raise RunCanceled(self._claim.job_id, f"was stopped ({self._watch.reason}).")

    def _stop(self) -> None:
        """End it, or give it back, as told. LeaseLost: it is another's."""
        if self._watch.reason == "lost":
            raise LeaseLost(self._claim.job_id, "another worker has it.", "")
        if self._watch.reason == "released":
            self._keeper.let_go(self._watch)
            use = self._watch.take_use()
            self._write(lambda: self._store.leases.release(self._claim, use))
        else:
            self._finish("canceled")

    def _finish(
        self, state: Ending, *, result: Mapping[str, Any] | None = None, error: InterleafError | None = None
    ) -> None:
        self._keeper.let_go(self._watch)
        use = self._watch.take_use()
        self._write(lambda: self._store.leases.finish(self._claim, state, result=result, error=error, used=use))

    def _note(self, name: str, data: Mapping[str, Any] | None = None, **said: Any) -> None:
        """Tell an event; whether to stop comes back with it."""
        if self._insist(lambda: self._store.leases.note(self._claim, name, data, **said)) == "cancel":
            self._watch.stop("canceled")

    def _write(self, write: Callable[[], T]) -> T:
        """Write what ends this worker's part."""
        return self._insist(write)

    def _insist(self, write: Callable[[], T]) -> T:
        """Do it, however long the store is away: work is not thrown away for that. Not when this worker ends."""
        while True:
            try:
                return write()
            except ServiceAway:
                if self._watch.reason in ("lost", "released"):
                    raise
                time.sleep(RETRY_S)

    def _sent(self, upload_id: str, field: str, folder: Path) -> tuple[Path, str]:
        """The file of an upload, brought to `folder`, and what its sender calls it. InvalidRequest names `field` when
        it is not there."""

        def look() -> UploadRow | None:
            with self._store.database.reading() as session:
                wanted = select(UploadRow).where(UploadRow.id == upload_id, UploadRow.owner == self._claim.job.owner)
                return session.scalars(wanted).one_or_none()

        row = self._insist(look)
        try:
            if row is None:
                raise ArtifactMissing(upload_id, "is no upload of yours.")
            return self._insist(lambda: bring_upload(row, self._store.artifacts, folder)), row.name
        except ArtifactMissing as error:
            raise InvalidRequest(field, f"{upload_id} is not there (any more).", "Send the file again.") from error
