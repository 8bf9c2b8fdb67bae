"""Conversion: a published checkpoint becomes a model folder of ours, tensor by tensor, once.

The main weights go into safetensors, the task adapters into files of their own, or are added into the weights for
one task (`merge`). Files that could be run are never copied.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import torch

from interleaf.errors import CheckpointInvalid, InvalidBrief, OutputUnwritable, WeightsUnusable
from model.json_file import read_object
from model.network.config import ADAPTERS_OF_TASK, Task, XComposerConfig
from model.weights.checkpoint import Checkpoint, check, fingerprint, first_not_finite, open_checkpoint
from model.weights.manifest import MANIFEST, FileFact, Manifest, Source, read_manifest
from model.weights.published import PUBLISHED_VOCAB_SIZE, expected
from model.weights.tensor_list import adapter_of
from model.weights.weight_file import DTYPES, Plan, nbytes_of, write_weight_file
from model.weights.whole_folder import need_room, whole_folder

__all__ = ["COPIED_FILES", "KNOWN_FILES", "convert"]

# Small files of a checkpoint that come along; nothing that could be run.
COPIED_FILES: Final[tuple[str, ...]] = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "LICENSE",
    "LICENSE.txt",
    "LICENSE.md",
)
# Patterns of every file that is worth fetching from a hub, of an XComposer or of another family's chat model.
KNOWN_FILES: Final[tuple[str, ...]] = (
    "config.json",
    "generation_config.json",
    *COPIED_FILES,
    "vocab.json",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "quantize_config.json",
    "quant_config.json",
    "model.safetensors.index.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "pytorch_model-*-of-*.bin",
)

MAX_COPIED_BYTES: Final = 64 * 2**20
SHARD_BYTES: Final = 5 * 10**9
# [UNUSED_TOKEN_145]: ends a turn in the published vocabulary.
END_OF_TURN_ID: Final = 92_542

OnProgress = Callable[[str, int, int], object]


def convert(
    source: Path,
    target: Path,
    *,
    merge: Task = "base",
    dtype: torch.dtype | None = None,
    source_name: str | None = None,
    revision: str | None = None,
    replace: bool = False,
    on_progress: OnProgress = lambda stage, done, total: None,
) -> Manifest:
    """Make the model folder `target` out of the checkpoint in `source`; the manifest of what was made.

    `merge`: add this task's adapters into the weights (`W + Σ B·A` in fp32, cast back), for use without others.
    `dtype`: None keeps each tensor's. Converting the same source the same way again changes nothing.
    `on_progress` is told (stage, done, of how many), stages `checking` (shards) and `converting` (bytes).

    Memory holds one tensor and what the system keeps of mapped files. CheckpointInvalid, Unsupported: see
    `checkpoint`; also a value that is no finite number. OutputUnwritable: no room, no right, or `target` holds
    something else and `replace` is off. Nothing half-written is left.
    """
    checkpoint = open_checkpoint(source)
    config = check(checkpoint)
    _check_merge(source, config, merge)
    kept = _dtype_of(checkpoint, dtype)
    origin = Source(name=source_name or source.resolve().name, revision=revision, fingerprint=fingerprint(checkpoint))
    already = _already(target, origin, merge, kept, replace)
    if already is not None:
        return already
    plans = _plans(checkpoint, config, merge, dtype)
    total_bytes = sum(nbytes_of(*entry) for plan in plans.values() for entry in plan.values())
    need_room(target, total_bytes)
    checkpoint.check_sums(lambda done, total: on_progress("checking", done, total))
    with whole_folder(target) as aside:
        files: dict[str, FileFact] = {}
        done_bytes = 0

        def count(nbytes: int) -> None:
            nonlocal done_bytes
            done_bytes += nbytes
            on_progress("converting", done_bytes, total_bytes)

        (aside / "adapters").mkdir()
        for name, plan in plans.items():
            written = write_weight_file(aside / name, plan, _tensors(checkpoint, plan, merge), count)
            files[name] = FileFact(bytes=written.nbytes, sha256=written.sha256)
        if not any((aside / "adapters").iterdir()):
            (aside / "adapters").rmdir()
        for name, content in _small_files(checkpoint, config, merge, kept, plans):
            files[name] = _write(aside / name, content)
        manifest = Manifest(
            family=config.family,
            source=origin,
            tensors=sum(len(plan) for plan in plans.values()),
            adapters={} if merge != "base" else dict(config.adapter_rank or {}),
            merged_task=merge,
            dtype=kept,
            files=dict(sorted(files.items())),
        )
        _write(aside / MANIFEST, _json(manifest.model_dump(mode="json")))
    return manifest


# Inside


def _check_merge(source: Path, config: XComposerConfig, merge: Task) -> None:
    if merge not in ADAPTERS_OF_TASK:
        raise InvalidBrief("merge", f"is {merge!r}.", f"Known: {', '.join(ADAPTERS_OF_TASK)}.")
    absent = [name for name in ADAPTERS_OF_TASK[merge] if name not in (config.adapter_rank or {})]
    if absent:
        problem = f"has no {' and no '.join(absent)} to merge for the task {merge!r}."
        raise CheckpointInvalid(source.name, problem, "Convert it without merging; only 2.5 has task adapters.")


def _dtype_of(checkpoint: Checkpoint, dtype: torch.dtype | None) -> str:
    """The kind of numbers that the converted weights have, or most of them: `bfloat16`."""
    if dtype is not None:
        if dtype not in DTYPES.values():
            raise InvalidBrief("dtype", f"is {dtype}.", "Known: bfloat16, float16, float32.")
        return str(dtype).removeprefix("torch.")
    most = Counter(fact.dtype for fact in checkpoint.tensors.values() if fact.dtype in DTYPES).most_common(1)[0][0]
    return str(DTYPES[most]).removeprefix("torch.")


def _already(target: Path, origin: Source, merge: Task, dtype: str, replace: bool) -> Manifest | None:
    """The manifest of `target` when it is what would be made; None when it may be made."""
    if not target.exists():
        return None
    if (target / MANIFEST).is_file():
        if replace and not _readable(target):
            return None
        found = read_manifest(target)
        same = (found.source.fingerprint, found.merged_task, found.dtype) == (origin.fingerprint, merge, dtype)
        whole = all(
            (target / name).is_file() and (target / name).stat().st_size == fact.bytes
            for name, fact in found.files.items()
        )
        if same and whole:
            return found
        if replace:
            return None
    raise OutputUnwritable(
        str(target), "holds something else already.", "Name another, or say --replace to take its place."
    )


def _readable(target: Path) -> bool:
    try:
        read_manifest(target)
    except WeightsUnusable:
        return False
    return True


def _plans(
    checkpoint: Checkpoint, config: XComposerConfig, merge: Task, dtype: torch.dtype | None
) -> dict[str, dict[str, tuple[torch.dtype, tuple[int, ...]]]]:
    """Files and what goes into each, in the order in which the checkpoint holds it."""
    wanted = expected(config)
    groups: list[dict[str, tuple[torch.dtype, tuple[int, ...]]]] = [{}]
    adapters: dict[str, dict[str, tuple[torch.dtype, tuple[int, ...]]]] = {}
    filled = 0
    for name, fact in checkpoint.tensors.items():
        if name not in wanted:
            continue
        entry = (dtype or DTYPES[fact.dtype], fact.shape)
        adapter = adapter_of(name)
        if adapter is not None:
            if merge == "base":
                adapters.setdefault(adapter, {})[name] = entry
            continue
        nbytes = nbytes_of(*entry)
        if groups[-1] and filled + nbytes > SHARD_BYTES:
            groups.append({})
            filled = 0
        groups[-1][name] = entry
        filled += nbytes
    if len(groups) == 1:
        plans = {"model.safetensors": groups[0]}
    else:
        plans = {f"model-{i:05d}-of-{len(groups):05d}.safetensors": group for i, group in enumerate(groups, start=1)}
    return plans | {f"adapters/{name}.safetensors": adapters[name] for name in sorted(adapters)}


def _tensors(checkpoint: Checkpoint, plan: Plan, merge: Task) -> Iterator[tuple[str, torch.Tensor]]:
    for name, (dtype, _) in plan.items():
        tensor = checkpoint.tensor(name)
        pairs = _pairs(checkpoint, name, merge)
        if pairs:
            wide = tensor.float()  # (out, in)
            for a, b in pairs:
                wide += b.float() @ a.float()  # (out, rank) @ (rank, in)
            tensor = wide
        tensor = tensor.to(dtype)
        where = first_not_finite(tensor)
        if where is not None:
            raise CheckpointInvalid(
                checkpoint.tensors[name].shard,
                f"{name} is not finite at value {where:,} (as {str(dtype).removeprefix('torch.')}).",
                "Fetch the checkpoint anew, or convert to bf16 or fp32.",
            )
        yield name, tensor


def _pairs(checkpoint: Checkpoint, name: str, merge: Task) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(A, B) of the adapters that are added into the weight `name`."""
    stem = name.removesuffix(".weight")
    return [
        (checkpoint.tensor(f"{stem}.{adapter}_A.weight"), checkpoint.tensor(f"{stem}.{adapter}_B.weight"))
        for adapter in ADAPTERS_OF_TASK[merge]
        if f"{stem}.{adapter}_A.weight" in checkpoint.tensors
    ]


