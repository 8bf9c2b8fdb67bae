"""Document pictures: those that a piece shows or might show: alternatives, searches for a place, files."""

from __future__ import annotations

from functools import partial
from hashlib import sha256 as sha256_of
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agents.editing.place_query import place_query
from api.door import Door, Reader, TheDoor
from api.file_answer import FILE_ANSWERS, Asked, SentFile, file_answer
from api.reply import reply
from api.routes.documents import PATH
from api.routes.library_pictures import pieces_of
from api.routes.library_views import MAX_HITS, MAX_TEXT_CHARS, HitList, HitView
from api.strict_json import StrictRoute
from interleaf.errors import BlockUnknown, EditRefused, InvalidRequest, JobUnknown, PictureMissing, RequestsTooMany
from interleaf.schema import Article, Figure, LicencePolicy, Picture
from interleaf.schema.word import Line, Prose
from retrieval.reading import PictureReader
from workers.store.api_keys import ApiKey
from workers.store.document_versions import EditedDocument
from workers.store.libraries import Library

__all__ = ["router"]

router = APIRouter(prefix=PATH + "/{document_id}", tags=["documents"], route_class=StrictRoute)

MAX_LIBRARIES: Final = 10
MAX_EXCLUDED: Final = 500

Block = Annotated[str, Path(max_length=100, description="A block's id: b-…")]


class PlacedPictureView(BaseModel):
    """A picture that stands in a place of a piece, or might."""

    id: str = Field(description="SHA-256 of its pixels, in hexadecimal: what an edit names as `picture_id`")
    score: float = Field(description="How sure it was that it belongs here, 0 to 1")
    caption: str
    alt: str
    author: str | None
    licence: str | None
    source_url: str | None
    media_type: str
    width_px: int
    height_px: int
    url: str = Field(description="Its file, as a path of this service")

    @classmethod
    def of(cls, document_id: str, picture: Picture, score: float, caption: str) -> PlacedPictureView:
        said = picture.model_dump(
            include={"id", "alt", "author", "licence", "source_url", "media_type", "width_px", "height_px"}
        )
        url = f"{PATH}/{document_id}/pictures/{picture.id}/file"
        return cls(**said, score=score, caption=caption, url=url)


class Alternatives(BaseModel):
    """The picture of a figure, and those that were considered for its place, best first."""

    document_id: str
    version: int
    block_id: str
    picture: PlacedPictureView
    reason: str = Field(description="Why it stands here")
    alternatives: list[PlacedPictureView]


