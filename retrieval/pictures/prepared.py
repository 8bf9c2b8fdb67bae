"""Prepared: one offer read, decoded and described; what a thread can do without knowing the library."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from PIL import Image

from interleaf.errors import PictureUnreadable
from interleaf.schema import Picture
from retrieval.catalog import PictureRow
from retrieval.pictures.decode import decode
from retrieval.pictures.duplicates import comparable, look_of
from retrieval.pictures.embedded import embedded_metadata
from retrieval.pictures.file_name import caption_from_name
from retrieval.pictures.metadata import PictureMetadata
from retrieval.pictures.offers import Offer

__all__ = ["Prepared", "described", "prepare", "words_of", "words_sha256"]


@dataclass(frozen=True)
class Prepared:
    """A decoded offer, its pixels already let go: what is stored, how it looks, what is said of it."""

    row: PictureRow
    stored: bytes
    shown: Image.Image
    notes: tuple[str, ...]


def prepare(offer: Offer, collection: str) -> Prepared | PictureUnreadable:
    """Read, decode and describe one offer; a refusal is returned, not raised, so that the order of offers is kept."""
    try:
        decoded = decode(offer.read(), offer.label)
    except PictureUnreadable as error:
        return error
    look = look_of(decoded.image)
    said = offer.beside.over(embedded_metadata(decoded.said, decoded.exif))
    if not said.caption and (named := caption_from_name(offer.name)):
        said = replace(said, caption=named, caption_origin="file_name")
    said = said.cleaned()
    picture = Picture(
        id=decoded.id,
        media_type=decoded.media_type,
        width_px=decoded.width_px,
        height_px=decoded.height_px,
        size_bytes=len(decoded.stored),
        name=offer.name[:1_000],
        collection=collection,
        perceptual_hash=look.perceptual_hash,
    )
    row = PictureRow(described(picture, said), hashlib.sha256(decoded.stored).hexdigest(), look.tiny)
    return Prepared(row, decoded.stored, comparable(decoded.image), said.notes)


def words_of(picture: Picture) -> PictureMetadata:
    """What is said of a picture."""
    return PictureMetadata(
        *(picture.caption, picture.caption_origin, picture.alt, picture.keywords),
        *(picture.author, picture.licence, picture.source_url, picture.taken_at),
    )


def described(picture: Picture, said: PictureMetadata) -> Picture:
    """The picture with this said of it."""
    return picture.model_copy(
        update={
            "caption": said.caption,
            "caption_origin": said.caption_origin,
            "alt": said.alt,
            "keywords": said.keywords,
            "author": said.author,
            "licence": said.licence,
            "source_url": said.source_url,
            "taken_at": said.taken_at,
        }
    )


def words_sha256(said: PictureMetadata) -> str:
    """A hash by which it is noticed that a person has edited the words."""
    taken_at = said.taken_at.isoformat() if said.taken_at else None
    words = [said.caption, said.caption_origin, said.alt, said.keywords, said.author, said.licence, said.source_url]
    return hashlib.sha256(json.dumps([*words, taken_at]).encode("ascii")).hexdigest()
