"""Worker beat: a worker process says in the database that it is there; remote control by the broker may not answer."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from sqlalchemy import delete, update

from interleaf.errors import InterleafError
from workers.store.job_store import JobStore
from workers.store.tables import WorkerBeatRow

__all__ = ["WorkerBeat"]

log = logging.getLogger(__name__)

INTERVAL_S = 10.0
FORGET = timedelta(days=1)


class WorkerBeat:
    """The heartbeat of this process as a worker of `queue`, from a thread."""

    def __init__(self, store: JobStore, queue: str, interval_s: float = INTERVAL_S) -> None:
        self._store, self._queue, self._interval_s = store, queue, interval_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="worker-beat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye: the row goes, so that nobody waits for this worker."""
        self._ending.set()
        self._thread.join(timeout=5)

    def beat(self) -> None:
        """Say once that this worker is there. ServiceAway."""
        store, now = self._store, self._store.clock()
        with store.database.transaction() as session:
            seen = session.connection().execute(
                update(WorkerBeatRow).where(WorkerBeatRow.worker_id == store.worker).values(seen_at=now)
            )
            if not seen.rowcount:
                session.add(
                    WorkerBeatRow(
                        worker_id=store.worker, kind=self._queue, queue=self._queue, started_at=now, seen_at=now
                    )
                )
                session.execute(delete(WorkerBeatRow).where(WorkerBeatRow.seen_at < now - FORGET))

    def _work(self) -> None:
        while True:
            try:
                if self._ending.is_set():
                    with self._store.database.transaction() as session:
                        session.execute(delete(WorkerBeatRow).where(WorkerBeatRow.worker_id == self._store.worker))
                    return
                self.beat()
            except InterleafError as error:
                log.warning("no sign of life in the database: %s", error)
                if self._ending.is_set():
                    return
            self._ending.wait(self._interval_s)
