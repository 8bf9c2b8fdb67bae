"""Model choice: which model a command was given, by name or folder, and in what numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    import torch

__all__ = ["MODELS", "model_folder", "torch_dtype"]

MODELS: Final = typer.Option(
    None, "--models", metavar="DIR", help="The folder of models (default: in the data folder)."
)


def model_folder(model: str, models: Path | None) -> Path:
    """The folder of a model: a name of the shelf at `models` (None: that of the settings), or a folder's path."""
    from interleaf import approot
    from interleaf.errors import ModelMissing

    approot.enter()
    from model.shelf import ModelShelf
    from workers.settings import settings

    try:
        return ModelShelf(models.absolute() if models else settings().models_dir).path(model)
    except ModelMissing:
        folder = Path(model).expanduser()
        if not folder.is_dir():
            raise
        return folder.absolute()


def torch_dtype(option: str) -> torch.dtype | None:
    """The kind of numbers that an option names: bf16, fp16, fp32, or kept (None)."""
    if option == "kept":
        return None
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[option]
