"""Job store: one database of its own with everything that works on it, and a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from workers.store.clock import Clock
from workers.store.database import Database
from workers.store.events import JobEvent, JobEvents
from workers.store.ids import new_id
from workers.store.job import Claim, Job
from workers.store.job_transitions import FINAL, STATES, TRANSITIONS
from workers.store.jobs import Jobs
from workers.store.leases import Leases
from workers.store.ledger import AMOUNTS, Amounts
from workers.store.outbox import Outbox
from workers.store.reconciler import Reconciler
from workers.store.tables import ApiKeyRow, ArtifactRow, JobEventRow, JobRow, LedgerRow, Row

ROOT = Path(__file__).resolve().parents[2]
LEASE_S = 30.0
BRIEF = {"kind": "article", "instruction": "Say what the tide is."}


class MovedClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Store:
    """The job store over one database."""

    url: str
    clock: Any = field(default_factory=MovedClock)

    @cached_property
    def database(self) -> Database:
        return Database(self.url)

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self.database, clock=self.clock)

    @cached_property
    def leases(self) -> Leases:
        return Leases(self.database, clock=self.clock)

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self.database, clock=self.clock, resend_s=300)

    @cached_property
    def reconciler(self) -> Reconciler:
        return Reconciler(self.database, clock=self.clock)

    @cached_property
    def events(self) -> JobEvents:
        return JobEvents(self.database)

    @cached_property
    def owner(self) -> str:
        return new_key(self.database, self.clock)

    def create(self, **fields: Any) -> Job:
        return self.jobs.create(self.owner, "article", BRIEF, **fields)

    def claimed(self, worker: str = "worker-1") -> Claim:
        """A new job that a worker has just claimed."""
        claim = self.leases.claim(self.create().id, worker, LEASE_S)
        assert claim is not None
        return claim

    def asked(self, **fields: Any) -> Job:
        """A new job that awaits input."""
        return self.leases.ask(self.claimed(), {"asks": "outline"}, **fields)

    def state(self, job: Job | Claim) -> str:
        return self.get(job).state

    def get(self, job: Job | Claim) -> Job:
        return self.jobs.get(job.job_id if isinstance(job, Claim) else job.id, self.owner)

    def names(self, job: Job | Claim) -> list[str]:
        """Names of the job's events, in order."""
        return [event.name for event in self.told(job)]

    def told(self, job: Job | Claim) -> tuple[JobEvent, ...]:
        job_id = job.job_id if isinstance(job, Claim) else job.id
        return self.events.after(job_id, self.owner, limit=1000).events

    def clear(self) -> None:
        """Forget everything but the keys."""
        with self.database.transaction() as session:
            for table in reversed(Row.metadata.sorted_tables):
                if table.name != "api_keys":
                    session.execute(table.delete())


def new_key(database: Database, clock: Clock) -> str:
    """A key that owns jobs."""
    key_id = new_id("key", clock())
    with database.transaction() as session:
        session.add(
            ApiKeyRow(
                id=key_id,
                prefix="il_test",
                secret_sha256=key_id.encode()[-32:],
                name="test",
                scopes=["jobs:write"],
                created_at=clock(),
            )
        )
    return key_id


def assert_accounted(database: Database, *, files_went: bool = False) -> Amounts:
    """Hold the ledger of a database of which no job was ever deleted against these, and against the files unless some
    of them went: each key's is their sum. What all keys used."""
    with database.reading() as session:
        told = session.execute(
            select(LedgerRow.key_id, *(func.sum(getattr(LedgerRow, name)).label(name) for name in AMOUNTS)).group_by(
                LedgerRow.key_id
            )
        ).all()
        jobs = session.execute(select(JobRow.owner, JobRow.state, JobRow.seconds_used, JobRow.tokens_used)).all()
        files = session.execute(select(ArtifactRow.owner, ArtifactRow.bytes)).all()
    expected: dict[str, Amounts] = {}
    for job in jobs:
        one = Amounts(1, int(job.state in FINAL), int(job.state == "failed"), float(job.seconds_used), job.tokens_used)
        expected[job.owner] = expected.get(job.owner, Amounts()) + one
    for file in files:
        expected[file.owner] = expected.get(file.owner, Amounts()) + Amounts(bytes=file.bytes)
    found = {row.key_id: Amounts.of(row) for row in told}
    assert set(found) == set(expected)
    for owner, used in expected.items():
        assert replace(found[owner], seconds=0.0, bytes=0) == replace(used, seconds=0.0, bytes=0), owner
        assert found[owner].bytes == used.bytes or (files_went and found[owner].bytes > used.bytes), owner
        assert abs(found[owner].seconds - used.seconds) < 1e-6 * max(1.0, used.seconds), owner
    return sum(found.values(), Amounts())


def assert_whole(database: Database) -> int:
    """Hold every job of the database against its events: gapless ids, only moves of the table, nothing after the end,
    and the state that the events tell. How many jobs there are."""
    with database.reading() as session:
        jobs = session.execute(select(JobRow.id, JobRow.state, JobRow.event_count, JobRow.attempt)).all()
        rows = session.execute(
            select(JobEventRow.job_id, JobEventRow.id, JobEventRow.name, JobEventRow.data).order_by(
                JobEventRow.job_id, JobEventRow.id
            )
        ).all()
        briefs = set(session.scalars(text("SELECT job_id FROM job_briefs")))
    told: dict[str, list[Any]] = {job.id: [] for job in jobs}
    for row in rows:
        told[row.job_id].append(row)
    assert briefs == set(told)
    for job in jobs:
        events = told[job.id]
        assert [event.id for event in events] == list(range(1, job.event_count + 1))
        assert events[0].name == "job.queued"
        state, attempts = "queued", 0
        for event in events[1:]:
            assert state not in FINAL, f"{event.name} follows {state}"
            after = event.data.get("state", state)
            assert after in STATES
            if after != state:
                assert after in TRANSITIONS[state], f"{state} -> {after}"
            attempts += event.name == "job.started"
            assert event.data["attempt"] == attempts
            state = after
        assert (state, attempts) == (job.state, job.attempt)
    return len(jobs)
