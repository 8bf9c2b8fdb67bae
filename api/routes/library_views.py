"""Library views: libraries, their pictures and what was found, as the service tells them; and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from interleaf.schema import LicencePolicy, Picture
from interleaf.schema.word import Line, Prose
from workers.store.ingest_order import MAX_UPLOADS, UploadId
from workers.store.libraries import MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS, Library

__all__ = ["HitList", "IngestBody", "LibraryOrder", "LibraryView", "PictureView", "SearchOrder"]

MAX_HITS = 100
MAX_TEXT_CHARS = 4_000


class LibraryOrder(BaseModel):
    """A library to make."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "harbour"}]})

    name: Annotated[Line, Field(min_length=1, max_length=MAX_NAME_CHARS)]
    description: Annotated[Prose, Field(max_length=MAX_DESCRIPTION_CHARS)] = ""


class LibraryView(BaseModel):
    """A picture library."""

    id: str
    name: str = Field(description="A label, unlike that of the key's other libraries; a brief names it, or the id")
    description: str
    picture_count: int = Field(description="As of the end of the last ingest, or of the last picture's removal")
    bytes: int = Field(description="Of its stored files; they count for the key's quota")
    encoder: str | None = Field(description="Which weights its words were encoded with; null before the first ingest")
    created_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, library: Library) -> LibraryView:
        return cls(
            id=library.id,
            name=library.name,
            description=library.description,
            picture_count=library.picture_count,
            bytes=library.bytes,
            encoder=library.encoder,
            created_at=library.created_at,
            changed_at=library.changed_at,
        )


class IngestBody(BaseModel):
    """Uploads to take into a library, and what is said of all their pictures."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"uploads": ["upl_01kaj5v1c8m2n4p6q8r0s2t4v6"], "licence": "CC-BY-4.0"}]},
    )

    uploads: list[UploadId] = Field(
        min_length=1,
        max_length=MAX_UPLOADS,
        description="Pictures, and ZIP archives of pictures with sidecars and manifests beside them",
    )
    author: Annotated[Line, Field(max_length=1_000)] | None = None
    licence: Annotated[Line, Field(max_length=1_000)] | None = Field(None, description="Such as CC-BY-4.0")
    source_url: Annotated[Line, Field(max_length=2_000)] | None = None
    dedupe: Literal["near", "exact"] = Field(
        "near", description="near: resized and recompressed copies are duplicates, too; exact: only equal pixels"
    )


class PictureView(BaseModel):
    """A picture of a library, without its pixels."""

    id: str = Field(description="SHA-256 of its pixels, in hexadecimal")
    library_id: str
    media_type: str
    width_px: int
    height_px: int
    size_bytes: int
    name: str = Field(description="The file name it came with: a label")
    caption: str
    caption_origin: str = Field(description="sidecar, embedded, given, file_name or none")
    alt: str
    keywords: list[str]
    author: str | None
    licence: str | None
    source_url: str | None
    taken_at: datetime | None
    perceptual_hash: str
    url: str = Field(description="Its file, as a path of this service")

    @classmethod
    def of(cls, picture: Picture, library_id: str) -> PictureView:
        told = picture.model_dump(exclude={"collection"})
        return cls(**told, library_id=library_id, url=f"/v1/libraries/{library_id}/pictures/{picture.id}/file")


class SearchOrder(BaseModel):
    """What to look for: words, or a picture that was uploaded. Filters hold before ranking."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"text": "fishing boats at low tide", "k": 5, "licence_policy": "open"}]},
    )

    text: Annotated[Prose, Field(min_length=1, max_length=MAX_TEXT_CHARS)] | None = None
    picture: UploadId | None = Field(None, description="Id of an upload")
    k: int = Field(10, ge=1, le=MAX_HITS, description="How many at most")
    licence_policy: LicencePolicy = Field(
        LicencePolicy(), description="any, known, open, commercial, a list of licences, or the whole policy"
    )
    min_width_px: int = Field(1, ge=1, le=2**31 - 1)
    min_height_px: int = Field(1, ge=1, le=2**31 - 1)

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.text is None) == (self.picture is None):
            raise ValueError("give either text or picture")
        if self.text is not None and not self.text.strip():
            raise ValueError("text says nothing")
        return self

    def asked(self) -> dict[str, Any]:
        """As the worker takes it."""
        return {
            "text": self.text,
            "upload": None if self.picture is None else self.picture.removeprefix("upload:"),
            "k": self.k,
            "where": {
                "licence_policy": self.licence_policy.model_dump(mode="json"),
                "min_width_px": self.min_width_px,
                "min_height_px": self.min_height_px,
            },
        }


class HitView(BaseModel):
    """A picture that was found."""

    picture: PictureView
    score: float = Field(description="0 to 1; higher is better; comparable within one search")
    lexical_score: float | None
    vector_score: float | None
    pixel_score: float | None


class HitList(BaseModel):
    """What was found, best first."""

    hits: list[HitView]

    @classmethod
    def of(cls, answer: Mapping[str, Any], library_id: str) -> HitList:
        hits = []
        for hit in answer["hits"]:
            picture = Picture.model_validate(hit["picture"])
            hits.append(HitView(**{**hit, "picture": PictureView.of(picture, library_id)}))
        return cls(hits=hits)
