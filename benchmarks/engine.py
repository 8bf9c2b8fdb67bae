"""Benchmarks C3, C7 and H14's shape, on a CPU: shared and kept beginnings, and choosing pictures; parity first.

    python -m benchmarks.engine [--rounds 5] [--only C3,C7,H14]

C3: eight prompts that share 2,048 tokens and end in 64 of their own, then 16 tokens each: the engine's steps (the
    beginning once) against eight prompts one after another; goal 0.9 of the ratio of tokens, 6.6. One layer of the
    published width (4,096) with the published vocabulary, random weights (seed 0), bfloat16, 2 threads.
C7: finding and keeping a prompt of 24,576 tokens among 200 kept ones that share 24,000 tokens: goal 1 ms. Keys and
    values are of one number a token, so that the search is measured and not the copying, which goes with the bytes.
H14: the eighth of ten choices among four pictures, the article's text (400 tokens a section, as W5) and seven chosen
    pictures before it: one forward that goes on from the beginning and the vectors which the seventh choice left
    behind, against ten tokens after everything was encoded and prefilled again, as the demo does; goal 5. Beside it the
    same with the candidates' vectors known too, and the ratio of tokens. Network and pictures: benchmarks/order.py.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.model import THREADS, alternated, ids_of, network, say
from benchmarks.order import LETTER, Article, machine, with_eyes, with_small_eyes
from model.inference.beginnings import Beginnings, PictureSpan, Tokens
from model.inference.xcomposer_steps import EncodedPicture, PreparedPrompt, XComposerSteps
from model.prompts.picture import PreparedPicture

SHARED, OWN, NEW, PROMPTS = 2_048, 64, 16, 8


def prompts() -> list[PreparedPrompt]:
    common = tuple(ids_of(SHARED)[0].tolist())
    ends = ids_of(OWN, PROMPTS).tolist()
    return [PreparedPrompt((*common, *end), (), "base", SHARED + OWN + NEW) for end in ends]


def grown(model: Any, given: Sequence[PreparedPrompt]) -> list[list[int]]:
    """NEW greedy tokens of each prompt."""
    steps = XComposerSteps(model, given)
    tokens = steps.prefill().argmax(-1).tolist()
    rows = [[token] for token in tokens]
    for _ in range(NEW - 1):
        tokens = steps.step(tokens).argmax(-1).tolist()
        for row, token in zip(rows, tokens, strict=True):
            row.append(token)
    return rows


def one_by_one(model: Any, given: Sequence[PreparedPrompt]) -> list[list[int]]:
    return [grown(model, [one])[0] for one in given]


def sharing(rounds: int) -> None:
    """C3."""
    exact = network("small", torch.float32, 600)
    short = [PreparedPrompt((*range(3, 90), *end), (), "base", 200) for end in ((5, 6), (7, 8, 9), (10,))]
    if grown(exact, short) != one_by_one(exact, short):
        raise SystemExit("shared and single prompts give other tokens: nothing is timed")
    say({"C19": "float32, small: greedy tokens of shared and single prompts", "is": "the same"})
    model, asked = network("wide-1", torch.bfloat16), prompts()
    took = alternated({"shared": lambda: grown(model, asked), "one by one": lambda: one_by_one(model, asked)}, rounds)
    tokens = PROMPTS * (SHARED + OWN + NEW) / (SHARED + PROMPTS * (OWN + NEW))
    say(
        {
            "C3": f"{PROMPTS} prompts of {SHARED} + {OWN}, {NEW} tokens each",
            "shared s": round(took["shared"], 2),
            "one by one s": round(took["one by one"], 2),
            "one by one / shared": round(took["one by one"] / took["shared"], 2),
            "ratio of tokens": round(tokens, 2),
            "of that (goal 0.9)": round(took["one by one"] / took["shared"] / tokens, 2),
        }
    )


def finding() -> None:
    """C7."""
    length, shared, kept = 24_576, 24_000, Beginnings()
    drawn = np.random.default_rng(0)
    first = drawn.integers(3, 90_000, length)
    first[1_000:9_410] = 92_398
    spans = [PictureSpan(at, at + 841, f"{at:064}") for at in range(1_000, 9_410, 841)]
    part = [(torch.zeros(1, length, 1), torch.zeros(1, length, 1))]
    took: dict[str, list[float]] = {"find": [], "put": []}
    for _ in range(200 + 50):
        ids = first.copy()
        ids[shared:] = drawn.integers(3, 90_000, length - shared)
        line = Tokens(ids.tolist(), spans, "base", 1e6)
        began = time.perf_counter()
        found = kept.find(line, length - 1)
        between = time.perf_counter()
        kept.put(line, length, [part])
        took["find"].append(between - began)
        took["put"].append(time.perf_counter() - between)
    assert found.length == shared
    milliseconds = {name: 1e3 * np.array(times[200:]) for name, times in took.items()}
    say(
        {
            "C7": f"a prompt of {length:,} tokens, {len(kept)} parts kept (goal 1 ms)",
            **{f"{name} p50 ms": round(float(np.median(times)), 3) for name, times in milliseconds.items()},
            **{f"{name} largest ms": round(float(times.max()), 3) for name, times in milliseconds.items()},
        }
    )


class Choice:
    """The choice at a place in two ways; before it stands what the choice before left behind."""

    def __init__(self, article: Article, place: int) -> None:
        self.article, self.place, self.model = article, place, article.model
        earlier = [p for at in range(place) for p in article.candidates(at)]
        self.vectors = {p.key: v for p, v in zip(earlier, self.encode(earlier), strict=True)}
        before = article.choice(place - 1, self.encoded(place - 1, self.vectors))
        kept = Beginnings()
        XComposerSteps(self.model, [before], kept).prefill()
        self.before = before.tokens(self.model.config)
        self.left = kept.find(self.before, len(self.before))
        own = article.candidates(place)
        self.known = self.vectors | {p.key: v for p, v in zip(own, self.encode(own), strict=True)}
        prompt = article.choice(place, self.encoded(place, self.known))
        self.tokens = len(prompt.ids)
        self.new = self.tokens - kept.find(prompt.tokens(self.model.config), self.tokens).length

    def encode(self, pictures: Sequence[PreparedPicture]) -> Any:
        tiles = torch.cat([picture.tiles for picture in pictures])
        return self.model.get_image_features(tiles, [picture.grid for picture in pictures]).pooler_output

    def encoded(self, place: int, vectors: dict[str, torch.Tensor]) -> list[EncodedPicture]:
        return [EncodedPicture(p.key, vectors[p.key]) for p in self.article.seen_at(place)]

    def choose(self, candidates_known: bool) -> list[float]:
        """By one forward. What was left behind is put back first, so that no round knows what the one before did."""
        kept = Beginnings()
        kept.put(self.before, len(self.before), self.left.parts)
        vectors = self.known
        if not candidates_known:
            own = self.article.candidates(self.place)
            vectors = self.vectors | {p.key: v for p, v in zip(own, self.encode(own), strict=True)}
        prompt = self.article.choice(self.place, self.encoded(self.place, vectors))
        return XComposerSteps(self.model, [prompt], kept).scores_after([(letter,) for letter in self.article.letters])

    def generate(self) -> list[float]:
        """Ten tokens, everything anew."""
        seen = self.article.seen_at(self.place)
        vectors = {p.key: v for p, v in zip(seen, self.encode(seen), strict=True)}
        steps = XComposerSteps(self.model, [self.article.choice(self.place, self.encoded(self.place, vectors))])
        logits = steps.prefill()
        scores: list[float] = logits.log_softmax(-1)[0, self.article.letters].tolist()
        for _ in range(LETTER - 1):
            logits = steps.step(logits.argmax(-1).tolist())
        return scores


def choosing(rounds: int) -> None:
    """H14's shape."""
    small = Choice(Article(with_small_eyes(), 4, 40), 3)
    for scores in (small.choose(False), small.choose(True)):
        if not np.allclose(scores, small.generate(), atol=1e-3):
            raise SystemExit("choosing and generating give other letters: nothing is timed")
    say({"C19": "float32, small: letters of choosing and generating", "are": "the same"})
    choice = Choice(Article(with_eyes("2d5-7b"), 8, 400), 7)
    apart = float(np.abs(np.array(choice.choose(False)) - choice.generate()).max())
    took = alternated(
        {
            "generate": choice.generate,
            "choose": lambda: choice.choose(False),
            "choose, candidates known": lambda: choice.choose(True),
        },
        rounds,
    )
    say(
        {
            "H14 (shape)": f"choice 8 of 10: {choice.tokens:,} tokens, {choice.new:,} of them new",
            **{f"{name} s": round(seconds, 2) for name, seconds in took.items()},
            "generate / choose (goal 5)": round(took["generate"] / took["choose"], 2),
            "the same, candidates known": round(took["generate"] / took["choose, candidates known"], 2),
            "ratio of tokens": round(choice.tokens / choice.new, 2),
            "largest distance of letters' log-probabilities (bfloat16)": round(apart, 3),
        }
    )


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="C3,C7,H14")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(THREADS)
    print(machine())
    wanted = given.only.split(",")
    if "C7" in wanted:
        finding()
    if "C3" in wanted:
        sharing(given.rounds)
    if "H14" in wanted:
        choosing(given.rounds)


if __name__ == "__main__":
    main()
