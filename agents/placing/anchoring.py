"""Anchoring: the slot where a source document's own picture goes, now that its text has been selected and moved."""

from __future__ import annotations

from collections.abc import Sequence

from interleaf.schema import SourceSpan, TextBlock

__all__ = ["anchored_slot"]

# A picture stays with text that stood at most so far from it in its document, in characters.
MAX_DISTANCE_CHARS = 2_500


def anchored_slot(anchor: SourceSpan, blocks: Sequence[TextBlock]) -> int | None:
    """The slot right after the block whose source text ends nearest before the anchor, or right before the
    block whose source text starts nearest after it when that is nearer. None when no such text survived."""
    best: tuple[int, int, int] | None = None  # (distance, side, slot)
    for index, block in enumerate(blocks):
        for support in block.provenance.supports:
            for span in support.spans:
                if span.source_id != anchor.source_id:
                    continue
                if span.end <= anchor.start:
                    found = (anchor.start - span.end, 0, index + 1)
                elif span.start >= anchor.end:
                    found = (span.start - anchor.end, 1, index)
                else:
                    found = (0, 0, index + 1)
                if found[0] <= MAX_DISTANCE_CHARS and (best is None or found < best):
                    best = found
    return None if best is None else best[2]
