"""`interleaf tune` as a person and a program use it; killed with SIGKILL, it goes on to the same weights."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from interleaf.cli.app import app
from interleaf.errors import (
    CheckpointInvalid,
    InterleafError,
    InvalidBrief,
    ModelMissing,
    PromptTooLong,
    SourceUnreadable,
    Unsupported,
    WeightsUnusable,
)
from model.teaching.loss_curve import LossCurve, Step
from tests.model.teaching_material import conversation, set_file, tiny_folder
from tests.model.tiny_vlms import tiny_vlm
from workers.settings import settings
from workers.teaching.lesson_note import write_note

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--rank", "4", "--lr", "1e-3", "--accumulation", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("base")).parent


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return set_file(tmp_path_factory.mktemp("set"))


def run(models: Path, *words: Any) -> Result:
    return CliRunner().invoke(app, ["tune", *map(str, words), "--models", str(models)])


def refused(kind: type[InterleafError], models: Path, *words: Any) -> str:
    result = run(models, *words)
    assert isinstance(result.exception, kind), result.output
    return result.exception.message


def test_teaching_and_what_it_says(models: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run(models, "tiny0", data, "--out", out, *QUICK)
    assert said.exit_code == 0, said.output
    assert "3 steps · loss" in said.stdout and str(out / "loss.png") in said.stdout
    assert "holds a finished adapter" in refused(InvalidBrief, models, "tiny0", data, "--out", out, *QUICK)
    again = run(models, "tiny0", data, "--out", out, *QUICK, "--resume", "--json")
    found = json.loads(again.stdout)
    assert found["steps"] == 3 and found["adapter"] == str(out) and found["skipped"] == []
    assert found["record"]["rank"] == found["record"]["alpha"] == 4 and found["record"]["base"] == "tiny0"
    assert Path(found["curve"]["lines"]).is_file() and Path(found["curve"]["picture"]).is_file()
    # A folder does as well as a name.
    assert run(models, models / "tiny0", data, "--out", tmp_path / "other", *QUICK).exit_code == 0
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("out", "other")]
    assert weights[0] == weights[1]


def test_what_is_wrong_is_said(models: Path, data: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert "no model of this name" in refused(ModelMissing, models, "none", data, *out)
    assert "cannot be read" in refused(SourceUnreadable, models, "tiny0", tmp_path / "none.json", *out)
    assert "rank" in refused(InvalidBrief, models, "tiny0", data, *out, "--rank", "0")
    bad = set_file(tmp_path / "bad", [{"id": "b7", "image": "../x.png", "conversations": conversation("a", "b")}])
    assert "(b7), image 1: '../x.png' leads out" in refused(SourceUnreadable, models, "tiny0", bad, *out)
    assert not (tmp_path / "out").exists()
    assert run(models, "tiny0", data, *out, "--task", "sing").exit_code == 2


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data folder of the settings, with a model in it."""
    monkeypatch.setenv("INTERLEAF_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    tiny_folder(tmp_path / "home")
    yield tmp_path / "home"
    monkeypatch.undo()
    settings.cache_clear()


def tuned(*words: Any) -> Result:
    return CliRunner().invoke(app, ["tune", *map(str, words), *QUICK])


def test_by_name_it_is_kept_where_briefs_find_it(at_home: Path, data: Path) -> None:
    said = tuned("tiny0", data, "--name", "house")
    assert said.exit_code == 0, said.output
    assert (at_home / "adapters" / "house" / "teaching.json").is_file()
    assert "use it: interleaf compose brief.yaml --writer tiny0+house, or writer: tiny0+house" in said.stdout
    again = tuned("tiny0", data, "--name", "house", "--resume", "--json")
    assert json.loads(again.stdout)["writer"] == "tiny0+house"


def test_a_model_that_no_brief_finds_is_told_of(at_home: Path, models: Path, data: Path, tmp_path: Path) -> None:
    away = Path(shutil.copytree(models / "tiny0", tmp_path / "away"))
    said = tuned(away, data, "--name", "house")
    assert "add this one" in said.stdout and "interleaf models add" in said.stdout
    assert "writer" not in tuned("tiny0", data, "--out", tmp_path / "mine").stdout


def test_name_or_folder_one_of_them(models: Path, data: Path, tmp_path: Path) -> None:
    assert "--out too" in refused(InvalidBrief, models, "tiny0", data)
    both = refused(InvalidBrief, models, "tiny0", data, "--name", "a", "--out", tmp_path / "b")
    assert "contradict each other" in both and not (tmp_path / "b").exists()
    for name in ("../x", "A", "", "a/b", ".x", "a\0", "x" * 65):
        assert "an adapter's name is" in refused(InvalidBrief, models, "tiny0", data, "--name", name)


def test_lessons_are_looked_at_as_a_writer_will(models: Path, tmp_path: Path) -> None:
    """Nobody has to know: the note beside the set says it; whoever says something else is heard."""
    data = set_file(tmp_path / "set")

    def partition(name: str, *words: str) -> Any:
        out = ("--out", tmp_path / name, *QUICK, "--json", *words)
        return json.loads(run(models, "tiny0", data, *out).stdout)["record"]["settings"]["partition"]

    assert partition("plain") is None
    write_note(data)
    assert partition("lessons") == "glance" and partition("other", "--partition", "finetune") == "finetune"
    (tmp_path / "set" / "lessons.json").write_text("[]")
    assert "lessons.json" in refused(CheckpointInvalid, models, "tiny0", data, "--out", tmp_path / "x", *QUICK)


def test_what_cannot_be_taught_is_refused_before_it_is_loaded(models: Path, data: Path, tmp_path: Path) -> None:
    tiny_vlm("llava", tmp_path / "chatty")
    out = ("--out", tmp_path / "out")
    assert "is a llava: only" in refused(Unsupported, models, tmp_path / "chatty", data, *out)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "config.json").write_text("{}")
    assert "interleaf models add" in refused(WeightsUnusable, models, tmp_path / "raw", data, *out)
    assert not (tmp_path / "out").exists()


