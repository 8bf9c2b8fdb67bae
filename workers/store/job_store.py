"""Job store: everything of one process that speaks to the database of jobs and to the artifact store, opened once."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta
from functools import cached_property

from workers.settings import Settings, settings
from workers.store.announcements import announce
from workers.store.artifacts import ArtifactStore
from workers.store.batch_ends import BatchEnds
from workers.store.batch_rounds import BatchRounds
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.deliveries import Deliveries
from workers.store.document_renders import DocumentRenders
from workers.store.document_versions import DocumentVersions
from workers.store.events import JobEvents
from workers.store.jobs import Jobs
from workers.store.leases import Leases
from workers.store.libraries import Libraries
from workers.store.library_requests import LibraryRequests
from workers.store.outbox import Outbox
from workers.store.publications import Publications
from workers.store.reconciler import Reconciler
from workers.store.reruns import Reruns
from workers.store.results import Results
from workers.store.schedule_ticks import ScheduleTicks

__all__ = ["JobStore", "host_name", "job_store"]


def host_name() -> str:
    """What this machine calls itself, as in the names of its workers."""
    return socket.gethostname()[:100]


class JobStore:
    """The parts of the store over one database. `worker` names this process: unlike any other's, ever."""

    def __init__(self, chosen: Settings, *, clock: Clock = utc_now) -> None:
        self.settings = chosen
        self.clock = clock
        self.worker = f"{host_name()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.database = Database(chosen.job_database_url)
        self.jobs = Jobs(self.database, clock=clock)
        self.leases = Leases(self.database, clock=clock)
        self.events = JobEvents(self.database)
        self.outbox = Outbox(self.database, clock=clock, resend_s=chosen.resend_s)
        self.reconciler = Reconciler(self.database, clock=clock)
        self.libraries = Libraries(self.database, clock=clock)
        self.library_requests = LibraryRequests(self.database, clock=clock)
        self.schedule_ticks = ScheduleTicks(
            self.database,
            self.jobs,
            max_active=chosen.key_active_jobs,
            max_queued=chosen.max_queued_jobs,
            clock=clock,
        )
        self.batch_rounds = BatchRounds(
            self.database,
            self.jobs,
            max_active=chosen.key_active_jobs,
            max_queued=chosen.max_queued_jobs,
            clock=clock,
        )
        self.batch_ends = BatchEnds(self.database, upload_kept=timedelta(days=chosen.upload_kept_days), clock=clock)
        self.publications = Publications(
            self.database,
            clock=clock,
            announce=lambda session, owner, event, data: announce(session, owner, event, data, clock()),
        )
        self.deliveries = Deliveries(self.database, clock=clock)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """The files. Opened at the first use: an S3's client is slow to import."""
        return ArtifactStore(self.settings.artifacts_url)

    @cached_property
    def results(self) -> Results:
        return Results(self.database, self.leases, clock=self.clock)

    @cached_property
    def reruns(self) -> Reruns:
        return Reruns(self.database)

    @cached_property
    def document_versions(self) -> DocumentVersions:
        return DocumentVersions(self.database, clock=self.clock)

    @cached_property
    def document_renders(self) -> DocumentRenders:
        return DocumentRenders(self.database, self.jobs, self.leases, clock=self.clock)

    def close(self) -> None:
        self.database.close()


_opened: dict[int, JobStore] = {}


def job_store() -> JobStore:
    """The store of this process, by its settings. A process that was forked opens one of its own."""
    pid = os.getpid()
    if pid not in _opened:
        # Another process's connections must not be used here, and not be closed either: they are only forgotten.
        _opened[pid] = JobStore(settings())
    return _opened[pid]
