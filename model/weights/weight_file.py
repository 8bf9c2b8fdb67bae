"""Weight file: safetensors written tensor by tensor, so that a file larger than memory can be made.

The library's own writer wants all tensors of a file at once. The format is simple: the header's length in eight
bytes, the header in JSON, the bytes of the tensors one after another. Reading is left to the library.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from interleaf.errors import CheckpointInvalid, shown

__all__ = ["DTYPES", "Plan", "WrittenFile", "header_of", "nbytes_of", "open_tensors", "write_weight_file"]

# Names of the format for the kinds of numbers that weights of ours have.
DTYPES: Final[dict[str, torch.dtype]] = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}
_CHUNK_BYTES: Final = 16 * 2**20

Plan = Mapping[str, tuple[torch.dtype, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """What was written: the file's name, its length and its sha256."""

    name: str
    nbytes: int
    sha256: str


def nbytes_of(dtype: torch.dtype, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor."""
    return dtype.itemsize * prod(shape)


def write_weight_file(
    path: Path,
    plan: Plan,
    tensors: Iterable[tuple[str, torch.Tensor]],
    on_bytes: Callable[[int], object] = lambda count: None,
) -> WrittenFile:
    """Write the tensors, which come in the plan's order, to `path`; flushed to the disk before this returns.

    Memory holds one tensor at a time. `on_bytes` is told of every piece written. OSError when the disk is full:
    the caller, who knows what else belongs together, removes what was begun. ValueError when a tensor is not as
    planned.
    """
    header = _header(plan)
    digest = hashlib.sha256(header)
    waiting = iter(plan.items())
    with path.open("xb") as file:
        file.write(header)
        for name, tensor in tensors:
            planned = next(waiting, None)
            if planned != (name, (tensor.dtype, tuple(tensor.shape))):
                raise ValueError(f"{path.name}: {name} {tensor.dtype} {tuple(tensor.shape)} came, planned: {planned}")
            for piece in _pieces(tensor):
                file.write(piece)
                digest.update(piece)
                on_bytes(len(piece))
        if (left := next(waiting, None)) is not None:
            raise ValueError(f"{path.name}: {left[0]} was planned and did not come")
        file.flush()
        os.fsync(file.fileno())
        nbytes = file.tell()
    return WrittenFile(path.name, nbytes, digest.hexdigest())


def header_of(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Each tensor's kind of numbers, as the format spells it, and shape; no tensor is read.

    CheckpointInvalid for a file that is cut off, damaged, or no safetensors file.
    """
    with open_tensors(path) as file:
        found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
        return {name: (str(part.get_dtype()), tuple(part.get_shape())) for name, part in found.items()}


def open_tensors(path: Path) -> Any:
    """The library's reader of a safetensors file, mapped into memory. CheckpointInvalid when it cannot be read."""
    try:
        return safe_open(path, framework="pt", device="cpu")
    except RuntimeError as error:  # torch's, for a file larger than it may map
        problem = f"cannot be mapped ({shown(error)})."
        raise CheckpointInvalid(path.name, problem, "Use a machine with more memory.") from error
    except (SafetensorError, OSError, ValueError) as error:
        problem = f"is cut off, damaged or no safetensors file ({shown(error)})."
        raise CheckpointInvalid(path.name, problem, "Fetch or copy it anew.") from error


def _header(plan: Plan) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, (dtype, shape) in plan.items():
        end = start + nbytes_of(dtype, shape)
        entries[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    written = json.dumps(entries, separators=(",", ":")).encode()
    written += b" " * (-len(written) % 8)  # the tensors begin where any kind of number may lie
    return len(written).to_bytes(8, "little") + written


def _pieces(tensor: torch.Tensor) -> Iterator[memoryview]:
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)  # (bytes,)
    for start in range(0, flat.numel(), _CHUNK_BYTES):
        yield memoryview(flat[start : start + _CHUNK_BYTES].numpy())  # type: ignore[arg-type]
