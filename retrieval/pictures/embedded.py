"""Embedded: what a picture file says about itself in IPTC, XMP, EXIF and PNG text, read without trust."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from interleaf.schema import canonical_licence
from interleaf.text import clean_line
from retrieval.pictures.container import Container
from retrieval.pictures.metadata import PictureMetadata, parse_date

__all__ = ["embedded_metadata"]

MAX_XMP_BYTES: Final = 1024 * 1024
MAX_IPTC_RECORDS: Final = 1_000

_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC: Final = "{http://purl.org/dc/elements/1.1/}"
_PHOTOSHOP: Final = "{http://ns.adobe.com/photoshop/1.0/}"
_RIGHTS: Final = "{http://ns.adobe.com/xap/1.0/rights/}"
_XMP: Final = "{http://ns.adobe.com/xap/1.0/}"
_IPTC: Final = "{http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/}"
_CC: Final = "{http://creativecommons.org/ns#}"
_EXIF: Final = "{http://ns.adobe.com/exif/1.0/}"

# Captions that cameras write. What was read is not given back (`*+`): a caption such as "dscdscdsc…!" can be taken
# apart in more ways than there is time to try.
_CAMERA_SAYS: Final = re.compile(
    r"(?:olympus|sony|minolta|konica|nikon|samsung|kodak|pentax|casio|fuji\w*+|canon|panasonic|default|digital|still"
    r"|camera|picture|image|dsc\w*+|dcim|exif|jpeg|untitled|null|none|binary|comment|charset=\w++|created|with|by|gimp"
    r"|the|\s|[\d.,:;/_-])*+",
    re.I,
)


def embedded_metadata(said: Container, exif: dict[int, object]) -> PictureMetadata:
    """IPTC over XMP over EXIF over PNG text, field by field. Damaged blocks say nothing."""
    return _from_iptc(said.iptc).over(_from_xmp(said.xmp)).over(_from_exif(exif)).over(_from_texts(said.texts))


def _metadata(
    caption: str, alt: str, keywords: list[str], author: str, rights: str, source: str, taken_at: datetime | None
) -> PictureMetadata:
    if _CAMERA_SAYS.fullmatch(caption[:200]):
        caption = ""
    return PictureMetadata(
        caption=caption,
        caption_origin="embedded" if caption else "none",
        alt=alt,
        keywords=tuple(keywords),
        author=clean_line(author) or None,
        licence=canonical_licence(clean_line(rights[:10_000])),
        source_url=source if source.startswith(("http://", "https://")) else None,
        taken_at=taken_at,
    )


def _from_iptc(block: bytes) -> PictureMetadata:
    records: dict[tuple[int, int], list[bytes]] = {}
    at = 0
    for _ in range(MAX_IPTC_RECORDS):
        if at + 5 > len(block) or block[at] != 0x1C:
            break
        size = int.from_bytes(block[at + 3 : at + 5], "big")
        if size & 0x8000:  # lengths over 32 KiB: nothing that we read is that long
            break
        records.setdefault((block[at + 1], block[at + 2]), []).append(block[at + 5 : at + 5 + size])
        at += 5 + size
    encoding = "utf-8" if records.get((1, 90), [b""])[0] == b"\x1b%G" else None

    def text(*keys: int) -> str:
        return next((t for key in keys if (t := _bytes_text((records.get((2, key)) or [b""])[0], encoding))), "")

    date, time = text(55), text(60)
    return _metadata(
        caption=text(120, 105, 5),
        alt="",
        keywords=[_bytes_text(k, encoding) for k in records.get((2, 25), [])],
        author=text(80, 110),
        rights=text(116),
        source=text(115),
        taken_at=parse_date(f"{date}T{time}") or parse_date(date),
    )


def _bytes_text(value: bytes, encoding: str | None) -> str:
    """UTF-8 where it is well-formed, else Windows Latin, as old programs wrote it."""
    try:
        return value.decode(encoding or "utf-8").strip("\0 \r\n\t")
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace").strip("\0 \r\n\t")


def _from_xmp(block: bytes) -> PictureMetadata:
    start, end = block.find(b"<"), block.rfind(b">")
    if start < 0 or len(block) > MAX_XMP_BYTES:
        return PictureMetadata()
    try:
        root = fromstring(block[start : end + 1], forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return PictureMetadata()
    descriptions = list(root.iter(f"{_RDF}Description"))

    def values(name: str) -> list[str]:
        found: list[str] = []
        for description in descriptions:
            if written := description.get(name):
                found.append(written)
            for child in description.findall(name):
                found += _xmp_values(child)
        return [v.strip() for v in found if v.strip()]

    def first(*names: str) -> str:
        return next((found[0] for name in names if (found := values(name))), "")

    licence = next(
        (v for n in (f"{_CC}license", f"{_RIGHTS}WebStatement") for v in values(n) if canonical_licence(v) != v), ""
    )
    return _metadata(
        caption=first(f"{_DC}description", f"{_PHOTOSHOP}Headline", f"{_DC}title"),
        alt=first(f"{_IPTC}AltTextAccessibility"),
        keywords=values(f"{_DC}subject"),
        author=", ".join(values(f"{_DC}creator")) or first(f"{_PHOTOSHOP}Credit"),
        rights=licence or first(f"{_DC}rights", f"{_RIGHTS}UsageTerms"),
        source=first(f"{_DC}source", f"{_PHOTOSHOP}Source"),
        taken_at=parse_date(first(f"{_EXIF}DateTimeOriginal", f"{_PHOTOSHOP}DateCreated", f"{_XMP}CreateDate")),
    )


def _xmp_values(element: Element) -> list[str]:
    """A property's values: its resource, its text, or its list; of language variants the default one first."""
    if resource := element.get(f"{_RDF}resource"):
        return [resource]
    items = list(element.iter(f"{_RDF}li"))
    if not items:
        return [element.text or ""]
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    items.sort(key=lambda item: item.get(language, "x-default") != "x-default")
    return [item.text or "" for item in items]


