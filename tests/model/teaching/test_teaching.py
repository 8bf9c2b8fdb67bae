"""Teaching: a tiny model learns what pictures show, and an interrupted run makes the weights of one that was not."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

import model.weights.teaching_adapter as teaching_adapter
from interleaf.errors import (
    InterleafError,
    InvalidBrief,
    ModelBusy,
    ModelError,
    OutOfMemory,
    OutputUnwritable,
    SourceUnreadable,
    WeightsUnusable,
)
from model.network.decoder import FeedForward
from model.network.xcomposer import XComposerForConditionalGeneration
from model.prompts.processor import XComposerProcessor
from model.prompts.prompt import PICTURE, Turn, chat
from model.teaching.teaching import Taught, teach
from model.teaching.teaching_settings import Teaching
from model.weights.loading import load_model
from model.weights.teaching_adapter import WEIGHTS, apply_adapter
from tests.model.teaching_material import ANSWERS, QUESTION, conversation, set_file, tiny_folder

QUICK: dict[str, Any] = {"rank": 4, "alpha": 8, "learning_rate": 1e-3, "epochs": 4, "accumulation": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def processor(folder: Path) -> XComposerProcessor:
    return XComposerProcessor.from_folder(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return set_file(tmp_path_factory.mktemp("set"))


Teach = Callable[..., Taught]


@pytest.fixture
def taught(folder: Path, processor: XComposerProcessor, data: Path, tmp_path: Path) -> Teach:
    def run(
        name: str, resume: bool = False, on_progress: Any = lambda *said: None, of: Path = data, **changes: Any
    ) -> Taught:
        model = load_model(folder)
        settings = Teaching(**(QUICK | changes))
        return teach(model, processor, of, tmp_path / name, settings, resume=resume, base="t", on_progress=on_progress)

    return run


def weights(result: Taught) -> bytes:
    return (result.folder / WEIGHTS).read_bytes()


class Killed(Exception):
    """What ends a run from outside in these tests; the real signal is sent in tests/sdk/test_cli_tune.py."""


def killed_at(step: int) -> Callable[[str, int, int], None]:
    def tell(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("teaching", step):
            raise Killed

    return tell


def said(model: XComposerForConditionalGeneration, processor: XComposerProcessor, picture: Path) -> str:
    asked = processor(images=[picture], text=chat([Turn("user", (PICTURE, QUESTION))]))
    ends = [2, processor.tokenizer.turn_end_id]
    with torch.no_grad():
        made = model.generate(**asked, max_new_tokens=40, do_sample=False, eos_token_id=ends)
    return str(processor.decode(made[0, asked["input_ids"].shape[1] :], skip_special_tokens=True))


def test_it_learns_what_pictures_show(data: Path, tmp_path: Path) -> None:
    # Wide enough for its frozen head to be sure of a token: with 64 the best logit is 8, of 1,200 tokens too little.
    folder = tiny_folder(tmp_path, hidden=256)
    processor = XComposerProcessor.from_folder(folder)
    settings = Teaching(rank=16, alpha=16, learning_rate=5e-3, epochs=150, accumulation=3, weight_decay=0.0)
    result = teach(load_model(folder), processor, data, tmp_path / "out", settings)
    assert result.steps == 150 and result.losses[0] > 5 and result.losses[1] < 0.05
    pictures = {colour: data.parent / "pictures" / f"{colour}.png" for colour in ANSWERS}
    untaught = load_model(folder)
    assert {said(untaught, processor, path) for path in pictures.values()}.isdisjoint(ANSWERS.values())
    for merge in (False, True):
        model = apply_adapter(load_model(folder), result.folder, merge=merge)
        assert {colour: said(model, processor, path) for colour, path in pictures.items()} == ANSWERS
    lines = [json.loads(line) for line in (result.folder / "loss.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 151)) and lines[-1]["loss"] == result.losses[1]
    assert lines[-1]["epoch"] == 150 and max(line["learning_rate"] for line in lines) == 5e-3
    with Image.open(result.folder / "loss.png") as picture:
        assert picture.size == (960, 540) and len(picture.getcolors(100_000) or ()) > 4
    assert sorted(p.name for p in result.folder.iterdir() if p.name != ".tune.lock") == [
        "adapter_config.json", "adapter_model.safetensors", "loss.jsonl", "loss.png", "teaching.json",
    ]  # fmt: skip


@pytest.mark.parametrize("step", [0, 1, 4, 5])
def test_interrupted_and_resumed_is_undisturbed(taught: Teach, step: int) -> None:
    whole = taught("whole", checkpoint_steps=2)
    with pytest.raises(Killed):
        taught("cut", checkpoint_steps=2, on_progress=killed_at(step))
    seen: list[int] = []
    resumed = taught(
        "cut", resume=True, checkpoint_steps=3, on_progress=lambda stage, done, total: seen.append(done)
        if stage == "teaching" else None,
    )  # fmt: skip
    assert seen[0] == step // 2 * 2
    assert weights(resumed) == weights(whole) and resumed.record == whole.record
    assert (resumed.folder / "loss.jsonl").read_bytes() == (whole.folder / "loss.jsonl").read_bytes()
    assert not (resumed.folder / "state").exists()
    assert weights(taught("cut", resume=True)) == weights(whole)  # finished: nothing is left to do


def test_the_seed_decides_and_the_global_state_does_not(taught: Teach) -> None:
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    one = weights(taught("one"))
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]
    torch.manual_seed(2)
    assert weights(taught("two")) == one != weights(taught("three", seed=1))


def test_only_the_pairs_learn(folder: Path, processor: XComposerProcessor, data: Path, tmp_path: Path) -> None:
    model = load_model(folder)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    result = teach(model, processor, data, tmp_path / "out", Teaching(**QUICK))
    after = {name.replace(".base_layer", ""): p for name, p in model.named_parameters()}
    pairs = {name for name in after if ".lora_" in name}
    assert len(pairs) == 2 * 5 * model.config.num_hidden_layers == len(after) - len(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(after[name].abs().sum() > 0 for name in pairs) and not model.training
    assert not any(name.startswith(("vit", "vision_proj")) for name in pairs) and result.record.rank == 4


def test_gradient_checkpointing_makes_the_same_weights(taught: Teach, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [0]
    forward = FeedForward.forward

    def counted(self: FeedForward, *given: Any) -> Any:
        calls[0] += 1
        return forward(self, *given)

    monkeypatch.setattr(FeedForward, "forward", counted)
    plain = weights(taught("plain"))
    once, calls[0] = calls[0], 0
    assert weights(taught("saving", gradient_checkpointing=True)) == plain
    assert calls[0] == 2 * once  # computed again on the way back, not kept


def test_bf16_bases_and_task_adapters(folder: Path, processor: XComposerProcessor, data: Path, tmp_path: Path) -> None:
    model = load_model(folder, tasks=("write",), dtype=torch.bfloat16)
    settings = Teaching(**{**QUICK, "learning_rate": 1e-2, "epochs": 30, "task": "write"})
    result = teach(model, processor, data, tmp_path / "out", settings)
    assert result.losses[1] < 0.5 * result.losses[0] and result.record.task == "write"
    # Taught on bf16 numbers of the same files: the base is the same base.
    apply_adapter(load_model(folder, tasks=("write",)), result.folder)


def test_a_full_disk_keeps_the_last_checkpoint(taught: Teach, monkeypatch: pytest.MonkeyPatch) -> None:
    real, room = teaching_adapter.write_weight_file, [3]  # the fourth file finds the disk full

    def full(path: Path, *rest: Any, **more: Any) -> Any:
        room[0] -= 1
        if room[0] < 0:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *rest, **more)

    whole = taught("whole")
    monkeypatch.setattr(teaching_adapter, "write_weight_file", full)
    with pytest.raises(OutputUnwritable, match="No space left") as refused:
        taught("full", checkpoint_steps=2)
    assert "Free some space" in refused.value.remedy
    out = whole.folder.parent / "full"
    position = json.loads((out / "state" / "position.json").read_text())
    assert position["step"] == 2 and not [p for p in out.rglob("*") if p.name.endswith(".part")]
    room[0] = 99
    assert weights(taught("full", resume=True)) == weights(whole)


def test_a_disk_that_is_too_small_is_told_before_the_first_step(taught: Teach, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000))
    with pytest.raises(OutputUnwritable, match="GB free"):
        taught("full", on_progress=killed_at(0))


def test_another_run_is_not_gone_on_with(taught: Teach, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        taught("cut", checkpoint_steps=2, on_progress=killed_at(4))
    with pytest.raises(InvalidBrief, match=r"not finished.*--resume"):
        taught("cut")
    with pytest.raises(InvalidBrief, match=r"learning rate: was 0\.001 when this run began and is 0\.1 now"):
        taught("cut", resume=True, learning_rate=0.1)
    with pytest.raises(InvalidBrief, match="set fingerprint"):
        taught("cut", resume=True, of=set_file(tmp_path / "other", [{"conversations": conversation("a", "b")}]))
    done = taught("cut", resume=True)
    with pytest.raises(InvalidBrief, match="a finished adapter"):
        taught("cut")
    with pytest.raises(InvalidBrief, match="taught otherwise"):
        taught("cut", resume=True, epochs=5)
    assert weights(done) == weights(taught("cut", resume=True))


@pytest.mark.parametrize("name", ["state/adapter.safetensors", "state/moments.safetensors", "loss.jsonl"])
def test_damage_is_told(taught: Teach, tmp_path: Path, name: str) -> None:
    with pytest.raises(Killed):
        taught("cut", checkpoint_steps=2, on_progress=killed_at(4))
    path = tmp_path / "cut" / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises((WeightsUnusable, SourceUnreadable), match=path.name):
        taught("cut", resume=True)


def test_one_process_at_a_time(taught: Teach, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".tune.lock"), pytest.raises(ModelBusy, match="another process"):
        taught("out")


def test_what_goes_wrong_in_a_step_is_told(taught: Teach, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceUnreadable, match="no sample that is short enough"):
        taught("short", max_length=2, skip_long=True)
    forward = XComposerForConditionalGeneration.forward

    def broken(error: Exception | None) -> Any:
        def run(*given: Any, **more: Any) -> Any:
            if error is not None:
                raise error
            found = forward(*given, **more)
            found.logits = found.logits * float("nan")
            return found

        return run

    cases: list[tuple[Exception | None, type[InterleafError], str]] = [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory, "--gradient-checkpointing"),
        (None, ModelError, "is nan at step 1"),
    ]
    for number, (error, kind, words) in enumerate(cases):
        monkeypatch.setattr(XComposerForConditionalGeneration, "forward", broken(error))
        with pytest.raises(kind, match=words):
            taught(f"broken{number}")


@pytest.mark.parametrize(
    "wrong",
    [{"rank": 0}, {"learning_rate": float("nan")}, {"epochs": 0}, {"dropout": 1.0}, {"task": "sing"}, {"seed": -1}],
)
def test_settings_are_held_against_their_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidBrief, match=next(iter(wrong))):
        Teaching(**wrong)


def test_the_rate_rises_and_falls() -> None:
    rates = [Teaching(warmup=0.1).rate(step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([5e-6 * (i + 1) for i in range(10)]) and max(rates) == rates[9] == rates[10]
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[55] == pytest.approx(2.5e-5) and rates[-1] < 1e-7
