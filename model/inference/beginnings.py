"""Beginnings: keys and values of prompts that have run; a later prompt that begins alike computes only what is new.

A radix tree over tokens: what several prompts begin with is kept once. Alike means the same tokens, the same pictures
in the same layout (by their keys, never by their placeholders), the same task and the same rotary base; a beginning
never ends within a picture. Bounded in bytes; what is longest unused leaves first, from its end. Letters: L tokens of
a prompt, G key-value heads, N tokens of a part, D width of a head.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.inference.memory import is_out_of_memory
from model.network.cache import Part

__all__ = ["Beginnings", "Known", "PictureSpan", "Tokens"]

MAX_BYTES: Final = 2 << 30  # 16,384 tokens of a 7B in bfloat16


class PictureSpan(NamedTuple):
    """Where a picture's vectors stand in a prompt, and which picture it is."""

    start: int
    end: int
    key: str


class Known(NamedTuple):
    """So many first tokens of a prompt, and their keys and values in parts that follow one another."""

    length: int
    parts: tuple[Part, ...]

    def first(self, length: int) -> Known:
        """No more than so many of them."""
        parts, at = [], 0
        for part in self.parts:
            parts.append(_cut(part, 0, max(0, length - at)))
            at += part[0][0].shape[1]
        return Known(min(length, self.length), tuple(parts))


class Tokens:
    """A prompt's (L,) ids with all that decides its keys and values: pictures, task, rotary base.

    Each placeholder lies in one of `pictures`, which are in order."""

    def __init__(self, ids: Sequence[int], pictures: Sequence[PictureSpan], task: str, rotary_base: float) -> None:
        self.ids: NDArray[np.int64] = np.array(ids, np.int64)
        self.pictures = tuple(pictures)
        self.setting = (task, rotary_base)
        self._by_start = {picture.start: picture for picture in pictures}

    def __len__(self) -> int:
        return len(self.ids)

    def alike(self, ids: NDArray[np.int64], pictures: Sequence[PictureSpan], start: int, end: int) -> int:
        """Up to where, at most `end`, these tokens go on from `start` as `ids` with `pictures` do; pictures whole."""
        count = min(len(ids), end - start)
        same = ids[:count] == self.ids[start : start + count]
        upto = start + (count if same.all() else int(same.argmin()))
        for picture in pictures:
            if picture.start >= upto:
                break
            if picture.end > upto or self._by_start.get(picture.start) != picture:
                return picture.start
        return upto

    def common(self, other: Tokens, end: int) -> int:
        """How many of their first tokens, at most `end`, two prompts share; one at least is left to each."""
        if self.setting != other.setting:
            return 0
        return self.alike(other.ids, other.pictures, 0, min(end, len(self) - 1, len(other) - 1))

    def symbol(self, at: int) -> tuple[object, ...]:
        """What tells apart how prompts go on at `at`."""
        picture = self._by_start.get(at)
        return (int(self.ids[at]), picture and picture.key, self.setting if at == 0 else None)

    def whole(self, end: int) -> int:
        """`end`, or where the picture begins that it would cut."""
        return next((p.start for p in self.pictures if p.start < end < p.end), end)


@dataclass(eq=False)
class _Node:
    """Tokens from `start` on, as one of the ways in which prompts go on after those of `parent`."""

    parent: _Node | None
    start: int
    ids: NDArray[np.int64]
    pictures: tuple[PictureSpan, ...]
    part: list[tuple[Tensor, Tensor]]
    used: int
    symbol: tuple[object, ...]
    children: dict[tuple[object, ...], _Node] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + len(self.ids)

    @property
    def bytes(self) -> int:
        return sum(held.numel() * held.element_size() for pair in self.part for held in pair)


