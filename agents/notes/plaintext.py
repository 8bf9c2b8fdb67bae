"""Plain-text reader: paragraphs by blank lines, bullets, quoted lines, underlined and title-like lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from agents.notes.block import Piece, SourceBlock, SourceDocument, SourceItem, build_pieces
from interleaf.schema import SourceSpan, SourceText
from interleaf.text import count_words

__all__ = ["read_plain_text"]

MAX_HEADING_WORDS = 12
MAX_HEADING_CHARS = 80
# A line longer than this was not wrapped by hand: each line is a paragraph.
LONGEST_WRAPPED_LINE_CHARS = 200

_BULLET = re.compile(r"([ \t]{0,40})(?:[-*•‣◦–·・●○■□▪]|(\d{1,4})[.)])[ \t]{1,20}(?=\S)")
_UNDERLINE = re.compile(r"[ \t]{0,3}(={3,}|-{3,}|~{3,}|\*{3,}|\^{3,})[ \t]*")
_QUOTE_MARK = re.compile(r"[ \t]{0,3}(?:>[ \t]?){1,9}")
_RULE = re.compile(r"[\s\-=_*~#+.·]*")
_SENTENCE_END = (".", "!", "?", "。", "！", "？", ",", ";", "，", "；", "、", ":", "：", "…")

_Line = tuple[int, int]


def read_plain_text(source: SourceText) -> SourceDocument:
    """The document of a plain-text source. Any text can be read."""
    blocks: list[SourceBlock] = []
    groups = list(_groups(source.text))
    for k, lines in enumerate(groups):
        followed = k + 1 < len(groups)
        blocks += _read_group(source, lines, followed)
    blocks = _without_final_heading(blocks)
    title = ""
    if blocks and blocks[0].kind == "heading":
        title = blocks[0].text if _is_title(blocks) else ""
        if title:
            blocks[0] = replace(blocks[0], level=1)
    return SourceDocument(source=source, blocks=tuple(blocks), title=" ".join(title.split()))


def _is_title(blocks: list[SourceBlock]) -> bool:
    """The first line is the title when more headings follow, the next at once or later."""
    return any(b.kind == "heading" for b in blocks[1:]) or len(blocks) > 1


def _groups(text: str) -> Iterator[list[_Line]]:
    """Runs of lines without a blank line between them."""
    group: list[_Line] = []
    at = 0
    for line in text.split("\n"):
        if line.strip():
            group.append((at, at + len(line)))
        elif group:
            yield group
            group = []
        at += len(line) + 1
    if group:
        yield group


def _read_group(source: SourceText, lines: list[_Line], followed: bool) -> Iterator[SourceBlock]:
    text = source.text
    k = 0
    while k < len(lines):
        start, end = lines[k]
        if k + 1 < len(lines) and _underlines(text, lines[k], lines[k + 1]):
            mark = text[lines[k + 1][0] : lines[k + 1][1]].strip()[0]
            yield from _words(source, "heading", [lines[k]], level=2 if mark == "=" else 3)
            k += 2
            continue
        if _RULE.fullmatch(text, start, end):
            k += 1
            continue
        if _QUOTE_MARK.match(text, start, end):
            stop = k
            while stop < len(lines) and _QUOTE_MARK.match(text, *lines[stop]):
                stop += 1
            yield from _quote(source, lines[k:stop])
            k = stop
            continue
        if _BULLET.match(text, start, end) and not _is_numbered_heading(text, lines, k, followed):
            stop = k + 1
            while stop < len(lines) and not _underlines_next(text, lines, stop):
                stop += 1
            yield from _list(source, lines[k:stop])
            k = stop
            continue
        stop = k + 1
        while stop < len(lines) and not _starts_something(text, lines, stop):
            stop += 1
        part = lines[k:stop]
        if len(part) == 1 and stop == len(lines) and followed and _title_like(text[start:end]):
            yield from _words(source, "heading", part, level=2)
        elif max(high - low for low, high in part) > LONGEST_WRAPPED_LINE_CHARS:
            for line in part:
                yield from _words(source, "paragraph", [line])
        else:
            yield from _words(source, "paragraph", part)
        k = stop


def _starts_something(text: str, lines: list[_Line], k: int) -> bool:
    start, end = lines[k]
    if _BULLET.match(text, start, end):
        # One numbered line inside prose is more likely a wrapped "… in\n1984. Then …".
        numbered = _BULLET.match(text, start, end)
        return not (numbered and numbered.group(2) and len(numbered.group(2)) > 2)
    return bool(_QUOTE_MARK.match(text, start, end)) or _underlines_next(text, lines, k)


def _underlines_next(text: str, lines: list[_Line], k: int) -> bool:
    return k + 1 < len(lines) and _underlines(text, lines[k], lines[k + 1])


def _underlines(text: str, line: _Line, below: _Line) -> bool:
    if not _UNDERLINE.fullmatch(text, *below) or _RULE.fullmatch(text, *line):
        return False
    words, mark = text[line[0] : line[1]].strip(), text[below[0] : below[1]].strip()
    return len(words) <= 2 * MAX_HEADING_CHARS and len(mark) >= min(3, len(words) // 2)


def _is_numbered_heading(text: str, lines: list[_Line], k: int, followed: bool) -> bool:
    """ "2. The flood" alone between blank lines is a heading, not a list of one."""
    if len(lines) != 1 or not followed:
        return False
    found = _BULLET.match(text, *lines[k])
    return bool(found and found.group(2) and _title_like(text[found.end() : lines[k][1]]))


def _title_like(line: str) -> bool:
    words = line.strip()
    if not words or len(words) > MAX_HEADING_CHARS or words.endswith(_SENTENCE_END):
        return False
    if not any(c.isalpha() for c in words) or "://" in words:
        return False
    first = next(c for c in words if c.isalnum())
    return not first.islower() and count_words(words) <= MAX_HEADING_WORDS * (2 if len(words) < 30 else 1)


def _without_final_heading(blocks: list[SourceBlock]) -> list[SourceBlock]:
    """A heading with nothing below it, or another heading at once, is a line of text (a list of names,
    a signature), except the first line of all, which may be the title above a heading."""
    kept: list[SourceBlock] = []
    for k, block in enumerate(blocks):
        after = blocks[k + 1] if k + 1 < len(blocks) else None
        lonely = after is None or (after.kind == "heading" and after.level <= block.level)
        if block.kind == "heading" and block.level == 2 and lonely and k > 0:
            kept.append(replace(block, kind="paragraph", level=0))
        else:
            kept.append(block)
    return kept


def _span(source: SourceText, pieces: tuple[Piece, ...]) -> SourceSpan:
    return SourceSpan(source_id=source.id, start=pieces[0].start, end=pieces[-1].end)


def _words(source: SourceText, kind: str, lines: list[_Line], level: int = 0) -> Iterator[SourceBlock]:
    text, pieces = build_pieces(source.text, [("\n", lines[0][0], lines[-1][1])])
    if pieces and kind == "heading":
        yield SourceBlock(kind="heading", span=_span(source, pieces), text=text, pieces=pieces, level=level)
    elif pieces:
        yield SourceBlock(kind="paragraph", span=_span(source, pieces), text=text, pieces=pieces)


def _quote(source: SourceText, lines: list[_Line]) -> Iterator[SourceBlock]:
    runs = []
    for start, end in lines:
        mark = _QUOTE_MARK.match(source.text, start, end)
        runs.append(("\n", mark.end() if mark else start, end))
    text, pieces = build_pieces(source.text, runs)
    if pieces:
        yield SourceBlock(kind="quote", span=_span(source, pieces), text=text, pieces=pieces)


def _list(source: SourceText, lines: list[_Line]) -> Iterator[SourceBlock]:
    text = source.text
    indents: list[int] = []
    items: list[SourceItem] = []
    pieces: list[Piece] = []
    parts: list[str] = []
    at = 0
    gathered: list[tuple[int, bool, int, int, int]] = []  # depth, ordered, number, start, end
    for start, end in lines:
        found = _BULLET.match(text, start, end)
        if found is None and gathered:
            gathered[-1] = (*gathered[-1][:4], end)
            continue
        if found is None:
            continue
        indent = len(found.group(1).expandtabs(4))
        while indents and indents[-1] > indent:
            indents.pop()
        if not indents or indents[-1] < indent:
            indents.append(indent)
        number = int(found.group(2)) if found.group(2) else 1
        gathered.append((len(indents) - 1, bool(found.group(2)), number, found.end(), end))
    for depth, ordered, number, start, end in gathered:
        words, own = build_pieces(text, [("", start, end)])
        if not own:
            continue
        if items:
            parts.append("\n")
            at += 1
        parts.append(words)
        pieces += [Piece(p.at + at, p.start, p.end) for p in own]
        items.append(SourceItem(words, _span(source, own), at, at + len(words), depth, ordered, number))
        at += len(words)
    if items:
        whole = SourceSpan(source_id=source.id, start=pieces[0].start, end=pieces[-1].end)
        yield SourceBlock(kind="list", span=whole, text="".join(parts), pieces=tuple(pieces), items=tuple(items))
