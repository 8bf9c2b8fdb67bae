"""Front matter: the title, language and author that stand above a Markdown text."""

from __future__ import annotations

import re

from interleaf.text import fold_space

__all__ = ["read_front_matter"]

MAX_FRONT_MATTER_CHARS = 65_536

_FRONT_MATTER = re.compile(r"\s{0,20}?(---|\+\+\+)[ \t]*\n")
_FIELD = re.compile(r"^(title|lang|language|author|authors)[ \t]*[:=][ \t]*(.+)$", re.I | re.M)


def read_front_matter(text: str) -> tuple[dict[str, str], int]:
    """The fields we use, and where the body begins. Only plain `key: value` lines are read."""
    opening = _FRONT_MATTER.match(text)
    if opening is None:
        return {}, 0
    fence = opening.group(1)
    closing = re.compile(rf"^(?:{re.escape(fence)}|\.\.\.)[ \t]*$", re.M).search(
        text, opening.end(), opening.end() + MAX_FRONT_MATTER_CHARS
    )
    if closing is None or closing.start() < opening.end():
        return {}, 0
    inner = text[opening.end() : closing.start()]
    if inner.strip() and not re.search(r"^[\w\-]{1,100}[ \t]*[:=\[]|^\[", inner, re.M):
        return {}, 0  # a thematic break and prose, not front matter
    fields: dict[str, str] = {}
    for found in _FIELD.finditer(inner):
        key = found.group(1).lower()
        key = {"lang": "language", "authors": "author"}.get(key, key)
        fields.setdefault(key, _scalar(found.group(2)))
    return fields, closing.end()


def _scalar(value: str) -> str:
    value = fold_space(value)
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return fold_space(value[1:-1].replace('\\"', '"').replace("''", "'"))
    if value.startswith("[") and value.endswith("]"):
        return ", ".join(part.strip().strip("\"'") for part in value[1:-1].split(","))
    return fold_space(re.split(r"\s#", value)[0])
