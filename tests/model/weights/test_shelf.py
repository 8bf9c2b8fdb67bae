"""The shelf of models: names, adding, listing, removing, locks, kills; the hub only on the user's word."""

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

import huggingface_hub.constants
import pytest
import torch

from interleaf.errors import (
    CheckpointInvalid,
    DownloadFailed,
    InvalidBrief,
    ModelBusy,
    ModelMissing,
    OutputUnwritable,
    RequestRefused,
)
from model.weights.checkpoint import open_checkpoint
from model.weights.converted import load_state
from model.weights.seeded import write_checkpoint
from model.weights.shelf import ModelShelf
from tests.model.hub import COMMIT, Hub
from tests.model.tiny_vlms import tiny_vlm

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT.parent / "shared" / "eval" / "xcomposer-golden"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("source") / "InternLM-XComposer2.5 (copy)", shards=2)


@pytest.fixture
def shelf(tmp_path: Path) -> ModelShelf:
    return ModelShelf(tmp_path / "models")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub library's cache of this machine is no part of the test."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))


@pytest.fixture
def hub(source: Path, tmp_path: Path) -> Iterator[Hub]:
    folder = Path(shutil.copytree(source, tmp_path / "repository"))
    for name in ("modeling_internlm2.py", "SimHei.ttf", "README.md"):
        (folder / name).write_text("x")
    (folder / "tokenizer.model").write_bytes(b"pieces")
    served = Hub(folder)
    with served.serving():
        yield served


def _visible(shelf: ModelShelf) -> list[str]:
    return sorted(p.name for p in shelf.root.iterdir() if not p.name.endswith(".lock"))


def test_a_model_from_adding_to_removing(shelf: ModelShelf, source: Path) -> None:
    assert shelf.list() == []
    added = shelf.add(source)
    assert added.name == "internlm-xcomposer2.5-copy" and added.manifest is not None
    assert shelf.add(source) == added  # again: nothing changes
    assert [model.name for model in shelf.list()] == [added.name]
    assert shelf.path(added.name) == added.folder and shelf.verify(added.name) == []
    assert added.manifest.source.name == source.name
    freed = shelf.remove(added.name)
    assert freed > added.manifest.nbytes
    assert shelf.list() == [] and _visible(shelf) == []


def test_a_dot_in_the_folder_name_harms_nothing(shelf: ModelShelf, source: Path) -> None:
    """Remote code could not be imported from such a folder."""
    assert shelf.add(source, "v2.5").folder.name == "v2.5"
    assert shelf.verify("v2.5") == []


@pytest.mark.parametrize("name", ["", "..", "../x", "A", "a/b", ".x", "x.", "a b", "x" * 65, "a\n", "ü"])
def test_names_that_are_none(name: str, shelf: ModelShelf, source: Path) -> None:
    with pytest.raises(InvalidBrief, match="name"):
        shelf.add(source, name)
    for ask in (shelf.path, shelf.verify, shelf.remove):
        with pytest.raises(ModelMissing):
            ask(name)
    assert not shelf.root.exists() or _visible(shelf) == []


def test_a_name_that_is_taken(shelf: ModelShelf, source: Path, tmp_path: Path) -> None:
    shelf.add(source, "m")
    other = write_checkpoint(tmp_path / "other", "4khd-7b")
    with pytest.raises(OutputUnwritable, match="--replace"):
        shelf.add(other, "m")
    replaced = shelf.add(other, "m", replace=True)
    assert replaced.manifest is not None and replaced.manifest.family == "4khd-7b"
    assert _visible(shelf) == ["m"]


def test_a_bad_checkpoint_leaves_nothing(shelf: ModelShelf, source: Path, tmp_path: Path) -> None:
    bad = Path(shutil.copytree(source, tmp_path / "bad"))
    next(bad.glob("*-of-*.bin")).write_bytes(b"PK")
    with pytest.raises(CheckpointInvalid):
        shelf.add(bad)
    assert _visible(shelf) == [] and shelf.list() == []


def test_a_folder_that_is_no_model_is_listed_with_what_is_wrong(shelf: ModelShelf, source: Path) -> None:
    shelf.add(source, "good")
    (shelf.root / "odd").mkdir()
    (shelf.root / "note.txt").write_text("x")
    good, odd = shelf.list()
    assert (good.name, good.problem, odd.name, odd.manifest) == ("good", "", "odd", None)
    assert "interleaf.json" in odd.problem


