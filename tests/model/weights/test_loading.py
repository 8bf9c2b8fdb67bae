"""A converted folder becomes the network that its checkpoint holds: every tensor, each task, on any device map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from interleaf.errors import Unsupported, WeightsUnusable
from model.network.config import ADAPTERS_OF_TASK, Family
from model.weights.conversion import convert
from model.weights.loading import attach_task, load_model
from model.weights.seeded import write_checkpoint


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("published") / "2d5", dtype=torch.float32, intermediate=128)


@pytest.fixture(scope="module")
def folder(published: Path) -> Path:
    target = published.parent / "converted"
    convert(published, target)
    return target


def published_state(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.bin")):
        state |= torch.load(path, weights_only=True)
    return state


@torch.no_grad()
def test_every_tensor_is_the_published_one(published: Path, folder: Path) -> None:
    model = load_model(folder, tasks=("write", "web"))
    state, own = published_state(published), model.state_dict()
    assert {k for k in own if "post_layernorm" not in k and "position_ids" not in k} == set(state)
    assert all(torch.equal(own[key], tensor) for key, tensor in state.items())
    assert model.config._attn_implementation == "sdpa" and not model.training
    assert model.vit.clip.post_layernorm.weight.eq(1).all() and model.vit.clip.post_layernorm.bias.eq(0).all()


@pytest.mark.parametrize("family", ["4khd-7b", "2-vl-7b", "2-7b", "2-vl-1.8b"])
@torch.no_grad()
def test_the_other_families_load_and_see(tmp_path: Path, family: Family) -> None:
    convert(write_checkpoint(tmp_path / "in", family, dtype=torch.float32), tmp_path / "out")
    model = load_model(tmp_path / "out")
    config = model.config
    edge = config.vision_config.image_size
    tiles, grids = (2, [(1, 1)]) if config.separators else (1, None)
    (vectors,) = model.get_image_features(torch.randn(tiles, 3, edge, edge), grids).pooler_output
    ids = torch.tensor([[3, *[config.image_token_id] * len(vectors), 5]])
    found = model(
        ids, pixel_values=torch.randn(tiles, 3, edge, edge), image_grids=None if grids is None else torch.tensor(grids)
    )
    assert torch.isfinite(found.logits).all()
    assert (config.family, config.rope_factor) == (family, {"4khd-7b": None, "2-vl-1.8b": 2.0}.get(family, 1.0))
    if family == "4khd-7b":
        assert model.model.layers[0].attention.wqkv.scale == 2.0 and model.model.layers[0].attention.wo.scale == 1.0
    with pytest.raises(Unsupported, match="'write' needs lora_dpo, lora_sft, which out does not have"):
        attach_task(model, tmp_path / "out", "write")


@torch.no_grad()
def test_adapters_come_when_they_are_asked_for(folder: Path) -> None:
    model, ids = load_model(folder), torch.tensor([[3, 4, 5, 6]])
    assert model.adapters == () and not any(".lora_" in n for n, _ in model.named_parameters())
    with pytest.raises(Unsupported, match="is not loaded"):
        model(ids, task="web")
    attach_task(model, folder, "web")
    before = model.model.layers[0].attention.wqkv.lora_web_A.weight
    attach_task(model, folder, "web")
    assert model.adapters == ADAPTERS_OF_TASK["web"]
    assert model.model.layers[0].attention.wqkv.lora_web_A.weight is before, "loaded once"
    assert not torch.equal(model(ids, task="web").logits, model(ids).logits)


@torch.no_grad()
@pytest.mark.parametrize("task", ["write", "web"])
def test_merged_is_the_same_as_attached(published: Path, folder: Path, tmp_path: Path, task: Any) -> None:
    convert(published, tmp_path / "merged", merge=task)
    merged, apart = load_model(tmp_path / "merged", tasks=(task,)), load_model(folder, tasks=(task,))
    ids = torch.tensor([[3, 4, 5, 6, 7, 8]])
    torch.testing.assert_close(merged(ids, task=task).logits, apart(ids, task=task).logits, atol=2e-5, rtol=1e-4)
    with pytest.raises(Unsupported, match="was merged"):
        merged(ids, task="base")


@torch.no_grad()
@pytest.mark.parametrize(("bits", "within"), [("int8", 0.05), ("int4", 0.35)])
def test_fewer_bits_stay_near(folder: Path, bits: Any, within: float) -> None:
    """The mean distance of the logits in parts of their spread; what is not a base matrix keeps its dtype."""
    exact = load_model(folder, tasks=("write",))
    rough = load_model(folder, tasks=("write",), weights=bits)
    ids = torch.randint(3, 90, (2, 30), generator=torch.Generator().manual_seed(0))
    truth, found = exact(ids, task="write").logits, rough(ids, task="write").logits
    distance = float(((found - truth).abs() / truth.std()).mean())
    assert 0 < distance < within
    linear = rough.model.layers[0].feed_forward.w2
    assert type(linear.weight.data) is not torch.Tensor and type(linear.Plora_A.weight.data) is torch.Tensor
    assert rough.output.weight.dtype == torch.float32
    made = rough.generate(ids, max_new_tokens=4, do_sample=False, eos_token_id=None, task="write")
    assert made.shape == (2, 34)


@torch.no_grad()
def test_parts_may_lie_elsewhere(folder: Path) -> None:
    """Layers that come to the device only when they are needed, by accelerate: as far as one CPU can show it."""
    from accelerate import cpu_offload

    ids = torch.tensor([[3, 4, 5]])
    truth = load_model(folder, tasks=("web",))(ids, task="web").logits
    mapped = load_model(folder, tasks=("web",), device={"": "cpu"})
    torch.testing.assert_close(mapped(ids, task="web").logits, truth)
    offloaded = load_model(folder, tasks=("web",))
    cpu_offload(offloaded, execution_device=torch.device("cpu"))
    assert offloaded.model.layers[0].attention.wqkv.weight.is_meta
    torch.testing.assert_close(offloaded(ids, task="web").logits, truth)


def test_folders_that_are_not_ours_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnusable, match=r"interleaf\.json"):
        load_model(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (broken / path.name).write_bytes(path.read_bytes())
    config = json.loads((broken / "config.json").read_text())
    config["intermediate_size"] += 2
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsUnusable, match="interleaf models verify"):
        load_model(broken)


def test_without_torchao_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(Unsupported, match=r"interleaf\[quantized\]"):
        load_model(folder, weights="int8")
