"""What the original code computed on a tiny checkpoint is what ours computes on it, to 1e-4 in float32.

The checkpoint is read from its folder by the model shelf, as `interleaf models add` does with any other.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.network.rotary import inverse_frequencies, rotary_base
from model.network.xcomposer import XComposerForConditionalGeneration
from model.prompts.partition import Partition
from model.prompts.picture import PreparedPicture, prepare
from model.weights.loading import load_model
from model.weights.shelf import ModelShelf

GOLDEN = Path(__file__).parents[2].parent / "shared" / "eval" / "xcomposer-golden"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden checkpoint is not beside the repository")

WITHIN = 1e-4


def pictures() -> list[tuple[str, int]]:
    """Names and tile budgets of the pictures that the file tells of."""
    if not GOLDEN.is_dir():
        return [("small", 24)]
    found = (re.fullmatch(r"image_embeds_len_(\w+)_hd(\d+)", key) for key in np.load(GOLDEN / "golden.npz").files)
    return sorted((m.group(1), int(m.group(2))) for m in found if m)


TASKS = ["base", "write", "web"]


@pytest.fixture(scope="module")
def golden() -> Any:
    return np.load(GOLDEN / "golden.npz")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> XComposerForConditionalGeneration:
    shelved = ModelShelf(tmp_path_factory.mktemp("models")).add(GOLDEN)
    assert shelved.manifest is not None and shelved.manifest.family == "2d5-7b"
    index = json.loads((GOLDEN / "pytorch_model.bin.index.json").read_text(encoding="utf-8"))
    assert shelved.manifest.tensors == len(index["weight_map"])
    return load_model(shelved.folder, tasks=("write", "web"))


def apart(found: torch.Tensor, truth: Any) -> float:
    return float((found - torch.from_numpy(np.asarray(truth))).abs().max())


def picture(name: str, budget: int) -> PreparedPicture:
    return prepare(GOLDEN / f"{name}.png", Partition(budget))


def with_picture(model: XComposerForConditionalGeneration, golden: Any) -> dict[str, Any]:
    """Seven tokens, the small picture, eighteen tokens. Where the text has the placeholder's id, it is told apart by
    embedding: as the original did, which knew no placeholder."""
    text = torch.from_numpy(golden["text_ids"])[:, :25]
    seen = picture("small", 24)
    (vectors,) = model.get_image_features(seen.tiles, [seen.grid]).pooler_output
    words = model.model.tok_embeddings(text)
    return {
        "inputs_embeds": torch.cat((words[:, :7], vectors[None], words[:, 7:]), dim=1),
        "picture_mask": torch.tensor([[False] * 7 + [True] * len(vectors) + [False] * 18]),
    }


@torch.no_grad()
@pytest.mark.parametrize(("name", "budget"), pictures())
def test_pictures_become_the_same_vectors(
    model: XComposerForConditionalGeneration, golden: Any, name: str, budget: int
) -> None:
    key, seen = f"{name}_hd{budget}", picture(name, budget)
    (vectors,) = model.get_image_features(seen.tiles, [seen.grid]).pooler_output
    assert len(vectors) == int(golden[f"image_embeds_len_{key}"][1])
    rows = torch.from_numpy(golden[f"image_embeds_rows_{key}"])
    assert apart(vectors[rows], golden[f"image_embeds_{key}"].reshape(len(rows), -1)) < WITHIN
    total = torch.from_numpy(golden[f"image_embeds_sum_{key}"]).reshape(-1)
    assert float((vectors.double().sum(0) - total.double()).abs().max()) < WITHIN * len(vectors) ** 0.5


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_text_gives_the_same_logits(model: XComposerForConditionalGeneration, golden: Any, task: Any) -> None:
    found = model(torch.from_numpy(golden["text_ids"]), task=task).logits
    assert apart(found, golden[f"text_logits_{task}"]) < WITHIN


@torch.no_grad()
@pytest.mark.parametrize("task", TASKS)
def test_a_picture_in_text_gives_the_same_logits(
    model: XComposerForConditionalGeneration, golden: Any, task: Any
) -> None:
    found = model(**with_picture(model, golden), task=task).logits[0]
    assert apart(found[-18:], golden[f"picture_logits_tail_{task}"].reshape(18, -1)) < WITHIN
    head = [0, 3, 6, 7, 8, 300, 426, 427, 428, 846]
    assert apart(found[head], golden[f"picture_logits_head_{task}"].reshape(len(head), -1)) < WITHIN


@torch.no_grad()
def test_cached_greedy_decoding_takes_the_same_tokens(model: XComposerForConditionalGeneration, golden: Any) -> None:
    prompt = with_picture(model, golden)
    truth = torch.from_numpy(golden["greedy_ids"]).reshape(-1).tolist()
    step = model(**prompt, logits_to_keep=1)
    tokens, logits = [], []
    for _ in truth:
        logits.append(step.logits[0, -1])
        tokens.append(int(logits[-1].argmax()))
        step = model(torch.tensor([[tokens[-1]]]), past_key_values=step.past_key_values)
    assert tokens == truth
    assert apart(torch.stack(logits), golden["greedy_logits"].reshape(len(truth), -1)) < WITHIN


@torch.no_grad()
def test_beyond_the_trained_length_the_same_angles_and_logits(
    model: XComposerForConditionalGeneration, golden: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, length = model.config, golden["long_ids"].shape[-1]
    assert length > config.max_position_embeddings and config.rope_factor is not None
    base = rotary_base(config.rope_theta, config.rope_factor, config.head_dim, config.max_position_embeddings, length)
    assert apart(inverse_frequencies(base, config.head_dim), golden["long_inv_freq"].reshape(-1)) < 1e-7
    rows = torch.from_numpy(golden["long_rows"]).reshape(-1)
    for chunk in (2_048, 400):
        monkeypatch.setattr(model.model, "prefill_chunk", chunk)
        found = model(torch.from_numpy(golden["long_ids"])).logits[0, rows]
        assert apart(found, golden["long_logits"].reshape(len(rows), -1)) < WITHIN