def _small_files(
    checkpoint: Checkpoint, config: XComposerConfig, merge: Task, dtype: str, plans: Mapping[str, Plan]
) -> Iterator[tuple[str, bytes]]:
    values = config.to_dict() | {"merged_task": merge, "dtype": dtype}
    values["architectures"] = ["XComposerForConditionalGeneration"]
    if merge != "base":
        values["adapter_rank"] = {}
    yield "config.json", _json(values)
    stops = [config.eos_token_id]
    if config.vocab_size == PUBLISHED_VOCAB_SIZE:
        stops.append(END_OF_TURN_ID)
    generation = {
        "bos_token_id": config.bos_token_id,
        "eos_token_id": stops if len(stops) > 1 else stops[0],
        "pad_token_id": config.pad_token_id,
        "use_cache": True,
    }
    yield "generation_config.json", _json(generation)
    shards = {name: plan for name, plan in plans.items() if "/" not in name}
    if len(shards) > 1:
        weight_map = {key: name for name, plan in shards.items() for key in plan}
        total = sum(nbytes_of(*entry) for plan in shards.values() for entry in plan.values())
        yield "model.safetensors.index.json", _json({"metadata": {"total_size": total}, "weight_map": weight_map})
    for name in COPIED_FILES:
        if (checkpoint.folder / name).is_file():
            yield name, _copied(checkpoint.folder / name)


def _copied(path: Path) -> bytes:
    """A small file's content; of JSON, without the names of programs to run."""
    if path.stat().st_size > MAX_COPIED_BYTES:
        raise CheckpointInvalid(path.name, f"is larger than {MAX_COPIED_BYTES // 2**20} MiB.", "Take it anew.")
    if path.suffix != ".json":
        return path.read_bytes()
    values = read_object(path)
    return _json({k: v for k, v in values.items() if k != "auto_map"}) if "auto_map" in values else path.read_bytes()


def _write(path: Path, content: bytes) -> FileFact:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return FileFact(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()
