"""Table of a Markdown source: its cells with their places."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it.token import Token

from agents.notes.block import Align, Piece, SourceBlock, SourceCell
from agents.notes.line_map import LineMap
from interleaf.schema import SourceSpan

__all__ = ["read_table"]


def read_table(tokens: Sequence[Token], lines: LineMap, source_id: str) -> SourceBlock | None:
    """The block of the tokens from `table_open` on; None for a table without words."""
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
            at, end = lines.line(token.map[0])
            row = []
        elif token.type in ("th_open", "td_open"):
            cell, at = _cell(lines.text, source_id, tokens[k + 1].content, at, end)
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
    all_rows = ([tuple(header)] if header else []) + rows
    spans = [c.span for line in all_rows for c in line if c.span is not None]
    if not spans:
        return None
    return SourceBlock(
        kind="table",
        span=SourceSpan(source_id=source_id, start=spans[0].start, end=spans[-1].end),
        text="\n".join(" | ".join(c.text for c in line) for line in all_rows),
        pieces=_cell_pieces(all_rows),
        header=tuple(header),
        rows=tuple(rows),
        align=tuple(align),
    )


def _cell(text: str, source_id: str, content: str, at: int, end: int) -> tuple[SourceCell, int]:
    said = content.strip()
    if not said:
        return SourceCell("", None), at
    written = said.replace("|", "\\|") if text.find(said, at, end) < 0 else said
    place = text.find(written, at, end)
    if place < 0:
        return SourceCell(said, SourceSpan(source_id=source_id, start=at, end=at)), at
    span = SourceSpan(source_id=source_id, start=place, end=place + len(written))
    return SourceCell(said, span), span.end


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
