"""GPTQ and AWQ checkpoints are recognised by every trace they leave and refused with what to do instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from interleaf.errors import Unsupported
from model.weights.checkpoint import open_checkpoint
from model.weights.quantized import Quantization, quantization_of

AWQ = {"bits": 4, "group_size": 128, "version": "gemm", "zero_point": True, "quant_method": "awq"}
PACKED = "model.layers.0.attention.wqkv.linear."


@pytest.mark.parametrize(
    ("config", "side_files", "names", "wanted"),
    [
        ({"quantization_config": AWQ}, {}, (), Quantization("AWQ", 4)),
        ({"quantization_config": {"bits": 4, "quant_method": "gptq"}}, {}, (), Quantization("GPTQ", 4)),
        ({"quant_config": {"w_bit": 4, "version": "GEMM"}}, {}, (), Quantization("AWQ", 4)),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, {}, (), Quantization("bitsandbytes", None)),
        ({}, {"quantize_config.json": {"bits": 4, "group_size": 128}}, (), Quantization("GPTQ", 4)),
        ({}, {"quant_config.json": {"w_bit": 4, "q_group_size": 128}}, (), Quantization("AWQ", 4)),
        ({}, {}, (f"{PACKED}qweight", f"{PACKED}qzeros", f"{PACKED}g_idx"), Quantization("GPTQ", None)),
        ({}, {}, (f"{PACKED}qweight", f"{PACKED}qzeros", f"{PACKED}scales"), Quantization("GPTQ or AWQ", None)),
        ({"quantization_config": None}, {}, ("output.weight",), None),
        ({}, {}, (), None),
    ],
)
def test_every_trace(
    config: dict[str, object], side_files: dict[str, object], names: tuple[str, ...], wanted: object, tmp_path: Path
) -> None:
    for name, content in side_files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert quantization_of(tmp_path, config, names) == wanted


def test_a_published_gptq_folder(tmp_path: Path) -> None:
    """One file under GPTQ's own name, quantize_config.json beside it, packed matrices one level deeper."""
    folder = tmp_path / "internlm-xcomposer2-7b-4bit"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "internlm", "img_size": 224}))
    (folder / "quantize_config.json").write_text(json.dumps({"bits": 4, "group_size": 128, "desc_act": False}))
    save_file({f"{PACKED}qweight": torch.ones(8, 8, dtype=torch.int32)}, folder / "gptq_model-4bit-128g.safetensors")
    with pytest.raises(Unsupported, match=r"is a 4-bit GPTQ checkpoint.*bf16 checkpoint.*int4") as caught:
        open_checkpoint(folder)
    assert caught.value.exit_code == 2 and folder.name in caught.value.message
    (folder / "quantize_config.json").unlink()
    with pytest.raises(Unsupported, match="GPTQ"):
        open_checkpoint(folder)


def test_packed_tensors_under_usual_names(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    save_file({f"{PACKED}qweight": torch.ones(2, 2, dtype=torch.int32)}, tmp_path / "model.safetensors")
    with pytest.raises(Unsupported, match="GPTQ or AWQ"):
        open_checkpoint(tmp_path)
