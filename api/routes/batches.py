"""Batches: many pieces of one brief: made, looked at, their results streamed, stopped, tried again, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request, Response
from starlette.responses import StreamingResponse

from api.door import Door, Reader, TheDoor, Writer
from api.heads import is_head
from api.idempotency import IdempotencyKey, named_request
from api.openapi import NO_CONTENT, problems
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import answer_of, reply, response_of
from api.routes.batch_views import BatchBody, BatchItemView, BatchLine, BatchResultView, BatchView
from api.routes.schedule_views import pointing
from api.strict_json import StrictRoute
from interleaf.errors import ObjectUnknown, RequestsTooMany, ServiceAway
from workers.store.answered import Answer
from workers.store.batch import Batch
from workers.store.piece_score import PieceScore, ranked, score

__all__ = ["router"]

PATH: Final = "/v1/batches"
JSON_LINES: Final = "application/jsonl"
LINES_AT_ONCE: Final = 100
LOCATION: Final[dict[str, Any]] = {"Location": {"schema": {"type": "string"}, "description": "The batch"}}

router = APIRouter(tags=["batches"], route_class=StrictRoute)


@router.post(
    PATH,
    status_code=201,
    response_model=BatchView,
    operation_id="createBatch",
    summary="Make a batch",
    responses={201: {"headers": LOCATION}, **problems(409)},
)
async def create_batch(
    request: Request, door: TheDoor, key: Writer, body: Annotated[BatchBody, Body()], name: IdempotencyKey = None
) -> Response:
    """One brief with many sets of variables, or several variants of it. Every item is looked at; one whose brief is
    wrong is an item with an error, and never stands in the way of the others. Jobs are ordered as there is room."""
    named = named_request(request, key, name, await request.body())

    def once() -> tuple[Answer, bool, str]:
        with pointing():
            checked = door.batches.check(key.id, body.order())

        def make() -> Answer:
            batch = door.batches.create(key.id, checked)
            return answer_of(BatchView.of(batch), 201, {"Location": f"{PATH}/{batch.id}"})

        return (*((make(), False) if named is None else door.answered.once(named, make)), checked.id)

    given, replayed, batch_id = await door.threads.run(once)
    if not replayed:
        await door.threads.run(_begin, door, batch_id)
    return response_of(given, replayed=replayed)


@router.get(
    PATH,
    response_model=Page[BatchLine],
    operation_id="listBatches",
    summary="List batches, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_batches(door: TheDoor, key: Reader, at: Annotated[Position, positions("bat")]) -> Response:
    """Without their briefs."""

    def read() -> Page[BatchLine]:
        return page_of(
            lambda limit, after, before: door.batches.list(key.id, limit, after, before), at, BatchLine.line_of
        )

    return listed(await door.threads.run(read), at)


@router.get(PATH + "/{batch_id}", response_model=BatchView, operation_id="getBatch", summary="Look at a batch")
async def get_batch(batch_id: str, door: TheDoor, key: Reader) -> Response:
    """With how many of its items are in each state."""
    return reply(BatchView.of(await door.threads.run(door.batches.get, batch_id, key.id)))


@router.delete(
    PATH + "/{batch_id}",
    status_code=204,
    operation_id="deleteBatch",
    summary="Delete the record of a batch",
    responses=NO_CONTENT,
)
async def delete_batch(batch_id: str, door: TheDoor, key: Writer) -> Response:
    """Jobs that it ordered and their documents stay and go on; what it has not ordered yet is not ordered any more."""
    await door.threads.run(door.batches.delete, batch_id, key.id)
    return Response(status_code=204)


@router.get(
    PATH + "/{batch_id}/items",
    response_model=Page[BatchItemView],
    operation_id="listBatchItems",
    summary="List the items of a batch",
    responses={200: {"headers": LINKS}},
)
async def list_items(batch_id: str, door: TheDoor, key: Reader, at: Annotated[Position, positions("item")]) -> Response:
    """In the order in which they were given."""

    def read() -> Page[BatchItemView]:
        return page_of(
            lambda limit, after, before: door.batches.items(batch_id, key.id, limit, _int(after), _int(before)),
            at,
            BatchItemView.of,
        )

    return listed(await door.threads.run(read), at)


@router.get(
    PATH + "/{batch_id}/results",
    response_class=Response,
    operation_id="getBatchResults",
    summary="Read what became of a batch",
    responses={
        200: {
            "description": "JSON Lines: a BatchResultView for each item, also for those that have not ended",
            "content": {JSON_LINES: {"schema": {"type": "string"}}},
        }
    },
)
async def get_results(
    request: Request,
    batch_id: str,
    door: TheDoor,
    key: Reader,
    ranked: Annotated[bool, Query(description="The best first, by their reports; items without a piece last")] = False,
) -> Response:
    """One line for each item, as it is when its line is written. In the order in which the items were given, or with
    `ranked` the best pieces first."""
    if not door.streams.has_room(key.id):
        raise RequestsTooMany("streams", f"{door.limits.max_streams} are open.", "Read one to its end, then the next.")
    order = await door.threads.run(_order, door, key.id, batch_id, ranked)
    headers = {"Cache-Control": "no-store"}
    if is_head(request):
        return Response(None, 200, headers, JSON_LINES)
    return StreamingResponse(_lines(door, key.id, batch_id, order), 200, headers, JSON_LINES)


@router.post(
    PATH + "/{batch_id}/cancel",
    status_code=202,
    response_model=BatchView,
    operation_id="cancelBatch",
    summary="Stop a batch",
)
async def cancel_batch(batch_id: str, door: TheDoor, key: Writer) -> Response:
    """Nothing more is ordered, and jobs that have not ended are canceled, many at once and the rest soon after. Asking
    twice does no harm."""
    return reply(BatchView.of(await door.threads.run(door.batches.cancel, batch_id, key.id)), 202)


@router.post(
    PATH + "/{batch_id}/retry",
    status_code=202,
    response_model=BatchView,
    operation_id="retryBatch",
    summary="Try again what failed of a batch",
    responses=problems(409),
)
async def retry_batch(batch_id: str, door: TheDoor, key: Writer) -> Response:
    """Items that failed, expired or were canceled go on where they stopped. Items whose brief was refused stay so:
    correct them in a new batch."""

    def again() -> Batch:
        batch = door.batches.retry(batch_id, key.id)
        _begin(door, batch_id)
        return batch

    return reply(BatchView.of(await door.threads.run(again)), 202)


def _begin(door: Door, batch_id: str) -> None:
    """The first jobs at once. What goes wrong here is no reason to say that the batch is not there: it goes on by
    itself."""
    try:
        jobs = door.batches.advance(batch_id)
    except ServiceAway:
        return
    for job in jobs:
        door.nudges.tell(job.id)


def _order(door: Door, owner: str, batch_id: str, is_ranked: bool) -> list[tuple[int, PieceScore | None]]:
    """The numbers of the items in the order of their lines, with their scores."""
    reports: Mapping[int, Mapping[str, Any] | None] = door.batches.reports(batch_id, owner)
    if is_ranked:
        return ranked(reports)
    return [(number, None if report is None else score(report)) for number, report in reports.items()]


async def _lines(
    door: Door, owner: str, batch_id: str, order: Sequence[tuple[int, PieceScore | None]]
) -> AsyncIterator[bytes]:
    """A hundred items at a time, however many there are."""
    with door.streams.opened(owner):
        rest = iter(order)
        while some := dict(islice(rest, LINES_AT_ONCE)):
            try:
                yield await door.threads.run(_some_lines, door, owner, batch_id, some)
            except ObjectUnknown:  # deleted meanwhile
                return


def _some_lines(door: Door, owner: str, batch_id: str, scores: Mapping[int, PieceScore | None]) -> bytes:
    with door.database.reading():
        items = door.batches.items_named(batch_id, owner, list(scores))
        artifacts = door.pieces.artifacts_of([item.job_id for item in items if item.job_id is not None], owner)
    lines = [
        BatchResultView.of(item, artifacts.get(item.job_id or "", ()), scores[item.number]).model_dump_json()
        for item in items
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _int(number: str | None) -> int | None:
    return None if number is None else int(number)
