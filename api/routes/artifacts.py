"""Artifacts: files that jobs made, whole or in part; always to be saved, never to be shown in our name."""

from __future__ import annotations

import mimetypes
import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request, Response
from starlette.responses import StreamingResponse

from api.door import Reader, TheDoor
from api.heads import is_head
from api.openapi import ETAG, NOT_MODIFIED, problems
from api.problems import problem_answer
from api.reply import matches
from interleaf.errors import RequestRefused
from workers.store.pieces import Artifact

__all__ = ["router"]

BINARY: Final[dict[str, Any]] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
RANGE_HEADERS: Final[dict[str, Any]] = {
    **ETAG,
    "Content-Range": {"schema": {"type": "string"}, "description": "Which bytes of how many"},
}
# One range. Of several at once none is taken, which a server may do (RFC 9110, 14.2): the whole file comes.
_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))")

router = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])


@router.get(
    "/{artifact_id}",
    response_class=Response,
    operation_id="getArtifact",
    summary="Fetch a file",
    responses={
        200: {"content": BINARY, "headers": ETAG, "description": "The whole file"},
        206: {"content": BINARY, "headers": RANGE_HEADERS, "description": "A part of it"},
    }
    | NOT_MODIFIED
    | problems(416),
)
async def get_artifact(
    request: Request,
    artifact_id: str,
    door: TheDoor,
    key: Reader,
    if_none_match: Annotated[str | None, Header(max_length=2_000, description="ETag of the one that is there")] = None,
    range_: Annotated[str | None, Header(alias="Range", max_length=200, description="bytes=FIRST-LAST")] = None,
    if_range: Annotated[str | None, Header(max_length=200, description="ETag of which the range is a part")] = None,
) -> Response:
    """With ETag (the hash of its bytes), Range and If-Range."""
    artifact = await door.threads.run(door.pieces.artifact, artifact_id, key.id)
    etag = f'"{artifact.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": f'attachment; filename="{_name(artifact)}"',
    }
    if matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    start, end, status = 0, artifact.bytes, 200
    # A range is a part of what GET gives; HEAD tells of the whole.
    if range_ is not None and not is_head(request) and (if_range is None or if_range == etag):
        asked = _RANGE.fullmatch(range_.strip())
        if asked is not None:
            found = _part(asked, artifact.bytes)
            if found is None:
                error = RangeUnsatisfiable("Range", f"the file has {artifact.bytes} bytes.", "Ask for some of them.")
                told = {"ETag": etag, "Content-Range": f"bytes */{artifact.bytes}"}
                return problem_answer(request.scope, error, told)
            (start, end), status = found, 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{artifact.bytes}"
    headers["Content-Length"] = str(end - start)
    if is_head(request):
        return Response(None, status, headers, artifact.media_type)
    pieces = await door.threads.run(door.store.read, artifact.file_key, start, end - start)
    return StreamingResponse(door.threads.each(pieces), status, headers, artifact.media_type)


def _part(asked: re.Match[str], size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None when the file has no such bytes."""
    first, last, tail = asked.groups()
    if tail is not None:
        return (max(0, size - int(tail)), size) if int(tail) and size else None
    start = int(first)
    end = size if last is None else min(int(last) + 1, size)
    return (start, end) if start < end else None


class RangeUnsatisfiable(RequestRefused):
    """The file has none of the bytes that were asked for."""

    code = "range_unsatisfiable"
    http_status = 416


def _name(artifact: Artifact) -> str:
    """A file name that we make; titles of people stay inside the file."""
    suffix = mimetypes.guess_extension(artifact.media_type.partition(";")[0]) or ""
    return f"{artifact.document_id or artifact.id}{suffix}"
