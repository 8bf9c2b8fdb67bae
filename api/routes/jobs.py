"""Jobs: orders over REST: create, look, list, cancel, try again, do again, delete."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import anyio
from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime

from api.door import Door, Reader, TheDoor, Writer
from api.idempotency import IdempotencyKey, named_request
from api.openapi import NO_CONTENT, problems
from api.paging import LINKS, Page, Position, listed, positions
from api.reply import answer_of, reply, response_of
from api.routes.job_order import EXAMPLES, Labels, metadata_of, upload_ids, validated, validated_ingest
from api.routes.job_view import JobView, job_view
from api.strict_json import StrictRoute
from interleaf.errors import InputGone, InvalidBrief, JobFinal, ObjectUnknown, ScopeMissing
from interleaf.schema import Brief
from workers.store.answered import Answer
from workers.store.answered import Request as Named
from workers.store.api_keys import ApiKey
from workers.store.edit_order import EDIT, RENDER
from workers.store.ids import first_id
from workers.store.ingest_order import INGEST
from workers.store.job import Job
from workers.store.job_query import JobQuery
from workers.store.job_transitions import JobState
from workers.store.jobs import Deletion

__all__ = ["CREATED", "RETRY_AFTER_S", "Prefer", "created", "ended", "router", "wait_s_of"]

RETRY_AFTER_S: Final = 1
CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {"model": JobView, "description": "Created, and ended within the time of `Prefer: wait`"},
    202: {
        "description": "Taken in: it is not lost any more",
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "The job"},
            "Retry-After": {"schema": {"type": "string"}, "description": "Seconds until a look is worth while"},
        },
    },
}

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)
_log = logging.getLogger(__name__)

Prefer = Annotated[
    str | None,
    Header(max_length=200, description="`wait=N`: answer when the job has ended, at the latest after N seconds (1-60)"),
]


def _in_range(at: AwareDatetime) -> AwareDatetime:
    try:
        first_id("job", at)
    except (ValueError, OverflowError) as error:
        raise ValueError("is out of range; give a time after 1970") from error
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]


@router.post(
    "",
    status_code=202,
    response_model=JobView,
    operation_id="createJob",
    summary="Order a piece",
    responses=CREATED | problems(409),
)
async def create_job(
    request: Request,
    door: TheDoor,
    key: Writer,
    brief: Annotated[Brief, Body(openapi_examples=EXAMPLES)],
    labels: Labels,
    name: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """The body is a Brief. Sources and pictures are given as text, or as `upload:ID` of an upload; other paths are
    refused. What stands beside the brief is in the query."""
    uploads = upload_ids(brief)
    asked = brief.model_dump(mode="json")

    def create() -> Job:
        if uploads:
            door.uploads.require(uploads, key.id)
        if brief.libraries:
            door.libraries.resolve(key.id, brief.libraries)
        return door.jobs.create(
            key.id,
            brief.kind,
            asked,
            metadata=labels.metadata,
            external_id=labels.external_id,
            expires_at=labels.expires_at(door.clock()),
        )

    return await created(door, key, named_request(request, key, name, await request.body()), prefer, create)


@router.get(
    "",
    response_model=Page[JobView],
    operation_id="listJobs",
    summary="List jobs, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_jobs(
    door: TheDoor,
    key: Reader,
    at: Annotated[Position, positions("job")],
    state: Annotated[list[JobState] | None, Query(max_length=9, description="In one of these states")] = None,
    kind: Annotated[list[str] | None, Query(max_length=9, description="Of one of these kinds")] = None,
    created_from: Annotated[Moment | None, Query(description="Created then or later")] = None,
    created_before: Annotated[Moment | None, Query(description="Created earlier than then")] = None,
    external_id: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
    metadata: Annotated[list[str] | None, Query(max_length=16, description="NAME:VALUE that it must have")] = None,
) -> Response:
    """A page stays where it is while jobs come and go: it begins after an id."""
    query = JobQuery(
        limit=at.limit,
        after=at.after,
        before=at.before,
        states=tuple(state or ()),
        kinds=tuple(kind or ()),
        created_from=created_from,
        created_before=created_before,
        external_id=external_id,
        metadata=metadata_of(metadata or []),
    )

    def read() -> Page[JobView]:
        page = door.jobs.list(key.id, query)
        artifacts = door.pieces.artifacts_of([job.id for job in page.jobs], key.id)
        return Page[JobView](
            data=[job_view(job, artifacts[job.id]) for job in page.jobs],
            has_more=page.has_more,
            first_id=page.first_id,
            last_id=page.last_id,
        )

    return listed(await door.threads.run(read), at)


@router.get("/{job_id}", response_model=JobView, operation_id="getJob", summary="Look at a job")
async def get_job(job_id: str, door: TheDoor, key: Reader) -> Response:
    """Everything that is known of it, the files that are already there included."""
    return reply(await door.threads.run(_view, door, key, job_id))


@router.get("/{job_id}/brief", response_model=Brief, operation_id="getJobBrief", summary="What a job was asked")
async def get_brief(job_id: str, door: TheDoor, key: Reader) -> Response:
    """The brief as it was understood, with every default."""
    asked = await door.threads.run(door.jobs.brief, job_id, key.id)
    if asked.get("kind") == INGEST:
        raise ObjectUnknown(f"brief of {job_id}", "is none: the job is an ingest.", "Its result says what it took in.")
    if asked.get("kind") in (EDIT, RENDER):
        raise ObjectUnknown(f"brief of {job_id}", "is none: the job is about a document.", "See its versions.")
    return reply(validated(asked))


@router.delete(
    "/{job_id}", status_code=204, operation_id="deleteJob", summary="Delete a job", responses=NO_CONTENT | problems(409)
)
async def delete_job(job_id: str, door: TheDoor, key: Writer) -> Response:
    """With its brief, events and files; its document stays. It must have ended."""
    deletion = await door.threads.run(door.jobs.delete, job_id, key.id)
    await door.threads.run(_sweep, door, deletion)
    return Response(status_code=204)


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    response_model=JobView,
    operation_id="cancelJob",
    summary="Stop a job",
    responses=problems(409),
)
async def cancel_job(job_id: str, door: TheDoor, key: Writer) -> Response:
    """At once when nobody works on it, else as soon as its worker sees it. Asking twice does no harm."""
    await door.threads.run(door.jobs.cancel, job_id, key.id)
    return reply(await door.threads.run(_view, door, key, job_id), 202)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    response_model=JobView,
    operation_id="retryJob",
    summary="Go on where a job stopped",
    responses=CREATED | problems(409),
)
async def retry_job(
    request: Request, job_id: str, door: TheDoor, key: Writer, name: IdempotencyKey = None, prefer: Prefer = None
) -> Response:
    """A new job that goes on from the last checkpoint of one that failed, expired, was canceled or is incomplete."""
    named = named_request(request, key, name, b"")

    def create() -> Job:
        if door.jobs.get(job_id, key.id).kind == INGEST:
            _require_library_scope(key)
        return door.jobs.retry(job_id, key.id)

    return await created(door, key, named, prefer, create)


@router.post(
    "/{job_id}/rerun",
    status_code=202,
    response_model=JobView,
    operation_id="rerunJob",
    summary="Do a job anew",
    responses=CREATED | problems(409),
)
async def rerun_job(
    request: Request,
    job_id: str,
    door: TheDoor,
    key: Writer,
    overrides: Annotated[
        dict[str, Any] | None, Body(description="Fields of the brief to replace", examples=[{"seed": 7}])
    ] = None,
    name: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """A new job from the beginning with the same brief, or with some of its fields replaced. What is not as it was then
    (a library, the writer, an encoder, interleaf) stands in `result.rerun` when it has ended. `input_gone` when an
    upload or a library that the brief names is gone, and is not replaced."""

    def create() -> Job:
        asked = door.jobs.brief(job_id, key.id)
        if asked.get("kind") == INGEST:
            _require_library_scope(key)
            order = validated_ingest(asked | (overrides or {}))
            with _still_there(job_id, replaced="library_id" in (overrides or {}), instead="library_id"):
                door.libraries.get(order.library_id, key.id)
            with _still_there(job_id, replaced="uploads" in (overrides or {}), instead="uploads"):
                door.uploads.require(order.upload_ids, key.id)
            return door.jobs.rerun(job_id, key.id, order.model_dump(mode="json"))
        if asked.get("kind") in (EDIT, RENDER):
            raise JobFinal(job_id, "is about a version that is there or is over.", "Edit the document as it is now.")
        brief = validated(asked | (overrides or {}))
        for field in ("sources", "pictures"):
            with _still_there(job_id, replaced=field in (overrides or {}), instead=field):
                door.uploads.require(upload_ids(_only(brief, field)), key.id)
        with _still_there(job_id, replaced="libraries" in (overrides or {}), instead="libraries"):
            door.libraries.resolve(key.id, brief.libraries)
        return door.jobs.rerun(job_id, key.id, brief.model_dump(mode="json"))

    return await created(door, key, named_request(request, key, name, await request.body()), prefer, create)


@contextmanager
def _still_there(job_id: str, *, replaced: bool, instead: str) -> Iterator[None]:
    """InputGone when something is not there (any more) that the job was asked with; for what replaces it, the error
    of any order."""
    try:
        yield
    except (ObjectUnknown, InvalidBrief) as error:
        if replaced:
            raise
        raise InputGone(
            job_id,
            f"was made from what is not there any more: {error.thing} ({error.problem.rstrip('.')}).",
            f"Give other {instead} with the rerun.",
        ) from error


def _only(brief: Brief, field: str) -> Brief:
    """The brief with the files of that field alone."""
    return brief.model_copy(update={name: () for name in ("sources", "pictures") if name != field})


def _require_library_scope(key: ApiKey) -> None:
    """An ingest that is done again changes a library again. ScopeMissing."""
    if not key.may("library:write"):
        raise ScopeMissing("library:write", f"is not among the scopes of key {key.prefix}….", "Ask for a key with it.")


async def created(
    door: Door, key: ApiKey, named: Named | None, prefer: str | None, create: Callable[[], Job]
) -> Response:
    """Create a job, once; tell the queue; wait if that is preferred."""

    made: list[Job] = []

    def answer() -> Answer:
        door.room.take(key)
        job = create()
        made[:] = [job]
        headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": str(RETRY_AFTER_S)}
        return answer_of(job_view(job), 202, headers)

    def once() -> tuple[Answer, bool]:
        if named is not None:
            return door.answered.once(named, answer)
        return door.database.together(answer, key.id), False

    given, replayed = await door.threads.run(once)
    job_id = given.headers["Location"].rpartition("/")[2]
    # An answer that is repeated may be one whose process died before it told the queue.
    door.nudges.tell(job_id if replayed else made[0])
    wait_s = wait_s_of(prefer, door.limits.max_wait_s)
    if wait_s is None or not door.streams.has_room(key.id):
        return response_of(given, replayed=replayed)
    with door.streams.opened(key.id):
        job = await ended(door, key, job_id, wait_s)
    headers = dict(given.headers) | {"Preference-Applied": f"wait={wait_s}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    if job.final:
        del headers["Retry-After"]
    return reply(await door.threads.run(_view, door, key, job_id), 201 if job.final else 202, headers)


async def ended(door: Door, key: ApiKey, job_id: str, wait_s: int) -> Job:
    """The job when it has ended, or as it is after that time."""
    until, pause = anyio.current_time() + wait_s, door.limits.poll_min_s
    while True:
        job = await door.threads.run(door.jobs.get, job_id, key.id)
        left = until - anyio.current_time()
        if job.final or left <= 0 or door.streams.closing:
            return job
        await anyio.sleep(min(pause, left))
        pause = min(pause * 1.5, door.limits.poll_max_s)


def wait_s_of(prefer: str | None, most: int) -> int | None:
    """Seconds of `Prefer: wait=N`, at most `most`. A preference that is none is passed over (RFC 7240)."""
    for one in (prefer or "").split(","):
        name, _, value = one.partition(";")[0].partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "wait" and value.isascii() and value.isdigit() and len(value) < 6 and int(value):
            return min(int(value), most)
    return None


def _view(door: Door, key: ApiKey, job_id: str) -> JobView:
    with door.database.reading():
        job = door.jobs.get(job_id, key.id)
        return job_view(job, door.pieces.artifacts_of([job_id], key.id)[job_id])


def _sweep(door: Door, deletion: Deletion) -> None:
    """Remove the files that nobody has any more. What cannot be removed now is told to the log: the job is gone."""
    try:
        for file_key in deletion.file_keys:
            door.store.delete(file_key)
        if deletion.run_is_free:
            # The name is ours (workers/run/run_folder.py), never a person's.
            shutil.rmtree(door.runs_dir / deletion.job.run_id, ignore_errors=True)
    except Exception as error:  # noqa: BLE001 - files that stay behind are no reason to say that the job is there
        _log.warning("files of the deleted job %s stay behind: %s", deletion.job.id, error)
