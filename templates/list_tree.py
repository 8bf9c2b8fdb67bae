"""List tree: the flat items of a list block as nested lists, the way HTML and CommonMark write them."""

from __future__ import annotations

from dataclasses import dataclass, field

from interleaf.schema import ListBlock, ListItem

__all__ = ["ListEntry", "ListTree", "list_trees"]

MAX_START = 999_999_999


@dataclass
class ListEntry:
    """One item and the lists inside it."""

    text: str
    sublists: list[ListTree] = field(default_factory=list)


@dataclass
class ListTree:
    """One list: items of one kind. `start` is the first number of an ordered one."""

    ordered: bool
    start: int
    entries: list[ListEntry] = field(default_factory=list)


def list_trees(block: ListBlock) -> tuple[ListTree, ...]:
    """The lists of a block in order: several where bullets and numbers follow one another at the top.

    Depths are only compared: an item is inside the nearest item above with a smaller depth, so that
    skipped depths leave no empty level. Items without text are left out.
    """
    trees: list[ListTree] = []
    # The items that are still open, outermost first, with their own depth.
    above: list[tuple[int, ListEntry]] = []
    for item in block.items:
        if not item.text.strip():
            continue
        while above and above[-1][0] >= item.depth:
            above.pop()
        siblings = above[-1][1].sublists if above else trees
        entry = ListEntry(item.text)
        _list_for(item, siblings, block.start if not trees and not above else 1).entries.append(entry)
        above.append((item.depth, entry))
    return tuple(trees)


def _list_for(item: ListItem, siblings: list[ListTree], start: int) -> ListTree:
    if not siblings or siblings[-1].ordered != item.ordered:
        siblings.append(ListTree(item.ordered, start if 0 <= start <= MAX_START else 1))
    return siblings[-1]
