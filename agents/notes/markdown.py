"""Markdown reader: CommonMark, tables, footnotes and front matter into blocks with exact offsets.

markdown-it finds the blocks and their lines; the words' offsets are found again in those lines, because
a container (quote, list) takes its marks off each line.
"""

from __future__ import annotations

import re
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

from agents.notes.block import Piece, SourceBlock, SourceDocument, SourceImage, build_pieces
from agents.notes.front_matter import read_front_matter
from agents.notes.inline import Cut, find_cuts, html_images
from agents.notes.line_map import LineMap, Run
from agents.notes.open_list import OpenList
from agents.notes.structure import level_headings, take_captions
from agents.notes.table import read_table
from interleaf.schema import SourceSpan, SourceText
from interleaf.text import fold_space

__all__ = ["read_markdown"]

MAX_NESTING = 24  # containers within containers; deeper marks are read as text

_HEADING_ATTRIBUTES = re.compile(r"\s*\{[#.:][^{}]{0,200}\}$")
_ADMONITION = re.compile(r"\[!\w{1,30}\][+-]?")


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable("table").use(footnote_plugin)
    # Only the blocks: what stands inside a paragraph is left as it is written.
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def read_markdown(source: SourceText) -> SourceDocument:
    """The document of a Markdown source. Every text is Markdown: nothing is refused."""
    text = source.text
    fields, body = read_front_matter(text)
    environment: dict[str, Any] = {}
    tokens = _parser().parse(text[body:] if body else text, environment)
    walk = _Walk(source, body, environment.get("references", {}))
    walk.read(tokens)
    blocks, title = level_headings(take_captions(walk.blocks, walk.images))
    return SourceDocument(
        source=source,
        blocks=tuple(blocks),
        images=tuple(walk.images),
        title=fields.get("title", "") or title,
        language=fields.get("language", ""),
        author=fields.get("author", ""),
    )


class _Walk:
    """Goes over markdown-it's tokens once and collects blocks and pictures."""

    def __init__(self, source: SourceText, body: int, references: dict[str, Any]) -> None:
        self.text = source.text
        self.source_id = source.id
        self.references = references
        self.lines = LineMap(source.text, body)
        self.blocks: list[SourceBlock] = []
        self.images: list[SourceImage] = []
        self.list: OpenList | None = None
        self.quote_depth = 0
        self.quote_runs: list[Run] = []

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
                    table = read_table(tokens[k:end], self.lines, self.source_id)
                    self.blocks += [table] if table else []
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
        self.list = self.list or OpenList()
        is_ordered = token.type == "ordered_list_open"
        self.list.enter(is_ordered, int(token.attrs.get("start", 1)) if is_ordered else 1)

    def _close_list(self) -> None:
        if self.quote_depth or self.list is None:
            return
        if self.list.leave():
            self._flush()
            self.list = None

    def _open_item(self) -> None:
        if self.quote_depth or self.list is None:
            return
        self.list.next_item()

    def _flush(self) -> None:
        """Ends the quote or list that is being collected, as blocks; an open list goes on after it."""
        if self.quote_runs:
            text, pieces = build_pieces(self.text, self.quote_runs)
            if pieces:
                self.blocks.append(SourceBlock(kind="quote", span=self._span(pieces), text=text, pieces=pieces))
            self.quote_runs = []
        if self.list is not None:
            block = self.list.block(self.text, self.source_id)
            self.blocks += [block] if block else []
            self.list.clear()

    # Leaves

    def _paragraph(self, inline: Token) -> None:
        runs = self._cut(self.lines.paragraph_runs(inline))
        if self.quote_depth:
            self._quoted(runs)
        elif self.list is not None:
            if not self.list.runs:  # an item that goes on after a code block: words of their own
                self._plain_paragraph(runs, ())
            else:
                self.list.add(runs)
        else:
            images = tuple(range(self._images_before, len(self.images)))
            self._plain_paragraph(runs, images)

    def _plain_paragraph(self, runs: list[Run], images: tuple[int, ...]) -> None:
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

    def _quoted(self, runs: list[Run]) -> None:
        if not self.quote_runs and runs and _ADMONITION.fullmatch(self.text[runs[0][1] : runs[0][2]].strip()):
            runs = runs[1:]  # "[!NOTE]" says how to draw the quote, not what it says
        for k, run in enumerate(runs):
            self.quote_runs.append(("\n\n", *run[1:]) if k == 0 and self.quote_runs else run)

    def _heading(self, token: Token, inline: Token) -> None:
        if token.markup[:1] == "#":
            runs = self.lines.heading_runs(inline)
        else:
            runs = self.lines.paragraph_runs(inline)
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
            start, end = self.lines.line(first + k)
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
        start, end = self.lines.line(token.map[0])[0], self.lines.line(token.map[1] - 1)[1]
        first = len(self.images)
        for low, high, image in html_images(self.text[start:end]):
            self._add_image(start + low, start + high, image)
        if len(self.images) > first:
            span = SourceSpan(
                source_id=self.source_id, start=self.images[first].span.start, end=self.images[-1].span.end
            )
            shown = tuple(range(first, len(self.images)))
            self.blocks.append(SourceBlock(kind="image", span=span, text="", images=shown))

    def _cut(self, runs: list[Run]) -> list[Run]:
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
        kept: list[Run] = []
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
