"""Figure: a chosen picture in its place, with caption, alt text, credit and the reason, always all of them."""

from __future__ import annotations

import hashlib

from agents.context import Candidate, Choice
from interleaf.schema import Alternative, Figure, Picture, Provenance
from interleaf.text import clean_line

__all__ = ["credit_line", "make_figure"]

MAX_ALT_CHARS = 300


def credit_line(picture: Picture) -> str:
    """Author, source and licence in one line; says so when they are not stated."""
    parts = [picture.author or "", _host(picture.source_url), picture.licence or ""]
    return ", ".join(part for part in parts if part)


def make_figure(choice: Choice, candidate: Candidate, others: dict[str, Candidate]) -> Figure:
    """The figure block. The caption is the library's; without one it is composed from the keywords or left empty.

    The alt text is the library's own; without one the caption stands in (cut to a sentence's length), and
    `alt_origin` says which, so that a person can see what a machine filled in.
    """
    picture = candidate.picture
    caption, caption_origin = picture.caption.strip(), "library"
    if picture.caption_origin == "document":
        caption_origin = "source"
    elif picture.caption_origin == "given":
        caption_origin = "person"
    if picture.caption_origin in ("file_name", "none") or not caption:
        composed = picture.caption.strip() or ", ".join(picture.keywords)
        caption, caption_origin = _sentence_case(composed), "composed" if composed else "none"
    alt, alt_origin = clean_line(picture.alt), "library"
    if not alt:
        alt, alt_origin = _first_sentence(caption), "caption"
    if not alt:
        # Nothing is known of the picture but its shape: say that much rather than hide it from a reader.
        alt, alt_origin = f"Picture, {picture.width_px} by {picture.height_px} pixels", "composed"
    return Figure(
        id="b-" + hashlib.sha256(f"figure {picture.id}".encode()).hexdigest()[:16],
        provenance=Provenance(origin="source" if candidate.origin == "document" else "library"),
        picture_id=picture.id,
        caption=caption,
        caption_origin=caption_origin,
        alt=alt,
        alt_origin=alt_origin,
        credit=credit_line(picture),
        licence=picture.licence,
        reason=choice.reason,
        score=min(1.0, max(0.0, choice.score)),
        alternatives=tuple(
            Alternative(
                picture_id=other.picture_id, score=other.score, caption=others[other.picture_id].picture.caption
            )
            for other in choice.alternatives
            if other.picture_id in others
        ),
    )


def _host(url: str | None) -> str:
    """The source's host for the credit line; the whole address is in the credits section."""
    if not url or "://" not in url:
        return ""
    return url.split("://", 1)[1].split("/", 1)[0].split("@")[-1]


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _first_sentence(caption: str) -> str:
    line = clean_line(caption)
    if len(line) <= MAX_ALT_CHARS:
        return line
    cut = line[:MAX_ALT_CHARS]
    end = max(cut.rfind(mark) for mark in (". ", "。", "! ", "? ", "; "))
    return cut[: end + 1] if end > MAX_ALT_CHARS // 3 else cut.rsplit(" ", 1)[0] + "…"