class PlaceSearch(BaseModel):
    """A search for a picture for a place. Without `text`, by the words around it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "a harbour at low tide", "k": 5}]}
    )

    text: Annotated[Prose, Field(max_length=MAX_TEXT_CHARS)] = ""
    libraries: Annotated[list[Line], Field(min_length=1, max_length=MAX_LIBRARIES)] | None = Field(
        None, description="Names or ids; those that the piece's brief named if left out"
    )
    k: int = Field(10, ge=1, le=MAX_HITS, description="How many at most")
    licence_policy: LicencePolicy | None = Field(None, description="The brief's if left out")


@router.get(
    "/blocks/{block_id}/alternatives",
    response_model=Alternatives,
    operation_id="getAlternatives",
    summary="See what else was considered for a figure",
)
async def get_alternatives(document_id: str, block_id: Block, door: TheDoor, key: Reader) -> Response:
    """Each can be shown with `swap_picture`, at once."""

    def read() -> Alternatives:
        document = door.versions.newest(document_id, key.id)
        figure = _figure(document.article, block_id)
        known = {picture.id: picture for picture in document.article.pictures}
        if figure.picture_id not in known:
            raise PictureMissing(figure.picture_id, "is not described in the piece.", "Show another one.")
        return Alternatives(
            document_id=document.id,
            version=document.version,
            block_id=figure.id,
            picture=PlacedPictureView.of(document.id, known[figure.picture_id], figure.score, figure.caption),
            reason=figure.reason,
            alternatives=[
                PlacedPictureView.of(document.id, known[one.picture_id], one.score, one.caption)
                for one in figure.alternatives
                if one.picture_id in known
            ],
        )

    return reply(await door.threads.run(read))


@router.post(
    "/blocks/{block_id}/search",
    response_model=HitList,
    operation_id="searchForPlace",
    summary="Find a picture for a place",
)
async def search_for_place(
    document_id: str, block_id: Block, door: TheDoor, key: Reader, wanted: Annotated[PlaceSearch, Body()]
) -> Response:
    """In the libraries that the piece's brief named, or in others of yours; pictures that the piece shows are left out.
    503 when no worker answers in time."""

    def prepare() -> tuple[list[Library], dict[str, Any]]:
        document = door.versions.newest(document_id, key.id)
        query = place_query(document.article, block_id, wanted.text)
        brief = _brief(door, key, document)
        libraries = _libraries(door, key, wanted, brief)
        policy = wanted.licence_policy
        if policy is None:
            policy = LicencePolicy.model_validate(brief.get("licence_policy") or "any")
        shown = [figure.picture_id for figure in document.article.figures][:MAX_EXCLUDED]
        asked = {
            "query": query.model_dump(mode="json"),
            "k": wanted.k,
            "where": {"licence_policy": policy.model_dump(mode="json"), "exclude_ids": shown},
        }
        return libraries, asked

    libraries, asked = await door.threads.run(prepare)
    if not door.streams.has_room(key.id):
        raise RequestsTooMany("searches", f"{door.limits.max_streams} wait.", "Wait for some.")
    found: list[HitView] = []
    with door.streams.opened(key.id):
        for library in libraries:
            answer = await door.asking.ask(key.id, library.id, "search", asked)
            found += HitList.of(answer, library.id).hits
    return reply(HitList(hits=_best(found, wanted.k)))


@router.get(
    "/pictures/{picture_id}/file",
    response_class=Response,
    operation_id="getDocumentPicture",
    summary="Fetch a picture of a document",
    responses=FILE_ANSWERS,
)
async def get_document_picture(
    request: Request, document_id: str, picture_id: str, door: TheDoor, key: Reader, asked: Asked
) -> Response:
    """One that the newest version shows or has as an alternative: its pixels as they are stored."""

    def find() -> SentFile:
        document = door.versions.newest(document_id, key.id)
        picture = next((one for one in document.article.pictures if one.id == picture_id), None)
        if picture is None:
            raise PictureMissing(picture_id, "is not in this document.", "See its alternatives.")
        # Names that we made: of the run, and the key's id.
        run = None if document.run_id is None else door.runs_dir / document.run_id
        for root in (door.libraries_dir / key.id, *(() if run is None else (run / "library",))):
            reader = PictureReader.opened(root)
            if reader is None:
                continue
            with reader:
                try:
                    path, sha256, size = reader.file(picture)
                except PictureMissing:
                    continue
                return SentFile(picture.id, picture.media_type, size, sha256, partial(pieces_of, path, picture.id))
        kept = None if run is None else run / "kept" / picture.id
        if kept is not None and kept.is_file():
            data = kept.read_bytes()
            digest = sha256_of(data).hexdigest()
            return SentFile(picture.id, picture.media_type, len(data), digest, partial(pieces_of, kept, picture.id))
        raise PictureMissing(picture_id, "was removed.", "Show another picture.")

    return await file_answer(request, door.threads, await door.threads.run(find), asked)


def _figure(article: Article, block_id: str) -> Figure:
    for block in article.blocks:
        if block.id == block_id:
            if isinstance(block, Figure):
                return block
            raise EditRefused("block_id", f"{block_id} is a {block.type} and shows no picture.", "Name a figure.")
    raise BlockUnknown(block_id, "is no block of this version.", "Read the document again: it may have changed.")


def _brief(door: Door, key: ApiKey, document: EditedDocument) -> dict[str, Any]:
    """What the piece was asked; nothing where its job was deleted."""
    if document.job_id is None:
        return {}
    try:
        return door.jobs.brief(document.job_id, key.id)
    except JobUnknown:
        return {}


def _libraries(door: Door, key: ApiKey, wanted: PlaceSearch, brief: dict[str, Any]) -> list[Library]:
    named = wanted.libraries if wanted.libraries is not None else list(brief.get("libraries") or ())[:MAX_LIBRARIES]
    if not named:
        raise InvalidRequest("body.libraries", "the piece's brief named none.", "Name libraries of yours.")
    return [one for one in door.libraries.resolve(key.id, named) if one.picture_count]


def _best(found: list[HitView], k: int) -> list[HitView]:
    """The best k, none twice."""
    best: dict[str, HitView] = {}
    for hit in sorted(found, key=lambda hit: (-hit.score, hit.picture.id)):
        best.setdefault(hit.picture.id, hit)
    return list(best.values())[:k]
