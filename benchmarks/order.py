"""Benchmark C18: an illustrated article in the reference's order against ours, on one engine with the same weights.

    python -m benchmarks.order [--family 2-7b] [--rounds 2]

A slice of the published network: 2 of 32 decoder layers of full width with the whole vocabulary, and the same share of
the picture tower (1 of 24 layers), random weights (seed 0), bfloat16, 2 threads; pictures are drawn and prepared by the
product's code. Eight sections of 64 tokens, eight places with four candidate pictures each, all different. Lengths are
forced: nothing ends by itself, and what is written goes on as given ids, so that later prompts are the same in both.

A, as the published demo: the article in one go; captions one after another, each after the article so far, prefilled
    again; places one after another, with every picture chosen so far and four candidates encoded and prefilled again,
    then ten tokens.
B, ours: an outline of 32 tokens, all sections as one batch, all captions as one batch, one forward for each choice with
    the beginning and the pictures' vectors that earlier choices left behind.

Before anything is timed, both run on a small network in float32: the captions' greedy tokens must be the same and the
letters' log-probabilities within 0.001.
"""

from __future__ import annotations

import argparse
import logging
import platform
import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image, ImageDraw

from benchmarks.model import THREADS, ids_of, network, say
from model.inference.beginnings import Beginnings
from model.inference.features import FeatureCache
from model.inference.xcomposer_steps import EncodedPicture, PreparedPrompt, XComposerSteps
from model.network.xcomposer import XComposerForConditionalGeneration
from model.prompts.image_processor import XComposerImageProcessor
from model.prompts.picture import PreparedPicture

SECTIONS, SECTION, CAPTION, OUTLINE, INSTRUCTION, CANDIDATES, LETTER = 8, 64, 30, 32, 100, 4, 10
LAYERS = 2
# What sets the two families with published article weights apart in their pictures.
FAMILIES: dict[str, dict[str, Any]] = {
    "2-7b": {"tile_px": None, "merge": 1, "separators": False},
    "2d5-7b": {"tile_px": 560, "merge": 2, "separators": True},
}
EDGES = {"2-7b": 224, "2d5-7b": 560}


def with_eyes(family: str, layers: int = LAYERS) -> XComposerForConditionalGeneration:
    """So many of the decoder's 32 layers, and their share of the tower's 24."""
    tower = {
        "hidden_size": 1_024,
        "intermediate_size": 4_096,
        "num_hidden_layers": max(1, layers * 24 // 32),
        "num_attention_heads": 16,
        "image_size": EDGES[family],
        "patch_size": 14,
    }
    return network("wide", torch.bfloat16, num_hidden_layers=layers, vision_config=tower, **FAMILIES[family])


def with_small_eyes() -> XComposerForConditionalGeneration:
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**tower, "image_size": 56, "patch_size": 14}
    return network("small", torch.float32, 600, vision_config=vision, **FAMILIES["2-7b"])


