"""Seeded checkpoints have the published form, and the same seed gives the same network in any cut."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import get_args

import pytest
import torch

from interleaf.errors import InvalidBrief
from model.network.config import Family
from model.weights.checkpoint import check, open_checkpoint
from model.weights.network_size import config_of_size, size_of
from model.weights.seeded import _groups, seeded_tensor, write_checkpoint
from model.weights.tensor_list import adapter_of, is_optional, tensor_list

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("family", get_args(Family))
@pytest.mark.parametrize("form", ["bin", "safetensors"])
def test_every_family_in_both_forms_passes_the_check(family: Family, form: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, family, format=form, shards=3)
    checkpoint = open_checkpoint(tmp_path)
    assert check(checkpoint).family == family
    assert len(checkpoint.shards) == 3 and checkpoint.form == form
    assert {fact.dtype for fact in checkpoint.tensors.values()} == {"BF16"}
    checkpoint.check_sums()


def test_one_seed_one_network(tmp_path: Path) -> None:
    """Form, shards, kind of numbers and the other tensors of the file do not change what a tensor holds."""
    for folder, options in {
        "a": {"shards": 1, "dtype": torch.float32},
        "b": {"shards": 4, "dtype": torch.bfloat16, "adapters": False},
        "c": {"shards": 2, "dtype": torch.float32, "format": "safetensors", "post_layernorm": True},
    }.items():
        write_checkpoint(tmp_path / folder, seed=7, **options)
    a, b, c = (open_checkpoint(tmp_path / folder) for folder in "abc")
    assert a.shards == ("pytorch_model.bin",) and not any(adapter_of(name) for name in b.tensors)
    assert sum(is_optional(name) for name in c.tensors) == 2
    for name in b.tensors:
        assert torch.equal(a.tensor(name).bfloat16(), b.tensor(name)), name
        assert torch.equal(a.tensor(name), c.tensor(name)), name
    write_checkpoint(tmp_path / "other", seed=8)
    assert not torch.equal(open_checkpoint(tmp_path / "other").tensor("output.weight"), b.tensor("output.weight"))


def test_no_tensor_is_the_same_as_another_or_without_effect(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_checkpoint(tmp_path, dtype=torch.float32))
    seen = set()
    for name in checkpoint.tensors:
        tensor = checkpoint.tensor(name)
        assert tensor.isfinite().all() and tensor.std() > 0.01, name
        seen.add(float(tensor.flatten()[0]))
    assert len(seen) == len(checkpoint.tensors)


def test_full_size_is_cut_as_published() -> None:
    """2.5: 9.97 + 10 + 2.22 GB; 4KHD: 10 + 7.2; 2-VL: 9.98 + 7.35. Nothing is written here, only planned."""
    cuts = {}
    for family in ("2d5-7b", "4khd-7b", "2-vl-7b"):
        names = tensor_list(config_of_size(family, size_of(family, "full")))
        names = {n: s for n, s in names.items() if not is_optional(n)}
        groups = _groups(names, torch.bfloat16, 2, 10 * 10**9)
        cuts[family] = [
            round(sum(2 * torch.Size(shape).numel() for shape in group.values()) / 1e9, 1) for group in groups
        ]
        assert [name for group in groups for name in group] == list(names)
    assert cuts == {"2d5-7b": [10.0, 10.0, 2.2], "4khd-7b": [10.0, 7.2], "2-vl-7b": [10.0, 7.3]}


def test_bin_files_hold_each_tensor_in_a_record_of_its_own(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=1)
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin") as archive:
        records = [r for r in archive.infolist() if "/data/" in r.filename]
    assert len(records) == len(open_checkpoint(tmp_path).tensors)
    assert not list(tmp_path.glob(".seeded-*"))


def test_the_index_has_the_published_form(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=3)
    index = json.loads((tmp_path / "pytorch_model.bin.index.json").read_text())
    assert set(index) == {"metadata", "weight_map"}
    assert set(index["weight_map"].values()) == {f"pytorch_model-0000{i}-of-00003.bin" for i in (1, 2, 3)}
    checkpoint = open_checkpoint(tmp_path)
    assert index["metadata"]["total_size"] == sum(fact.nbytes for fact in checkpoint.tensors.values())
    assert {name: fact.shard for name, fact in checkpoint.tensors.items()} == index["weight_map"]


def test_config_json_per_family(tmp_path: Path) -> None:
    configs = {}
    for family in get_args(Family):
        write_checkpoint(tmp_path / family, family)
        configs[family] = json.loads((tmp_path / family / "config.json").read_text())
    assert configs["2d5-7b"]["rope_scaling"] == {"factor": 2.0, "type": "dynamic"}
    assert configs["4khd-7b"]["rope_scaling"] is None
    assert [configs[f].get("img_size") for f in get_args(Family)] == [None, None, 490, 224, 490]
    assert configs["2d5-7b"]["model_type"] == "internlm2"
    assert configs["2-7b"]["vision_config"]["image_size"] == 224


def test_a_large_tensor_is_drawn_in_pieces_that_join() -> None:
    """The piece length is 2^22 values; a tensor across that border has no repetition and no seam."""
    drawn = seeded_tensor("x.weight", (2**22 + 1_000,), 0, torch.float32)
    assert not torch.equal(drawn[:1_000], drawn[2**22 :])
    assert abs(float(drawn[2**22 :].std() / drawn[:1_000].std()) - 1) < 0.2


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(InvalidBrief, match="colour"):
        size_of("2d5-7b", colour=3)
    with pytest.raises(InvalidBrief, match="family"):
        size_of("3-7b")
    with pytest.raises(InvalidBrief, match="size"):
        size_of("2-7b", "huge")


def test_the_program(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "model.weights.seeded",
        "--family",
        "4khd-7b",
        "--out",
        str(tmp_path / "c"),
        "--shards",
        "2",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert check(open_checkpoint(tmp_path / "c")).family == "4khd-7b"
