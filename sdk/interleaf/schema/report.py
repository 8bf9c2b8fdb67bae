"""Report: the quality numbers that travel with a finished piece."""

from __future__ import annotations

from pydantic import Field

from interleaf.schema.word import Line, Word

__all__ = ["Notice", "Report"]


class Notice(Word):
    """Something a person should know: a code for machines, a sentence for people."""

    code: Line
    message: Line


class Report(Word):
    """Numbers that need no judge. Definitions: docs/quality.md."""

    words: int = 0
    words_wanted: int | None = None
    length_score: float | None = Field(None, description="S_l of LongBench-Write, 0..100")
    sentences: int = 0
    sentences_with_span: int = 0
    pictures_placed: int = 0
    pictures_considered: int = 0
    repeated_5grams_share: float = 0.0
    warnings: tuple[Notice, ...] = ()
