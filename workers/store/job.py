"""Job: one order as the store tells it: a frozen value, and what a worker holds while it works on one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, cast

from workers.store.job_transitions import FINAL, JobState
from workers.store.tables import JobRow

__all__ = ["Claim", "Job", "OnTimeout", "Use"]

OnTimeout = Literal["approve", "cancel"]


@dataclass(frozen=True)
class Job:
    """A job at one moment. All times are UTC. Its brief is apart (`Jobs.brief`): it may be large."""

    id: str
    owner: str
    """Id of the key that it belongs to."""
    kind: str
    state: JobState
    attempt: int
    """The fencing number: how many times a worker has claimed the job; 0 before the first."""
    failed_attempts: int
    """How many of these claims ended because the worker died."""
    max_attempts: int
    """The job fails when so many claims have ended that way."""
    metadata: Mapping[str, str]
    external_id: str | None
    run_id: str
    """Name of the work folder; a retry goes on in the one of the job before it."""
    retry_of: str | None
    rerun_of: str | None

    created_at: datetime
    queued_at: datetime
    """When it was queued last."""
    started_at: datetime | None
    """When it was claimed first."""
    awaiting_at: datetime | None
    answered_at: datetime | None
    """When the newest question was answered; None while it is open."""
    canceling_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    """A job that has not begun by then expires."""
    dispatched_at: datetime | None
    """When a message was last sent to the workers; None: it is to be sent."""

    lease_owner: str | None
    lease_until: datetime | None

    stage: str | None
    share_done: float | None
    """0..1 within the stage; None when unknown."""
    message: str
    event_count: int
    """Id of the newest event."""
    seconds_used: float
    tokens_used: int

    request_id: str | None
    """Names the newest question."""
    input_deadline: datetime | None
    on_timeout: OnTimeout | None
    question: Mapping[str, Any] | None
    """What the run's interrupt asked."""
    answer: Mapping[str, Any] | None
    """The answer to it, as the run takes it: `{"decision": "approve"}`, or `{"decision": "edit", …}`. It stays here
    until the next question, so a worker gives it to the run only if the run waits for one."""
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    """Why it failed or expired, as `interleaf.errors.error_to_record` writes it."""

    @property
    def final(self) -> bool:
        """Whether the job has ended; then nothing of it changes any more."""
        return self.state in FINAL

    @classmethod
    def of_row(cls, row: JobRow) -> Job:
        """The value of a row."""
        values = {name: getattr(row, attribute) for name, attribute in _attributes()}
        for name in ("seconds_used", "share_done"):
            if values[name] is not None:
                values[name] = float(values[name])  # SQLite hands a whole number back as an int
        return cls(**cast(Any, values))

    @classmethod
    def new(cls, **values: Any) -> Job:
        """The value of a row that was just inserted with `values`, by the row's attributes; the others are empty."""
        return cls(**cast(Any, {name: values.get(attribute) for name, attribute in _attributes()}))


@cache
def _attributes() -> tuple[tuple[str, str], ...]:
    """Each field, and the row's attribute for it: a declarative class has a `metadata` of its own."""
    return tuple((name, "meta" if name == "metadata" else name) for name in Job.__dataclass_fields__)


@dataclass(frozen=True)
class Claim:
    """The right to work on a job: a lease that `Leases.beat` extends. Fenced by the job's `attempt`."""

    job: Job
    """The job as it was claimed."""
    worker: str
    lease_s: float

    @property
    def job_id(self) -> str:
        return self.job.id

    @property
    def attempt(self) -> int:
        return self.job.attempt


@dataclass(frozen=True)
class Use:
    """What a job has used since its worker last said so; the store adds it up over all attempts."""

    seconds: float = 0.0
    tokens: int = 0
    in_all: Use | None = None
    """What this attempt has used since its claim. Said when the answer to a report was lost, which may have arrived:
    the store then adds what it lacks of it, and not the rest."""
