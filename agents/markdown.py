"""Markdown reader: CommonMark, tables, footnotes and front matter into blocks with exact offsets.

markdown-it finds the blocks and their lines; the words' offsets are found again in those lines, because
a container (quote, list) takes its marks off each line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

from agents.block import (
    Align,
    Piece,
    SourceBlock,
    SourceCell,
    SourceDocument,
    SourceImage,
    SourceItem,
    build_pieces,
)
from agents.inline import Cut, find_cuts, html_images, is_caption, plain_text
from interleaf.schema import SourceSpan, SourceText
from interleaf.text import fold_space

__all__ = ["read_markdown"]

MAX_NESTING = 24  # containers within containers; deeper marks are read as text
MAX_FRONT_MATTER_CHARS = 65_536

_FRONT_MATTER = re.compile(r"\s{0,20}?(---|\+\+\+)[ \t]*\n")
_FIELD = re.compile(r"^(title|lang|language|author|authors)[ \t]*[:=][ \t]*(.+)$", re.I | re.M)
_HEADING_ATTRIBUTES = re.compile(r"\s*\{[#.:][^{}]{0,200}\}$")
_ADMONITION = re.compile(r"\[!\w{1,30}\][+-]?")

_Run = tuple[str, int, int]


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable("table").use(footnote_plugin)
    # Only the blocks: what stands inside a paragraph is left as it is written.
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def read_markdown(source: SourceText) -> SourceDocument:
    """The document of a Markdown source. Every text is Markdown: nothing is refused."""
    text = source.text
    fields, body = _front_matter(text)
    environment: dict[str, Any] = {}
    tokens = _parser().parse(text[body:] if body else text, environment)
    walk = _Walk(source, body, environment.get("references", {}))
    walk.read(tokens)
    blocks, title = _levelled(_captioned(walk.blocks, walk.images))
    return SourceDocument(
        source=source,
        blocks=tuple(blocks),
        images=tuple(walk.images),
        title=fields.get("title", "") or title,
        language=fields.get("language", ""),
        author=fields.get("author", ""),
    )


def _front_matter(text: str) -> tuple[dict[str, str], int]:
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


@dataclass
class _OpenList:
    """The list being read; flushed when something that is no item's text stands between."""

    start: int
    counters: list[int] = field(default_factory=list)
    ordered: list[bool] = field(default_factory=list)
    numbers: list[tuple[int, bool, int]] = field(default_factory=list)  # depth, ordered, number
    runs: list[list[_Run]] = field(default_factory=list)


