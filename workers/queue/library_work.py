"""Library work: what a library worker's process keeps from task to task, and what its tasks do with it."""

from __future__ import annotations

import logging
import threading
from typing import Final

from interleaf.errors import InterleafError
from workers.library.librarian import Librarian
from workers.library.open_libraries import OpenLibraries
from workers.queue.dispatch import Dispatcher
from workers.queue.edit_run import EditRun
from workers.queue.ingest_desk import IngestDesk
from workers.queue.ingest_run import IngestRun
from workers.queue.lease_keeper import LeaseKeeper
from workers.store.job_store import JobStore

__all__ = ["EDITS", "INGESTS", "LibraryWork"]

log = logging.getLogger(__name__)

INGESTS: Final = 2
"""How many of the worker's threads (worker_process.py) may be adding or sweeping: the others are for those who wait."""

EDITS: Final = 1
"""How many may be editing; so one is always free for those who search."""


class LibraryWork:
    """Over the job store of this process. Threads share it."""

    def __init__(self, store: JobStore, keeper: LeaseKeeper, dispatcher: Dispatcher) -> None:
        self._store, self._keeper, self._dispatcher = store, keeper, dispatcher
        self._desk, self._edits = IngestDesk(INGESTS), IngestDesk(EDITS)
        self._opened = OpenLibraries(store.settings)
        self._librarian = Librarian(
            self._opened, store.libraries, store.library_requests, store.database, lambda: store.artifacts
        )

    def ingest(self, job_id: str) -> None:
        """Work on an ingest, if there is work to do on it and nobody else does."""
        job = self._store.results.job(job_id)
        if job is not None and not job.final:
            self._desk.take(job_id, job.owner, lambda: self._run(job_id))

    def edit(self, job_id: str) -> None:
        """Work on an edit, if there is work to do on it and nobody else does. It does not wait behind those who add."""
        job = self._store.results.job(job_id)
        if job is not None and not job.final:
            self._edits.take(job_id, job.owner, lambda: self._run_edit(job_id))

    def sweep(self, library_id: str) -> None:
        """Remove what a deleted library held."""
        library = self._store.libraries.standing(library_id)
        if library is not None and library.deleted_at is not None:
            work = self._librarian.sweep
            self._desk.take(library_id, library.owner, lambda: work(library_id, lambda: self._desk.closed))

    def answer(self, request_id: str) -> None:
        """Answer somebody who waits."""
        self._librarian.answer(request_id)

    def begin_warming(self) -> None:
        """Load the encoder beside whatever else is done, so that the first who searches need not wait for it."""
        threading.Thread(target=self._warm, name="warm", daemon=True).start()

    def stop(self) -> None:
        """This process ends: nothing more is begun."""
        self._desk.close()
        self._edits.close()

    def _run(self, job_id: str) -> None:
        claim = self._store.leases.claim(job_id, self._store.worker, self._store.settings.lease_s)
        if claim is not None:
            IngestRun(self._store, self._keeper, self._opened, self._librarian, claim).run()

    def _run_edit(self, job_id: str) -> None:
        claim = self._store.leases.claim(job_id, self._store.worker, self._store.settings.lease_s)
        if claim is not None:
            EditRun(self._store, self._keeper, self._dispatcher, claim, embedder=self._opened.embedder).run()

    def _warm(self) -> None:
        try:
            self._opened.warm()
        except InterleafError as error:
            log.warning("the encoder is not loaded yet: %s", error)