def test_long_samples_are_left_out_and_named(models: Path, tmp_path: Path) -> None:
    long = {"id": "epic", "conversations": conversation("Write.", "word " * 300)}
    data = set_file(tmp_path, [{"conversations": conversation("a", "b")}, long])
    out = ("--out", tmp_path / "out", *QUICK, "--max-length", "60")
    assert "60 fit" in refused(PromptTooLong, models, "tiny0", data, *out)
    found = run(models, "tiny0", data, *out, "--skip-long")
    assert "1 sample left out" in found.stdout and "left out: set.json sample 2 (epic): has" in found.stdout


def test_interrupted_it_says_how_to_go_on(
    models: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["tiny0", data, "--out", tmp_path / "out", *QUICK, "--epochs", "2", "--checkpoint-steps", "2"]
    add, steps = LossCurve.add, []

    def interrupted(self: LossCurve, step: Step) -> None:
        add(self, step)
        steps.append(step.step)
        if steps == [1, 2, 3, 4, 5]:
            raise KeyboardInterrupt

    monkeypatch.setattr(LossCurve, "add", interrupted)
    said = run(models, *words)
    assert said.exit_code == 130 and "--resume goes on" in said.stderr
    assert run(models, *words, "--resume").exit_code == 0
    assert steps == [1, 2, 3, 4, 5, 5, 6]  # from the checkpoint behind step 4


def test_help_teaches() -> None:
    text = CliRunner().invoke(app, ["tune", "--help"], env={"COLUMNS": "200"}).stdout
    for words in ("--resume", "conversations", "ImageHere", "loss.png", "Exit codes", "data.txt"):
        assert words in text


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_resumed_is_undisturbed(models: Path, data: Path, tmp_path: Path) -> None:
    words = [*QUICK, "--epochs", "20", "--checkpoint-steps", "3"]
    cut, state = tmp_path / "cut", tmp_path / "cut" / "state" / "position.json"
    program = [sys.executable, "-m", "interleaf", "tune", "tiny0", str(data), "--out", str(cut), *words]
    threads = str(torch.get_num_threads())  # sums over another number of threads round otherwise
    paths = os.pathsep.join((str(ROOT / "sdk"), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": threads}
    process = subprocess.Popen([*program, "--models", str(models)], env=environment, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 120
        while not state.is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (cut / "teaching.json").exists()
    for name in ("cut", "whole"):
        made = run(models, "tiny0", data, "--out", tmp_path / name, *words, "--resume", "--json")
        assert made.exit_code == 0, made.output
        assert json.loads(made.stdout)["steps"] == 60
    for file in ("adapter_model.safetensors", "loss.jsonl", "loss.png", "teaching.json"):
        assert (cut / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
