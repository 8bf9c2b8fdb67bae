"""File answer: a stored file as it goes out, whole or in part; always to be saved, never to be shown in our name."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request, Response
from starlette.responses import StreamingResponse

from api.heads import is_head
from api.openapi import ETAG, NOT_MODIFIED, problems
from api.problems import problem_answer
from api.reply import matches
from api.threads import Threads
from interleaf.errors import RequestRefused

__all__ = ["FILE_ANSWERS", "Asked", "SentFile", "file_answer"]

BINARY: Final[dict[str, Any]] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
RANGE_HEADERS: Final[dict[str, Any]] = {
    **ETAG,
    "Content-Range": {"schema": {"type": "string"}, "description": "Which bytes of how many"},
}
FILE_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": BINARY, "headers": ETAG, "description": "The whole file"},
    206: {"content": BINARY, "headers": RANGE_HEADERS, "description": "A part of it"},
    **NOT_MODIFIED,
    **problems(416),
}
# One range. Of several at once none is taken, which a server may do (RFC 9110, 14.2): the whole file comes.
_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))")


@dataclass(frozen=True)
class _Headers:
    """What a request says of the part that it wants."""

    if_none_match: str | None
    range: str | None
    if_range: str | None


async def _asked(
    if_none_match: Annotated[str | None, Header(max_length=2_000, description="ETag of the one that is there")] = None,
    range_: Annotated[str | None, Header(alias="Range", max_length=200, description="bytes=FIRST-LAST")] = None,
    if_range: Annotated[str | None, Header(max_length=200, description="ETag of which the range is a part")] = None,
) -> _Headers:
    return _Headers(if_none_match, range_, if_range)


Asked = Annotated[_Headers, Depends(_asked)]


@dataclass(frozen=True)
class SentFile:
    """A file to be sent: `read(start, length)` gives its bytes in pieces, after it has found that they are there."""

    name: str
    """Made by us, without a suffix; titles of people stay inside the file."""
    media_type: str
    size_bytes: int
    sha256: str
    read: Callable[[int, int], Iterator[bytes]]


async def file_answer(request: Request, threads: Threads, file: SentFile, asked: _Headers) -> Response:
    """With ETag (the hash of its bytes), Range and If-Range."""
    etag = f'"{file.sha256}"'
    suffix = mimetypes.guess_extension(file.media_type.partition(";")[0]) or ""
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": f'attachment; filename="{file.name}{suffix}"',
    }
    if matches(asked.if_none_match, etag):
        return Response(status_code=304, headers=headers)
    start, end, status = 0, file.size_bytes, 200
    # A range is a part of what GET gives; HEAD tells of the whole.
    if asked.range is not None and not is_head(request) and (asked.if_range is None or asked.if_range == etag):
        wanted = _RANGE.fullmatch(asked.range.strip())
        if wanted is not None:
            found = _part(wanted, file.size_bytes)
            if found is None:
                error = RangeUnsatisfiable("Range", f"the file has {file.size_bytes} bytes.", "Ask for some of them.")
                told = {"ETag": etag, "Content-Range": f"bytes */{file.size_bytes}"}
                return problem_answer(request.scope, error, told)
            (start, end), status = found, 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
    headers["Content-Length"] = str(end - start)
    if is_head(request):
        return Response(None, status, headers, file.media_type)
    pieces = await threads.run(file.read, start, end - start)
    return StreamingResponse(threads.each(pieces), status, headers, file.media_type)


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
