"""Source: what a piece rests on, and spans that point into it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from interleaf.schema.word import Line, Prose, SourceId, Word

__all__ = ["Source", "SourceRecord", "SourceSpan", "SourceText"]


class Source(Word):
    """A note or document that a brief names: a path (file or folder), or the text itself."""

    path: str | None = Field(None, description="A file or folder; relative to the brief's own folder")
    text: Prose | None = None
    name: Line = Field("", description="A label; the file name when empty")
    media_type: Literal["text/markdown", "text/plain", "auto"] = "auto"

    @model_validator(mode="after")
    def _path_or_text(self) -> Self:
        if (self.path is None) == (self.text is None):
            raise ValueError("a source has either `path` or `text`, exactly one of them")
        return self


class SourceText(Word):
    """A source that was read: its text with line ends and hidden characters cleaned, offsets kept."""

    id: SourceId
    name: Line
    media_type: Literal["text/markdown", "text/plain"] = "text/markdown"
    text: Prose


class SourceRecord(Word):
    """What a finished piece remembers of a source."""

    id: SourceId
    name: Line
    sha256: str
    length_chars: int


class SourceSpan(Word):
    """`text[start:end]` of a source, in Unicode code points of its cleaned text."""

    source_id: SourceId
    start: int = Field(ge=0)
    end: int = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"a span ends ({self.end}) before it starts ({self.start})")
        return self
