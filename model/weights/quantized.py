"""Quantized: GPTQ and AWQ checkpoints are recognised and refused with a sentence that says what to do.

Their kernels belong to libraries that need a CUDA compiler and know nothing of the picture rows' low-rank path
(it hangs beside the packed matrix, under `….linear.qweight`). Our own int8 and int4 are made from the bf16
checkpoint when it is loaded, on any machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interleaf.errors import Unsupported, shown
from model.json_file import read_object

__all__ = ["Quantization", "quantization_of", "refuse_quantized"]

_PACKED: Final = re.compile(r"\.(qweight|qzeros|g_idx)$")
_SIDE_FILES: Final = {"quantize_config.json": "GPTQ", "quant_config.json": "AWQ"}
_METHODS: Final = {"gptq": "GPTQ", "awq": "AWQ", "bitsandbytes": "bitsandbytes"}


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a checkpoint was quantized: `method` (GPTQ, AWQ, or the name it gives itself) and `bits`, where told."""

    method: str
    bits: int | None


def quantization_of(
    folder: Path, published_config: Mapping[str, Any], names: Iterable[str] = ()
) -> Quantization | None:
    """How the checkpoint in `folder` was quantized; None: it was not. `names`: its tensors, as far as known."""
    told = published_config.get("quantization_config") or published_config.get("quant_config")
    if isinstance(told, Mapping) and told:
        return _told(told, "AWQ" if "version" in told else "GPTQ")
    for file_name, method in _SIDE_FILES.items():
        if (folder / file_name).is_file():
            return _told(read_object(folder / file_name), method)
    endings = {found[1] for name in names if (found := _PACKED.search(name))}
    if endings:
        return Quantization("GPTQ" if "g_idx" in endings else "GPTQ or AWQ", None)
    # GPTQ's own file name, where everything that tells more was left behind.
    return Quantization("GPTQ", None) if any(folder.glob("gptq_model*.safetensors")) else None


def refuse_quantized(folder: Path, published_config: Mapping[str, Any], names: Iterable[str] = ()) -> None:
    """Unsupported, with what to do instead, when the checkpoint was quantized."""
    found = quantization_of(folder, published_config, names)
    if found is None:
        return
    bits = f"{found.bits}-bit " if found.bits else ""
    raise Unsupported(
        folder.name or str(folder),
        f"is a {bits}{shown(found.method)} checkpoint; its packed matrices need a CUDA library of their own.",
        "Take the bf16 checkpoint of the same model and load it with int4 or int8 weights, which are made from it.",
    )


def _told(block: Mapping[str, Any], otherwise: str) -> Quantization:
    method = str(block.get("quant_method") or otherwise)
    bits = block.get("bits", block.get("w_bit"))
    known = isinstance(bits, int) and not isinstance(bits, bool) and 0 < bits <= 16
    return Quantization(_METHODS.get(method.lower(), method), bits if known else None)
