"""Reviewing: what is wrong with a finished text, said to the workflow (drop the block) or to the person (a note)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agents.context import Finding
from agents.words.redundancy import near_duplicates, shingles
from interleaf.schema import Brief, TextBlock
from interleaf.text import count_words, is_cjk

__all__ = ["review_draft"]

LENGTH_TOLERANCE = 0.1
# A wall of text, in words, or in characters of Chinese and Japanese.
LONG_PARAGRAPH_WORDS = 260
LONG_PARAGRAPH_CHARACTERS = 520
MAX_QUOTED_CHARS = 60
# Findings of one kind beyond this are counted, not listed.
MAX_LISTED = 5


def review_draft(brief: Brief, title: str, blocks: Sequence[TextBlock]) -> tuple[Finding, ...]:
    """Findings in the order of the text, those about the whole piece last."""
    empty = list(_empty_sections(blocks))
    repeated = list(_repeated_sentences(blocks))
    bare = {f.block_id for f in (*empty, *repeated) if f.remedy == "drop"}
    kept = [block for block in blocks if block.id not in bare]
    # What is dropped may leave a heading alone.
    empty += [f for f in _empty_sections(kept) if f.block_id not in bare]
    order = {block.id: k for k, block in enumerate(blocks)}
    local = [
        *empty,
        *_shortened(repeated, "sentences stand twice"),
        *_shortened(list(_long_paragraphs(kept)), "paragraphs are very long"),
        *_shortened(list(_repeated_headings(title, kept)), "headings stand twice"),
        *_shortened(list(_without_source(kept)), "blocks name no source"),
    ]
    local.sort(key=lambda f: order.get(f.block_id or "", len(order)))
    return (*local, *_length(brief, kept))


def _empty_sections(blocks: Sequence[TextBlock]) -> Iterator[Finding]:
    """Headings under which nothing stands, not even a deeper heading with text."""
    last_level = 0  # nothing stands below the last block
    for block in reversed(blocks):
        if block.type != "heading":
            last_level = 7
            continue
        if last_level <= block.level:
            yield Finding("empty_section", f"{_quoted(block.text)}: nothing stands under it", block.id, "drop")
        else:
            last_level = block.level


def _repeated_sentences(blocks: Sequence[TextBlock]) -> Iterator[Finding]:
    """Sentences that an earlier block has said; a block that says nothing else is to go."""
    said: list[tuple[TextBlock, str]] = [
        (block, block.text[support.start : support.end])
        for block in blocks
        if block.type in ("paragraph", "quote")
        for support in block.provenance.supports
    ]
    again: dict[str, list[str]] = {}
    for i, j in near_duplicates([shingles(text) for _, text in said]):
        # Within one block a refrain may be meant.
        if said[i][0].id != said[j][0].id:
            sentences = again.setdefault(said[j][0].id, [])
            if said[j][1] not in sentences:
                sentences.append(said[j][1])
    for block in blocks:
        if block.id in again:
            whole = len(again[block.id]) == len(block.provenance.supports)
            yield Finding(
                "repeated_sentence",
                f"said before: {_quoted(again[block.id][0])}",
                block.id,
                "drop" if whole else "note",
            )


def _long_paragraphs(blocks: Sequence[TextBlock]) -> Iterator[Finding]:
    for block in blocks:
        if block.type != "paragraph":
            continue
        words = count_words(block.text)
        if words > (LONG_PARAGRAPH_CHARACTERS if is_cjk(block.text) else LONG_PARAGRAPH_WORDS):
            yield Finding("long_paragraph", f"{words} words in one paragraph: {_quoted(block.text)}", block.id)


def _repeated_headings(title: str, blocks: Sequence[TextBlock]) -> Iterator[Finding]:
    """A heading that says again what the title or an earlier heading of its level says."""
    seen = {(0, title.casefold())}
    for block in blocks:
        if block.type != "heading":
            continue
        key = block.text.casefold()
        if (block.level, key) in seen or (0, key) in seen:
            yield Finding("repeated_heading", f"{_quoted(block.text)} heads two parts", block.id)
        seen.add((block.level, key))


def _without_source(blocks: Sequence[TextBlock]) -> Iterator[Finding]:
    for block in blocks:
        if block.type != "heading" and block.provenance.origin != "person" and not block.provenance.supports:
            yield Finding("no_source", f"no source is named for: {_quoted(block.text)}", block.id)


def _length(brief: Brief, blocks: Sequence[TextBlock]) -> Iterator[Finding]:
    wanted = brief.length_words
    if wanted is None:
        return
    words = sum(count_words(block.text) for block in blocks)
    if abs(words - wanted) > LENGTH_TOLERANCE * wanted:
        if words < wanted:
            message = f"{words} words instead of {wanted}: the notes hold no more about what was asked; give more notes"
        else:
            message = f"{words} words instead of {wanted}: lists, tables and quotations are kept whole"
        yield Finding("length_off_target", message)


def _shortened(findings: list[Finding], counted: str) -> list[Finding]:
    """Every finding to drop, the first few notes, and how many more there are."""
    notes = [f for f in findings if f.remedy == "note"]
    if len(notes) <= MAX_LISTED:
        return findings
    shown = set(map(id, notes[:MAX_LISTED]))
    kept = [f for f in findings if f.remedy == "drop" or id(f) in shown]
    return [*kept, Finding(notes[0].code, f"{len(notes) - MAX_LISTED} more {counted}")]


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line if len(line) <= MAX_QUOTED_CHARS else line[: MAX_QUOTED_CHARS - 1] + '…'}”"
