"""From a checkpoint's folder to words: added, opened, asked about pictures, alone, again and in batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from model.inference.features import FeatureCache
from model.network.config import Family
from model.prompts.processor import XComposerProcessor
from model.prompts.prompt import article_prompt
from model.weights.loading import load_model
from model.weights.registration import register
from model.weights.seeded import write_checkpoint
from model.weights.shelf import ModelShelf
from tests.model.small_vocabulary import PIECES, folder_with

GREEDY: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}


def shelved(root: Path, family: Family, **changes: Any) -> Path:
    """The folder of a model with the small vocabulary; the placeholder lies behind it."""
    write_checkpoint(root / "in", family, dtype=torch.float32, vocab=PIECES + 1, max_position=8_192, **changes)
    folder_with(root / "in")
    return ModelShelf(root / "models").add(root / "in", name="tiny").folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelved(tmp_path_factory.mktemp("whole"), "2d5-7b")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "harbour.jpg"
    Image.linear_gradient("L").resize((1_100, 500)).convert("RGB").save(path)
    return path


def asked(photo: Path) -> list[dict[str, Any]]:
    content = [{"type": "image", "image": str(photo)}, {"type": "text", "text": "What is it?"}]
    return [{"role": "user", "content": content}]


@torch.no_grad()
def test_asked_about_a_picture_through_the_auto_classes(folder: Path, photo: Path) -> None:
    register()
    processor, model = AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder)
    inputs = processor.apply_chat_template(asked(photo))
    assert inputs["image_grids"].tolist() == [[1, 2]]
    assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == 3 * 400 + 1 + 2 * 20
    made = model.eval().generate(**inputs, **GREEDY)
    new = made[0, inputs["input_ids"].shape[1] :]
    assert len(new) == 6 and isinstance(processor.decode(new), str)


@torch.no_grad()
def test_a_picture_is_encoded_once_for_several_prompts(folder: Path, photo: Path) -> None:
    processor, model = XComposerProcessor.from_folder(folder), load_model(folder, tasks=("write",))
    cache = FeatureCache(lambda tiles, grids: model.get_image_features(tiles, grids).pooler_output)
    for question in ("What is it?", "Write of it."):
        prompt = article_prompt(question)
        plain = model.generate(**processor(images=[photo], text=prompt), task="write", **GREEDY)
        inputs = processor(images=[photo], text=prompt, pixels=False)
        kept = BaseModelOutputWithPooling(pooler_output=cache.features(inputs.pictures))
        again = model.generate(**inputs, mm_encoder_outputs={"image": kept}, task="write", **GREEDY)
        assert again.tolist() == plain.tolist()
    assert (cache.encoded, cache.reused) == (1, 1)


@torch.no_grad()
def test_a_batch_of_different_prompts_is_each_of_them_alone(folder: Path, photo: Path) -> None:
    processor, model = XComposerProcessor.from_folder(folder), load_model(folder, tasks=("write", "web"))
    prompts = ["Say something.", "[UNUSED_TOKEN_146]user\nImage1 <ImageHere>; what?[UNUSED_TOKEN_145]\n"]
    tasks, pictures = ["web", "write"], [[], [photo]]
    total = max(processor.count(p, images=own) for p, own in zip(prompts, pictures, strict=True)) + 6
    both = processor(text=prompts, images=pictures)
    made = model.generate(**both, task=tasks, planned_length=total, **GREEDY)[:, -6:]
    for i, (prompt, own, task) in enumerate(zip(prompts, pictures, tasks, strict=True)):
        alone = model.generate(**processor(text=prompt, images=own), task=task, planned_length=total, **GREEDY)
        assert alone[0, -6:].tolist() == made[i].tolist()


@torch.no_grad()
def test_the_family_of_whole_pictures_sees_too(tmp_path: Path, photo: Path) -> None:
    folder = shelved(tmp_path, "2-7b")
    processor, model = XComposerProcessor.from_folder(folder), load_model(folder)
    inputs = processor.apply_chat_template(asked(photo))
    assert tuple(inputs["pixel_values"].shape) == (1, 3, 224, 224) and inputs["image_grids"].tolist() == [[0, 0]]
    assert model.generate(**inputs, **GREEDY).shape[1] == inputs["input_ids"].shape[1] + 6
