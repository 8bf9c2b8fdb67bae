"""Outline: the plan of a piece, made by a writer or given and approved by a person."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from interleaf.schema.source import SourceSpan
from interleaf.schema.word import Line, Prose, Word

__all__ = ["Outline", "OutlineSection"]


class OutlineSection(Word):
    """One section. `material` names the source spans that it will rest on (extractive writers)."""

    heading: Line = Field("", description="Empty: the section stands without a heading (an opening)")
    heading_span: SourceSpan | None = Field(None, description="Where the heading's words stand in a source")
    level: int = Field(2, ge=2, le=6)
    points: tuple[Annotated[Prose, Field(max_length=4_000)], ...] = Field(
        (), max_length=100, description="What the section should say, in a person's words"
    )
    length_words: int | None = Field(None, ge=1, le=100_000)
    material: tuple[SourceSpan, ...] = Field((), max_length=100_000)


class Outline(Word):
    """A title and the sections in order."""

    title: Line = ""
    sections: tuple[OutlineSection, ...] = Field((), max_length=200)
