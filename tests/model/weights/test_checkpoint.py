"""A checkpoint is taken whole and right, or refused with the first few wrong things and their number."""

from __future__ import annotations

import json
import os
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from interleaf.errors import CheckpointInvalid
from model.weights.checkpoint import Checkpoint, check, first_not_finite, open_checkpoint
from model.weights.seeded import write_checkpoint

BIN = "pytorch_model.bin"


def _state(folder: Path, **options: Any) -> dict[str, torch.Tensor]:
    """The tensors of a one-file checkpoint, for the test to change and put back with `_put`."""
    write_checkpoint(folder, shards=1, **options)
    return torch.load(folder / BIN, weights_only=True)


def _put(folder: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save(state, folder / BIN)


def _refusal(folder: Path) -> str:
    with pytest.raises(CheckpointInvalid) as caught:
        check(open_checkpoint(folder))
    return caught.value.message


def test_missing_unknown_misshapen_and_odd_are_all_named_at_once(tmp_path: Path) -> None:
    state = _state(tmp_path)
    for name in [n for n in state if n.startswith("model.layers.1.feed_forward.w2.")][:5]:
        del state[name]
    state["model.layers.0.extra.weight"] = torch.ones(2)
    state["model.layers.1.attention.wo.Plora_A.weight"] = torch.ones(5, 64)
    state["model.norm.weight"] = torch.ones(64, dtype=torch.int64)
    _put(tmp_path, state)
    message = _refusal(tmp_path)
    assert re.search(
        r"5 of \d+ tensors are missing \(model\.layers\.1\.feed_forward\.w2\.weight, [^,]+, [^,]+, …\)", message
    )
    assert "1 is unknown (model.layers.0.extra.weight)" in message
    assert "1 has the wrong shape (model.layers.1.attention.wo.Plora_A.weight is 5×64, expected 12×64)" in message
    assert "1 is neither bf16, fp16 nor fp32 (model.norm.weight is int64)" in message


def test_what_may_be_absent_and_what_may_be_extra(tmp_path: Path) -> None:
    state = _state(tmp_path)
    assert not any("post_layernorm" in name for name in state)
    state["model.layers.0.attention.rotary_emb.inv_freq"] = torch.ones(8)
    state["vit.vision_tower.vision_model.embeddings.position_ids"] = torch.arange(1_601)[None]
    _put(tmp_path, state)
    check(open_checkpoint(tmp_path))
    write_checkpoint(tmp_path, shards=1, post_layernorm=True)
    check(open_checkpoint(tmp_path))


def test_the_odd_layer_is_named_not_the_others(tmp_path: Path) -> None:
    """Ranks are those of most layers; one damaged layer does not decide, not even the first."""
    state = _state(tmp_path, layers=3)
    state["model.layers.0.attention.wqkv.Plora_A.weight"] = torch.ones(7, 64)
    _put(tmp_path, state)
    assert "1 has the wrong shape (model.layers.0.attention.wqkv.Plora_A.weight is 7×64, expected 12×64)" in _refusal(
        tmp_path
    )


def test_config_json_of_another_size_names_tensors(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3, "vocab_size": 700}))
    message = _refusal(tmp_path)
    assert (
        "model.layers.2.attention.wqkv.weight" in message
        and "tok_embeddings.weight is 600×64, expected 700×64" in message
    )


def test_another_family_is_named(tmp_path: Path) -> None:
    llama = {"model.embed_tokens.weight": torch.ones(4, 4), "lm_head.weight": torch.ones(4, 4)}
    save_file(llama, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert "Llama-like language model (model_type llama)" in _refusal(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.bin",
        "/etc/passwd",
        "a/b.bin",
        "..",
        "",
        "evil.py",
        "x\\y.bin",
        "x.bin\0",
        ".hidden.bin",
        "x.safetensors",
    ],
)
def test_an_index_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "evil.bin").write_bytes(b"x")
    folder = write_checkpoint(tmp_path / "c")
    index = json.loads((folder / f"{BIN}.index.json").read_text())
    index["weight_map"]["output.weight"] = name
    (folder / f"{BIN}.index.json").write_text(json.dumps(index))
    assert "no file name of the folder's own" in _refusal(folder)


