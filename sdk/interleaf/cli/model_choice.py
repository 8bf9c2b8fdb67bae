"""Model choice: which model a command was given, by name or folder, and where and in what numbers it is to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    import torch

__all__ = ["DEVICE", "MODELS", "device_of", "model_folder", "torch_dtype"]

MODELS: Final = typer.Option(
    None, "--models", metavar="DIR", help="The folder of models (default: in the data folder)."
)


DEVICE: Final = typer.Option(None, help="cpu, cuda, cuda:1 or auto (default: cuda where there is one).")


def model_folder(model: str, models: Path | None) -> Path:
    """The folder of a model: a name of the shelf at `models` (None: that of the settings), or a folder's path.

    ModelMissing when it is neither, or when the folder holds no model."""
    from interleaf import approot
    from interleaf.errors import ModelMissing

    approot.enter()
    from model.weights.manifest import MANIFEST
    from model.weights.shelf import ModelShelf
    from workers.settings import settings

    try:
        return ModelShelf(models.absolute() if models else settings().models_dir).path(model)
    except ModelMissing:
        folder = Path(model).expanduser()
        if not folder.is_dir():
            raise
        if not any((folder / name).is_file() for name in (MANIFEST, "config.json")):
            problem = f"is a folder without a model: it has neither {MANIFEST} nor config.json."
            raise ModelMissing(model, problem, "See your models: interleaf models list") from None
        return folder.absolute()


def device_of(option: str | None) -> str | None:
    """Where to put a model, as transformers names it; None is the CPU. Unsupported for what is not here."""
    import torch

    from interleaf.errors import Unsupported

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if option in (None, "auto") and not cards:
        return None
    if option is None:
        return "cuda"
    here = ["cpu", *(["cuda", "auto"] if cards else []), *(f"cuda:{number}" for number in range(cards))]
    if option not in here:
        raise Unsupported("--device", f"{option!r} is not here.", f"Choose one of: {', '.join(here)}.")
    return option


def torch_dtype(option: str) -> torch.dtype | None:
    """The kind of numbers that an option names: bf16, fp16, fp32, or kept (None)."""
    if option == "kept":
        return None
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[option]
