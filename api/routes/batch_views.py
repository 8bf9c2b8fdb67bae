"""Batch views: batches, their items and results as the service tells them; and what it is told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.problems import Problem, problem_of_record
from api.routes.job_view import ArtifactView
from interleaf.schema.word import Line
from workers.store.batch import Batch, BatchItem, ItemState
from workers.store.batch_order import (
    MAX_ITEMS,
    MAX_NAME_CHARS,
    MAX_SEED,
    MAX_VARIANTS,
    MIN_VARIANTS,
    BatchKind,
    BatchOrder,
    OrderedItem,
)
from workers.store.piece_score import PieceScore
from workers.store.pieces import Artifact

__all__ = ["BatchBody", "BatchItemView", "BatchLine", "BatchResultView", "BatchView"]

_BRIEF: Final = (
    "As of createJob. Texts may hold placeholders: {{ number }} (of the item, from 1), {{ date }}, {{ time }}, "
    "{{ year }}, {{ month }}, {{ day }}, {{ weekday }} (of the batch's making, in UTC), and the names of the item's "
    "`variables`; of variants {{ seed }}"
)
_COUNTS: Final = "How many items are in each state; states without any are left out"


class BatchItemBody(BaseModel):
    """One piece of a batch."""

    model_config = ConfigDict(extra="forbid")

    custom_id: str = Field(min_length=1, max_length=200, description="Your name for it, of its own within the batch")
    variables: dict[str, Any] = Field(
        default_factory=dict, description="By name a text or a number, for placeholders in the brief"
    )


class BatchBody(BaseModel):
    """A batch to make: `items`, or `variants`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Tides of all harbours",
                    "brief": {
                        "instruction": "The tide at {{ harbour }}",
                        "sources": [{"text": "# Tides\n\nThe moon pulls the sea.", "name": "notes.md"}],
                    },
                    "items": [
                        {"custom_id": "brest", "variables": {"harbour": "Brest"}},
                        {"custom_id": "cork", "variables": {"harbour": "Cork"}},
                    ],
                },
                {"brief": {"instruction": "Say what the tide is."}, "variants": 4, "first_seed": 10},
            ]
        },
    )

    brief: dict[str, Any] = Field(description=_BRIEF)
    items: Annotated[list[BatchItemBody], Field(min_length=1, max_length=MAX_ITEMS)] | None = Field(
        None, description="One piece for each. An item whose brief is wrong is an item with an error"
    )
    variants: Annotated[int, Field(ge=MIN_VARIANTS, le=MAX_VARIANTS)] | None = Field(
        None, description="The brief so many times, each with another seed"
    )
    first_seed: int | None = Field(None, ge=0, le=MAX_SEED - MAX_VARIANTS, description="Of the first variant; else 0")
    name: Annotated[Line, Field(max_length=MAX_NAME_CHARS)] = Field("", description="A label for people")
    metadata: dict[str, str] = Field(
        default_factory=dict, max_length=14, description="Of every job, beside `batch` (the id) and `item` (custom_id)"
    )

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.items is None) == (self.variants is None):
            raise ValueError("give items or variants, one of them")
        if self.first_seed is not None and self.variants is None:
            raise ValueError("first_seed goes with variants")
        return self

    def order(self) -> BatchOrder:
        """As the store takes it. InvalidRequest names the field that is wrong."""
        if self.variants is not None:
            return BatchOrder.of_variants(
                self.brief, self.variants, self.first_seed or 0, self.name, metadata=self.metadata
            )
        items = [OrderedItem(item.custom_id, item.variables) for item in self.items or ()]
        return BatchOrder("sets", self.brief, items, self.name, self.metadata)


class BatchLine(BaseModel):
    """A batch in a list. Times are UTC."""

    id: str
    kind: BatchKind = Field(description="sets (of variables) or variants")
    name: str
    metadata: dict[str, str]
    item_count: int
    counts: dict[ItemState, int] = Field(description=_COUNTS)
    ended: bool = Field(description="Whether every item is in a state in which it stays")
    created_at: datetime
    canceled_at: datetime | None = Field(description="Since when it is to stop; null again once it is retried")
    ended_at: datetime | None = Field(
        description="When the service wrote down that it has ended, and told webhooks so: seconds after the last item "
        "did; null again once it is retried"
    )

    @classmethod
    def line_of(cls, batch: Batch) -> BatchLine:
        return BatchLine(**_line(batch))


class BatchView(BatchLine):
    """A batch with its brief."""

    brief: dict[str, Any] = Field(description="With its placeholders, as it was given")

    @classmethod
    def of(cls, batch: Batch) -> BatchView:
        return cls(**_line(batch), brief=dict(batch.brief))


class BatchItemView(BaseModel):
    """One piece of a batch."""

    id: str = Field(description="Its number; give it as `after` or `before`")
    custom_id: str
    variables: dict[str, Any]
    state: ItemState = Field(
        description="waiting (for room), refused (its brief is wrong), deleted (its job was), or as its job's"
    )
    job_id: str | None = Field(description="The job that makes it; after a retry another one")
    document_id: str | None
    error: Problem | None = Field(description="Why it is refused, failed or expired")

    @classmethod
    def of(cls, item: BatchItem) -> BatchItemView:
        return cls(
            id=item.id,
            custom_id=item.custom_id,
            variables=dict(item.variables),
            state=item.state,
            job_id=item.job_id,
            document_id=_document_of(item),
            error=_problem_of(item),
        )


class ScoreView(BaseModel):
    """How well a piece came out, by its report: docs/quality.md says how. Parts are 0 to 1; null does not count."""

    total: float = Field(description="0 to 100")
    length: float | None
    grounding: float | None
    repetition: float
    pictures: float | None
    warnings: float


class BatchResultView(BaseModel):
    """One line of results: what became of an item."""

    number: int = Field(description="Of the item, from 1")
    custom_id: str
    state: ItemState
    job_id: str | None
    document_id: str | None
    artifacts: list[ArtifactView]
    report: dict[str, Any] | None = Field(description="The piece in numbers")
    score: ScoreView | None = Field(description="By that report; null when there is no piece")
    error: Problem | None

    @classmethod
    def of(cls, item: BatchItem, artifacts: tuple[Artifact, ...], scored: PieceScore | None) -> BatchResultView:
        report = None if item.job is None or item.job.result is None else item.job.result.get("report")
        return cls(
            number=item.number,
            custom_id=item.custom_id,
            state=item.state,
            job_id=item.job_id,
            document_id=_document_of(item),
            artifacts=[ArtifactView.of(one) for one in artifacts],
            report=report,
            score=None
            if scored is None
            else ScoreView(**{name: getattr(scored, name) for name in ScoreView.model_fields}),
            error=_problem_of(item),
        )


def _line(batch: Batch) -> dict[str, Any]:
    return {name: getattr(batch, name) for name in BatchLine.model_fields}


def _document_of(item: BatchItem) -> str | None:
    return None if item.job is None or item.job.result is None else item.job.result.get("document_id")


def _problem_of(item: BatchItem) -> Problem | None:
    return None if item.error is None else problem_of_record(item.error)
