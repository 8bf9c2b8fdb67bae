"""Open list: a Markdown list while it is being read, its nesting, numbers and items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.notes.block import Piece, SourceBlock, SourceItem, build_pieces
from agents.notes.line_map import Run
from interleaf.schema import SourceSpan

__all__ = ["OpenList"]


@dataclass
class OpenList:
    """`counters` and `ordered` by depth; `numbers` (depth, ordered, number) and `runs` by item since the last block."""

    counters: list[int] = field(default_factory=list)
    ordered: list[bool] = field(default_factory=list)
    numbers: list[tuple[int, bool, int]] = field(default_factory=list)  # depth, ordered, number
    runs: list[list[Run]] = field(default_factory=list)

    def enter(self, is_ordered: bool, first_number: int) -> None:
        """A list begins, within the item that is being read or outermost."""
        self.counters.append(first_number - 1)
        self.ordered.append(is_ordered)

    def leave(self) -> bool:
        """The innermost list ends; whether it was the outermost."""
        self.counters.pop()
        self.ordered.pop()
        return not self.counters

    def next_item(self) -> None:
        """An item begins."""
        self.counters[-1] += 1
        self.numbers.append((len(self.counters) - 1, self.ordered[-1], self.counters[-1]))
        self.runs.append([])

    def add(self, runs: Sequence[Run]) -> None:
        """Words of a paragraph of the item that is being read."""
        last = self.runs[-1]
        last += [("\n", *run[1:]) if k == 0 and last else run for k, run in enumerate(runs)]

    def clear(self) -> None:
        """What was read so far has become a block; the list goes on."""
        self.runs, self.numbers = [], []

    def block(self, text: str, source_id: str) -> SourceBlock | None:
        """The items so far as a block; None when they hold no words."""
        parts: list[str] = []
        pieces: list[Piece] = []
        items: list[SourceItem] = []
        at = 0
        for (depth, ordered, number), runs in zip(self.numbers, self.runs, strict=True):
            words, own = build_pieces(text, runs)
            if not own:
                continue
            if items:
                parts.append("\n")
                at += 1
            parts.append(words)
            pieces += [Piece(p.at + at, p.start, p.end) for p in own]
            items.append(
                SourceItem(
                    text=words,
                    span=_span(source_id, own),
                    at_start=at,
                    at_end=at + len(words),
                    depth=depth,
                    ordered=ordered,
                    number=number,
                )
            )
            at += len(words)
        if not items:
            return None
        whole = _span(source_id, pieces)
        return SourceBlock(kind="list", span=whole, text="".join(parts), pieces=tuple(pieces), items=tuple(items))


def _span(source_id: str, pieces: Sequence[Piece]) -> SourceSpan:
    return SourceSpan(source_id=source_id, start=pieces[0].start, end=pieces[-1].end)