class _Walk:
    """Goes over markdown-it's tokens once and collects blocks and pictures."""

    def __init__(self, source: SourceText, body: int, references: dict[str, Any]) -> None:
        self.text = source.text
        self.source_id = source.id
        self.references = references
        self.line_starts = [body]
        for found in re.finditer("\n", self.text[body:] if body else self.text):
            self.line_starts.append(found.end() + body)
        self.blocks: list[SourceBlock] = []
        self.images: list[SourceImage] = []
        self.list: _OpenList | None = None
        self.quote_depth = 0
        self.quote_runs: list[_Run] = []

    def read(self, tokens: list[Token]) -> None:
        k = 0
        while k < len(tokens):
            token = tokens[k]
            kind = token.type
            if kind == "paragraph_open":
                self._paragraph(tokens[k + 1])
                k += 3
                continue
            if kind == "heading_open":
                self._heading(token, tokens[k + 1])
                k += 3
                continue
            if kind in ("footnote_reference_open", "table_open"):
                end = _closing(tokens, k)
                if kind == "table_open":
                    self._flush()
                    self._table(tokens[k:end])
                k = end + 1
                continue
            if kind in ("bullet_list_open", "ordered_list_open"):
                self._open_list(token)
            elif kind in ("bullet_list_close", "ordered_list_close"):
                self._close_list()
            elif kind == "list_item_open":
                self._open_item()
            elif kind == "blockquote_open":
                if self.quote_depth == 0:
                    self._flush()
                self.quote_depth += 1
            elif kind == "blockquote_close":
                self.quote_depth -= 1
                if self.quote_depth == 0:
                    self._flush()
            elif kind in ("fence", "code_block"):
                self._flush()
                self._code(token)
            elif kind == "html_block":
                self._html(token)
            k += 1
        self._flush()

    # Containers

    def _open_list(self, token: Token) -> None:
        if self.quote_depth:
            return
        number = int(token.attrs.get("start", 1)) if token.type == "ordered_list_open" else 1
        if self.list is None:
            self.list = _OpenList(start=number)
        self.list.counters.append(number - 1)
        self.list.ordered.append(token.type == "ordered_list_open")

    def _close_list(self) -> None:
        if self.quote_depth or self.list is None:
            return
        self.list.counters.pop()
        self.list.ordered.pop()
        if not self.list.counters:
            self._flush()
            self.list = None

    def _open_item(self) -> None:
        if self.quote_depth or self.list is None:
            return
        self.list.counters[-1] += 1
        depth = len(self.list.counters) - 1
        self.list.numbers.append((depth, self.list.ordered[-1], self.list.counters[-1]))
        self.list.runs.append([])

    def _flush(self) -> None:
        """Ends the quote or list that is being collected, as blocks; an open list goes on after it."""
        if self.quote_runs:
            text, pieces = build_pieces(self.text, self.quote_runs)
            if pieces:
                self.blocks.append(SourceBlock(kind="quote", span=self._span(pieces), text=text, pieces=pieces))
            self.quote_runs = []
        if self.list is not None and any(self.list.runs):
            self._list_block(self.list)
        if self.list is not None:
            self.list.runs, self.list.numbers = [], []

    def _list_block(self, gathered: _OpenList) -> None:
        parts: list[str] = []
        pieces: list[Piece] = []
        items: list[SourceItem] = []
        at = 0
        for (depth, ordered, number), runs in zip(gathered.numbers, gathered.runs, strict=True):
            text, own = build_pieces(self.text, runs)
            if not own:
                continue
            if items:
                parts.append("\n")
                at += 1
            parts.append(text)
            pieces += [Piece(p.at + at, p.start, p.end) for p in own]
            items.append(
                SourceItem(
                    text=text,
                    span=self._span(own),
                    at_start=at,
                    at_end=at + len(text),
                    depth=depth,
                    ordered=ordered,
                    number=number,
                )
            )
            at += len(text)
        if items:
            block = SourceBlock(
                kind="list", span=self._span(pieces), text="".join(parts), pieces=tuple(pieces), items=tuple(items)
            )
            self.blocks.append(block)

    # Leaves

    def _paragraph(self, inline: Token) -> None:
        runs = self._cut(self._line_runs(inline))
        if self.quote_depth:
            self._quoted(runs)
        elif self.list is not None:
            if not self.list.runs:  # an item that goes on after a code block: words of their own
                self._plain_paragraph(runs, ())
            else:
                last = self.list.runs[-1]
                last += [("\n", *run[1:]) if k == 0 and last else run for k, run in enumerate(runs)]
        else:
            images = tuple(range(self._images_before, len(self.images)))
            self._plain_paragraph(runs, images)

    def _plain_paragraph(self, runs: list[_Run], images: tuple[int, ...]) -> None:
        text, pieces = build_pieces(self.text, runs)
        if images and (not pieces or self.images[images[0]].span.end <= pieces[0].start):
            # The pictures come first: a block of their own, and what follows may be their caption.
            span = SourceSpan(
                source_id=self.source_id, start=self.images[images[0]].span.start, end=self.images[images[-1]].span.end
            )
            if not pieces or span.end <= pieces[0].start:
                self.blocks.append(SourceBlock(kind="image", span=span, text="", images=images))
                images = ()
        if pieces:
            span = self._span(pieces)
            self.blocks.append(SourceBlock(kind="paragraph", span=span, text=text, pieces=pieces, images=images))

    def _quoted(self, runs: list[_Run]) -> None:
        if not self.quote_runs and runs and _ADMONITION.fullmatch(self.text[runs[0][1] : runs[0][2]].strip()):
            runs = runs[1:]  # "[!NOTE]" says how to draw the quote, not what it says
        for k, run in enumerate(runs):
            self.quote_runs.append(("\n\n", *run[1:]) if k == 0 and self.quote_runs else run)

    def _heading(self, token: Token, inline: Token) -> None:
        if token.markup[:1] == "#":
            runs = self._atx_runs(inline)
        else:
            runs = self._line_runs(inline)
        runs = self._cut(runs)
        if self.quote_depth:
            self._quoted(runs)
            return
        self._flush()
        if runs:
            joint, start, end = runs[-1]
            attributes = _HEADING_ATTRIBUTES.search(self.text, max(start, end - 220), end)
            runs[-1] = (joint, start, attributes.start() if attributes else end)
        text, pieces = build_pieces(self.text, runs)
        if pieces:
            level = int(token.tag[1:])
            self.blocks.append(
                SourceBlock(kind="heading", span=self._span(pieces), text=text, pieces=pieces, level=level)
            )

    def _code(self, token: Token) -> None:
        assert token.map is not None
        first = token.map[0] + (token.type == "fence")
        content = token.content.split("\n")
        while content and not content[-1].strip():
            content.pop()
        skip = next((k for k, line in enumerate(content) if line.strip()), 0)
        pieces: list[Piece] = []
        at = 0
        for k, line in enumerate(content[skip:], start=skip):
            start, end = self._line(first + k)
            if line and self.text.endswith(line, start, end):
                place = end - len(line)
                last = pieces[-1] if pieces else None
                if last is not None and last.end + 1 == place and last.at + last.end - last.start + 1 == at:
                    pieces[-1] = Piece(last.at, last.start, end)
                else:
                    pieces.append(Piece(at, place, end))
            at += len(line) + 1
        if pieces:
            language = token.info.split()[0] if token.info.strip() else ""
            text = "\n".join(content[skip:])
            self.blocks.append(
                SourceBlock(
                    kind="code", span=self._span(pieces), text=text, pieces=tuple(pieces), language=language[:40]
                )
            )

    def _html(self, token: Token) -> None:
        """Raw HTML is never kept; the pictures it shows are."""
        assert token.map is not None
        if "<!--" in token.content[:20] or self.quote_depth or self.list is not None:
            return
        start, end = self._line(token.map[0])[0], self._line(token.map[1] - 1)[1]
        first = len(self.images)
        for low, high, image in html_images(self.text[start:end]):
            self._add_image(start + low, start + high, image)
        if len(self.images) > first:
            span = SourceSpan(
                source_id=self.source_id, start=self.images[first].span.start, end=self.images[-1].span.end
            )
            shown = tuple(range(first, len(self.images)))
            self.blocks.append(SourceBlock(kind="image", span=span, text="", images=shown))

    def _table(self, tokens: list[Token]) -> None:
        header: list[SourceCell] = []
        rows: list[tuple[SourceCell, ...]] = []
        align: list[Align] = []
        row: list[SourceCell] = []
        at = end = 0
        in_header = False
        for k, token in enumerate(tokens):
            if token.type == "thead_open":
                in_header = True
            elif token.type == "thead_close":
                in_header = False
            elif token.type == "tr_open":
                assert token.map is not None
                at, end = self._line(token.map[0])
                row = []
            elif token.type in ("th_open", "td_open"):
                cell, at = self._cell(tokens[k + 1].content, at, end)
                row.append(cell)
                if in_header:
                    style = str(token.attrs.get("style", ""))
                    sides: tuple[Align, ...] = ("left", "right", "center")
                    align.append(next((side for side in sides if style.endswith(side)), ""))
            elif token.type == "tr_close":
                if in_header:
                    header = row
                else:
                    rows.append(tuple(row))
        lines = ([tuple(header)] if header else []) + rows
        spans = [c.span for line in lines for c in line if c.span is not None]
        if not spans:
            return
        text = "\n".join(" | ".join(c.text for c in line) for line in lines)
        span = SourceSpan(source_id=self.source_id, start=spans[0].start, end=spans[-1].end)
        self.blocks.append(
            SourceBlock(
                kind="table",
                span=span,
                text=text,
                pieces=_cell_pieces(lines),
                header=tuple(header),
                rows=tuple(rows),
                align=tuple(align),
            )
        )

    def _cell(self, content: str, at: int, end: int) -> tuple[SourceCell, int]:
        said = content.strip()
        if not said:
            return SourceCell("", None), at
        written = said.replace("|", "\\|") if self.text.find(said, at, end) < 0 else said
        place = self.text.find(written, at, end)
        if place < 0:
            return SourceCell(said, SourceSpan(source_id=self.source_id, start=at, end=at)), at
        span = SourceSpan(source_id=self.source_id, start=place, end=place + len(written))
        return SourceCell(said, span), span.end

    # Offsets

    def _line(self, number: int) -> tuple[int, int]:
        """Where a line begins and ends, without its line end."""
        start = self.line_starts[number]
        following = number + 1
        return start, self.line_starts[following] - 1 if following < len(self.line_starts) else len(self.text)

    def _line_runs(self, inline: Token) -> list[_Run]:
        """The words of each line of a paragraph, without the marks of its containers."""
        assert inline.map is not None
        runs: list[_Run] = []
        for k, line in enumerate(inline.content.split("\n")):
            words = line.strip()
            if not words:
                continue
            start, end = self._line(inline.map[0] + k)
            while end > start and self.text[end - 1].isspace():
                end -= 1
            if self.text.endswith(words, start, end):
                runs.append(("\n", end - len(words), end))
        return runs

    def _atx_runs(self, inline: Token) -> list[_Run]:
        assert inline.map is not None
        start, end = self._line(inline.map[0])
        words = inline.content.strip()
        marks = self.text.find("#", start, end)
        while start <= marks < end and self.text[marks] == "#":
            marks += 1
        place = self.text.find(words, max(start, marks), end) if words else -1
        return [("", place, place + len(words))] if place >= 0 else []

    def _cut(self, runs: list[_Run]) -> list[_Run]:
        """The runs without what is not said; pictures among it are collected."""
        self._images_before = len(self.images)
        if not runs:
            return runs
        low, high = runs[0][1], runs[-1][2]
        raw = self.text[low:high]
        if "![" not in raw and "[^" not in raw and "<" not in raw:
            return runs
        # One string of the runs, so that a mark may stretch over lines; `origin` maps it back.
        said = "\n".join(self.text[start:end] for _, start, end in runs)
        cuts = find_cuts(said, self.references)
        kept: list[_Run] = []
        at = 0
        k = 0
        for joint, start, end in runs:
            low, high = at, at + end - start
            while k < len(cuts) and cuts[k].end <= low:
                k += 1
            place, here = low, joint
            j = k
            while j < len(cuts) and cuts[j].start < high:
                if cuts[j].start > place:
                    kept.append((here, start + place - low, start + cuts[j].start - low))
                    here = ""
                if cuts[j].start >= low:
                    self._collect(cuts[j], start - low, high)
                place = min(high, max(place, cuts[j].end))
                j += 1
            if place < high:
                kept.append((here, start + place - low, end))
            at = high + 1
        return kept

    def _collect(self, cut: Cut, shift: int, high: int) -> None:
        if cut.image is not None:
            self._add_image(cut.start + shift, min(cut.end, high) + shift, cut.image)

    def _add_image(self, start: int, end: int, image: tuple[str, str, str]) -> None:
        path, alt, title = image
        span = SourceSpan(source_id=self.source_id, start=start, end=end)
        self.images.append(SourceImage(path=fold_space(path), alt=fold_space(alt), caption=title, span=span))

    def _span(self, pieces: list[Piece] | tuple[Piece, ...]) -> SourceSpan:
        return SourceSpan(source_id=self.source_id, start=pieces[0].start, end=pieces[-1].end)


