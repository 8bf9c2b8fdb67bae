"""Scheduling: somebody who has pieces ordered by the clock, and knows afterwards which times there were."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from interleaf import Client
from interleaf.service.service_records import ScheduleRecord
from tests.chaos.hand import Hand
from tests.chaos.orders import order
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict
from workers.store.tables import JobRow, ScheduleRow

__all__ = ["Scheduling"]

# The order may have to be given again by a client whose API was killed: the time must not have passed by then.
AHEAD = timedelta(seconds=30)
APART = timedelta(seconds=1.5)


class Scheduling(Hand):
    """`count` pieces once each, and one every minute until about the last of those is due. Its jobs are known after
    `look`."""

    def __init__(self, service: ChaosService, count: int) -> None:
        super().__init__(service, "schedules", wants=count)
        self._once: dict[str, datetime] = {}
        self._every_minute: ScheduleRecord | None = None
        self._missed: list[str] = []
        self._double: list[str] = []
        self._times = 0

    def work(self) -> None:
        with self.service.client() as client:
            # Up to the first full minute after the last of them is due: the end itself is not a time.
            last = (_now() + self.wants * APART + AHEAD).replace(second=1, microsecond=0) + timedelta(minutes=1)
            self._every_minute = client.schedules.create(
                "every minute", order("Minute {{ number }}"), cron="* * * * *", overlap="queue", ends_at=last
            )
            for number in range(self.wants):
                at = (_now() + AHEAD + APART * (number % 4)).replace(microsecond=0)  # now and then two at once
                made = client.schedules.create(f"once {number}", order(f"Once {number}"), at=at)
                self._once[made.id] = at

    @property
    def settled(self) -> bool:
        with self.service.store.database.reading() as session:
            return self.done and not session.scalar(select(func.count(ScheduleRow.next_fire_at)))

    def look(self, client: Client) -> None:
        for schedule_id, at in self._once.items():
            self._hold(client, schedule_id, [at])
        every = self._every_minute
        if every is not None and every.ends_at is not None:
            first = every.created_at.replace(second=0, microsecond=0) + timedelta(minutes=1)
            minutes = int((every.ends_at - first) / timedelta(minutes=1)) + 1
            self._hold(client, every.id, [first + timedelta(minutes=number) for number in range(minutes)])

    def tell(self, verdict: Verdict) -> None:
        verdict.equal("schedules made", len(self._once) + (self._every_minute is not None), self.wants + 1)
        verdict.tell("times that came", self._times)
        verdict.none("of them missed", self._missed)
        verdict.none("of them twice", self._double)

    def _hold(self, client: Client, schedule_id: str, times: list[datetime]) -> None:
        runs = list(client.schedules.each_run(schedule_id))
        ordered = Counter(run.due_at for run in runs if run.outcome == "ordered" and run.job_id)
        self.job_ids += [run.job_id for run in runs if run.job_id]
        self._times += len(times)
        told = {run.due_at: run.outcome for run in runs}
        self._missed += [f"{schedule_id} {at:%X}: {told.get(at, 'nothing')}" for at in times if not ordered[at]]
        self._double += [f"{schedule_id} {at:%X}: {n}" for at, n in ordered.items() if n > 1 or at not in times]
        # A second job of a time would be in no run: its metadata tell of whom it is.
        with self.service.store.database.reading() as session:
            wanted = select(JobRow.id).where(JobRow.meta["schedule"].as_string() == schedule_id)
            strangers = set(session.scalars(wanted)) - {run.job_id for run in runs}
        self._double += [f"{job_id} is of no run" for job_id in strangers]


def _now() -> datetime:
    return datetime.now(UTC)
