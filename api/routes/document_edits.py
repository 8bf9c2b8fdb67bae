"""Document edits: one block changed at a time, and only in the version that its editor has read; undone, done again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request, Response

from agents.editing.changed import Written, changed, needs_picture, needs_writer
from agents.editing.recounting import edited
from api.document_tag import MatchedVersion, expected_of, versions_named
from api.door import Door, TheDoor, Writer
from api.idempotency import IdempotencyKey, named_request
from api.openapi import ETAG, problems
from api.reply import answer_of, reply, response_of
from api.routes.document_view import DocumentView, RestoreBody, document_answer, document_reply
from api.routes.documents import PATH
from api.routes.job_view import JobView, job_view
from api.routes.jobs import RETRY_AFTER_S, Prefer, ended, wait_s_of
from api.strict_json import StrictRoute
from interleaf.schema import Article, Picture, Provenance
from interleaf.schema.edit import Edit, InsertPicture, SwapPicture
from interleaf.schema.word import Line
from workers.store.answered import Answer
from workers.store.answered import Request as Named
from workers.store.api_keys import ApiKey
from workers.store.document_renders import OrderedRender
from workers.store.document_versions import EditedDocument, stale
from workers.store.edit_order import EDIT, EXTRACTIVE, EditOrder
from workers.store.job import Job

__all__ = ["router"]

router = APIRouter(prefix=PATH, tags=["documents"], route_class=StrictRoute)

EDITED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "headers": {**ETAG, "Location": {"schema": {"type": "string"}, "description": "The document"}},
        "description": "There is a new version",
    },
    **problems(412, 428),
}
BY_JOB: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "model": JobView,
        "description": "A writer, or a picture that must be brought: a job of the kind `edit` writes the new version",
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "The job"},
            "Retry-After": {"schema": {"type": "string"}, "description": "Seconds until a look is worth while"},
        },
    }
}
EXAMPLES: Final[Any] = {
    "typed": {
        "summary": "Type a paragraph's text",
        "value": {"op": "set_text", "block_id": "b-3f9a2c", "text": "The sea rises twice a day."},
    },
    "rewritten": {
        "summary": "Have it written anew",
        "value": {"op": "rewrite", "block_id": "b-3f9a2c", "wish": "for children"},
    },
    "picture": {
        "summary": "Show another picture",
        "value": {"op": "swap_picture", "block_id": "b-3f9a2c", "upload_id": "upl_01kaj5v1c8m2n4p6q8r0s2t4v6"},
    },
}
# Stands where what a writer or a search will bring is not there yet, to see whether the edit fits its block.
_SOMETHING: Final = Written("…", Provenance(origin="person"))


@router.post(
    "/{document_id}/edits",
    status_code=201,
    response_model=DocumentView,
    operation_id="editDocument",
    summary="Change one block",
    responses=EDITED | BY_JOB | problems(409),
)
async def edit_document(
    request: Request,
    document_id: str,
    door: TheDoor,
    key: Writer,
    edit: Annotated[Edit, Body(openapi_examples=EXAMPLES)],
    if_match: MatchedVersion = None,
    writer: Annotated[
        Line | None,
        Query(max_length=200, description="In place of the one that wrote the piece: extractive, or a model"),
    ] = None,
    name: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Everything outside the block stays byte for byte. What can be done at once is done at once (201); the work of a
    writer, and a picture that must be brought, is a job (202), whose end writes the version if the document is still
    the one that was read, or fails with `version_stale`. A job then makes the files that look otherwise now."""
    versions = versions_named(if_match)
    named = named_request(request, key, name, await request.body() + _of_precondition(if_match))
    told: list[Job | str] = []

    def work() -> Answer:
        told.clear()  # what was done before was undone
        document = _read(door, key, document_id, versions)
        picture = _at_hand(edit, document.article)
        if needs_writer(edit) or (needs_picture(edit) and picture is None):
            job = _ordered(door, key, document, edit, writer)
            told.append(job)
            headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": str(RETRY_AFTER_S)}
            return answer_of(job_view(job), 202, headers)
        new = edited(document.article, edit, document.version, picture=picture)
        said = edit.model_dump(mode="json")
        door.versions.write(document_id, key.id, document.version, new, edit=said)
        _told(told, door.renders.order(document_id, key.id))
        return document_answer(door, key.id, document_id)

    given, replayed = await door.threads.run(_once, door, key, named, work)
    if replayed:
        told = [given.headers["Location"].rpartition("/")[2]] if given.status == 202 else []
    for one in told:
        door.nudges.tell(one)
    wait_s = wait_s_of(prefer, door.limits.max_wait_s)
    if given.status == 201 or wait_s is None or not door.streams.has_room(key.id):
        return response_of(given, replayed=replayed)
    job_id = given.headers["Location"].rpartition("/")[2]
    with door.streams.opened(key.id):
        job = await ended(door, key, job_id, wait_s)
    headers = {"Preference-Applied": f"wait={wait_s}"} | ({"Idempotent-Replayed": "true"} if replayed else {})
    if job.state == "succeeded":
        answer = await door.threads.run(document_reply, door, key.id, document_id)
        answer.status_code = 201
        answer.headers.update(headers | {"Location": f"{PATH}/{document_id}"})
        return answer
    headers |= {"Location": f"/v1/jobs/{job_id}"} | ({} if job.final else {"Retry-After": str(RETRY_AFTER_S)})
    return reply(job_view(job), 202, headers)


