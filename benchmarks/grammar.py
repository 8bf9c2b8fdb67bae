"""Benchmark C8: one token of an outline under its JSON schema, ours against outlines and xgrammar, over 92,544 pieces.

    python -m benchmarks.grammar [--rounds 20]

The vocabulary is drawn (seed 0): all bytes, words of syllables with and without a blank before them, pairs of Chinese
characters, runs of JSON punctuation. Each side masks random logits and takes the next token of the same outlines, in
turn.
Before anything is timed, all must take every valid outline to its end and refuse each broken one.
The first walk of each side builds what it keeps; it is left out of the times and printed apart.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from outlines.backends.outlines_core import OutlinesCoreLogitsProcessor
from outlines_core import Index, Vocabulary
from outlines_core.json_schema import build_regex_from_schema
from torch import Tensor

from model.inference.engine import Grammar
from model.inference.grammar import GrammarCompiler

try:
    import xgrammar
except ImportError:  # brings a compiler of some hundred MB; it is measured where it is installed by hand
    xgrammar = None

PIECES = 92_544
END = PIECES - 1
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "sections": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "heading": {"type": "string"},
                    "brief": {"type": "string"},
                    "pictures": {"type": "integer"},
                },
                "required": ["heading", "brief", "pictures"],
                "additionalProperties": False,
            },
            "minItems": 1,
        },
    },
    "required": ["title", "sections"],
    "additionalProperties": False,
}
SYLLABLES = [c + v for c in "bcdfghjklmnprstvwz" for v in ("a", "e", "i", "o", "u", "an", "er", "is")]


def vocabulary() -> list[bytes]:
    """Bytes of every id but the end."""
    found = dict.fromkeys(bytes([i]) for i in range(256))
    found |= dict.fromkeys(
        t.encode() for t in ('"}', '": "', '", "', '": ', '{"', '": [{"', '"}, {"', "}]}", "]}", ", ")
    )
    drawn = random.Random(0)
    while len(found) < PIECES - 1:
        if drawn.random() < 0.3:
            piece = "".join(chr(drawn.randrange(0x4E00, 0x9FA0)) for _ in range(2))
        else:
            piece = drawn.choice(["", " "]) + "".join(drawn.choices(SYLLABLES, k=drawn.randint(1, 3)))
        found[piece.encode()] = None
    return list(found)


def outline(seed: int) -> dict[str, Any]:
    """A valid one of four sections."""
    drawn = random.Random(seed)

    def words(count: int) -> str:
        return " ".join("".join(drawn.choices(SYLLABLES, k=2)) for _ in range(count))

    sections = [{"heading": words(4), "brief": words(12), "pictures": drawn.randint(0, 3)} for _ in range(4)]
    return {"title": words(5), "sections": sections}


def broken(seed: int) -> list[str]:
    """Texts that are near an outline and none."""
    good = outline(seed)
    first = good["sections"][0]
    return [
        json.dumps(value)
        for value in (
            {**good, "extra": 1},
            {**good, "sections": []},
            {**good, "title": 3},
            {"title": good["title"]},
            {**good, "sections": [{**first, "pictures": "two"}]},
            {**good, "sections": [{"heading": "a", "brief": "b"}]},
        )
    ] + [json.dumps(good)[:-1], json.dumps(good).replace("heading", "headline", 1)]


def cut(text: str, ids: dict[bytes, int]) -> list[int]:
    """Longest pieces first."""
    data, at, found = text.encode(), 0, []
    while at < len(data):
        size = next(n for n in range(min(24, len(data) - at), 0, -1) if data[at : at + n] in ids)
        found.append(ids[data[at : at + size]])
        at += size
    return found


class Ours:
    """model.inference.grammar."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.compiler, self.grammar = GrammarCompiler(pieces, [END], PIECES), Grammar(json_schema=SCHEMA)

    def start(self) -> None:
        self.matcher = self.compiler.matcher(self.grammar)

    def mask(self, logits: Tensor) -> None:
        self.matcher.allow(logits)

    def take(self, token: int) -> None:
        if token != END:
            self.matcher.accept(token)


