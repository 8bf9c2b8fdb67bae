"""Batch records: batches, their items and their results as the service tells them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from interleaf.service.service_records import ArtifactRecord, Problem, Record

__all__ = ["BatchItemRecord", "BatchLine", "BatchRecord", "BatchResult", "PieceScore"]


class BatchLine(Record):
    """A batch in a list, without its brief. `counts`: how many items are in each state; `ended_at`: when the service
    wrote down that all have ended, and told webhooks so."""

    id: str
    kind: str
    name: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    item_count: int
    counts: dict[str, int]
    ended: bool
    created_at: datetime
    canceled_at: datetime | None = None
    ended_at: datetime | None = None


class BatchRecord(BatchLine):
    """A batch with its brief."""

    brief: dict[str, Any]


class BatchItemRecord(Record):
    """One piece of a batch: waiting, refused, deleted, or in the state of its job. `id` is its number, from 1."""

    id: str
    custom_id: str
    variables: dict[str, Any] = Field(default_factory=dict)
    state: str
    job_id: str | None = None
    document_id: str | None = None
    error: Problem | None = None


class PieceScore(Record):
    """How well a piece came out, 0 to 100, by its report; its parts 0 to 1, None where one does not count."""

    total: float
    length: float | None = None
    grounding: float | None = None
    repetition: float
    pictures: float | None = None
    warnings: float


class BatchResult(Record):
    """What became of an item. `score` is None when there is no piece."""

    number: int
    custom_id: str
    state: str
    job_id: str | None = None
    document_id: str | None = None
    artifacts: tuple[ArtifactRecord, ...] = ()
    report: dict[str, Any] | None = None
    score: PieceScore | None = None
    error: Problem | None = None
