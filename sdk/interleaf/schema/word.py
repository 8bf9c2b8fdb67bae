"""Word: the base of every value that crosses a border; frozen, unknown fields refused, text cleaned."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from interleaf.text import clean, clean_line

SCHEMA_VERSION = "1"


class Word(BaseModel):
    """A frozen value of the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=20_000_000)


def _cleaned(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


def _cleaned_line(value: object) -> object:
    return clean_line(value) if isinstance(value, str) else value


Prose = Annotated[str, BeforeValidator(_cleaned)]
"""Text of several lines, without control characters or lone surrogates."""

Line = Annotated[str, BeforeValidator(_cleaned_line), StringConstraints(max_length=4_000)]
"""Text of one line: folded, cleaned, at most 4,000 characters."""

BlockId = Annotated[str, StringConstraints(pattern=r"^b-[0-9a-z]{1,40}$")]
"""A block's stable id, such as `b-3f9a2c`."""

SourceId = Annotated[str, StringConstraints(pattern=r"^s-[0-9a-z]{1,40}$")]
"""A source's id: `s-` and the head of the sha256 of its text."""

PictureId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A picture's id: sha256 of its pixels as stored, in hex."""

LanguageTag = Annotated[str, StringConstraints(pattern=r"^(auto|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)$")]
"""A BCP 47 language tag, or `auto`."""
