"""Article set: illustrated articles of a folder in the format of the shared evaluation data.

`articles.jsonl`, one article a line: `{id, source_repo, lang, title, blocks}`; a text block is
`{type: heading|paragraph|list|code, text, level?}`, a picture block `{type: image, image_path,
caption, alt, width, height, slot}`. Read here into values of the schema.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from interleaf.errors import SourceUnreadable
from interleaf.schema import Code, Heading, ListBlock, ListItem, Paragraph, Picture, Provenance, TextBlock
from interleaf.schema.word import Line

__all__ = ["IllustratedArticle", "picture_of", "read_articles", "read_lines", "text_blocks"]

_PERSON = Provenance(origin="person")
MAX_LINE_CHARS = Line.__metadata__[1].max_length  # type: ignore[attr-defined]


@dataclass(frozen=True)
class IllustratedArticle:
    """A real article with its own pictures and where its author put them."""

    id: str
    source: str
    language: str
    title: str
    blocks: tuple[TextBlock, ...]
    pictures: tuple[Picture, ...]
    image_paths: tuple[str, ...]  # of each picture, relative to the set's folder
    slots: tuple[tuple[int, ...], ...]  # of each picture: the author's slots


def text_blocks(records: Sequence[Mapping[str, Any]]) -> tuple[TextBlock, ...]:
    """Text blocks of a task or an article as blocks of the schema, with ids `b-0`, `b-1`, …"""
    return tuple(_block(record, index) for index, record in enumerate(records))


def _block(record: Mapping[str, Any], index: int) -> TextBlock:
    name, text, kind = f"b-{index}", str(record.get("text", "")), record.get("type")
    if kind == "heading":
        level = min(6, max(2, int(record.get("level", 2))))
        return Heading(id=name, provenance=_PERSON, level=level, text=text[:4_000])
    if kind == "code":
        return Code(id=name, provenance=_PERSON, text=text)
    if kind == "list":
        lines = [line for line in text.split("\n") if line.strip()] or [text]
        items = tuple(ListItem(text=line.strip().removeprefix("- ") or line) for line in lines)
        return ListBlock(id=name, provenance=_PERSON, items=items)
    return Paragraph(id=name, provenance=_PERSON, text=text)


def picture_of(record: Mapping[str, Any], path_field: str) -> Picture:
    """A picture record as a picture of the schema; its id is the hash of its path, for the pixels stay closed."""
    path = str(record[path_field])
    caption = str(record.get("caption") or "")
    return Picture(
        id=hashlib.sha256(path.encode("utf-8", "replace")).hexdigest(),
        media_type="image/jpeg",
        width_px=int(record.get("width") or 1),
        height_px=int(record.get("height") or 1),
        size_bytes=1,
        caption=caption,
        caption_origin="document" if caption else "none",
        alt=str(record.get("alt") or ""),
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON-lines file. SourceUnreadable names the line that is not a JSON object."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceUnreadable(str(path), f"cannot be read ({error}).", "Give a JSON-lines file.") from error
    found: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise SourceUnreadable(f"{path.name}:{number}", f"is not JSON ({error}).", "Mend the line.") from error
        if not isinstance(record, dict):
            raise SourceUnreadable(f"{path.name}:{number}", "is not a JSON object.", "Mend the line.")
        found.append(record)
    return found


def read_articles(folder: Path) -> list[IllustratedArticle]:
    """The articles of `folder/articles.jsonl`. SourceUnreadable names the article that lacks something."""
    articles: list[IllustratedArticle] = []
    for record in read_lines(folder / "articles.jsonl"):
        try:
            articles.append(_article(record))
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            name = str(record.get("id", "?"))
            raise SourceUnreadable(
                name, f"is not an article of this format ({error}).", "See docs/ranker.md."
            ) from error
    return articles


def _article(record: Mapping[str, Any]) -> IllustratedArticle:
    blocks = text_blocks([b for b in record["blocks"] if b["type"] != "image"])
    pictures: dict[str, Picture] = {}
    slots: dict[str, list[int]] = {}
    for block in record["blocks"]:
        if block["type"] == "image":
            path = str(block["image_path"])
            pictures.setdefault(path, picture_of(block, "image_path"))
            slots.setdefault(path, []).append(int(block["slot"]))
    return IllustratedArticle(
        id=str(record["id"]),
        source=str(record["source_repo"]),
        language=str(record["lang"]),
        title=str(record["title"]),
        blocks=blocks,
        pictures=tuple(pictures.values()),
        image_paths=tuple(pictures),
        slots=tuple(tuple(s) for s in slots.values()),
    )
