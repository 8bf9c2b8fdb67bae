"""Benchmarks C3, H14's shape and C18's drafting part, on a CPU: shared beginnings and choosing, parity first.

    python -m benchmarks.engine [--rounds 5]

One layer of the published width (4,096) with the published vocabulary, random weights (seed 0), bfloat16, 2 threads.

C3: eight prompts that share 2,048 tokens and end in 64 of their own, then 16 tokens each: the engine's steps (the
    beginning once) against eight prompts one after another; goal 0.9 of the ratio of tokens, 6.6.
H14: one choice among four after a prompt of 2,048 tokens: one forward against generating ten tokens after the whole
    prompt again, as the demo does; both with the pictures' part left out (nothing is encoded here); goal 5.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from benchmarks.model import THREADS, alternated, ids_of, network
from model.xcomposer_steps import PreparedPrompt, XComposerSteps

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


def generated(model: Any, one: PreparedPrompt) -> Any:
    return model.generate(torch.tensor([one.ids]), max_new_tokens=10, do_sample=False, eos_token_id=None)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(THREADS)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{platform.machine()}, {THREADS} threads, {versions}")
    exact = network("small", torch.float32, 600)
    short = [PreparedPrompt((*range(3, 90), *end), (), "base", 200) for end in ((5, 6), (7, 8, 9), (10,))]
    if grown(exact, short) != one_by_one(exact, short):
        raise SystemExit("shared and single prompts give other tokens: nothing is timed")
    print(json.dumps({"C19": "float32, small: greedy tokens of shared and single prompts", "is": "the same"}))
    model, asked = network("wide-1", torch.bfloat16), prompts()
    took = alternated(
        {"shared": lambda: grown(model, asked), "one by one": lambda: one_by_one(model, asked)}, given.rounds
    )
    tokens = PROMPTS * (SHARED + OWN + NEW) / (SHARED + PROMPTS * (OWN + NEW))
    print(
        json.dumps(
            {
                "C3": f"{PROMPTS} prompts of {SHARED} + {OWN}, {NEW} tokens each",
                "shared s": round(took["shared"], 2),
                "one by one s": round(took["one by one"], 2),
                "one by one / shared": round(took["one by one"] / took["shared"], 2),
                "ratio of tokens": round(tokens, 2),
                "of that (goal 0.9)": round(took["one by one"] / took["shared"] / tokens, 2),
            }
        ),
        flush=True,
    )
    options = [(11,), (12,), (13,), (14,)]
    took = alternated(
        {
            "choose": lambda: XComposerSteps(model, asked[:1]).scores_after(options),
            "generate": lambda: generated(model, asked[0]),
        },
        given.rounds,
    )
    print(
        json.dumps(
            {
                "H14 (shape)": f"one choice after {SHARED + OWN} tokens",
                "choose s": round(took["choose"], 2),
                "generate 10 tokens s": round(took["generate"], 2),
                "generate / choose": round(took["generate"] / took["choose"], 2),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