def drawn(number: int) -> Image.Image:
    """A picture of some shapes, each number another."""
    choices = random.Random(number)
    picture = Image.new("RGB", (448, 448), tuple(choices.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = choices.randrange(400), choices.randrange(400)
        pen.ellipse((x, y, x + choices.randrange(20, 200), y + 40), fill=tuple(choices.randrange(256) for _ in "rgb"))
    return picture


class Article:
    """The forced article, its prompts, and the network that is asked."""

    def __init__(
        self, model: XComposerForConditionalGeneration, sections: int = SECTIONS, section: int = SECTION
    ) -> None:
        self.model, self.sections = model, sections
        ids = ids_of(INSTRUCTION + OUTLINE + 200, 1, model.config.vocab_size)[0].tolist()
        self.instruction, self.outline = ids[:INSTRUCTION], ids[INSTRUCTION : INSTRUCTION + OUTLINE]
        self.ask_caption, self.ask_picture, self.letters = ids[-40:-20], ids[-20:-8], ids[-8:-4]
        self.texts = ids_of(section, sections, model.config.vocab_size).tolist()
        processor = XComposerImageProcessor.from_config(model.config)
        sources = [drawn(number) for number in range(sections * CANDIDATES)]
        self.pictures = [processor.prepare(s, processor.layout(s, 1, None), "picture") for s in sources]
        self.vectors = processor.vectors(processor.layout(sources[0], 1, None))

    def captions(self) -> list[PreparedPrompt]:
        """Asked after the article up to each place."""
        return [
            self.prompt([*self.instruction, *self.text(place), *self.ask_caption], (), CAPTION)
            for place in range(self.sections)
        ]

    def text(self, place: int) -> list[int]:
        return [token for section in self.texts[: place + 1] for token in section]

    def candidates(self, place: int) -> list[PreparedPicture]:
        return self.pictures[CANDIDATES * place : CANDIDATES * (place + 1)]

    def seen_at(self, place: int) -> list[PreparedPicture]:
        """Pictures of a choice: the first candidate of every earlier place, then the candidates."""
        return [*(self.candidates(earlier)[0] for earlier in range(place)), *self.candidates(place)]

    def choice(self, place: int, encoded: Sequence[EncodedPicture]) -> PreparedPrompt:
        """`instruction text picture text picture … text`, then the candidates with their letters."""
        room = [self.model.config.image_token_id] * self.vectors
        ids = list(self.instruction)
        for earlier in range(place):
            ids += [*self.texts[earlier], *room]
        ids += [*self.texts[place], *self.ask_picture]
        for letter in self.letters:
            ids += [letter, *room]
        return self.prompt([*ids, *self.ask_caption], tuple(encoded), LETTER)

    def prompt(self, ids: Sequence[int], pictures: tuple[EncodedPicture, ...], new: int) -> PreparedPrompt:
        return PreparedPrompt(tuple(ids), pictures, "base", len(ids) + new)

    def grown(self, prompts: Sequence[PreparedPrompt], new: int, kept: Beginnings | None) -> list[list[int]]:
        """Greedy tokens of prompts side by side."""
        steps = XComposerSteps(self.model, prompts, kept)
        tokens = steps.prefill().argmax(-1).tolist()
        rows = [[token] for token in tokens]
        for _ in range(new - 1):
            tokens = steps.step(tokens).argmax(-1).tolist()
            for row, token in zip(rows, tokens, strict=True):
                row.append(token)
        return rows


class Order:
    """What an order took, in seconds by its parts, and what it found."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}
        self.captions: list[list[int]] = []
        self.letters: list[list[float]] = []
        self._began = time.perf_counter()

    def done(self, part: str) -> None:
        now = time.perf_counter()
        self.took[part], self._began = now - self._began, now


def reference(article: Article) -> Order:
    """A."""
    order, model = Order(), article.model
    words = article.sections * len(article.texts[0])
    article.grown([article.prompt(article.instruction, (), words)], words, None)
    order.done("text")
    order.captions = [article.grown([one], CAPTION, None)[0] for one in article.captions()]
    order.done("captions")
    for place in range(article.sections):
        seen = article.seen_at(place)
        tiles, grids = torch.cat([picture.tiles for picture in seen]), [picture.grid for picture in seen]
        vectors: Any = model.get_image_features(tiles, grids).pooler_output
        encoded = [EncodedPicture(p.key, v) for p, v in zip(seen, vectors, strict=True)]
        steps = XComposerSteps(model, [article.choice(place, encoded)])
        logits = steps.prefill()
        order.letters.append(logits.log_softmax(-1)[0, article.letters].tolist())
        for _ in range(LETTER - 1):
            logits = steps.step(logits.argmax(-1).tolist())
    order.done("choices")
    return order


def ours(article: Article) -> Order:
    """B."""
    order, model = Order(), article.model
    kept = Beginnings()
    features = FeatureCache(lambda tiles, grids: model.get_image_features(tiles, grids).pooler_output)  # type: ignore[arg-type,return-value]
    section = len(article.texts[0])
    article.grown([article.prompt(article.instruction, (), OUTLINE)], OUTLINE, kept)
    asked = [[*article.instruction, *article.outline, *text[:8]] for text in article.texts]
    article.grown([article.prompt(ids, (), section) for ids in asked], section, kept)
    order.done("text")
    order.captions = article.grown(article.captions(), CAPTION, kept)
    order.done("captions")
    for place in range(article.sections):
        seen = article.seen_at(place)
        encoded = [EncodedPicture(p.key, v) for p, v in zip(seen, features.features(seen), strict=True)]
        steps = XComposerSteps(model, [article.choice(place, encoded)], kept)
        order.letters.append(steps.scores_after([(letter,) for letter in article.letters]))
    order.done("choices")
    return order


def same(one: Order, other: Order) -> bool:
    apart = (torch.tensor(one.letters) - torch.tensor(other.letters)).abs().max()
    return one.captions == other.captions and float(apart) < 1e-3


def machine() -> str:
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return f"{platform.machine()}, {THREADS} threads, {versions}"


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=sorted(FAMILIES), default="2-7b")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(THREADS)
    print(machine())
    small = Article(with_small_eyes(), 4, 40)
    if not same(reference(small), ours(small)):
        raise SystemExit("the two orders give other captions or other letters: nothing is timed")
    say({"C19": "float32, small: captions and letters of both orders", "are": "the same"})
    article = Article(with_eyes(given.family))
    parts: dict[str, list[dict[str, float]]] = {"A": [], "B": []}
    found: dict[str, Order] = {}
    for _ in range(given.rounds):
        for name, way in (("A", reference), ("B", ours)):
            found[name] = way(article)
            parts[name].append(found[name].took)
            say({name: {part: round(seconds, 1) for part, seconds in found[name].took.items()}})
    took = {name: float(np.median([sum(one.values()) for one in all_rounds])) for name, all_rounds in parts.items()}
    a, b = (torch.tensor(found[name].letters) for name in "AB")
    by_part = {
        part: float(np.median([one[part] for one in parts["A"]]) / np.median([one[part] for one in parts["B"]]))
        for part in found["A"].took
    }
    say(
        {
            "C18": f"{SECTIONS} sections of {SECTION} tokens, {article.vectors} tokens a picture ({given.family})",
            "A s": round(took["A"], 1),
            "B s": round(took["B"], 1),
            "A / B (goal 3)": round(took["A"] / took["B"], 2),
            "A / B by part": {part: round(ratio, 2) for part, ratio in by_part.items()},
            "largest distance of letters' log-probabilities (bfloat16)": round(float((a - b).abs().max()), 3),
            "same letter": f"{int((a.argmax(-1) == b.argmax(-1)).sum())} of {SECTIONS}",
        }
    )


if __name__ == "__main__":
    main()
