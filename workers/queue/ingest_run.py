"""Ingest run: one claimed ingest from its claim to its end: uploads become pictures of a library, one after another.

Killed at any point, the next attempt goes on: the library knows which files of the run folder it has seen.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from interleaf.errors import (
    InterleafError,
    LibraryBusy,
    ObjectUnknown,
    PictureUnreadable,
    QuotaReached,
    RetrievalError,
    ServiceAway,
)
from retrieval.library import IngestProgress, IngestReport, PictureLibrary
from retrieval.reading import PictureReader
from workers.library.librarian import Librarian
from workers.library.open_libraries import OpenLibraries
from workers.queue.claimed_run import ClaimedRun
from workers.queue.lease_keeper import LeaseKeeper
from workers.run.run_folder import RunFolder
from workers.store.ingest_order import IngestOrder
from workers.store.job import Claim
from workers.store.job_store import JobStore
from workers.store.leases import Ending
from workers.store.libraries import Library

__all__ = ["MAX_TOLD", "IngestRun", "result_of"]

log = logging.getLogger(__name__)

PROGRESS_S: Final = 0.5
WAIT_S: Final = 0.2
# A quota is looked at after so many files: what lies between is little.
CHECKED_FILES: Final = 32
MAX_TOLD: Final = 100
"""Most lines of each list in a job's result; the counts tell of all."""
MIB: Final = 2**20


class IngestRun(ClaimedRun):
    """Takes the uploads of a claimed ingest in, tells how far it is, and stops as told between two pictures."""

    what = "ingest"
    failure = RetrievalError
    where = "library"

    def __init__(
        self, store: JobStore, keeper: LeaseKeeper, opened: OpenLibraries, librarian: Librarian, claim: Claim
    ) -> None:
        super().__init__(store, keeper, claim)
        self._opened, self._librarian = opened, librarian
        self._folder = RunFolder.at(store.settings.runs_dir, claim.job.run_id)
        self._told_at = 0.0

    def _work(self) -> bool:
        brief = self._insist(lambda: self._store.results.brief(self._claim.job_id))
        order = IngestOrder.model_validate(brief)
        library = self._library(order)
        files, names = self._brought(order, library)
        with self._opened.borrowed(library.owner) as shelf:
            report = self._added(shelf, library, order, files, names)
            self._encoded(shelf)
        self._ended(library, report)
        return False

    # The parts of the work

    def _library(self, order: IngestOrder) -> Library:
        library = self._insist(lambda: self._store.libraries.standing(order.library_id))
        if library is None or library.deleted_at is not None or library.owner != self._claim.job.owner:
            raise ObjectUnknown(order.library_id, "the library was deleted.", "Make another one.")
        return library

    def _brought(self, order: IngestOrder, library: Library) -> tuple[list[Path], dict[Path, str]]:
        """The uploads as files of the run folder, and what their sender calls them."""
        self._note("stage.started", {"library_id": library.id}, stage="read")
        files: list[Path] = []
        names: dict[Path, str] = {}
        folder = self._folder.path / "uploads"
        for number, upload_id in enumerate(order.upload_ids):
            self._go_on()
            path, name = self._sent(upload_id, f"uploads[{number}]", folder)
            files.append(path)
            names[path] = name
        return files, names

    def _added(
        self,
        shelf: PictureLibrary,
        library: Library,
        order: IngestOrder,
        files: Sequence[Path],
        names: dict[Path, str],
    ) -> IngestReport:
        self._note("stage.started", {"library_id": library.id}, stage="ingest")

        def progress(now: IngestProgress) -> None:
            self._go_on()
            if now.done % CHECKED_FILES == 0:
                self._require_room(shelf, library)
            self._tell("ingest", now.done, now.total, now.name)

        self._require_room(shelf, library)
        while True:
            try:
                report = shelf.add(
                    files,
                    library.id,
                    dedupe=order.dedupe,
                    given=order.given or None,
                    names=names,
                    on_progress=progress,
                )
                break
            except LibraryBusy:
                # Another process is adding for this owner, or removing: it ends, and then it is our turn.
                self._go_on()
                time.sleep(WAIT_S)
        self._note("stage.completed", {"added": len(report.added)}, stage="ingest", share_done=1.0)
        return report

    def _require_room(self, shelf: PictureLibrary, library: Library) -> None:
        """QuotaReached; RunCanceled and ObjectUnknown when it is of no use to go on."""
        with PictureReader(shelf.root) as reader:
            totals = reader.totals(library.id)
        most = self._store.settings.key_stored_mb * MIB
        standing = self._insist(lambda: self._store.libraries.standing(library.id))
        if standing is None or standing.deleted_at is not None:
            raise ObjectUnknown(library.id, "the library was deleted.", "Make another one.")
        self._insist(lambda: self._store.libraries.require_room(library, totals.bytes, most))

    def _encoded(self, shelf: PictureLibrary) -> None:
        """So that the first search is quick."""
        self._note("stage.started", stage="encode")

        def progress(done: int, total: int) -> None:
            self._go_on()
            self._tell("encode", done, total, "")

        shelf.refresh(progress)

    # What is told, and the end

    def _tell(self, stage: str, done: int, total: int, name: str) -> None:
        now = time.monotonic()
        if now - self._told_at < PROGRESS_S:
            return
        self._told_at = now
        share = done / total if total else None
        self._note("stage.progress", {"done": done, "total": total}, stage=stage, share_done=share, message=name)

    def _ended(self, library: Library, report: IngestReport) -> None:
        result = result_of(library.id, report)
        counts = result["counts"]
        if counts["added"] or counts["already_there"] or counts["duplicates"]:
            self._finish("succeeded", result=result)
        else:
            reason = f" {report.refused[0].reason}" if report.refused else ""
            problem = f"not one picture could be taken out of what was sent.{reason}"
            self._finish(
                "failed", result=result, error=PictureUnreadable("uploads", problem, "Send pictures, or a ZIP of them.")
            )
        if self._watch.reason != "lost":
            shutil.rmtree(self._folder.path / "uploads", ignore_errors=True)

    def _finish(
        self, state: Ending, *, result: Mapping[str, Any] | None = None, error: InterleafError | None = None
    ) -> None:
        """What was taken in until now stays, however the job ends; so it is counted."""
        if isinstance(error, QuotaReached):
            state = "incomplete"
        self._keeper.let_go(self._watch)
        self._recount(encoded=state == "succeeded")
        super()._finish(state, result=result, error=error)

    def _recount(self, *, encoded: bool) -> None:
        brief = self._insist(lambda: self._store.results.brief(self._claim.job_id))
        library_id = str(brief.get("library_id", ""))
        try:
            self._insist(lambda: self._librarian.recount(library_id, self._claim.job.owner, encoded=encoded))
        except InterleafError as error:
            if isinstance(error, ServiceAway):
                raise
            log.warning("library %s is not counted: %s", library_id, error)


def result_of(library_id: str, report: IngestReport) -> dict[str, Any]:
    """The report as the job's result keeps it: all counts, and the first lines of each list."""
    lists: dict[str, list[Any]] = {
        "added": list(report.added),
        "already_there": list(report.already_there),
        "described": list(report.described),
        "duplicates": [duplicate._asdict() for duplicate in report.duplicates],
        "refused": [refused._asdict() for refused in report.refused],
        "notes": [note._asdict() for note in report.notes],
    }
    counts = {name: len(lines) for name, lines in lists.items()} | {"ignored_files": report.ignored_files}
    return {
        "library_id": library_id,
        "counts": counts,
        **{name: lines[:MAX_TOLD] for name, lines in lists.items()},
    }