class Outlines:
    """The JSON processor of outlines' own backend, as it masks a batch of one."""

    def __init__(self, pieces: list[bytes]) -> None:
        known = Vocabulary(END, {piece: [i] for i, piece in enumerate(pieces)})
        self.index = Index(build_regex_from_schema(json.dumps(SCHEMA), "[ ]?"), known)

    def start(self) -> None:
        self.processor = OutlinesCoreLogitsProcessor(self.index, "torch")
        self.ids: Tensor = torch.zeros((1, 1), dtype=torch.long)

    def mask(self, logits: Tensor) -> None:
        self.processor.process_logits(self.ids, logits[None])

    def take(self, token: int) -> None:
        self.ids = torch.tensor([[token]])


class Xgrammar:
    """xgrammar by its documented calls."""

    def __init__(self, pieces: list[bytes]) -> None:
        info = xgrammar.TokenizerInfo([*pieces, b"</s>"], vocab_size=PIECES, stop_token_ids=[END])
        compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self.compiled = compiler.compile_json_schema(SCHEMA, any_whitespace=False)
        self.bits = xgrammar.allocate_token_bitmask(1, PIECES)

    def start(self) -> None:
        self.matcher = xgrammar.GrammarMatcher(self.compiled)

    def mask(self, logits: Tensor) -> None:
        self.matcher.fill_next_token_bitmask(self.bits)
        xgrammar.apply_token_bitmask_inplace(logits[None], self.bits)

    def take(self, token: int) -> None:
        self.matcher.accept_token(token)


def takes(side: Any, tokens: Sequence[int]) -> bool:
    """Whether every token, and the end after them, is left by the mask before it."""
    side.start()
    for token in [*tokens, END]:
        logits = torch.zeros(PIECES)
        side.mask(logits)
        if logits[token] == -torch.inf:
            return False
        side.take(token)
    return True


def walked(side: Any, tokens: Sequence[int], logits: Tensor) -> list[float]:
    """Microseconds of mask and taking for each token."""
    side.start()
    times = []
    for token in tokens:
        row = logits.clone()
        began = time.perf_counter_ns()
        side.mask(row)
        side.take(token)
        times.append((time.perf_counter_ns() - began) / 1e3)
    return times


def built(make: Callable[[list[bytes]], Any], pieces: list[bytes]) -> tuple[Any, float]:
    began = time.perf_counter()
    side = make(pieces)
    side.start()
    return side, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    pieces = vocabulary()
    ids = {piece: i for i, piece in enumerate(pieces)}
    sides: dict[str, Any] = {}
    builds: dict[str, float] = {}
    for name, make in (("interleaf", Ours), ("outlines", Outlines), ("xgrammar", Xgrammar)):
        if make is Xgrammar and xgrammar is None:
            print("xgrammar is not installed and left out: pip install xgrammar")
            continue
        sides[name], builds[name] = built(make, pieces)
    firsts: dict[str, list[float]] = {}
    logits = torch.randn(PIECES, generator=torch.Generator().manual_seed(0))
    for name, side in sides.items():
        firsts[name] = walked(side, cut(json.dumps(outline(0)), ids), logits)
        for seed in range(20):
            assert takes(side, cut(json.dumps(outline(seed)), ids)), (name, seed)
            for text in broken(seed):
                assert not takes(side, cut(text, ids)), (name, text)
    times: dict[str, list[float]] = {name: [] for name in sides}
    ratios: dict[str, list[float]] = {name: [] for name in sides}
    for seed in range(rounds):
        tokens = cut(json.dumps(outline(1_000 + seed)), ids)
        means = {}
        for name, side in sides.items():
            taken = walked(side, tokens, logits)
            means[name] = float(np.mean(taken))
            times[name] += taken
        for name, mean in means.items():
            ratios[name].append(mean / means["interleaf"])
    print(f"{len(times['interleaf'])} tokens of {rounds} outlines; parity: 20 outlines and 160 broken ones")
    print("| | build s | first walk, slowest µs | mean µs | p50 µs | p99 µs | time / ours, median of rounds |")
    print("|---|---|---|---|---|---|---|")
    for name, found in times.items():
        p50, p99 = np.percentile(found, [50, 99])
        print(
            f"| {name} | {builds[name]:.2f} | {max(firsts[name]):,.0f} | {np.mean(found):,.0f} | {p50:,.0f} |"
            f" {p99:,.0f} | {np.median(ratios[name]):.2f} |"
        )


if __name__ == "__main__":
    main()
