"""Foreign folder: a chat model of another family as its publishers give it, told apart, copied whole, checked.

Nothing is converted: transformers reads such a folder as it is. Weights are copied as far as they are safetensors, and
of the other files those that describe; nothing that could be run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from interleaf.errors import CheckpointInvalid, InterleafError, OutputUnwritable, Unsupported, WeightsUnusable, shown
from model.json_file import read_object
from model.weights.manifest import MANIFEST
from model.weights.whole_folder import need_room, whole_folder

__all__ = ["ForeignModel", "copy_foreign", "foreign_model", "is_known", "open_parts"]

CONFIG: Final = "config.json"
INDEX: Final = "model.safetensors.index.json"
WEIGHTS: Final = "model.safetensors"
MAX_SHARDS: Final = 2_000
# What transformers reads beside the weights: settings, vocabularies, templates.
DESCRIBING: Final = (".json", ".jinja", ".txt", ".model", ".tiktoken")
MAX_DESCRIBING_BYTES: Final = 256 * 2**20
_LICENCES: Final = ("LICENSE", "LICENSE.md", "LICENCE", "NOTICE")
# Of the family that has its own network here; its folders are converted, or were.
_OURS: Final = "xcomposer"
_COPY_BYTES: Final = 8 * 2**20
_TAKE: Final = "Take a chat model with eyes, whole, in safetensors."

OnProgress = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """What a folder says of itself: the family by transformers' name, and how many bytes it holds. Not checked."""

    model_type: str
    nbytes: int


def foreign_model(folder: Path) -> ForeignModel | None:
    """What the folder of a chat model of transformers says of itself; None when it is none, or is one of ours.

    Quick: weights are not opened. CheckpointInvalid when config.json is damaged."""
    if (folder / MANIFEST).exists() or not (folder / CONFIG).is_file() or not any(folder.glob("*.safetensors")):
        return None
    model_type = read_object(folder / CONFIG).get("model_type")
    if not isinstance(model_type, str) or not model_type or _OURS in model_type.lower():
        return None
    return ForeignModel(shown(model_type), sum(path.stat().st_size for path in folder.iterdir() if path.is_file()))


def is_known(folder: Path) -> bool:
    """Whether transformers has a network of words and pictures for the folder's `model_type`. CheckpointInvalid."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    if not (folder / CONFIG).is_file():
        return False
    model_type = read_object(folder / CONFIG).get("model_type")
    return isinstance(model_type, str) and model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def copy_foreign(
    source: Path,
    target: Path,
    *,
    replace: bool = False,
    on_progress: OnProgress = lambda stage, done, total: None,
) -> ForeignModel:
    """Copy what a model needs into `target`, which appears whole or not at all. The same again changes nothing.

    It is opened first, all but the weights' values. CheckpointInvalid, WeightsUnusable, Unsupported: it cannot be
    used, and why. OutputUnwritable: no room, no right, or `target` holds something else and `replace` is off."""
    files = _files(source)
    open_parts(source)
    if target.exists():
        if _same(target, files):
            return _described(target)
        if not replace:
            problem = "holds something else already."
            raise OutputUnwritable(str(target), problem, "Name another, or say --replace to take its place.")
    total = sum(files.values())
    need_room(target, total)
    done = 0
    with whole_folder(target) as aside:
        for name in files:
            with (source / name).open("rb") as read, (aside / name).open("xb") as written:
                while piece := read.read(_COPY_BYTES):
                    written.write(piece)
                    done += len(piece)
                    on_progress("copying", done, total)
                written.flush()
                os.fsync(written.fileno())
    return _described(target)


def open_parts(folder: Path) -> list[str]:
    """Open everything of a model but the values of its weights: config, processor, template, every shard's header.
    The names of the shards. CheckpointInvalid, WeightsUnusable, Unsupported say what cannot be opened."""
    from transformers import AutoConfig

    from model.prompts.foreign_processor import open_processor
    from model.weights.weight_file import header_of

    if not is_known(folder):
        said = read_object(folder / CONFIG).get("model_type")
        problem = f"model_type {shown(said)!r} is no chat model with eyes that this transformers knows."
        raise CheckpointInvalid(CONFIG, problem, "Take another model, or a newer transformers.")
    shards = _shards(folder)
    for name in shards:
        header_of(folder / name)
    kept: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(folder, **kept)
    except Exception as error:  # it validates with errors of several libraries
        raise CheckpointInvalid(CONFIG, f"holds values that do not fit ({shown(error)}).", _TAKE) from error
    processor = open_processor(folder, config)
    if getattr(processor, "chat_template", None) is None:
        raise Unsupported(folder.name, "has no chat template.", "Take a model that was taught to chat.")
    return shards


# Inside


def _described(folder: Path) -> ForeignModel:
    found = foreign_model(folder)
    if found is None:
        raise WeightsUnusable(folder.name, "holds no chat model of transformers.", _TAKE)
    return found


def _shards(folder: Path) -> list[str]:
    """The names of the weights' files, which are there."""
    if (folder / INDEX).is_file():
        said = read_object(folder / INDEX).get("weight_map")
        names = sorted({str(name) for name in said.values()}) if isinstance(said, dict) else []
        odd = [name for name in names if PurePath(name).name != name or not name.endswith(".safetensors")]
        if not names or odd or len(names) > MAX_SHARDS:
            problem = f"names {shown(odd[0])!r} as a file." if odd else f"names {len(names):,} files of weights."
            raise CheckpointInvalid(INDEX, problem, _TAKE)
    else:
        names = [WEIGHTS]
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        pickled = any(folder.glob("*.bin"))
        problem = f"{len(absent)} of {len(names)} files of weights are not there, the first is {shown(absent[0])}"
        remedy = "Take it in safetensors: .bin files of strangers are not opened." if pickled else _TAKE
        raise CheckpointInvalid(folder.name, f"{problem}.", remedy)
    return names


def _files(folder: Path) -> dict[str, int]:
    """The files that a model consists of, and their lengths in bytes; the weights come last."""
    shards = _shards(folder)
    lengths: dict[str, int] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and (path.suffix in DESCRIBING or path.name in _LICENCES) and not path.name.startswith("."):
            lengths[path.name] = path.stat().st_size
            if lengths[path.name] > MAX_DESCRIBING_BYTES:
                problem = f"is larger than {MAX_DESCRIBING_BYTES >> 20} MiB."
                raise CheckpointInvalid(path.name, problem, "Move away what does not belong to the model.")
    return lengths | {name: (folder / name).stat().st_size for name in shards}


def _same(target: Path, files: dict[str, int]) -> bool:
    """Whether `target` is the copy of such files. Lengths are compared, not gigabytes of bytes."""
    try:
        return (target / CONFIG).is_file() and _files(target) == files
    except InterleafError:
        return False
