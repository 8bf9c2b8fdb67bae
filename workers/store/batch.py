"""Batch: many pieces of one brief as their owner sees them: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, cast, get_args

from workers.store.batch_order import BatchKind
from workers.store.job import Job
from workers.store.job_transitions import FINAL, STATES, JobState
from workers.store.tables import BatchItemRow, BatchRow, JobRow

__all__ = ["ENDED_STATES", "ITEM_STATES", "Batch", "BatchItem", "ItemState"]

ItemState = Literal[
    "waiting",  # for room in the queue, or for the service to come to it
    "refused",  # its brief is wrong: there is an error and no job
    "deleted",  # its job was deleted
    # From here on as its job is; canceled too when the batch was canceled before it had one.
    "queued",
    "running",
    "awaiting_input",
    "canceling",
    "succeeded",
    "incomplete",
    "failed",
    "canceled",
    "expired",
]

ITEM_STATES: Final[tuple[ItemState, ...]] = get_args(ItemState)
ENDED_STATES: Final[frozenset[ItemState]] = frozenset({"refused", "deleted", *FINAL})
assert set(STATES) < set(ITEM_STATES), "every state of a job is one of an item"


@dataclass(frozen=True)
class Batch:
    """A batch at one moment. All times are UTC."""

    id: str
    owner: str
    """Id of the key that it belongs to."""
    kind: BatchKind
    name: str
    brief: Mapping[str, Any]
    """With its placeholders. In a list empty: it may be large."""
    metadata: Mapping[str, str]
    item_count: int
    created_at: datetime
    canceled_at: datetime | None
    """Since when it is to stop; None again once it is retried."""
    ended_at: datetime | None
    """When the service saw that it has ended, and told of it: seconds after the last item did; None again once it is
    retried."""
    counts: Mapping[ItemState, int]
    """How many items are in each state; states without any are left out."""

    @property
    def ended(self) -> bool:
        """Whether nothing of it changes any more by itself."""
        return set(self.counts) <= ENDED_STATES

    @classmethod
    def of_row(cls, row: BatchRow, counts: Mapping[ItemState, int], brief: Mapping[str, Any]) -> Batch:
        return cls(
            id=row.id,
            owner=row.owner,
            kind=cast(BatchKind, row.kind),
            name=row.name,
            brief=brief,
            metadata=row.meta,
            item_count=row.item_count,
            created_at=row.created_at,
            canceled_at=row.canceled_at,
            ended_at=row.ended_at,
            counts=counts,
        )


@dataclass(frozen=True)
class BatchItem:
    """One piece of a batch."""

    number: int
    """From 1, in the order in which they were given."""
    custom_id: str
    variables: Mapping[str, Any]
    state: ItemState
    job_id: str | None
    """The job that makes it now; after a retry another one. It may have been deleted since."""
    job: Job | None
    error: Mapping[str, Any] | None
    """Why it is refused, failed or expired, as `interleaf.errors.error_to_record` writes it."""

    @property
    def id(self) -> str:
        """Names it among those of its batch."""
        return str(self.number)

    @classmethod
    def of_rows(cls, row: BatchItemRow, job_row: JobRow | None, canceled: bool) -> BatchItem:
        """`job_row`: of its `job_id`, if that is there; `canceled`: whether its batch is."""
        job = None if job_row is None else Job.of_row(job_row)
        return cls(
            number=row.number,
            custom_id=row.custom_id,
            variables=row.variables,
            state=_state(row.job_id, row.error is not None, None if job is None else job.state, canceled),
            job_id=row.job_id,
            job=job,
            error=row.error if job is None else job.error,
        )


def _state(job_id: str | None, refused: bool, job_state: JobState | None, canceled: bool) -> ItemState:
    if refused:
        return "refused"
    if job_id is None:
        return "canceled" if canceled else "waiting"
    return "deleted" if job_state is None else job_state