def _from_exif(tags: dict[int, object]) -> PictureMetadata:
    def text(tag: int) -> str:
        value = tags.get(tag)
        if isinstance(value, str):  # Pillow read the bytes as Latin-1; people write UTF-8
            value = value.encode("latin-1", "replace")
        return _bytes_text(value.replace(b"\0", b" "), None) if isinstance(value, bytes) else ""

    def windows_text(tag: int) -> str:
        value = tags.get(tag)
        if isinstance(value, tuple) and all(isinstance(v, int) and 0 <= v < 256 for v in value):
            value = bytes(value)
        return value.decode("utf-16-le", "replace").rstrip("\0") if isinstance(value, bytes) else ""

    taken = f"{text(0x9003)}{text(0x9011)}" if text(0x9003) else text(0x0132)
    return _metadata(
        caption=text(0x010E) or windows_text(0x9C9B) or windows_text(0x9C9C),
        alt="",
        keywords=[k for k in (k.strip() for k in windows_text(0x9C9E).split(";")) if k],
        author=text(0x013B) or windows_text(0x9C9D),
        rights=text(0x8298),
        source="",
        taken_at=parse_date(taken) or parse_date(text(0x9003)),
    )


def _from_texts(texts: tuple[tuple[str, str], ...]) -> PictureMetadata:
    said: dict[str, str] = {}
    for keyword, text in texts:
        said.setdefault(keyword.lower(), text)

    def first(*keywords: str) -> str:
        return next((said[k] for k in keywords if said.get(k, "").strip()), "")

    return _metadata(
        caption=first("description", "title", "comment"),
        alt="",
        keywords=[],
        author=first("author", "artist"),
        rights=first("copyright", "license", "licence"),
        source=first("source"),
        taken_at=parse_date(first("creation time")),
    )
