"""Schedule hands: a schedule's owner and the service's rounds over one job store, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tests.workers.job_store import LEASE_S, Store
from workers.store.artifacts import ArtifactStore
from workers.store.job import Job
from workers.store.job_query import JobQuery
from workers.store.jobs import Jobs
from workers.store.schedule import Schedule, ScheduleRun
from workers.store.schedule_order import ScheduleOrder
from workers.store.schedule_ticks import ScheduleTicks
from workers.store.schedules import Schedules
from workers.store.tables import ScheduleRow
from workers.store.uploads import Uploads

BRIEF: dict[str, Any] = {"instruction": "The tide of {{ date }}, number {{ number }}."}
KEPT = timedelta(days=30)


class ScheduleHands:
    """`store` is the owner's; `ticks` is one beat, `ticker()` makes another over connections of its own."""

    def __init__(self, store: Store, *, max_active: int = 1_000, max_queued: int = 100_000) -> None:
        self.store = store
        self.limits = {"max_active": max_active, "max_queued": max_queued}
        self.ticks = self.ticker(store)
        self.schedules = Schedules(store.database, store.jobs, self.ticks, upload_kept=KEPT, clock=store.clock)

    def ticker(self, store: Store) -> ScheduleTicks:
        jobs = Jobs(store.database, clock=store.clock)
        return ScheduleTicks(store.database, jobs, clock=store.clock, **self.limits)

    def create(self, **fields: Any) -> Schedule:
        """A schedule of every full hour if nothing else is said."""
        given: dict[str, Any] = {"name": "tides", "brief": BRIEF, **fields}
        if "at" not in given:
            given.setdefault("cron", "0 * * * *")
        return self.schedules.create(self.store.owner, ScheduleOrder(**given))

    def get(self, schedule: Schedule) -> Schedule:
        return self.schedules.get(schedule.id, self.store.owner)

    def runs(self, schedule: Schedule) -> list[ScheduleRun]:
        """All runs, the earliest first."""
        found: list[ScheduleRun] = []
        while True:
            page = self.schedules.runs(
                schedule.id, self.store.owner, 100, before=found[-1].id if found else "run_00000000000000000s"
            )
            if not page:
                return found
            found += page

    def outcomes(self, schedule: Schedule) -> list[str]:
        return [run.outcome for run in self.runs(schedule)]

    def jobs(self) -> list[Job]:
        """The owner's jobs, the oldest first."""
        return list(reversed(self.store.jobs.list(self.store.owner, JobQuery(limit=100)).jobs))

    def finish(self, job_id: str) -> None:
        claim = self.store.leases.claim(job_id, "worker-1", LEASE_S)
        assert claim is not None
        self.store.leases.finish(claim, "succeeded", result={})

    def finish_all(self) -> None:
        for job in self.jobs():
            if not job.final:
                self.finish(job.id)

    def to(self, hour: float, tick: bool = True) -> None:
        """Move the clock so many hours after the noon at which it began, and do a round."""
        self.store.clock.now = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(hours=hour)
        if tick:
            self.ticks.tick()

    def fire_at(self, schedule: Schedule) -> datetime | None:
        with self.store.database.reading() as session:
            found: datetime | None = session.scalar(
                select(ScheduleRow.next_fire_at).where(ScheduleRow.id == schedule.id)
            )
            return found

    def uploads(self, folder: Path) -> Uploads:
        return Uploads(
            self.store.database, ArtifactStore(str(folder)), kept=KEPT, max_bytes=1_000, clock=self.store.clock
        )


def at_noon(hours: float = 0, **more: float) -> datetime:
    """That long after the noon at which the tests' clock begins."""
    return datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(hours=hours, **more)