def test_a_published_folder_put_there_by_hand_is_listed_by_what_it_says(shelf: ModelShelf, source: Path) -> None:
    """A chat model of transformers is told from an XComposer that was not converted, and from what is neither."""
    chatty, raw, odd = (shelf.root / name for name in ("chatty", "raw", "odd"))
    for folder, said in ((chatty, {"model_type": "qwen2_5_vl"}), (odd, {"model_type": ["x"]})):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(said))
        (folder / "model.safetensors").write_bytes(b"12345678")
    shutil.copytree(source, raw)
    (shelf.root / "torn").mkdir()
    (shelf.root / "torn" / "config.json").write_text("{")
    (shelf.root / "torn" / "model.safetensors").write_bytes(b"")
    found = {model.name: model for model in shelf.list()}
    foreign = found["chatty"].foreign
    assert foreign is not None and foreign.model_type == "qwen2_5_vl" and foreign.nbytes > 8
    assert (found["chatty"].manifest, found["chatty"].problem) == (None, "")
    for name, words in (("raw", "interleaf.json"), ("odd", "interleaf.json"), ("torn", "no JSON")):
        assert found[name].foreign is None and words in found[name].problem


def test_two_at_once(shelf: ModelShelf, source: Path) -> None:
    """The second one of the same name is told; another name does not wait."""
    seen = []

    def meanwhile(stage: str, done: int, total: int) -> None:
        if not seen:
            seen.append(stage)
            with pytest.raises(ModelBusy):
                shelf.add(source, "m")
            with pytest.raises(ModelBusy):
                shelf.remove("m") if (shelf.root / "m").exists() else shelf.add(source, "m")
            shelf.add(source, "other")
            assert [model.name for model in shelf.list()] == ["other"]

    shelf.add(source, "m", on_progress=meanwhile)
    assert seen and [model.name for model in shelf.list()] == ["m", "other"]


def test_a_killed_add_leaves_nothing_listed_and_the_next_succeeds(shelf: ModelShelf, source: Path) -> None:
    """SIGKILL in the middle of the weights: no cleaning up of one's own."""
    program = f"""
import time
from pathlib import Path
from model.weights.shelf import ModelShelf
def slowly(stage, done, total):
    if stage == "converting":
        print("begun", flush=True)
        time.sleep(60)
ModelShelf(Path({str(shelf.root)!r})).add(Path({str(source)!r}), "m", on_progress=slowly)
"""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    with pytest.raises(ModelBusy):
        shelf.add(source, "m")
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    assert (shelf.root / ".m.part").is_dir() and shelf.list() == []
    assert shelf.add(source, "m").manifest is not None
    assert _visible(shelf) == ["m"] and shelf.verify("m") == []