class Beginnings:
    """What is kept of all prompts of one network. Threads may share it."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._clock = 0
        self._root = _Node(None, 0, np.zeros(0, np.int64), (), [], 0, ())
        self.bytes_kept = 0

    def __len__(self) -> int:
        """How many parts are kept."""
        return sum(1 for _ in self._nodes())

    def find(self, tokens: Tokens, end: int) -> Known:
        """The longest kept beginning of `tokens`, of at most `end`."""
        with self._lock:
            path, length = self._walk(tokens, end)
            self._touch(path)
            return Known(length, tuple(node.part for node in path)).first(length)

    def put(self, tokens: Tokens, end: int, parts: Sequence[Part]) -> None:
        """Keep the first `end` tokens, of which `parts` are the keys and values, copied; as many as there is room for.

        Where memory is too little for that, everything is forgotten instead."""
        with self._lock:
            try:
                self._put(tokens, end, parts)
            except RuntimeError as error:
                self._forget()
                if not is_out_of_memory(error):
                    raise

    def clear(self) -> None:
        """Forget everything, as other weights require."""
        with self._lock:
            self._forget()

    # Inside

    def _forget(self) -> None:
        for node in self._nodes():
            node.part.clear()  # at once: nodes know one another, so that they themselves wait for the collector
        self._root.children, self.bytes_kept = {}, 0

    def _walk(self, tokens: Tokens, end: int) -> tuple[list[_Node], int]:
        """Nodes along `tokens`, and how far they carry; the last one may do so only in part."""
        path: list[_Node] = []
        node, at = self._root, 0
        while at < end and (child := node.children.get(tokens.symbol(at))) is not None:
            upto = tokens.alike(child.ids, child.pictures, at, end)
            if upto == at:
                break
            path.append(child)
            node, at = child, upto
            if at < child.end:
                break
        return path, at

    def _touch(self, path: Sequence[_Node]) -> None:
        self._clock += 1
        for node in path:
            node.used = self._clock

    def _put(self, tokens: Tokens, end: int, parts: Sequence[Part]) -> None:
        path, at = self._walk(tokens, end)
        token_bytes = sum(held.shape[0] * held.shape[2] * held.element_size() for pair in parts[0] for held in pair)
        end = tokens.whole(min(end, self.max_bytes // token_bytes))
        if end > at:
            if path and at < path[-1].end:
                self._split(path[-1], at)
            self._touch(path)
            needed = (end - at) * token_bytes
            self._make_room(needed)
            own = tuple(picture for picture in tokens.pictures if at <= picture.start < end)
            parent = path[-1] if path else self._root
            symbol, part = tokens.symbol(at), _joined(parts, at, end)
            parent.children[symbol] = _Node(parent, at, tokens.ids[at:end].copy(), own, part, self._clock, symbol)
            self.bytes_kept += needed

    def _split(self, node: _Node, at: int) -> None:
        """Two nodes of one: what comes before `at` stays, the rest becomes its child. Each has a copy of its own, made
        layer by layer, so that either can be forgotten alone and little more memory is held meanwhile."""
        cut = at - node.start
        after = tuple(picture for picture in node.pictures if picture.start >= at)
        symbol = (int(node.ids[cut]), after[0].key if after and after[0].start == at else None, None)
        lower = _Node(node, at, node.ids[cut:].copy(), after, [], node.used, symbol, node.children)
        for child in lower.children.values():
            child.parent = lower
        for layer, (keys, values) in enumerate(node.part):
            lower.part.append((keys[:, cut:].clone(), values[:, cut:].clone()))
            node.part[layer] = (keys[:, :cut].clone(), values[:, :cut].clone())
        node.ids, node.pictures = node.ids[:cut].copy(), node.pictures[: len(node.pictures) - len(after)]
        node.children = {symbol: lower}

    def _make_room(self, needed: int) -> None:
        """Ends of what is longest unused leave. What was touched last stays: more is never needed."""
        while self.bytes_kept + needed > self.max_bytes:
            ends = [node for node in self._nodes() if not node.children and node.used < self._clock]
            oldest = min(ends, key=lambda node: node.used)
            assert oldest.parent is not None  # only the root has none, and it is no node to leave
            del oldest.parent.children[oldest.symbol]
            self.bytes_kept -= oldest.bytes

    def _nodes(self) -> Iterator[_Node]:
        waiting = list(self._root.children.values())
        while waiting:
            node = waiting.pop()
            waiting += node.children.values()
            yield node


def _cut(part: Part, start: int, end: int) -> Part:
    """Views of tokens `start` to `end` of a part."""
    return [(keys[:, start:end], values[:, start:end]) for keys, values in part]


def _joined(parts: Sequence[Part], start: int, end: int) -> list[tuple[Tensor, Tensor]]:
    """A copy of tokens `start` to `end` of parts that follow one another."""
    pieces, at = [], 0
    for part in parts:
        length = part[0][0].shape[1]
        if at < end and start < at + length:
            pieces.append(_cut(part, max(0, start - at), end - at))
        at += length
    return [
        (torch.cat([keys for keys, _ in layer], dim=1), torch.cat([values for _, values in layer], dim=1))
        for layer in zip(*pieces, strict=True)
    ]
