"""Conversion keeps every value, happens once, and leaves nothing half-made."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file

from interleaf.errors import CheckpointInvalid, InvalidBrief, OutputUnwritable, WeightsUnusable
from model.network.config import ADAPTERS_OF_TASK, Family, XComposerConfig
from model.weights import conversion
from model.weights.checkpoint import open_checkpoint
from model.weights.conversion import convert
from model.weights.converted import load_state, read_adapter, read_config, read_manifest, verify
from model.weights.seeded import write_checkpoint
from model.weights.tensor_list import adapter_of, linear_path

GOLDEN = Path(__file__).resolve().parents[3].parent / "shared" / "eval" / "xcomposer-golden"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny 2.5 in three shards, as published; read by every test, changed by none."""
    return write_checkpoint(tmp_path_factory.mktemp("source") / "tiny-2d5", shards=3)


def _state(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_state(folder))


@pytest.mark.parametrize("family", get_args(Family))
@pytest.mark.parametrize("form", ["bin", "safetensors"])
def test_every_value_is_kept(family: Family, form: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", family, format=form, shards=3)
    manifest = convert(tmp_path / "in", tmp_path / "out")
    read = open_checkpoint(tmp_path / "in")
    found = _state(tmp_path / "out")
    for adapter in manifest.adapters:
        found |= read_adapter(tmp_path / "out", adapter)
    assert set(found) == set(read.tensors) and manifest.tensors == len(found)
    for name, tensor in found.items():
        assert tensor.dtype == torch.bfloat16 and torch.equal(tensor, read.tensor(name)), name
    assert not any(adapter_of(name) for name in _state(tmp_path / "out"))
    assert verify(tmp_path / "out") == []
    assert manifest.family == family and manifest.dtype == "bfloat16"


def test_the_folder_is_what_loading_expects(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "out")
    names = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert names == [
        "adapters/lora_dpo.safetensors",
        "adapters/lora_sft.safetensors",
        "adapters/lora_web.safetensors",
        "config.json",
        "generation_config.json",
        "interleaf.json",
        "model.safetensors",
    ]
    config = XComposerConfig.from_pretrained(tmp_path / "out")
    assert config.adapter_rank == {"lora_sft": 6, "lora_dpo": 6, "lora_web": 10}
    assert config.to_dict() == read_config(tmp_path / "out").to_dict()
    assert config.vision_config.num_attention_heads == 3 and config.dtype == torch.bfloat16
    web = load_file(tmp_path / "out" / "adapters" / "lora_web.safetensors")
    assert all(adapter_of(name) == "lora_web" for name in web) and len(web) == 2 * 5 * 2


def test_large_weights_are_cut_into_files_with_an_index(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "SHARD_BYTES", 200_000)
    convert(source, tmp_path / "out")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    files = sorted((tmp_path / "out").glob("model-*.safetensors"))
    assert len(files) > 2 and {path.name for path in files} == set(index["weight_map"].values())
    assert {name: path.name for path in files for name in load_file(path)} == index["weight_map"]
    assert all(path.stat().st_size < 300_000 for path in files[1:])
    assert verify(tmp_path / "out") == []


@pytest.mark.parametrize("task", ["write", "web"])
def test_merging_adds_the_task_into_the_weights(task: str, tmp_path: Path) -> None:
    """W' = W + sum of B·A over the task's adapters, in fp32; nothing else changes, and no adapter is left."""
    write_checkpoint(tmp_path / "in", dtype=torch.float32)
    manifest = convert(tmp_path / "in", tmp_path / "out", merge=task)
    read, found = open_checkpoint(tmp_path / "in"), _state(tmp_path / "out")
    linears = {f"{linear_path(layer, x)}.weight" for layer in range(2) for x in ("wqkv", "wo", "w1", "w3", "w2")}
    for name, tensor in found.items():
        wanted = read.tensor(name).double()
        if name in linears:
            for adapter in ADAPTERS_OF_TASK[task]:
                stem = f"{name.removesuffix('.weight')}.{adapter}"
                wanted = wanted + read.tensor(f"{stem}_B.weight").double() @ read.tensor(f"{stem}_A.weight").double()
            assert (tensor - read.tensor(name)).abs().max() > 0.01
        torch.testing.assert_close(tensor.double(), wanted, rtol=0, atol=1e-6)
    assert manifest.merged_task == task and manifest.adapters == {}
    config = read_config(tmp_path / "out")
    assert config.merged_task == task and config.adapter_rank == {}
    assert verify(tmp_path / "out") == []


def test_merging_rounds_once(source: Path, tmp_path: Path) -> None:
    """In bf16 the sum is made in fp32 and rounded once, not pair by pair."""
    convert(source, tmp_path / "out", merge="write")
    read = open_checkpoint(source)
    stem = linear_path(1, "w1")
    wide = read.tensor(f"{stem}.weight").float()
    for adapter in ("lora_sft", "lora_dpo"):
        wide += read.tensor(f"{stem}.{adapter}_B.weight").float() @ read.tensor(f"{stem}.{adapter}_A.weight").float()
    assert torch.equal(_state(tmp_path / "out")[f"{stem}.weight"], wide.bfloat16())


def test_merging_what_is_not_there(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", "4khd-7b")
    with pytest.raises(CheckpointInvalid, match="has no lora_sft and no lora_dpo to merge"):
        convert(tmp_path / "in", tmp_path / "out", merge="write")
    with pytest.raises(InvalidBrief):
        convert(tmp_path / "in", tmp_path / "out", merge="poem")


def test_another_kind_of_numbers(source: Path, tmp_path: Path) -> None:
    manifest = convert(source, tmp_path / "out", dtype=torch.float32)
    assert manifest.dtype == "float32" and {t.dtype for t in _state(tmp_path / "out").values()} == {torch.float32}
    with pytest.raises(InvalidBrief, match="float64"):
        convert(source, tmp_path / "other", dtype=torch.float64)


def test_values_that_do_not_fit_or_are_no_numbers(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", shards=1, dtype=torch.float32)
    state = torch.load(tmp_path / "in" / "pytorch_model.bin", weights_only=True)
    state["model.norm.weight"][3] = 1e6
    torch.save(state, tmp_path / "in" / "pytorch_model.bin")
    with pytest.raises(CheckpointInvalid, match=r"model\.norm\.weight is not finite at value 3 \(as float16\)"):
        convert(tmp_path / "in", tmp_path / "out", dtype=torch.float16)
    convert(tmp_path / "in", tmp_path / "kept")
    state["output.weight"][1, 2] = float("nan")
    torch.save(state, tmp_path / "in" / "pytorch_model.bin")
    with pytest.raises(CheckpointInvalid, match=r"output\.weight is not finite at value 66"):
        convert(tmp_path / "in", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "kept"]


def test_once_is_enough(source: Path, tmp_path: Path) -> None:
    first = convert(source, tmp_path / "out")
    stamp = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    assert convert(source, tmp_path / "out") == first
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(OutputUnwritable, match="something else already"):
        convert(source, tmp_path / "out", dtype=torch.float32)
    assert convert(source, tmp_path / "out", dtype=torch.float32, replace=True).dtype == "float32"
    # Cut off since: made anew only on the user's word, which is what `verify` tells him.
    os.truncate(tmp_path / "out" / "model.safetensors", 100)
    with pytest.raises(OutputUnwritable):
        convert(source, tmp_path / "out", dtype=torch.float32)
    convert(source, tmp_path / "out", dtype=torch.float32, replace=True)
    assert verify(tmp_path / "out") == []


def test_a_damaged_manifest_can_be_replaced(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "out")
    (tmp_path / "out" / "interleaf.json").write_text("{}")
    with pytest.raises(WeightsUnusable):
        convert(source, tmp_path / "out")
    convert(source, tmp_path / "out", replace=True)
    assert verify(tmp_path / "out") == []


def test_another_seed_is_something_else(source: Path, tmp_path: Path) -> None:
    """Same names, same lengths: only the values differ."""
    convert(source, tmp_path / "out")
    write_checkpoint(tmp_path / "other", seed=1, shards=3)
    with pytest.raises(OutputUnwritable, match="something else already"):
        convert(tmp_path / "other", tmp_path / "out")


def test_a_folder_that_is_not_ours_is_never_replaced(source: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    for replace in (False, True):
        with pytest.raises(OutputUnwritable):
            convert(source, tmp_path / "photos", replace=replace)
    assert (tmp_path / "photos" / "a.jpg").read_text() == "x"


def test_a_flipped_bit_is_found_before_anything_is_written(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", shards=1)
    path = tmp_path / "in" / "pytorch_model.bin"
    weight = open_checkpoint(tmp_path / "in").tensor("output.weight").view(torch.uint8).numpy().tobytes()
    content = bytearray(path.read_bytes())
    content[content.find(weight) + 1_001] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointInvalid, match=r"pytorch_model\.bin: is damaged"):
        convert(tmp_path / "in", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_only_known_files_come_along(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "in")
    for name in ("modeling_internlm2.py", "tokenization_internlm2.py", "SimHei.ttf", "run.sh", "other.json"):
        (tmp_path / "in" / name).write_text("print('mine')")
    (tmp_path / "in" / "tokenizer.model").write_bytes(b"pieces")
    (tmp_path / "in" / "LICENSE").write_text("terms")
    tokenizer_config = {"auto_map": {"AutoTokenizer": ["tokenization_internlm2.X", None]}, "bos_token": "<s>"}
    (tmp_path / "in" / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    manifest = convert(tmp_path / "in", tmp_path / "out")
    assert {"tokenizer.model", "LICENSE", "tokenizer_config.json"} <= set(manifest.files)
    assert not {"SimHei.ttf", "run.sh", "other.json"} & {p.name for p in (tmp_path / "out").iterdir()}
    assert not list((tmp_path / "out").rglob("*.py"))
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text()) == {"bos_token": "<s>"}
    assert "auto_map" not in (tmp_path / "out" / "config.json").read_text()
    (tmp_path / "in" / "added_tokens.json").write_text("[not json")
    with pytest.raises(CheckpointInvalid, match=r"added_tokens\.json"):
        convert(tmp_path / "in", tmp_path / "third")


def test_progress_rises_to_the_whole(source: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    convert(source, tmp_path / "out", on_progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "checking"] == [("checking", i, 3) for i in (0, 1, 2)]
    sizes = [done for stage, done, _ in told if stage == "converting"]
    assert sizes == sorted(sizes) and told[-1][1] == told[-1][2] == sum(
        fact.nbytes for fact in open_checkpoint(source).tensors.values()
    )


# A disk that fills


def test_no_room_is_told_before_writing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 100, 100))
    with pytest.raises(OutputUnwritable, match=r"needs 0\.\d+ GB and the disk has 0\.00 GB free"):
        convert(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """The system itself refuses to let any file of this process grow beyond 500 kB, in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_fails_in_the_middle_leaves_nothing(source: Path, tmp_path: Path, small_files_only: None) -> None:
    with pytest.raises(OutputUnwritable, match="cannot be written") as caught:
        convert(source, tmp_path / "out")
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(source: Path, tmp_path: Path) -> None:
    """A file system of 300 kB, where this machine lets us mount one in a namespace of our own."""
    program = f"""
import sys
from pathlib import Path
from model.weights import whole_folder
from model.weights.conversion import convert
from interleaf.errors import OutputUnwritable
whole_folder.need_room.__globals__["shutil"].disk_usage = lambda path: type("U", (), {{"free": 10**12}})()
try:
    convert(Path({str(source)!r}), Path({str(tmp_path / "small" / "out")!r}))
except OutputUnwritable as error:
    print(error.message, sorted(p.name for p in Path({str(tmp_path / "small")!r}).iterdir()))
"""
    root = Path(__file__).resolve().parents[3]
    (tmp_path / "small").mkdir()
    script = f'mount -t tmpfs -o size=300k tmpfs {tmp_path}/small && exec {sys.executable} -c "$PROGRAM"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    environment = os.environ | {"PROGRAM": program, "PYTHONPATH": f"{root}{os.pathsep}{root / 'sdk'}"}
    if shutil.which("unshare") is None:
        pytest.skip("this machine has no unshare")
    probe = subprocess.run([*command[:-1], f"mount -t tmpfs tmpfs {tmp_path}/small"], capture_output=True)
    if probe.returncode:
        pytest.skip("this machine does not let us mount a small file system")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout and "Free some space" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


def test_an_interrupt_leaves_nothing_and_the_next_run_succeeds(source: Path, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "converting" and done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out", on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    convert(source, tmp_path / "out")


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden checkpoint is not beside the repository")
def test_the_golden_checkpoint_like_any_other(tmp_path: Path) -> None:
    manifest = convert(GOLDEN, tmp_path / "golden")
    assert manifest.tensors == 189 and manifest.dtype == "float32"
    assert read_manifest(tmp_path / "golden") == manifest and verify(tmp_path / "golden") == []
    read = open_checkpoint(GOLDEN)
    assert all(torch.equal(tensor, read.tensor(name)) for name, tensor in load_state(tmp_path / "golden"))


def _anonymous_kib() -> int:
    """Memory of this process that no file stands behind: what the system cannot give away at will."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell RssAnon")
@pytest.mark.parametrize("form", ["bin", "safetensors"])
def test_memory_holds_a_tensor_not_a_shard(form: str, tmp_path: Path) -> None:
    """120 MB of weights in one file, none larger than 4 MB: about 20 MB of memory at the most."""
    sizes = {"layers": 12, "hidden": 512, "heads": 8, "kv_heads": 4, "intermediate": 2_048}
    write_checkpoint(tmp_path / "in", "2-7b", format=form, shards=1, dtype=torch.float32, **sizes)
    convert(tmp_path / "in", tmp_path / "warm")  # whatever the libraries allocate once
    before, most = _anonymous_kib(), 0

    def watch(stage: str, done: int, total: int) -> None:
        nonlocal most
        assert stage == "checking" or total > 100 * 10**6
        most = max(most, _anonymous_kib() - before)

    convert(tmp_path / "in", tmp_path / "out", on_progress=watch)
    assert most < 40 * 2**10
