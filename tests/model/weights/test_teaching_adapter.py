"""An adapter: of one base, read by PEFT as by us, the same merged and beside the weights; damage is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import peft
import pytest
import torch
from torch import Tensor

from interleaf.errors import InterleafError, OutputUnwritable, Unsupported, WeightsUnusable
from model.network.xcomposer import XComposerForConditionalGeneration
from model.weights.loading import load_model
from model.weights.teaching_adapter import (
    AdapterRecord,
    apply_adapter,
    base_fingerprint,
    insert_pairs,
    read_record,
    trained_tensors,
    write_adapter,
    write_tensors,
)
from tests.model.teaching_material import tiny_folder

IDS = torch.tensor([[1, 70, 300, 12, 900, 44]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("base"))


@pytest.fixture
def adapter(folder: Path, tmp_path: Path) -> Path:
    """An adapter whose pairs are drawn, with alpha twice its rank."""
    model = load_model(folder)
    base = base_fingerprint(model)
    insert_pairs(model, 4, 8, 0.0, seed=0)
    drawn = torch.Generator().manual_seed(1)
    for parameter in trained_tensors(model).values():
        parameter.data.normal_(0, 0.05, generator=drawn)
    record = AdapterRecord(
        base="tiny", base_fingerprint=base, set_fingerprint="0" * 64, rank=4, alpha=8, steps=1, settings={},
        weights_sha256="0" * 64,
    )  # fmt: skip
    write_adapter(tmp_path / "adapter", model, record, 0.0)
    return tmp_path / "adapter"


@torch.no_grad()
def logits(model: torch.nn.Module) -> Tensor:
    return model(input_ids=IDS).logits  # type: ignore[no-any-return]


def test_beside_the_weights_merged_and_by_peft(folder: Path, adapter: Path) -> None:
    untaught = logits(load_model(folder))
    beside = logits(apply_adapter(load_model(folder), adapter))
    assert (beside - untaught).abs().max() > 0.1
    torch.testing.assert_close(
        logits(apply_adapter(load_model(folder), adapter, merge=True)), beside, atol=1e-4, rtol=0
    )
    theirs = peft.PeftModel.from_pretrained(load_model(folder), str(adapter))
    torch.testing.assert_close(logits(theirs), beside, atol=1e-5, rtol=0)


def test_pairs_that_were_not_taught_change_nothing(folder: Path) -> None:
    model = load_model(folder)
    before = logits(model)
    insert_pairs(model, 4, 8, 0.5, seed=3)
    assert torch.equal(logits(model), before)
    with pytest.raises(Unsupported, match="already"):
        insert_pairs(model, 4, 8, 0.5, seed=3)


def test_the_fingerprint_is_of_the_base(folder: Path, adapter: Path, tmp_path: Path) -> None:
    plain = base_fingerprint(load_model(folder))
    assert base_fingerprint(load_model(folder, tasks=("write", "web"))) == plain
    assert base_fingerprint(load_model(folder, dtype=torch.bfloat16)) == plain
    assert base_fingerprint(apply_adapter(load_model(folder), adapter)) == plain
    assert base_fingerprint(apply_adapter(load_model(folder), adapter, merge=True)) != plain


def test_an_adapter_of_another_base_is_refused(adapter: Path, tmp_path: Path) -> None:
    other = load_model(tiny_folder(tmp_path, seed=1))
    before = logits(other)
    for merge in (False, True):
        with pytest.raises(WeightsUnusable, match=r"is an adapter of tiny .* this model is") as refused:
            apply_adapter(other, adapter, merge=merge)
    assert "taught on" in refused.value.remedy and torch.equal(logits(other), before)


def test_a_quantised_base_is_refused(folder: Path, adapter: Path) -> None:
    pytest.importorskip("torchao")
    with pytest.raises(Unsupported, match="quantised"):
        apply_adapter(load_model(folder, weights="int8"), adapter)


def _foreign_shape(folder: Path) -> None:
    """Weights of another rank, whose sum the record knows."""
    sha256 = write_tensors(folder / "adapter_model.safetensors", {"a": torch.zeros(2)})
    record = json.loads((folder / "teaching.json").read_text())
    (folder / "teaching.json").write_text(json.dumps(record | {"weights_sha256": sha256}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "teaching.json").unlink(), "no finished adapter"),
        (lambda f: (f / "teaching.json").write_text("{"), "no JSON"),
        (lambda f: (f / "teaching.json").write_text('{"format": 2}'), "format 2"),
        (lambda f: (f / "teaching.json").write_text('{"format": 1}'), "is damaged: base"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "cannot be read"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"x"), "has changed"),
        (_foreign_shape, "missing, unknown or misshapen"),
    ],
)
def test_damage_is_refused_and_the_model_stays(
    folder: Path, adapter: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(adapter)
    model: XComposerForConditionalGeneration = load_model(folder)
    before = logits(model)
    with pytest.raises(InterleafError, match=said):
        apply_adapter(model, adapter)
    assert torch.equal(logits(model), before) and not any("base_layer" in name for name, _ in model.named_modules())


def test_the_record_says_what_it_is(adapter: Path) -> None:
    record = read_record(adapter)
    assert (record.base, record.rank, record.alpha, record.task) == ("tiny", 4, 8, "base")
    assert record.weights_sha256 != "0" * 64


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match="cannot be written"):
        write_tensors(tmp_path / "file" / "a.safetensors", {"a": torch.zeros(2)})
