"""Metadata: what is said of a picture by a person, by the picture itself, or by its file name.

Priority: given in the call > sidecar > embedded (IPTC, XMP, EXIF, PNG text) > file name. Field by
field: what a better source leaves empty, the next one may fill.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final, Literal

from interleaf.schema import canonical_licence
from interleaf.text import clean, clean_line

__all__ = ["ALIASES", "CaptionOrigin", "PictureMetadata", "from_mapping", "parse_date"]

MAX_CAPTION_CHARS: Final = 4_000
MAX_LINE_CHARS: Final = 500
MAX_KEYWORDS: Final = 64
MAX_KEYWORD_CHARS: Final = 100
MAX_DATE_CHARS: Final = 64

CaptionOrigin = Literal["sidecar", "embedded", "document", "given", "file_name", "none"]

# The names under which people write the fields, best first.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "caption": ("caption", "description", "title"),
    "alt": ("alt", "alt_text", "alttext"),
    "keywords": ("keywords", "tags", "keyword"),
    "author": ("author", "creator", "artist", "photographer", "credit"),
    "licence": ("licence", "license", "rights"),
    "source_url": ("source_url", "source", "url"),
    "taken_at": ("taken_at", "date", "date_taken"),
}
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_DATE: Final = re.compile(
    r"(\d{4})[:\-./]?(\d{2})[:\-./]?(\d{2})"
    r"(?:[T ]+(\d{2}):?(\d{2})(?::?(\d{2})(?:\.\d{1,9})?)?\s*(Z|[+\-]\d{2}:?\d{2})?)?\s*$"
)


@dataclass(frozen=True)
class PictureMetadata:
    """What is said of one picture; empty means that nothing is said. `notes` are sentences for a person."""

    caption: str = ""
    caption_origin: CaptionOrigin = "none"
    alt: str = ""
    keywords: tuple[str, ...] = ()
    author: str | None = None
    licence: str | None = None
    source_url: str | None = None
    taken_at: datetime | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    def over(self, other: PictureMetadata) -> PictureMetadata:
        """This one, its empty fields filled from `other`."""
        merged = {f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(self)}
        merged["caption_origin"] = self.caption_origin if self.caption else other.caption_origin
        merged["notes"] = self.notes + other.notes
        return PictureMetadata(**merged)

    def cleaned(self) -> PictureMetadata:
        """Every field cleaned and cut to its limit, with a note for each cut; licence in canonical spelling."""
        notes = list(self.notes)

        def cut(name: str, value: str, limit: int) -> str:
            if len(value) <= limit:
                return value
            notes.append(f"its {name} has {len(value):,} characters; the first {limit:,} are kept.")
            return value[:limit].rstrip()

        caption = cut("caption", clean(self.caption[: MAX_CAPTION_CHARS * 300]).strip(), MAX_CAPTION_CHARS)
        alt = cut("alternative text", clean(self.alt[: MAX_CAPTION_CHARS * 300]).strip(), MAX_CAPTION_CHARS)
        keywords = tuple(dict.fromkeys(k for word in self.keywords if (k := clean_line(word)[:MAX_KEYWORD_CHARS])))
        if len(keywords) > MAX_KEYWORDS:
            notes.append(f"it has {len(keywords)} keywords; the first {MAX_KEYWORDS} are kept.")
        source = clean_line(self.source_url or "")
        if source and not source.lower().startswith(("http://", "https://")) and _SCHEME.match(source):
            notes.append("its source is not a web address (http or https) and was left out.")
            source = ""
        licence = canonical_licence(cut("licence", clean_line(self.licence or ""), MAX_LINE_CHARS))
        return replace(
            self,
            caption=caption,
            caption_origin=self.caption_origin if caption else "none",
            alt=alt,
            keywords=keywords[:MAX_KEYWORDS],
            author=cut("author", clean_line(self.author or ""), MAX_LINE_CHARS) or None,
            licence=licence,
            source_url=cut("source", source, 2 * MAX_LINE_CHARS) or None,
            notes=tuple(notes),
        )


def from_mapping(values: Mapping[Any, Any], origin: CaptionOrigin, name: str = "") -> PictureMetadata:
    """Metadata from a mapping with any of the ALIASES as keys, in any case; unknown keys say nothing.

    `name` is the picture's file name: a `title` that only repeats it is no caption.
    """
    known = {_key(key): value for key, value in values.items() if isinstance(key, str)}
    found: dict[str, Any] = {}
    for field_name, aliases in ALIASES.items():
        for alias in aliases:
            value = _keywords(known.get(alias)) if field_name == "keywords" else _text(known.get(alias))
            if alias == "title" and isinstance(value, str) and value.strip() == name:
                continue
            if value:
                found[field_name] = value
                break
    notes: tuple[str, ...] = ()
    if "taken_at" in found:
        written = found["taken_at"]
        found["taken_at"] = parse_date(written)
        if found["taken_at"] is None:
            notes = (f"its date {written[:40]!r} is not understood; write it like 2026-03-31.",)
    return PictureMetadata(caption_origin=origin if found.get("caption") else "none", notes=notes, **found)


def parse_date(written: str) -> datetime | None:
    """A date as EXIF, IPTC, XMP and ISO 8601 write it; None when it is none."""
    found = _DATE.match(written.strip()[:MAX_DATE_CHARS])
    if found is None:
        return None
    year, month, day, hour, minute, second, zone = found.groups()
    text = f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    if zone:
        text += "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _key(key: str) -> str:
    return key.strip().lower().replace("-", "_").replace(" ", "_")


def _text(value: Any) -> str:
    """A scalar as text; anything nested says nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        return ", ".join(value[:MAX_KEYWORDS])
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value) if isinstance(value, int | float) else ""


def _keywords(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(word.strip() for word in re.split(r"[;,|\n、；，]", value[:100_000]) if word.strip())
    if isinstance(value, list | tuple):
        return tuple(str(word).strip() for word in value[:1_000] if isinstance(word, str | int | float))
    return ()
