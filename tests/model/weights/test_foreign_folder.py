"""A chat model of another family comes onto the shelf whole or not at all, and nothing that could be run with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import model.weights.foreign_folder as foreign_folder
from interleaf.errors import CheckpointInvalid, ModelError, OutputUnwritable, Unsupported, WeightsUnusable
from model.inference.engine import Request, Sampling, gathered
from model.inference.engines import open_engine
from model.weights.foreign_folder import copy_foreign, foreign_model, is_known, open_parts
from tests.model.tiny_vlms import FAMILIES, tiny_vlm


@pytest.fixture(scope="module", params=FAMILIES)
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each family as it is published."""
    folder = tmp_path_factory.mktemp("each") / request.param
    tiny_vlm(request.param, folder)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "llava"
    tiny_vlm("llava", folder)
    return folder


@pytest.fixture
def source(published: Path, tmp_path: Path) -> Path:
    """The folder once more, to be changed."""
    return Path(shutil.copytree(published, tmp_path / "llava"))


def test_a_copy_answers_as_the_model_itself(each: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "copy"
    told: list[tuple[str, int, int]] = []
    made = copy_foreign(each, target, on_progress=lambda *step: told.append(step))
    assert made.model_type == each.name == getattr(foreign_model(target), "model_type", None)
    assert told[-1][1] == told[-1][2] == sum(p.stat().st_size for p in target.iterdir())
    said = []
    for folder in (each, target):
        engine = open_engine(folder)
        said.append(gathered(engine.generate([Request.ask("Hello", sampling=Sampling(max_new_tokens=4))]), 1))
        engine.close()
    assert said[0] == said[1]


def test_what_could_be_run_stays_behind(source: Path, tmp_path: Path) -> None:
    for name in ("modeling_llava.py", "pytorch_model.bin", "optimizer.pt", "run.sh", ".hidden.json"):
        (source / name).write_text("x")
    (source / "LICENSE").write_text("free")
    (source / "nested").mkdir()
    (source / "nested" / "config.json").write_text("{}")
    copy_foreign(source, tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "LICENSE"} <= names
    assert not names & {"modeling_llava.py", "pytorch_model.bin", "optimizer.pt", "run.sh", ".hidden.json", "nested"}


def test_links_as_the_hub_librarys_cache_has_them_are_followed(source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "snapshot"
    cache.mkdir()
    for path in source.iterdir():
        (cache / path.name).symlink_to(path)
    copy_foreign(cache, tmp_path / "copy")
    assert not any(path.is_symlink() for path in (tmp_path / "copy").iterdir())


def test_the_same_again_changes_nothing_and_another_needs_a_word(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    copy_foreign(source, target)
    before = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}
    assert copy_foreign(source, target) == foreign_model(target)
    assert before == {path.name: path.stat().st_mtime_ns for path in target.iterdir()}
    (source / "added_tokens.json").write_text("{}")
    with pytest.raises(OutputUnwritable, match="--replace"):
        copy_foreign(source, target)
    copy_foreign(source, target, replace=True)
    assert (target / "added_tokens.json").is_file()


def test_killed_in_the_middle_nothing_is_there(source: Path, tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_foreign(source, tmp_path / "models" / "copy", on_progress=stop)
    assert list((tmp_path / "models").iterdir()) == []


def config(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | changes))


def index(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def huge(folder: Path) -> None:
    with (folder / "notes.txt").open("wb") as file:
        file.truncate(foreign_folder.MAX_DESCRIBING_BYTES + 1)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (as_pickle, CheckpointInvalid, ".bin files of strangers are not opened"),
        (cut, CheckpointInvalid, "cut off"),
        (lambda f: index(f, {"w": "../model.safetensors"}), CheckpointInvalid, "'../model.safetensors' as a file"),
        (lambda f: index(f, {"w": "weights.bin"}), CheckpointInvalid, "'weights.bin' as a file"),
        (lambda f: index(f, {"w": "model-2.safetensors"}), CheckpointInvalid, "model-2.safetensors"),
        (lambda f: index(f, {}), CheckpointInvalid, "names 0 files"),
        (lambda f: index(f, "all"), CheckpointInvalid, "names 0 files"),
        (lambda f: config(f, model_type="llama"), CheckpointInvalid, "'llama' is no chat model with eyes"),
        (lambda f: config(f, model_type=["llava"]), CheckpointInvalid, "no chat model with eyes"),
        (lambda f: config(f, text_config="none"), ModelError, "config.json"),
        (lambda f: (f / "config.json").write_text("{"), CheckpointInvalid, "no JSON"),
        (lambda f: (f / "config.json").unlink(), CheckpointInvalid, "config.json"),
        (lambda f: (f / "tokenizer.json").unlink(), WeightsUnusable, "cannot be opened"),
        (lambda f: (f / "chat_template.jinja").unlink(), Unsupported, "no chat template"),
        (huge, CheckpointInvalid, "notes.txt"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_copied(
    change: Callable[[Path], object], kind: type[ModelError], words: str, source: Path, tmp_path: Path
) -> None:
    change(source)
    with pytest.raises(kind) as caught:
        copy_foreign(source, tmp_path / "models" / "copy")
    assert words in caught.value.message
    assert not (tmp_path / "models").exists()


def test_shards_are_all_opened(source: Path) -> None:
    shutil.copy(source / "model.safetensors", source / "model-2.safetensors")
    index(source, {"a": "model.safetensors", "b": "model-2.safetensors"})
    assert open_parts(source) == ["model-2.safetensors", "model.safetensors"]
    (source / "model-2.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointInvalid, match=r"model-2\.safetensors"):
        open_parts(source)


def test_a_full_disk_is_said_before_a_byte_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.weights.whole_folder.SLACK_BYTES", 2**70)
    with pytest.raises(OutputUnwritable, match="free"):
        copy_foreign(source, tmp_path / "models" / "copy")
    assert not (tmp_path / "models").exists()


def test_what_a_folder_says_of_itself_is_read_without_opening_weights(source: Path) -> None:
    assert is_known(source)
    config(source, model_type="of\ntomorrow \u202e")
    said = foreign_model(source)
    assert said is not None and said.model_type.isprintable() and not is_known(source)
    for ours in ("internlmxcomposer2", "interleaf_xcomposer", "InternLMXComposer2"):
        config(source, model_type=ours)
        assert foreign_model(source) is None
    (source / "model.safetensors").unlink()
    config(source, model_type="llava")
    assert foreign_model(source) is None and foreign_model(source / "none") is None and not is_known(source / "none")
