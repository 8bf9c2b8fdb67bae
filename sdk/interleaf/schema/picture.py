"""Picture: what the library knows of one picture; and how pictures are asked for and found."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from interleaf.schema.licence import LicencePolicy
from interleaf.schema.word import Line, PictureId, Prose, Word

__all__ = ["Picture", "PictureFilter", "PictureHit", "PictureQuery"]

MediaType = Literal["image/jpeg", "image/png", "image/webp", "image/gif"]


class Picture(Word):
    """One picture of a library, without its pixels.

    `caption_origin` says where the caption came from: a person's metadata, the picture's own
    EXIF/IPTC/XMP, a document that shows it, the file name as the last resort, or nothing.
    """

    id: PictureId
    media_type: MediaType
    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    size_bytes: int = Field(gt=0)
    name: Line = Field("", description="The file name it came with: a label, never a path")
    caption: Prose = ""
    caption_origin: Literal["sidecar", "embedded", "document", "given", "file_name", "none"] = "none"
    alt: Prose = ""
    keywords: tuple[Line, ...] = ()
    author: Line | None = None
    licence: Line | None = Field(None, description="SPDX or Creative Commons name, canonical spelling")
    source_url: Line | None = None
    taken_at: datetime | None = None
    collection: Line = "default"
    perceptual_hash: str = Field("", pattern=r"^[0-9a-f]*$", description="64-bit DCT hash in hex")

    @property
    def words(self) -> str:
        """All that is said of the picture, for matching: caption, alt (when it adds something), keywords."""
        parts = [self.caption]
        if self.alt and self.alt not in self.caption:
            parts.append(self.alt)
        parts.append(", ".join(self.keywords))
        return "\n".join(p for p in parts if p)


class PictureFilter(Word):
    """What a picture must satisfy to be a candidate. Held before ranking."""

    collections: tuple[Line, ...] | None = Field(None, description="None: all collections")
    licence_policy: LicencePolicy = LicencePolicy()
    min_width_px: int = Field(1, ge=1)
    min_height_px: int = Field(1, ge=1)
    exclude_ids: tuple[PictureId, ...] = ()
    only_ids: tuple[PictureId, ...] | None = None


class PictureQuery(Word):
    """The words around a place, kept apart because they weigh differently; or plain words in `text`."""

    text: Prose = Field("", description="A person's own search words, or a wanted caption")
    before: Prose = Field("", description="The block before the place")
    after: Prose = Field("", description="The block after the place")
    heading: Line = Field("", description="The nearest heading above")
    title: Line = Field("", description="The title of the piece")
    picture_id: PictureId | None = Field(None, description="Search by a picture of the library instead")


class PictureHit(Word):
    """One found picture; `score` in 0..1, higher is better, comparable within one query."""

    picture: Picture
    score: float
    lexical_score: float | None = None
    vector_score: float | None = None
    pixel_score: float | None = None
