"""Language: the one a piece is written in."""

from __future__ import annotations

from collections.abc import Sequence

from agents.notes.sentence import detect_language
from interleaf.schema import Brief, SourceText

__all__ = ["resolve_language"]

# Enough to tell a language, little enough to be instant.
SAMPLE_CHARS = 6_000


def resolve_language(brief: Brief, sources: Sequence[SourceText]) -> str:
    """The brief's language; with `auto`, the language of the sources, or of the instruction without any."""
    if brief.language != "auto":
        return brief.language
    share = max(1, SAMPLE_CHARS // max(1, len(sources)))
    sample = "\n".join(source.text[:share] for source in sources).strip()
    return detect_language(sample[:SAMPLE_CHARS] or brief.instruction)
