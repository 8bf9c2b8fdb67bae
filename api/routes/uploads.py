"""Uploads: files that people send, in a form as browsers and curl send them, streamed to disk and known by content."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, BinaryIO, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile

from api.door import Door, Reader, TheDoor, Writer
from api.idempotency import IdempotencyKey, named_request
from api.openapi import NO_CONTENT, problems
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import answer_of, reply, response_of
from interleaf.errors import BodyInvalid, MediaUnsupported
from workers.store.answered import Answer
from workers.store.answered import Request as Named
from workers.store.api_keys import ApiKey
from workers.store.uploads import REFERENCE, Upload

__all__ = ["PATH", "router"]

PATH: Final = "/v1/uploads"
FIELD: Final = "file"
FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        FIELD: {
                            "type": "string",
                            "contentMediaType": "application/octet-stream",
                            "description": "A picture, a ZIP archive of pictures, or a note in UTF-8",
                        }
                    },
                    "required": [FIELD],
                }
            }
        },
    }
}

router = APIRouter(prefix=PATH, tags=["uploads"])


class UploadView(BaseModel):
    """A file that was sent."""

    id: str
    reference: str = Field(
        description="What a brief writes for it, where it would name a path", examples=["upload:upl_…"]
    )
    name: str = Field(description="What its sender calls it: a label, cleaned")
    media_type: str = Field(description="By its content, whatever the name says")
    bytes: int
    sha256: str = Field(description="In hexadecimal")
    created_at: datetime
    expires_at: datetime | None = Field(description="It is deleted then")


def _view(upload: Upload) -> UploadView:
    return UploadView(
        id=upload.id,
        reference=f"{REFERENCE}{upload.id}",
        name=upload.name,
        media_type=upload.media_type,
        bytes=upload.bytes,
        sha256=upload.sha256,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )


@router.post(
    "",
    status_code=201,
    response_model=UploadView,
    operation_id="createUpload",
    summary="Send a file",
    openapi_extra=FORM,
    responses={201: {"headers": {"Location": {"schema": {"type": "string"}}}}, **problems(409, 507)},
)
async def create_upload(request: Request, door: TheDoor, key: Writer, name: IdempotencyKey = None) -> Response:
    """One file in the field `file` of a form. Its type is found by its content; what no brief can use is refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise MediaUnsupported("Content-Type", f"{kind[:80]!r} is not taken here.", "Send multipart/form-data.")
    # The framework writes the file to disk aside while it comes; api/limits.py has its limits.
    async with request.form(max_files=1, max_fields=8, max_part_size=4_096) as form:
        sent = form.get(FIELD)
        if not isinstance(sent, UploadFile):
            raise BodyInvalid("form", f"has no file in the field {FIELD!r}.", "Send one file by that name.")
        label, content = sent.filename or "", sent.file
        named = None
        if name is not None:
            digest = await door.threads.run(_digest, content)
            named = named_request(request, key, name, digest + label.encode("utf-8", "replace"))
        given, replayed = await door.threads.run(_add, door, key, named, label, content)
    return response_of(given, replayed=replayed)


@router.get(
    "",
    response_model=Page[UploadView],
    operation_id="listUploads",
    summary="List uploads, newest first",
    responses={200: {"headers": LINKS}},
)
async def list_uploads(door: TheDoor, key: Reader, at: Annotated[Position, positions("upl")]) -> Response:
    """Those that have not expired."""

    def read() -> Page[UploadView]:
        return page_of(lambda limit, after, before: door.uploads.list(key.id, limit, after, before), at, _view)

    return listed(await door.threads.run(read), at)


@router.get("/{upload_id}", response_model=UploadView, operation_id="getUpload", summary="Look at an upload")
async def get_upload(upload_id: str, door: TheDoor, key: Reader) -> Response:
    """What is known of it; its bytes are not given back."""
    return reply(_view(await door.threads.run(door.uploads.get, upload_id, key.id)))


@router.delete(
    "/{upload_id}", status_code=204, operation_id="deleteUpload", summary="Delete an upload", responses=NO_CONTENT
)
async def delete_upload(upload_id: str, door: TheDoor, key: Writer) -> Response:
    """A job that has not read it yet will fail."""
    await door.threads.run(door.uploads.delete, upload_id, key.id)
    return Response(status_code=204)


def _add(door: Door, key: ApiKey, named: Named | None, label: str, content: BinaryIO) -> tuple[Answer, bool]:
    """Keep the file and the answer, together."""
    if named is not None:
        kept = door.answered.begin(named)
        if kept is not None:
            return kept, True
    given: list[Answer] = []

    def also(upload: Upload) -> None:
        given.append(answer_of(_view(upload), 201, {"Location": f"{PATH}/{upload.id}"}))
        if named is not None:
            door.answered.keep(named, given[0])

    quota = key.quotas.max_stored_bytes
    most = door.limits.max_stored_bytes if quota is None else quota
    try:
        door.uploads.add(key.id, label, content, max_stored_bytes=most, also=also)
    except BaseException:
        if named is not None:
            door.answered.abandon(named)
        raise
    return given[0], False


def _digest(content: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while piece := content.read(2**18):
        digest.update(piece)
    content.seek(0)
    return digest.digest()