@pytest.mark.parametrize("weight_map", [None, [], {}, {"a": 3}, {"a": ["x.bin"]}, "x"])
def test_an_index_without_a_map(weight_map: object, tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    (tmp_path / f"{BIN}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert f"{BIN}.index.json" in _refusal(tmp_path)


def test_shards_that_are_not_there(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=4)
    (tmp_path / "pytorch_model-00002-of-00004.bin").unlink()
    (tmp_path / "pytorch_model-00004-of-00004.bin").unlink()
    message = _refusal(tmp_path)
    assert "names 4 shards, of which 2 are not there (pytorch_model-00002-of-00004.bin, " in message


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=2)
    second = torch.load(tmp_path / "pytorch_model-00002-of-00002.bin", weights_only=True)
    torch.save(second | {"plora_glb_GN": torch.ones(1, 1, 192)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    assert "plora_glb_GN is in pytorch_model-00001-of-00002.bin and in" in _refusal(tmp_path)


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _config_list(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def _config_deep(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 200_000)


def _config_binary(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe{}")


def _no_weights(folder: Path) -> None:
    for path in folder.glob("pytorch_model*"):
        path.unlink()


def _no_index(folder: Path) -> None:
    (folder / f"{BIN}.index.json").unlink()


def _lfs(folder: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    (folder / "pytorch_model-00001-of-00002.bin").write_text(pointer)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (_no_config, "config.json: cannot be read"),
        (_config_list, "config.json: holds a list"),
        (_config_deep, "config.json: is no JSON"),
        (_config_binary, "config.json: is no JSON"),
        (_no_weights, "holds no weights"),
        (_no_index, "but no index"),
        (_lfs, "git-lfs pointer.*git lfs pull"),
    ],
)
def test_broken_folders(spoil: Callable[[Path], None], match: str, tmp_path: Path) -> None:
    spoil(write_checkpoint(tmp_path))
    assert re.search(match, _refusal(tmp_path))


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    assert "is no folder" in _refusal(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    assert "is no folder" in _refusal(tmp_path / "file")


@pytest.mark.parametrize("kept", [0, 5, 100, 5_000, -1])
def test_cut_safetensors(kept: int, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, format="safetensors", shards=1)
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:kept])
    assert "cut off, damaged or no safetensors file" in _refusal(tmp_path)


def test_a_header_that_claims_the_memory(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, format="safetensors", shards=1)
    (tmp_path / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    assert "cut off, damaged or no safetensors file" in _refusal(tmp_path)


def test_checking_reads_headers_only(tmp_path: Path) -> None:
    """A sparse file of six gigabytes of weights is looked over within a few megabytes of memory."""
    write_checkpoint(tmp_path, format="safetensors", shards=1)
    nbytes = 6 * 2**30
    entry = {"dtype": "F32", "shape": [nbytes // 4], "data_offsets": [0, nbytes]}
    header = json.dumps({"output.weight": entry}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    try:
        os.truncate(path, 8 + len(header) + nbytes)
    except OSError:
        pytest.skip("this file system takes no sparse file of 6 GB")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert open_checkpoint(tmp_path).shapes == {"output.weight": (nbytes // 4,)}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 2**10  # KiB


def test_a_file_that_cannot_be_mapped_is_an_error(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, format="safetensors", shards=1)
    nbytes = 2**46
    header = json.dumps({"x": {"dtype": "F32", "shape": [nbytes // 4], "data_offsets": [0, nbytes]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    try:
        os.truncate(path, 8 + len(header) + nbytes)
    except OSError:
        os.truncate(path, 8 + len(header) + 2**43)  # then it is cut off, which is an error too
    assert "model.safetensors: " in _refusal(tmp_path)


def test_safetensors_are_taken_before_pickles(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=1)
    (tmp_path / BIN).write_bytes(b"not even torch")
    write_checkpoint(tmp_path, shards=1, format="safetensors")
    assert open_checkpoint(tmp_path).form == "safetensors"


def test_linked_shards_are_read(tmp_path: Path) -> None:
    """The hub library's cache keeps weights beside the snapshot and links them in."""
    folder = write_checkpoint(tmp_path / "c", shards=1)
    (folder / BIN).rename(tmp_path / "blob")
    (folder / BIN).symlink_to("../blob")
    check(open_checkpoint(folder))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_where_a_value_is_not_finite(dtype: torch.dtype) -> None:
    tensor = torch.zeros(3, 2**23, dtype=dtype)
    assert first_not_finite(tensor) is None
    tensor[2, 2**23 - 1] = float("inf")
    assert first_not_finite(tensor) == 3 * 2**23 - 1
    tensor[0, 5] = float("nan")
    assert first_not_finite(tensor) == 5
    assert first_not_finite(torch.zeros(0)) is None


def test_a_tensor_that_is_not_there(tmp_path: Path) -> None:
    opened: Checkpoint = open_checkpoint(write_checkpoint(tmp_path))
    with pytest.raises(KeyError):
        opened.tensor("output.bias")
