"""Tasks: articles of a set turned into tasks without their answers, by the shared definitions.

Records are those of `articles.jsonl`. A system under test sees only what these functions give: no ids of
pictures, original names, labels, references, slots, nor the order of the pictures.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

__all__ = ["headings_of", "outline_tasks", "placement_tasks", "query_id", "retrieval_tasks", "split_blocks"]

Record = Mapping[str, Any]
# An article must have this many headings and blocks for its outline to be asked.
MIN_HEADINGS = 2
MIN_BLOCKS = 8


def split_blocks(article: Record) -> tuple[list[Record], list[Record]]:
    """The text blocks and the picture blocks of an article, each in order."""
    text = [block for block in article["blocks"] if block["type"] != "image"]
    return text, [block for block in article["blocks"] if block["type"] == "image"]


def _shown(block: Record) -> dict[str, Any]:
    return {key: block[key] for key in ("type", "level", "text") if key in block}


def placement_tasks(
    articles: Sequence[Record],
    *,
    captions: bool = True,
    distractors: int = 0,
    scope: Literal["any", "repo"] = "any",
) -> list[dict[str, Any]]:
    """Text blocks and a shuffled bag of pictures for each article. With `distractors`, that many foreign
    pictures per own one join the bag: from any other article, or (`repo`) only from the same source.
    The shuffle is drawn from the article's id, so that every run sees the same bag."""
    tasks = []
    for article in articles:
        text, own = split_blocks(article)
        draw = random.Random("bag" + article["id"])
        bag = list(own)
        if distractors:
            mine = {picture["image_path"] for picture in own}
            pool = [
                picture
                for other in articles
                if other is not article and (scope == "any" or other["source_repo"] == article["source_repo"])
                for picture in split_blocks(other)[1]
                if picture["image_path"] not in mine
            ]
            bag += draw.sample(pool, min(len(pool), distractors * len(bag)))
        draw.shuffle(bag)
        items: dict[str, dict[str, Any]] = {}
        for picture in bag:
            path = picture["image_path"]
            if path in items:
                continue
            items[path] = {"image": path, "width": picture["width"], "height": picture["height"]}
            if captions:
                items[path] |= {"caption": picture["caption"], "alt": picture["alt"]}
        tasks.append(
            {
                "id": article["id"],
                "lang": article["lang"],
                "title": article["title"],
                "text": [_shown(block) for block in text],
                "bag": list(items.values()),
            }
        )
    return tasks


def headings_of(article: Record) -> tuple[list[Record], list[tuple[int, int, str]]]:
    """The text blocks without headings, and the headings as (k, level, text): a heading before block k."""
    rest: list[Record] = []
    headings: list[tuple[int, int, str]] = []
    waiting: list[Record] = []
    for block in split_blocks(article)[0]:
        if block["type"] == "heading":
            waiting.append(block)
            continue
        headings += [(len(rest), heading["level"], heading["text"]) for heading in waiting]
        waiting = []
        rest.append(block)
    return rest, headings


def outline_tasks(articles: Sequence[Record]) -> list[dict[str, Any]]:
    """Text without headings, of the articles that have enough of both."""
    tasks = []
    for article in articles:
        rest, headings = headings_of(article)
        if len(headings) >= MIN_HEADINGS and len(rest) >= MIN_BLOCKS:
            tasks.append(
                {
                    "id": article["id"],
                    "lang": article["lang"],
                    "title": article["title"],
                    "text": [_shown(block) for block in rest],
                }
            )
    return tasks


def query_id(picture: Record) -> str:
    """The id of the query for a picture's place; it does not give the picture away."""
    return "q" + hashlib.sha256(picture["id"].encode()).hexdigest()[:10]


def retrieval_tasks(articles: Sequence[Record]) -> list[dict[str, Any]]:
    """For each captioned picture: the words around its place, without the picture."""
    tasks = []
    for article in articles:
        text, pictures = split_blocks(article)
        for picture in pictures:
            if not picture["caption"]:
                continue
            above, below = text[: picture["slot"]], text[picture["slot"] :]
            tasks.append(
                {
                    "id": query_id(picture),
                    "lang": article["lang"],
                    "before": next((b["text"] for b in reversed(above) if b["type"] != "code"), ""),
                    "after": next((b["text"] for b in below if b["type"] != "code"), ""),
                    "heading": next((b["text"] for b in reversed(above) if b["type"] == "heading"), ""),
                    "title": article["title"],
                }
            )
    return tasks
