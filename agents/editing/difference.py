"""Difference: what changed between two versions of a piece, block by block and word by word, for people to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

from interleaf.schema import Alternative, Article, Block, Figure, ListItem, Provenance

__all__ = ["BlockChange", "Words", "difference", "in_words"]

# Beyond so many words of a block its words are not held against one another: it changed as a whole.
MAX_WORDS: Final = 2_000
MAX_PREVIEW_CHARS: Final = 80
_WORDS: Final = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Words:
    """A run of words that both versions have, or one of them."""

    kind: Literal["same", "removed", "added"]
    text: str


@dataclass(frozen=True)
class BlockChange:
    """What became of a block. `fields`: which of its fields differ, each with its words."""

    kind: Literal["added", "removed", "moved", "changed"]
    block_id: str
    block_type: str
    preview: str
    fields: tuple[tuple[str, tuple[Words, ...]], ...] = ()


def difference(old: Article, new: Article) -> tuple[BlockChange, ...]:
    """Changes from `old` to `new` in the order in which a reader meets them; () when the blocks are the same.

    A block that changed and moved is told twice. Of blocks in another order as few as possible count as moved.
    """
    before = {block.id: block for block in old.blocks}
    after = {block.id: block for block in new.blocks}
    both = [block.id for block in old.blocks if block.id in after]
    stayed = _longest_in_order(both, [block.id for block in new.blocks if block.id in before])
    changes: list[BlockChange] = []
    gone = _gone_before(old.blocks, after)
    for block in new.blocks:
        changes += [_change("removed", one) for one in gone.pop(block.id, ())]
        known = before.get(block.id)
        if known is None:
            changes.append(_change("added", block))
            continue
        if block.id not in stayed:
            changes.append(_change("moved", block))
        if known != block:
            changes.append(_change("changed", block, tuple(_fields(known, block))))
    return (*changes, *(_change("removed", one) for rest in gone.values() for one in rest))


def in_words(changes: Sequence[BlockChange]) -> str:
    """The changes as lines of text: `+` added, `-` removed, `~` changed with [-old-]{+new+}, `>` moved."""
    lines: list[str] = []
    marks = {"added": "+", "removed": "-", "moved": ">", "changed": "~"}
    for change in changes:
        lines.append(f"{marks[change.kind]} {change.block_type} {change.block_id}: {change.preview}")
        for name, words in change.fields:
            lines.append(f"    {name}: {''.join(_marked(one) for one in words)}")
    return "\n".join(lines) + ("\n" if lines else "")


def _marked(words: Words) -> str:
    if words.kind == "same":
        return words.text
    return f"[-{words.text}-]" if words.kind == "removed" else f"{{+{words.text}+}}"


def _change(
    kind: Literal["added", "removed", "moved", "changed"],
    block: Block,
    fields: tuple[tuple[str, tuple[Words, ...]], ...] = (),
) -> BlockChange:
    said = block.caption if isinstance(block, Figure) else block.text
    line = " ".join(said.split())
    preview = line if len(line) <= MAX_PREVIEW_CHARS else line[: MAX_PREVIEW_CHARS - 1] + "…"
    return BlockChange(kind, block.id, block.type, preview, fields)


def _gone_before(blocks: Sequence[Block], after: dict[str, Block]) -> dict[str, list[Block]]:
    """Blocks that are gone, by the next block that is still there ("" at the end)."""
    found: dict[str, list[Block]] = {}
    waiting: list[Block] = []
    for block in blocks:
        if block.id not in after:
            waiting.append(block)
        elif waiting:
            found[block.id], waiting = waiting, []
    if waiting:
        found[""] = waiting
    return found


def _fields(old: Block, new: Block) -> Iterator[tuple[str, tuple[Words, ...]]]:
    for name in type(new).model_fields:
        one, other = getattr(old, name, None), getattr(new, name)
        if one == other:
            continue
        said = _said(one), _said(other)
        words = _whole(*said) if isinstance(other, Provenance) else _words(*said)
        # Where in the notes a sentence stands, say, is nothing that a person reads.
        if any(word.kind != "same" for word in words):
            yield name, words


def _said(value: object) -> str:
    """A field's value as a person would read it."""
    match value:
        case None:
            return ""
        case str():
            return value
        case Provenance():
            count = len(value.supports)
            rests = "" if value.origin == "source" else " resting on the notes"
            held = f", {count} sentence{'' if count == 1 else 's'}{rests}" if count else ""
            return f"{_BY[value.origin]}{held}"
        case ListItem():
            return f"{'  ' * value.depth}{'1.' if value.ordered else '-'} {value.text}"
        case Alternative():
            return value.caption or value.picture_id
        case tuple() if any(isinstance(one, tuple) for one in value):
            return "\n".join(" | ".join(_said(cell) for cell in row) for row in value)
        case tuple():
            return "\n".join(map(_said, value))
        case _:
            return str(value)


_BY: Final = {
    "source": "from the notes",
    "library": "from a library",
    "person": "by a person",
    "model": "by a model",
    "workflow": "by the workflow",
}


def _words(old: str, new: str) -> tuple[Words, ...]:
    left, right = _WORDS.findall(old), _WORDS.findall(new)
    if max(len(left), len(right)) > MAX_WORDS:
        return _whole(old, new)
    found: list[Words] = []
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(Words("same", "".join(left[a:b])))
            continue
        found += [Words("removed", "".join(left[a:b]))] if b > a else []
        found += [Words("added", "".join(right[c:d]))] if d > c else []
    return tuple(found)


def _whole(old: str, new: str) -> tuple[Words, ...]:
    """As a whole, for words that say little one by one."""
    if old == new:
        return (Words("same", new),)
    return tuple(one for one in (Words("removed", old), Words("added", new)) if one.text)


def _longest_in_order(old: Sequence[str], new: Sequence[str]) -> set[str]:
    """The most ids that stand in the same order in both (the longest rising run of places)."""
    place = {one: at for at, one in enumerate(old)}
    tails: list[int] = []  # where the best run of each length ends, as a number in `new`
    before: list[int] = []
    for number, one in enumerate(new):
        low, high = 0, len(tails)
        while low < high:
            middle = (low + high) // 2
            if place[new[tails[middle]]] < place[one]:
                low = middle + 1
            else:
                high = middle
        before.append(tails[low - 1] if low else -1)
        tails[low : low + 1] = [number]
    found: set[str] = set()
    at = tails[-1] if tails else -1
    while at >= 0:
        found.add(new[at])
        at = before[at]
    return found
