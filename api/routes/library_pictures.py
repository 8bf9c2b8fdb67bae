"""Library pictures: the pictures of a library, one by one: list, look, fetch, remove."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from api.door import Door, LibraryWriter, Reader, TheDoor
from api.file_answer import FILE_ANSWERS, Asked, SentFile, file_answer
from api.openapi import NO_CONTENT
from api.paging import LINKS, Page, Position, listed, page_of, positions
from api.reply import reply
from api.routes.library_views import PictureView
from interleaf.errors import InvalidRequest, PictureMissing
from interleaf.schema import LicencePolicy, Picture, PictureFilter
from retrieval.reading import PictureReader
from workers.store.api_keys import ApiKey

__all__ = ["pieces_of", "router"]

T = TypeVar("T")
PIECE_BYTES: Final = 2**18

router = APIRouter(prefix="/v1/libraries/{library_id}/pictures", tags=["libraries"])


@router.get(
    "",
    response_model=Page[PictureView],
    operation_id="listPictures",
    summary="List pictures, the newest first",
    responses={200: {"headers": LINKS}},
)
async def list_pictures(
    library_id: str,
    door: TheDoor,
    key: Reader,
    at: Annotated[Position, positions("picture")],
    licence: Annotated[
        list[str] | None,
        Query(max_length=50, description="any, known, open, commercial, or licences that are allowed (CC-BY-*)"),
    ] = None,
    min_width_px: Annotated[int, Query(ge=1, le=2**31 - 1)] = 1,
    min_height_px: Annotated[int, Query(ge=1, le=2**31 - 1)] = 1,
    id_prefix: Annotated[
        str | None, Query(pattern="^[0-9a-f]{1,64}$", description="Those whose id begins like this")
    ] = None,
) -> Response:
    """In the order in which they joined; while an ingest is at work, its pictures appear little by little."""
    where = PictureFilter(licence_policy=_policy(licence), min_width_px=min_width_px, min_height_px=min_height_px)

    def read(reader: PictureReader | None) -> Page[PictureView]:
        def pages(limit: int, after: str | None, before: str | None) -> list[Picture]:
            if reader is None:
                return []
            return reader.page(library_id, limit, after, before, where=where, id_prefix=id_prefix or "")

        try:
            return page_of(pages, at, lambda picture: PictureView.of(picture, library_id))
        except PictureMissing as error:
            cursor = "after" if at.after is not None else "before"
            raise InvalidRequest(cursor, "is no picture of this library (any more).", "Begin anew.") from error

    return listed(await door.threads.run(_read, door, key, library_id, read), at)


@router.get("/{picture_id}", response_model=PictureView, operation_id="getPicture", summary="Look at a picture")
async def get_picture(library_id: str, picture_id: str, door: TheDoor, key: Reader) -> Response:
    """All that is known of it."""

    def read(reader: PictureReader | None) -> PictureView:
        return PictureView.of(_picture(reader, library_id, picture_id), library_id)

    return reply(await door.threads.run(_read, door, key, library_id, read))


@router.get(
    "/{picture_id}/file",
    response_class=Response,
    operation_id="getPictureFile",
    summary="Fetch a picture",
    responses=FILE_ANSWERS,
)
async def get_picture_file(
    request: Request, library_id: str, picture_id: str, door: TheDoor, key: Reader, asked: Asked
) -> Response:
    """Its pixels as they are stored: upright, without position. With ETag (the hash of its bytes), Range, If-Range."""

    def read(reader: PictureReader | None) -> SentFile:
        picture = _picture(reader, library_id, picture_id)
        assert reader is not None
        path, sha256, size = reader.file(picture)
        return SentFile(picture.id, picture.media_type, size, sha256, partial(pieces_of, path, picture.id))

    file = await door.threads.run(_read, door, key, library_id, read)
    return await file_answer(request, door.threads, file, asked)


@router.delete(
    "/{picture_id}", status_code=204, operation_id="deletePicture", summary="Remove a picture", responses=NO_CONTENT
)
async def delete_picture(library_id: str, picture_id: str, door: TheDoor, key: LibraryWriter) -> Response:
    """Out of this library; pieces that show it keep it. 503 while an ingest of the key is at work, or when no worker
    answers in time."""
    await door.threads.run(_read, door, key, library_id, lambda reader: _picture(reader, library_id, picture_id))
    await door.asking.ask(key.id, library_id, "remove", {"picture_id": picture_id})
    return Response(status_code=204)


def _read(door: Door, key: ApiKey, library_id: str, read: Callable[[PictureReader | None], T]) -> T:
    """What `read` makes of the catalog, if the library is the key's. ObjectUnknown. None: nobody has added a picture
    yet."""
    library = door.libraries.get(library_id, key.id)
    # The folder's name is the key's id, which we made.
    reader = PictureReader.opened(door.libraries_dir / library.owner)
    if reader is None:
        return read(None)
    with reader:
        return read(reader)


def _picture(reader: PictureReader | None, library_id: str, picture_id: str) -> Picture:
    if reader is None:
        raise PictureMissing(picture_id, "is not in this library.", "List its pictures.")
    return reader.picture(library_id, picture_id)


def pieces_of(path: Path, picture_id: str, start: int, length: int) -> Iterator[bytes]:
    """The bytes of a file in pieces. PictureMissing, at once, when it has gone meanwhile."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise PictureMissing(picture_id, "was removed.", "List the library's pictures.") from error

    def pieces() -> Iterator[bytes]:
        left = length
        with file:
            file.seek(start)
            while left and (piece := file.read(min(PIECE_BYTES, left))):
                left -= len(piece)
                yield piece

    return pieces()


def _policy(licence: list[str] | None) -> LicencePolicy:
    if not licence:
        return LicencePolicy()
    try:
        return LicencePolicy.model_validate(licence[0] if len(licence) == 1 else licence)
    except ValidationError as error:
        raise InvalidRequest("licence", "is too long.", "Name licences such as CC-BY-4.0.") from error
