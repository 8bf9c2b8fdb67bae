"""Job events: what a job tells, as a stream that goes on where it broke off, or as a list for pollers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from api.door import Door, Reader, TheDoor
from api.heads import is_head
from api.paging import LINKS, link_of
from api.reply import reply
from interleaf.errors import InvalidRequest, JobUnknown, RequestsTooMany, ServiceAway
from workers.store.api_keys import ApiKey
from workers.store.events import EventPage, JobEvent

__all__ = ["router"]

SSE = "text/event-stream"
PAGE_EVENTS = 200
# How long a client's EventSource waits before it comes again.
RETRY_MS = 1_000

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


class EventView(BaseModel):
    """One event."""

    id: int = Field(description="Rises by one within a job")
    name: str = Field(
        description="job.queued, job.started, …, job.succeeded; stage.started, stage.progress, stage.completed; "
        "outline.ready, block.completed (as drafted; a section that is drafted again is told again), image.candidates, "
        "image.selected, document.ready, rerun.compared, artifact.ready, artifact.failed, budget.warning"
    )
    at: datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, event: JobEvent) -> EventView:
        return cls(id=event.id, name=event.name, at=event.at, data=dict(event.data))


class EventList(BaseModel):
    """Events after a position."""

    data: list[EventView]
    gap_until: int | None = Field(description="Earlier events are no longer kept; this is the first one that is")
    last_id: int = Field(description="Id of the job's newest event")
    ended: bool = Field(description="Nothing will follow")


@router.get(
    "/{job_id}/events",
    response_model=EventList,
    operation_id="getJobEvents",
    summary="Follow a job",
    responses={
        200: {
            "description": "A list; or with `Accept: text/event-stream` a stream that ends with the job. `id:` "
            "rises by one, `event:` is the name, `data:` is the event; `gap` says that events before `first_id` are "
            "no longer kept; a comment comes every 15 seconds. Send `Last-Event-ID` to go on.",
            "content": {SSE: {"schema": {"type": "string"}}},
            "headers": LINKS,
        }
    },
)
async def get_events(
    request: Request,
    job_id: str,
    door: TheDoor,
    key: Reader,
    after: Annotated[int, Query(ge=0, le=2**53, description="Id of the last event that is known")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Of a list")] = 100,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=20, description="The same as `after`, and goes before it")
    ] = None,
) -> Response:
    """Leaving the stream does not touch the job."""
    position = after if not last_event_id else _position(last_event_id)
    streamed = SSE in request.headers.get("accept", "")
    page = await _page(door, key, job_id, position, PAGE_EVENTS if streamed else limit)
    if not streamed:
        told = EventList(
            data=[EventView.of(event) for event in page.events],
            gap_until=page.gap_until,
            last_id=page.last_id,
            ended=page.ended,
        )
        queries: dict[str, list[tuple[str, str]]] = {"first": [("limit", str(limit))]}
        if page.events and page.events[-1].id < page.last_id:
            queries["next"] = [("after", str(page.events[-1].id)), ("limit", str(limit))]
        return reply(told, headers=link_of(request.url.path, queries))
    if not door.streams.has_room(key.id):
        raise RequestsTooMany("streams", f"{door.limits.max_streams} are open.", "Close one, or poll the list.")
    # A proxy that collects the stream would hold back the news.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if is_head(request):
        return Response(None, 200, headers, SSE)
    return StreamingResponse(_stream(door, key, job_id, position, page), 200, headers, SSE)


async def _page(door: Door, key: ApiKey, job_id: str, position: int, limit: int) -> EventPage:
    try:
        return await door.threads.run(door.events.after, job_id, key.id, position, limit=limit)
    except InvalidRequest as error:
        raise InvalidRequest("after", error.problem, error.remedy) from error


async def _stream(door: Door, key: ApiKey, job_id: str, position: int, page: EventPage) -> AsyncIterator[bytes]:
    """Frames until the job has ended, the stream is old, the key is revoked or the service stops. Between two looks at
    the database nothing is held."""
    limits = door.limits
    until = anyio.current_time() + limits.stream_s
    pause, beat_at = limits.poll_min_s, anyio.current_time() + limits.heartbeat_s
    with door.streams.opened(key.id):
        yield f"retry: {RETRY_MS}\n\n".encode()
        while True:
            if page.gap_until is not None:
                # Its id is that of the last event that is gone, so whoever goes on from here misses nothing more.
                gap = {"first_id": page.gap_until, "asked_after": position}
                yield _frame(page.gap_until - 1, "gap", json.dumps(gap))
            for event in page.events:
                yield _frame(event.id, event.name, EventView.of(event).model_dump_json())
                position = event.id
            if page.ended:
                return
            if page.events:
                pause, beat_at = limits.poll_min_s, anyio.current_time() + limits.heartbeat_s
            else:
                await anyio.sleep(min(pause, max(0.0, beat_at - anyio.current_time())))
                pause = min(pause * 1.5, limits.poll_max_s)
            now = anyio.current_time()
            if door.streams.closing or now >= until:
                return
            try:
                if now >= beat_at:
                    yield b": still here\n\n"
                    beat_at = now + limits.heartbeat_s
                    if not await door.threads.run(door.keys.in_force, key.id):
                        return
                page = await _page(door, key, job_id, position, PAGE_EVENTS)
            except ServiceAway:
                page, pause = EventPage((), None, position, ended=False), limits.poll_max_s
            except JobUnknown:  # deleted meanwhile
                return


def _frame(event_id: int, name: str, data: str) -> bytes:
    # JSON has no line ends of its own, and names have none: nothing can begin a frame of its own.
    return f"id: {event_id}\nevent: {name}\ndata: {data}\n\n".encode()


def _position(said: str) -> int:
    if not (said.isascii() and said.isdigit() and len(said) <= 15):
        raise InvalidRequest("Last-Event-ID", "is no id of an event.", "Send the id of the last event that came.")
    return int(said)
