"""A converted folder is read as it was made; verify finds every kind of damage and names the file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from interleaf.errors import CheckpointInvalid, Unsupported, WeightsUnusable
from model.weights.conversion import convert
from model.weights.converted import adapters_of, load_state, read_adapter, read_config, read_manifest, verify
from model.weights.seeded import write_checkpoint

MODEL = "model.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    convert(write_checkpoint(folder / "in"), folder / "out")
    return folder / "out"


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def _relist(folder: Path, name: str) -> None:
    """Make the manifest agree with a changed file, as an attacker or a careless program would."""
    manifest = json.loads((folder / "interleaf.json").read_text())
    content = (folder / name).read_bytes()
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "interleaf.json").write_text(json.dumps(manifest))


def _flip(folder: Path) -> None:
    content = bytearray((folder / MODEL).read_bytes())
    content[-1_000] ^= 1
    (folder / MODEL).write_bytes(content)


def _cut(folder: Path) -> None:
    (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:-1])


def _lose(folder: Path) -> None:
    (folder / "adapters" / "lora_web.safetensors").unlink()


def _stranger(folder: Path) -> None:
    (folder / "modeling.py").write_text("x")


def _nan(folder: Path) -> None:
    tensors = load_file(folder / MODEL)
    tensors["model.norm.weight"][2] = float("nan")
    save_file(tensors, folder / MODEL)
    _relist(folder, MODEL)


def _lacking(folder: Path) -> None:
    tensors = load_file(folder / MODEL)
    del tensors["output.weight"]
    save_file(tensors, folder / MODEL)
    _relist(folder, MODEL)


def _other_config(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text()) | {"hidden_size": 128}
    (folder / "config.json").write_text(json.dumps(values))
    _relist(folder, "config.json")


def _senseless_config(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text()) | {"num_attention_heads": 7}
    (folder / "config.json").write_text(json.dumps(values))
    _relist(folder, "config.json")


@pytest.mark.parametrize(
    ("damage", "file", "what"),
    [
        (_flip, MODEL, "has changed since it was converted (sha256)"),
        (_cut, MODEL, "bytes long, not"),
        (_lose, "adapters/lora_web.safetensors", "is missing"),
        (_stranger, "modeling.py", "is not in the manifest"),
        (_nan, MODEL, "model.norm.weight is not finite at value 2"),
        (_lacking, "config.json", "output.weight"),
        (_other_config, "config.json", "the wrong shape"),
        (_senseless_config, "config.json", "do not fit"),
    ],
)
def test_verify_names_the_file_and_the_damage(
    damage: Callable[[Path], None], file: str, what: str, model: Path
) -> None:
    assert verify(model) == []
    damage(model)
    problems = verify(model)
    assert len(problems) == 1
    assert problems[0].file == file and what in problems[0].what


def test_verify_tells_how_far_it_is(model: Path) -> None:
    told: list[int] = []
    verify(model, told.append)
    assert sum(told) == read_manifest(model).nbytes


def test_adapters_are_read_one_at_a_time(model: Path) -> None:
    assert adapters_of(model) == ("lora_dpo", "lora_sft", "lora_web")
    web = read_adapter(model, "lora_web")
    assert web["model.layers.1.feed_forward.w2.lora_web_A.weight"].shape == (10, 112)
    assert len(web) == 20 and not any("lora_web" in name for name, _ in load_state(model))
    for hostile in ("lora_poem", "../model", ""):
        with pytest.raises(Unsupported, match="it has: lora_dpo, lora_sft, lora_web"):
            read_adapter(model, hostile)


def test_the_state_is_mapped_not_copied(model: Path) -> None:
    for _, tensor in load_state(model):
        assert tensor.device.type == "cpu" and isinstance(tensor, torch.Tensor)
    (model / MODEL).unlink()
    with pytest.raises(WeightsUnusable):
        list(load_state(model))


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnusable, match=r"has no interleaf\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"files": {"../../etc/passwd": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {"/etc/passwd": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {"a": {"bytes": -1, "sha256": "0" * 64}}},
        {"files": {"a": {"bytes": 1, "sha256": "x"}}},
        {"merged_task": "poem"},
        {"more": 1},
        {"tensors": None},
    ],
    ids=str,
)
def test_a_hostile_manifest(change: dict[str, object], model: Path) -> None:
    manifest = json.loads((model / "interleaf.json").read_text())
    (model / "interleaf.json").write_text(json.dumps(manifest | change))
    with pytest.raises(WeightsUnusable):
        verify(model)


def test_a_config_that_is_none(model: Path) -> None:
    (model / "config.json").write_text("{")
    with pytest.raises(CheckpointInvalid):
        read_config(model)
