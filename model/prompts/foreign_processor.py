"""Foreign processor: the part of another family's model that makes tokens and pixels, opened without torchvision too.

The families' video parts exist for torchvision only, and a processor of transformers is not built without all of its
parts. Videos reach our engines as composite pictures, so that part is never used: where it is missing, a stand-in that
refuses takes its place, and the other parts are opened one by one, pictures by Pillow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from interleaf.errors import Unsupported, WeightsUnusable

__all__ = ["NoVideos", "open_processor"]

# No network, and no code that comes with a checkpoint.
_LOCAL: Final[dict[str, Any]] = {"local_files_only": True, "trust_remote_code": False}


class NoVideos:
    """Stands where a processor has its video part."""

    # Read by processors before they know whether a video comes.
    model_input_names: Final[tuple[str, ...]] = ()
    num_frames: Final = None
    fps: Final = None
    _auto_class: Final = None  # asked for when a processor is saved

    def __call__(self, *_: object, **__: object) -> Any:
        raise Unsupported("video", "is not taken by this model: it gets pictures only.", "Give a composite picture.")


def open_processor(folder: Path, config: Any) -> Any:
    """The processor in a model's folder; `config`: the model's, which says the family.

    Unsupported, naming torchvision, when its pictures need that; WeightsUnusable for missing or damaged files."""
    try:
        return AutoProcessor.from_pretrained(folder, **_LOCAL)
    except Exception as error:
        family: Any = PROCESSOR_MAPPING.get(type(config), None)
        if family is None or "video_processor" not in family.get_attributes():
            raise _unusable(folder, error) from error
    return _without_videos(folder, family)


def _without_videos(folder: Path, family: Any) -> Any:
    named: dict[str, Any] = {"tokenizer": AutoTokenizer, "image_processor": AutoImageProcessor}
    lacking = [part for part in family.get_attributes() if part not in (*named, "video_processor")]
    if lacking:
        problem = f"needs {', '.join(lacking)}, for more than pictures."
        raise Unsupported(folder.name, problem, "Take a model for words and pictures.")
    try:
        parts = [
            NoVideos() if part == "video_processor" else named[part].from_pretrained(folder, **_LOCAL)
            for part in family.get_attributes()
        ]
        said, _ = family.get_processor_dict(folder, **_LOCAL)
        return _for_pictures(family).from_args_and_dict(parts, said)
    except Exception as error:
        # An attribute is missing where the processor asks its video part for more than the stand-in has.
        if "torchvision" in str(error) or (isinstance(error, AttributeError) and NoVideos.__name__ in str(error)):
            raise _needs_torchvision(folder, error) from error
        raise _unusable(folder, error) from error


def _for_pictures(family: Any) -> Any:
    """The family's class, which takes the stand-in for its video part."""
    home = sys.modules[family.__module__]
    if getattr(home, "num2words", "") is None:
        # SmolVLM writes the number of a video's frames as a word, and is not built without the package that does.
        home.num2words = NoVideos()  # type: ignore[attr-defined]

    class Pictures(family):  # type: ignore[misc]
        def check_argument_for_proper_class(self, name: str, part: Any) -> Any:
            return NoVideos if name == "video_processor" else super().check_argument_for_proper_class(name, part)

        def to_dict(self) -> dict[str, Any]:
            said: dict[str, Any] = super().to_dict()
            said.pop("video_processor", None)
            return {**said, "processor_class": family.__name__}

    Pictures.__name__ = Pictures.__qualname__ = family.__name__
    return Pictures


def _needs_torchvision(folder: Path, error: Exception) -> Unsupported:
    return Unsupported(
        folder.name,
        f"cannot prepare pictures without torchvision ({_reason(folder, error)}).",
        "Install the torchvision that belongs to your torch, or take a model of another family.",
    )


def _unusable(folder: Path, error: Exception) -> WeightsUnusable:
    problem = f"cannot be opened ({_reason(folder, error)})."
    return WeightsUnusable(folder.name, problem, "Download the tokenizer and the preprocessor's settings again.")


def _reason(folder: Path, error: Exception) -> str:
    said = " ".join(str(error).replace(str(folder), folder.name).split())
    return f"{type(error).__name__}: {said[:300]}"
