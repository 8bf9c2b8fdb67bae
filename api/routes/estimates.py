"""Estimates: what an order would take, before it is made."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel, Field

from api.door import Reader, TheDoor
from api.reply import reply
from api.routes.job_order import EXAMPLES, upload_ids
from api.strict_json import StrictRoute
from interleaf.schema import Brief
from workers.store.estimates import GivenFile, Order, Span, estimate

__all__ = ["PATH", "router"]

PATH: Final = "/v1/jobs:estimate"
MOST: Final = 10**12

router = APIRouter(tags=["jobs"], route_class=StrictRoute)


class SpanView(BaseModel):
    """A number that is not known yet."""

    low: float = Field(description="Of ten such jobs one takes less, as far as past jobs tell")
    likely: float
    high: float = Field(description="Of ten such jobs one takes more")
    error: float | None = Field(
        description="Of past jobs, the median of |estimate - truth| / truth, each estimated from the others; null when "
        "there are fewer than three"
    )

    @classmethod
    def of(cls, span: Span, most: float | None = None) -> SpanView:
        cap = float("inf") if most is None else most
        low, likely, high = (round(min(value, cap), 3) for value in (span.low, span.likely, span.high))
        return cls(low=low, likely=likely, high=high, error=None if span.error is None else round(span.error, 4))


class EstimateView(BaseModel):
    """What an order would probably take once a worker has it; how long it waits for one is not in it."""

    seconds: SpanView = Field(description="Of work, without the waits for a person")
    tokens: SpanView = Field(description="That a model writes")
    pictures: SpanView = Field(description="That are placed")
    basis: int = Field(description="How many past jobs this rests on; 0: none, so it is a guess by rule of thumb")
    basis_of: Literal["own", "service", "nobody"] = Field(
        description="Whose jobs: this key's, all of this service (where this key has too few), or nobody's"
    )
    writer: str = Field(description="Of this writer")


@router.post(
    PATH,
    response_model=EstimateView,
    operation_id="estimateJob",
    summary="Estimate what a piece would take",
)
async def estimate_job(
    door: TheDoor,
    key: Reader,
    brief: Annotated[Brief, Body(openapi_examples=EXAMPLES)],
    source_bytes: Annotated[int, Query(ge=0, le=MOST, description="Of notes that are not sent yet")] = 0,
    pictures: Annotated[int, Query(ge=0, le=MOST, description="How many pictures are not sent yet")] = 0,
) -> Response:
    """The body is a Brief as for an order; nothing is made and nothing is kept. A budget in the brief is the most that
    is told. Files need not be sent for an estimate: leave them out, and say how much they are."""
    named = upload_ids(brief)

    def read() -> EstimateView:
        files = [GivenFile(one.media_type, one.bytes) for one in door.uploads.require(named, key.id)]
        whose, past = door.past_jobs.like(brief.writer, key.id)
        found = estimate(Order.of(brief, files, source_bytes, pictures), past)
        return EstimateView(
            seconds=SpanView.of(found.seconds, brief.budget.seconds),
            tokens=SpanView.of(found.tokens, brief.budget.tokens),
            pictures=SpanView.of(found.pictures),
            basis=found.basis,
            basis_of=whose,
            writer=brief.writer,
        )

    return reply(await door.threads.run(read))