@router.post(
    "/{document_id}/undo",
    status_code=201,
    response_model=DocumentView,
    operation_id="undoEdit",
    summary="Undo the last step",
    responses=EDITED,
)
async def undo(
    request: Request,
    document_id: str,
    door: TheDoor,
    key: Writer,
    if_match: MatchedVersion = None,
    name: IdempotencyKey = None,
) -> Response:
    """A new version with the content of the one before the last step that is not undone. Its files are there at once
    where they were made for that content."""
    return await _changed(request, document_id, door, key, if_match, name, door.versions.undo)


@router.post(
    "/{document_id}/redo",
    status_code=201,
    response_model=DocumentView,
    operation_id="redoEdit",
    summary="Take an undo back",
    responses=EDITED,
)
async def redo(
    request: Request,
    document_id: str,
    door: TheDoor,
    key: Writer,
    if_match: MatchedVersion = None,
    name: IdempotencyKey = None,
) -> Response:
    """Until the next edit, as in a text editor."""
    return await _changed(request, document_id, door, key, if_match, name, door.versions.redo)


@router.post(
    "/{document_id}/restore",
    status_code=201,
    response_model=DocumentView,
    operation_id="restoreVersion",
    summary="Make an earlier version the newest",
    responses=EDITED,
)
async def restore(
    request: Request,
    document_id: str,
    door: TheDoor,
    key: Writer,
    wanted: Annotated[RestoreBody, Body()],
    if_match: MatchedVersion = None,
    name: IdempotencyKey = None,
) -> Response:
    """A new version with its content; those in between stay."""

    def write(document_id: str, owner: str, expected: int) -> int:
        return door.versions.restore(document_id, owner, expected, wanted.version)

    return await _changed(request, document_id, door, key, if_match, name, write)


@router.post(
    "/{document_id}/render",
    response_model=DocumentView,
    operation_id="renderDocument",
    summary="Have missing files made",
    responses={200: {"headers": ETAG}},
)
async def render(document_id: str, door: TheDoor, key: Writer) -> Response:
    """Those that the newest version lacks: their job failed, or was deleted. `render_job_id` names the job that makes
    them; null when none is missing."""
    ordered = await door.threads.run(door.renders.order, document_id, key.id)
    if ordered is not None:
        door.nudges.tell(ordered.job if ordered.is_new else ordered.job.id)
    return await door.threads.run(document_reply, door, key.id, document_id)


async def _changed(
    request: Request,
    document_id: str,
    door: Door,
    key: ApiKey,
    if_match: str | None,
    name: str | None,
    write: Callable[[str, str, int], int],
) -> Response:
    """Write a version that repeats an earlier one, once."""
    versions = versions_named(if_match)
    named = named_request(request, key, name, await request.body() + _of_precondition(if_match))
    told: list[Job | str] = []

    def work() -> Answer:
        told.clear()
        newest = door.pieces.document(document_id, key.id).version
        write(document_id, key.id, expected_of(versions, newest))
        _told(told, door.renders.order(document_id, key.id))
        return document_answer(door, key.id, document_id)

    given, replayed = await door.threads.run(_once, door, key, named, work)
    for one in told if not replayed else ():
        door.nudges.tell(one)
    return response_of(given, replayed=replayed)


def _once(door: Door, key: ApiKey, named: Named | None, work: Callable[[], Answer]) -> tuple[Answer, bool]:
    """The answer, and whether it is repeated; what `work` writes is there wholly or not at all."""
    if named is not None:
        return door.answered.once(named, work)
    return door.database.together(work, key.id), False


def _of_precondition(if_match: str | None) -> bytes:
    """So that the same edit of another version is another request."""
    return b"\0" + (if_match or "").encode("utf-8", "surrogateescape")


def _told(told: list[Job | str], ordered: OrderedRender | None) -> None:
    if ordered is not None and ordered.is_new:
        told.append(ordered.job)


def _read(door: Door, key: ApiKey, document_id: str, versions: frozenset[int]) -> EditedDocument:
    """The document, at the version that is to be edited. VersionStale."""
    document = door.versions.newest(document_id, key.id)
    expected = expected_of(versions, document.version)
    if expected != document.version:
        raise stale(document_id, expected, document.version)
    return document


def _at_hand(edit: Edit, article: Article) -> Picture | None:
    """The picture that an edit names, where the piece has it: one of the alternatives."""
    if not isinstance(edit, SwapPicture | InsertPicture):
        return None
    return next((one for one in article.pictures if one.id == edit.picture_id), None)


def _ordered(door: Door, key: ApiKey, document: EditedDocument, edit: Edit, writer: str | None) -> Job:
    """The job of an edit that fits its block, as far as can be seen. BlockUnknown; EditRefused; ObjectUnknown."""
    picture = None
    if isinstance(edit, SwapPicture | InsertPicture):
        picture = _unknown_picture(edit.picture_id)
        if edit.upload_id is not None:
            door.uploads.require([edit.upload_id.removeprefix("upload:")], key.id)
            edit = edit.model_copy(update={"upload_id": edit.upload_id.removeprefix("upload:")})
    changed(document.article, edit, salt="", written=_SOMETHING, picture=picture)
    by = (writer or document.article.run.writer) if needs_writer(edit) else EXTRACTIVE
    door.room.take(key)
    order = EditOrder(document_id=document.id, version=document.version, edit=edit, writer=by)
    return door.jobs.create(key.id, EDIT, order.model_dump(mode="json"))


def _unknown_picture(picture_id: str | None) -> Picture:
    return Picture(id=picture_id or "0" * 64, media_type="image/png", width_px=1, height_px=1, size_bytes=1)