def test_a_half_removed_model_is_not_found(shelf: ModelShelf, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.add(source, "m")

    def fail(path: Path, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", fail)
        with pytest.raises(OutputUnwritable, match="cannot be removed"):
            shelf.remove("m")
    assert shelf.list() == []
    shelf.add(source, "m")
    assert _visible(shelf) == ["m"]


# The hub


def test_without_leave_nothing_is_asked(shelf: ModelShelf, hub: Hub) -> None:
    with pytest.raises(RequestRefused, match="--download") as caught:
        shelf.add("owner/name", endpoint=hub.address)
    assert "INTERLEAF_DOWNLOADS" in caught.value.message
    assert hub.asked == []


@pytest.mark.parametrize("source", ["nothing-here", "a/b/c", "/no/such/folder", "", "owner/../x", "http://x/y"])
def test_neither_folder_nor_hub_id(
    source: str, shelf: ModelShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((RequestRefused, CheckpointInvalid)):
        shelf.add(source, "m", download=True, endpoint="http://127.0.0.1:9")


def test_from_the_hub_on_the_users_word(shelf: ModelShelf, hub: Hub, source: Path) -> None:
    told: list[tuple[str, int, int]] = []
    added = shelf.add("owner/name", download=True, endpoint=hub.address, on_progress=lambda *step: told.append(step))
    assert added.name == "name" and added.manifest is not None
    assert (added.manifest.source.name, added.manifest.source.revision) == ("owner/name", COMMIT)
    read = open_checkpoint(source)
    assert all(torch.equal(tensor, read.tensor(name)) for name, tensor in load_state(added.folder))
    assert "tokenizer.model" in hub.files_asked_for()
    assert not {"modeling_internlm2.py", "SimHei.ttf", "README.md"} & hub.files_asked_for()
    fetching = [step for step in told if step[0] == "fetching"]
    assert fetching[-1][1] == fetching[-1][2] and [s[1] for s in fetching] == sorted(s[1] for s in fetching)
    assert _visible(shelf) == ["name"]  # what was fetched is not kept twice


@pytest.fixture
def dying(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub whose line goes dead in the middle of the first shard, with a library that does not wait to try again."""
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 2**14)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.dead_at_byte = 200_000
    return hub


def _broken_add(shelf: ModelShelf, hub: Hub) -> None:
    with pytest.raises(DownloadFailed, match="goes on where it stopped"):
        shelf.add("owner/name", "m", download=True, endpoint=hub.address)


def test_a_broken_line_is_gone_on_with(shelf: ModelShelf, dying: Hub) -> None:
    """What came is kept, and only the rest is asked for."""
    _broken_add(shelf, dying)
    assert shelf.list() == []
    kept = sum(p.stat().st_size for p in (shelf.root / ".m.fetched").glob(".*.part"))
    assert kept > 150_000
    dying.dead_at_byte = None
    dying.asked.clear()
    told: list[tuple[str, int, int]] = []
    shelf.add("owner/name", "m", download=True, endpoint=dying.address, on_progress=lambda *step: told.append(step))
    asked = [(path.rsplit("/", 1)[1], wanted) for method, path, wanted in dying.asked if method == "GET"]
    assert ("pytorch_model-00001-of-00002.bin", f"bytes={kept}-") in asked
    assert "config.json" not in dict(asked)  # whole already
    fetching = [done for stage, done, _ in told if stage == "fetching"]
    assert fetching == sorted(fetching)
    assert shelf.verify("m") == [] and _visible(shelf) == ["m"]


def test_another_commit_is_not_joined_to_what_came(shelf: ModelShelf, dying: Hub) -> None:
    _broken_add(shelf, dying)
    dying.dead_at_byte = None
    write_checkpoint(dying.folder, seed=9, shards=2)
    shelf.add("owner/name", "m", download=True, endpoint=dying.address)
    wanted = open_checkpoint(dying.folder)
    assert all(torch.equal(tensor, wanted.tensor(name)) for name, tensor in load_state(shelf.path("m")))


def test_something_else_than_the_hub_promised(shelf: ModelShelf, hub: Hub) -> None:
    hub.wrong_sha256 = "0" * 64
    with pytest.raises(DownloadFailed, match="not what the hub says"):
        shelf.add("owner/name", "m", download=True, endpoint=hub.address)
    hub.wrong_sha256 = None
    shelf.add("owner/name", "m", download=True, endpoint=hub.address)


def test_leavings_of_a_download_can_be_removed(shelf: ModelShelf, dying: Hub) -> None:
    _broken_add(shelf, dying)
    assert shelf.remove("m") > 0
    assert _visible(shelf) == []


def test_what_the_hub_does_not_have(shelf: ModelShelf, hub: Hub) -> None:
    with pytest.raises(DownloadFailed, match="not on the hub, or private"):
        shelf.add("owner/other", download=True, endpoint=hub.address)
    (hub.folder / "config.json").unlink()
    with pytest.raises(CheckpointInvalid, match=r"no config\.json"):
        shelf.add("owner/name", download=True, endpoint=hub.address)


def test_a_chat_model_from_the_hub(shelf: ModelShelf, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    tiny_vlm("llava", folder)
    (folder / "modeling_llava.py").write_text("x")
    served = Hub(folder)
    with served.serving():
        added = shelf.add("owner/name", download=True, endpoint=served.address)
    assert added.foreign is not None and added.foreign.model_type == "llava"
    assert shelf.verify("name") == [] and "modeling_llava.py" not in served.files_asked_for()
    assert _visible(shelf) == ["name"]


def test_a_hub_that_does_not_answer(shelf: ModelShelf) -> None:
    with pytest.raises(DownloadFailed, match="could not be fetched"):
        shelf.add("owner/name", download=True, endpoint="http://127.0.0.1:9")


def test_everything_but_fetching_works_offline(shelf: ModelShelf, source: Path, tmp_path: Path) -> None:
    """HF_HUB_OFFLINE=1 in a process of its own: folders, the hub library's cache; fetching says what to unset."""
    cache = tmp_path / "hub-cache" / "models--owner--name"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(COMMIT)
    shutil.copytree(source, cache / "snapshots" / COMMIT)
    program = f"""
from pathlib import Path
from interleaf.errors import DownloadFailed
from model.weights.shelf import ModelShelf
shelf = ModelShelf(Path({str(shelf.root)!r}))
assert shelf.add(Path({str(source)!r}), "local").manifest
assert shelf.add("owner/name", "cached").manifest.source.name == "owner/name"
assert [m.name for m in shelf.list()] == ["cached", "local"]
assert shelf.verify("local") == [] and shelf.remove("local")
try:
    shelf.add("owner/unknown", "x", download=True)
except DownloadFailed as error:
    print(error.message)
"""
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
    }
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "HF_HUB_OFFLINE is set" in done.stdout and time.monotonic() - begun < 100


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden checkpoint is not beside the repository")
def test_the_golden_checkpoint(shelf: ModelShelf) -> None:
    added = shelf.add(GOLDEN)
    assert added.name == "xcomposer-golden" and shelf.verify(added.name) == []
