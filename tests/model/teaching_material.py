"""Material for the tests of teaching: a tiny model with a vocabulary, three plain pictures, a set about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from model.weights.seeded import write_checkpoint
from model.weights.shelf import ModelShelf
from tests.model.small_vocabulary import PIECES, folder_with

ANSWERS = {"red": "A red sail, seen at noon.", "green": "Only grass!", "blue": "Water <b> and sky; nothing else"}
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 230)}
QUESTION = "What is it?"


def tiny_folder(root: Path, seed: int = 0, **changes: Any) -> Path:
    """A converted model of 2.5's form that is small in everything; a picture of one tile has 13 vectors."""
    sizes = {"vocab": PIECES + 1, "max_position": 2_048, "image_px": 56} | changes
    write_checkpoint(root / f"in{seed}", "2d5-7b", dtype=torch.float32, seed=seed, **sizes)
    folder_with(root / f"in{seed}")
    return ModelShelf(root / "models").add(root / f"in{seed}", name=f"tiny{seed}").folder


def pictures(folder: Path) -> Path:
    """The three pictures in `folder`/pictures."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (50, 40), colour).save(folder / "pictures" / f"{name}.png")
    return folder


def conversation(*values: str) -> list[dict[str, str]]:
    """Turns in the published form, the user's first."""
    return [{"from": "assistant" if i % 2 else "user", "value": value} for i, value in enumerate(values)]


def set_file(folder: Path, samples: Sequence[Any] | None = None, name: str = "set.json") -> Path:
    """A set in `folder`; without `samples` the same question about each picture, each with its own answer."""
    pictures(folder)
    if samples is None:
        samples = [
            {"id": colour, "image": f"pictures/{colour}.png", "conversations": conversation(QUESTION, answer)}
            for colour, answer in ANSWERS.items()
        ]
    path = folder / name
    path.write_text(json.dumps(samples, ensure_ascii=False), encoding="utf-8")
    return path
