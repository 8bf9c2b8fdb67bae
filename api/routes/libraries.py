"""Libraries: picture libraries over REST: make, look, add pictures as a job, search, delete."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Header, Query, Request, Response

from api.door import LibraryWriter, Reader, TheDoor
from api.idempotency import IdempotencyKey, named_request
from api.openapi import ETAG, NO_CONTENT, NOT_MODIFIED, problems
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import answer_of, etag_of, matches, reply, response_of
from api.routes.job_order import Labels
from api.routes.job_view import JobView
from api.routes.jobs import CREATED, Prefer, created
from api.routes.library_views import HitList, IngestBody, LibraryOrder, LibraryView, SearchOrder
from api.strict_json import StrictRoute
from interleaf.errors import RequestsTooMany
from workers.store.answered import Answer
from workers.store.ingest_order import INGEST, IngestOrder
from workers.store.job import Job

__all__ = ["router"]

PATH: Final = "/v1/libraries"
LOCATION: Final[dict[str, Any]] = {"Location": {"schema": {"type": "string"}, "description": "The library"}}

router = APIRouter(prefix=PATH, tags=["libraries"], route_class=StrictRoute)


@router.post(
    "",
    status_code=201,
    response_model=LibraryView,
    operation_id="createLibrary",
    summary="Make a library",
    responses={201: {"headers": LOCATION}, **problems(409)},
)
async def create_library(
    request: Request,
    door: TheDoor,
    key: LibraryWriter,
    order: Annotated[LibraryOrder, Body()],
    name: IdempotencyKey = None,
) -> Response:
    """Without pictures. 409 when another library of the key has that name."""
    named = named_request(request, key, name, await request.body())

    def make() -> Answer:
        library = door.libraries.create(key.id, order.name, order.description)
        return answer_of(LibraryView.of(library), 201, {"Location": f"{PATH}/{library.id}"})

    def once() -> tuple[Answer, bool]:
        return (make(), False) if named is None else door.answered.once(named, make)

    given, replayed = await door.threads.run(once)
    return response_of(given, replayed=replayed)


@router.get(
    "",
    response_model=Page[LibraryView],
    operation_id="listLibraries",
    summary="List libraries, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_libraries(
    door: TheDoor,
    key: Reader,
    at: Annotated[Position, positions("lib")],
    name: Annotated[str | None, Query(max_length=400, description="The one with this name")] = None,
) -> Response:
    """Those of the key."""

    def read() -> Page[LibraryView]:
        return page_of(
            lambda limit, after, before: door.libraries.list(key.id, limit, after, before, name), at, LibraryView.of
        )

    return listed(await door.threads.run(read), at)


@router.get(
    "/{library_id}",
    response_model=LibraryView,
    operation_id="getLibrary",
    summary="Look at a library",
    responses={200: {"headers": ETAG}, **NOT_MODIFIED},
)
async def get_library(
    library_id: str,
    door: TheDoor,
    key: Reader,
    if_none_match: Annotated[str | None, Header(max_length=2_000, description="ETag of the one that is known")] = None,
) -> Response:
    """What it holds, in numbers."""
    answer = reply(LibraryView.of(await door.threads.run(door.libraries.get, library_id, key.id)))
    etag = etag_of(bytes(answer.body))
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


@router.delete(
    "/{library_id}", status_code=204, operation_id="deleteLibrary", summary="Delete a library", responses=NO_CONTENT
)
async def delete_library(library_id: str, door: TheDoor, key: LibraryWriter) -> Response:
    """With all its pictures, for ever; an ingest that is at work on it fails. Pieces keep the pictures that they
    show."""
    await door.threads.run(door.libraries.delete, library_id, key.id)
    door.nudges.tell(library_id)
    return Response(status_code=204)


@router.post(
    "/{library_id}/ingests",
    status_code=202,
    response_model=JobView,
    operation_id="createIngest",
    summary="Add pictures to a library",
    responses=CREATED | problems(409),
)
async def create_ingest(
    request: Request,
    library_id: str,
    door: TheDoor,
    key: LibraryWriter,
    body: Annotated[IngestBody, Body()],
    labels: Labels,
    name: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """A job of the kind `ingest`: pictures are decoded safely, turned upright, stripped of their position, and left out
    where they are there already. Its result says what became of every file. What cannot be read is refused by name, and
    the rest is taken; the uploads may be deleted when the job has ended."""

    def create() -> Job:
        library = door.libraries.get(library_id, key.id)
        order = IngestOrder(library_id=library.id, **body.model_dump(exclude={"uploads"}), uploads=tuple(body.uploads))
        door.uploads.require(order.upload_ids, key.id)
        return door.jobs.create(
            key.id,
            INGEST,
            order.model_dump(mode="json"),
            metadata=labels.metadata,
            external_id=labels.external_id,
            expires_at=labels.expires_at(door.clock()),
        )

    return await created(door, key, named_request(request, key, name, await request.body()), prefer, create)


@router.post(
    "/{library_id}/search",
    response_model=HitList,
    operation_id="searchLibrary",
    summary="Find pictures",
)
async def search_library(
    library_id: str, door: TheDoor, key: Reader, order: Annotated[SearchOrder, Body()]
) -> Response:
    """By words, or by a picture that was uploaded: the same one first, then what is like it. Where no picture encoder
    is configured, a picture that is not in the library is compared by colours and layout. 503 when no worker answers
    in time."""
    asked = order.asked()

    def check() -> None:
        door.libraries.get(library_id, key.id)
        if asked["upload"] is not None:
            door.uploads.require([asked["upload"]], key.id)

    await door.threads.run(check)
    if not door.streams.has_room(key.id):
        raise RequestsTooMany("searches", f"{door.limits.max_streams} wait.", "Wait for some.")
    with door.streams.opened(key.id):
        found = await door.asking.ask(key.id, library_id, "search", asked)
    return reply(HitList.of(found, library_id))