def _closing(tokens: list[Token], k: int) -> int:
    """The index of the token that closes the one at `k`."""
    level = 0
    for j in range(k, len(tokens)):
        level += tokens[j].nesting
        if level == 0:
            return j
    return len(tokens) - 1


def _cell_pieces(lines: list[tuple[SourceCell, ...]]) -> tuple[Piece, ...]:
    found, at = [], 0
    for line in lines:
        for k, cell in enumerate(line):
            at += 3 if k else 0
            if cell.span is not None and cell.span.end - cell.span.start == len(cell.text):
                found.append(Piece(at, cell.span.start, cell.span.end))
            at += len(cell.text)
        at += 1
    return tuple(found)


def _captioned(blocks: list[SourceBlock], images: list[SourceImage]) -> Iterator[SourceBlock]:
    """Takes the line below a picture as its caption, where it is one, and out of the text."""
    shown: int | None = None
    for block in blocks:
        if shown is not None and block.kind == "paragraph" and not images[shown].caption and is_caption(block.text):
            images[shown] = replace(images[shown], caption=plain_text(block.text))
            shown = None
            continue
        shown = block.images[-1] if block.kind == "image" and block.images else None
        yield block


def _levelled(blocks: Iterator[SourceBlock]) -> tuple[list[SourceBlock], str]:
    """Heading levels without gaps: 1 for a title that stands above everything, 2 and more below it."""
    kept = list(blocks)
    headings = [b for b in kept if b.kind == "heading"]
    if not headings:
        return kept, ""
    used = sorted({b.level for b in headings})
    first = headings[0]
    before = next(k for k, b in enumerate(kept) if b is first)
    alone = sum(b.level == first.level for b in headings) == 1 and first.level == used[0]
    titled = alone and before <= 1
    rank = {level: min(6, k + (1 if titled else 2)) for k, level in enumerate(used)}
    kept = [replace(b, level=rank[b.level]) if b.kind == "heading" else b for b in kept]
    return kept, plain_text(first.text) if titled else ""
