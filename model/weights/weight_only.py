"""Weight-only quantisation: the decoder's large matrices in 8 or 4 bits through torchao, everything else as it is.

Low-rank paths, task adapters, norms, the vision tower, projector, embeddings and head keep their dtype: they are
small, or they decide words. Rows meet the weights in their own dtype.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any, Final, Literal, cast

import torch
from torch import nn

from interleaf.errors import Unsupported
from model.network.plora import PartialLoraLinear

__all__ = ["WeightBits", "quantize_weights"]

_log = logging.getLogger(__name__)

WeightBits = Literal["int8", "int4"]

INT4_GROUP: Final = 32  # values that share a scale


def quantize_weights(model: nn.Module, bits: WeightBits) -> int:
    """Quantise the base matrices of all partial-LoRA linears in place; how many there were.

    int8: one scale a row. int4: one scale for 32 values; packed two to a byte on CUDA, one to a byte on a CPU, where
    torchao has no packed form. Unsupported when torchao cannot do it here or `bits` is unknown."""
    try:
        torchao: Any = importlib.import_module("torchao.quantization")
    except ImportError as error:
        raise Unsupported("quantisation", "needs torchao.", "Run: pip install 'interleaf[quantized]'") from error
    linears = [m for m in model.modules() if isinstance(m, PartialLoraLinear)]
    if not linears:
        raise Unsupported("quantisation", "was asked for a network without partial-LoRA linears.", "Load an XComposer.")
    on_cpu = linears[0].weight.device.type == "cpu"
    if bits == "int8":
        config = torchao.Int8WeightOnlyConfig()
    elif bits == "int4" and on_cpu:
        _log.warning("int4 on a CPU: values of four bits, kept one to a byte; memory is that of int8")
        granularity: Any = importlib.import_module("torchao.quantization.granularity")
        config = torchao.IntxWeightOnlyConfig(
            weight_dtype=cast(Any, torch).int4, granularity=granularity.PerGroup(INT4_GROUP)
        )
    elif bits == "int4":
        config = torchao.Int4WeightOnlyConfig(group_size=INT4_GROUP, int4_packing_format="tile_packed_to_4d")
    else:
        raise Unsupported("quantisation", f"{bits!r} is not known.", "Choose int8 or int4.")
    narrow = [m for m in linears if bits == "int4" and m.in_features % INT4_GROUP]
    if narrow:
        raise Unsupported(
            "int4",
            f"needs widths that {INT4_GROUP} divides; a linear here is {narrow[0].in_features} wide.",
            "Choose int8.",
        )
    torchao.quantize_(model, config, filter_fn=lambda module, _: isinstance(module, PartialLoraLinear))
    return len(linears)
