"""Which model a brief's `writer` names: nothing but names reaches a disk, a model is opened once, adapters fit their
base. Real models that are small in everything, through the real engine."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

import model.inference.engines
from agents.prompting.mind import Ask, Shown
from interleaf.errors import InvalidBrief, ModelError, Unsupported, WeightsUnusable
from model.inference.engine import Request
from model.prompts.processor import XComposerProcessor
from model.teaching.teaching import Teaching, teach
from model.weights.loading import load_model
from model.weights.seeded import write_checkpoint
from model.weights.shelf import ModelShelf
from tests.model.small_vocabulary import PIECES, folder_with
from tests.model.teaching_material import set_file, tiny_folder
from tests.model.tiny_vlms import tiny_vlm
from workers.run.minds import close_minds, glance_of, known_writers, mind_of
from workers.settings import Settings

BAD_NAMES = (
    *("nope", "", " ", "tiny0 ", "TINY0", "../models/tiny0", "..", ".", "/", "./tiny0", "tiny0/", "tiny0/../tiny1"),
    *("a\0b", "tiny0\0", "tiny0\n", "C:\\tiny0", "~", "$HOME", "+", "+style", "tiny0\u2215x", "x" * 300),
)
BAD_ADAPTERS = (
    *("", " ", "nope", "..", "../adapters/style", "../../adapters/style", "style/", "./style", "/etc", "style\0"),
    *("STYLE", "style+style", "a+../b", "../models/tiny0"),
)


def no_pictures(picture_id: str) -> Path:
    raise AssertionError(f"{picture_id} was looked at")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small models of one form and other weights, one without task adapters, one of single squares, one of
    another family, one merged for writing; an adapter of the first."""
    root = tmp_path_factory.mktemp("home")
    tiny_folder(root, 0)
    tiny_folder(root, 1)
    sizes = {"vocab": PIECES + 1, "max_position": 2_048, "image_px": 56}
    shelf = ModelShelf(root / "models")
    for name, family in (("square", "2-7b"), ("wide", "4khd-7b")):
        source = folder_with(write_checkpoint(root / name, family, dtype=torch.float32, **sizes))  # type: ignore[arg-type]
        shelf.add(source, name)
    shelf.add(root / "in0", "merged", merge="write")
    shelf.add(root / "in0", "pages", merge="web")
    tiny_vlm("llava", root / "models" / "chatty")
    folder = root / "models" / "tiny0"
    data = set_file(root / "set")
    for name, task in (("style", "base"), ("pages", "web")):
        settings = Teaching(rank=2, alpha=2, learning_rate=0.02, accumulation=1, task=task)  # type: ignore[arg-type]
        network, processor = load_model(folder, tasks=(settings.task,)), XComposerProcessor.from_folder(folder)
        teach(network, processor, data, root / "adapters" / name, settings, base="tiny0")
    (root / "adapters" / "unfinished").mkdir()
    return root


@pytest.fixture
def settings(home: Path) -> Iterator[Settings]:
    yield Settings(home=home, model_device="cpu")
    close_minds()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Model and adapter of each engine that is opened, which is the real one; closing is told as ("closed", model)."""
    told: list[tuple[str, str | None]] = []
    real = model.inference.engines.open_engine

    def open_engine(folder: Path, **options: object):  # type: ignore[no-untyped-def]
        adapter = options.get("adapter")
        told.append((folder.name, adapter.name if isinstance(adapter, Path) else None))
        engine = real(folder, **options)  # type: ignore[arg-type]
        close = engine.close

        def closed() -> None:
            told.append(("closed", folder.name))
            close()

        engine.close = closed  # type: ignore[method-assign]
        return engine

    monkeypatch.setattr(model.inference.engines, "open_engine", open_engine)
    return told


# Names


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_means_nothing_is_refused_with_those_there_are(name: str, settings: Settings) -> None:
    with pytest.raises(InvalidBrief) as caught:
        mind_of(name, settings, no_pictures)
    assert caught.value.thing == "writer"
    for known in ("extractive", "chatty", "square", "tiny0", "tiny1"):
        assert known in caught.value.remedy
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", BAD_ADAPTERS)
def test_an_adapters_name_that_means_nothing_is_refused(
    name: str, settings: Settings, opened: list[tuple[str, str | None]]
) -> None:
    with pytest.raises(InvalidBrief) as caught:
        mind_of(f"tiny0+{name}", settings, no_pictures)
    assert "style" in caught.value.message and caught.value.message.isprintable()
    assert opened == [], "refused before a model is loaded"


def test_paths_are_no_names_even_where_they_lead_to_a_model(settings: Settings, home: Path) -> None:
    for name in (str(home / "models" / "tiny0"), "../models/tiny0", f"tiny0+{home / 'adapters' / 'style'}"):
        with pytest.raises(InvalidBrief):
            mind_of(name, settings, no_pictures)


def test_where_there_is_nothing_the_remedy_is_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidBrief, match="interleaf models add"):
        mind_of("tiny0", Settings(home=tmp_path), no_pictures)
    assert known_writers(Settings(home=tmp_path)) == ()


def test_known_writers_are_models_and_what_they_were_taught(settings: Settings) -> None:
    found = known_writers(settings)
    assert found[:7] == ("chatty", "merged", "pages", "square", "tiny0", "tiny1", "wide")
    assert found[7:] == ("tiny0+pages", "tiny0+style"), "finished ones only, each with its base"


# Opening


def test_two_runs_share_a_model_and_another_one_takes_its_place(
    settings: Settings, opened: list[tuple[str, str | None]]
) -> None:
    first = mind_of("tiny0", settings, no_pictures)
    second = mind_of("tiny0", settings, no_pictures)
    assert opened == [("tiny0", None)] and first is not second
    assert first.fingerprint == second.fingerprint
    third = mind_of("tiny1", settings, no_pictures)
    assert opened[1:] == [("closed", "tiny0"), ("tiny1", None)]
    assert third.fingerprint != first.fingerprint and third.name == "tiny1"
    close_minds()
    assert opened[-1] == ("closed", "tiny1")
    assert mind_of("tiny1", settings, no_pictures).count(Ask(("Hello",), 1)) > 0, "opened again after that"


def test_a_models_memory_is_free_before_the_next_one_is_opened(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it was used, held itself, and had been set aside as what lives on."""
    mind = mind_of("tiny0", settings, no_pictures)
    assert mind.choose(Ask(("What is it?",), 1), ("A", "B"))
    network = mind._engine._model  # type: ignore[attr-defined]
    network.itself = (network,)  # type: ignore[assignment]
    gone = weakref.ref(network)
    del mind, network
    gc.collect()
    gc.freeze()
    real = model.inference.engines.open_engine
    found: list[object] = []

    def open_engine(folder: Path, **options: object):  # type: ignore[no-untyped-def]
        found.append(gone())
        return real(folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(model.inference.engines, "open_engine", open_engine)
    mind_of("tiny1", settings, no_pictures)
    assert found == [None]


def test_an_adapter_is_another_model_and_changes_what_is_said(
    settings: Settings, opened: list[tuple[str, str | None]]
) -> None:
    ask, answers = Ask(("What is it?",), 1), ("A", "B", "C")
    plain = mind_of("tiny0", settings, no_pictures)
    before = plain.choose(ask, answers)
    styled = mind_of("tiny0+style", settings, no_pictures)
    assert opened == [("tiny0", None), ("closed", "tiny0"), ("tiny0", "style")]
    assert styled.name == "tiny0+style" and styled.fingerprint != plain.fingerprint
    assert styled.choose(ask, answers) != before


def test_an_adapter_of_another_base_is_refused(settings: Settings) -> None:
    with pytest.raises(WeightsUnusable, match="tiny0"):
        mind_of("tiny1+style", settings, no_pictures)
    assert mind_of("tiny0+style", settings, no_pictures).name == "tiny0+style", "and the next one is heard"


def test_a_chat_model_takes_no_adapter(settings: Settings) -> None:
    with pytest.raises(Unsupported, match="takes no adapter"):
        mind_of("chatty+style", settings, no_pictures)


def test_fewer_bits_and_an_adapter_are_refused_together(settings: Settings) -> None:
    fewer = settings.model_copy(update={"model_weights": "int8"})
    with pytest.raises(Unsupported, match="int8"):
        mind_of("tiny0+style", fewer, no_pictures)


def test_an_adapter_that_is_not_finished_is_refused(settings: Settings) -> None:
    with pytest.raises(ModelError, match="finished"):
        mind_of("tiny0+unfinished", settings, no_pictures)


def test_a_changed_adapter_is_refused(settings: Settings, home: Path) -> None:
    broken = home / "adapters" / "broken"
    shutil.copytree(home / "adapters" / "style", broken)
    content = bytearray((broken / "adapter_model.safetensors").read_bytes())
    content[-1] ^= 1
    (broken / "adapter_model.safetensors").write_bytes(content)
    try:
        with pytest.raises(WeightsUnusable, match="has changed"):
            mind_of("tiny0+broken", settings, no_pictures)
    finally:
        shutil.rmtree(broken)


def test_a_folder_that_holds_no_model_is_refused(settings: Settings, home: Path) -> None:
    (home / "models" / "empty").mkdir()
    try:
        with pytest.raises(WeightsUnusable, match="no model"):
            mind_of("empty", settings, no_pictures)
    finally:
        (home / "models" / "empty").rmdir()


# What is asked of the engine


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What reaches the engines, which are the real ones."""
    found: list[Request] = []
    real = model.inference.engines.open_engine

    def open_engine(folder: Path, **options: object):  # type: ignore[no-untyped-def]
        engine = real(folder, **options)  # type: ignore[arg-type]
        choose, generate = engine.choose, engine.generate
        engine.choose = lambda request, answers: found.append(request) or choose(request, answers)  # type: ignore
        engine.generate = lambda asked, canceled: found.extend(asked) or generate(asked, canceled)  # type: ignore
        return engine

    monkeypatch.setattr(model.inference.engines, "open_engine", open_engine)
    return found


@pytest.mark.parametrize(
    ("name", "write", "judge", "family"),
    [
        ("tiny0", "write", "base", "xcomposer"),  # it has adapters for writing
        ("merged", "write", "write", "xcomposer"),  # they are in its weights, whatever is asked
        ("pages", "web", "web", "xcomposer"),
        ("square", "base", "base", "xcomposer"),  # it has none
        ("tiny0+style", "base", "base", "xcomposer"),  # as it was taught
        ("tiny0+pages", "web", "web", "xcomposer"),
        ("chatty", "base", "base", "chat"),
    ],
)
def test_writing_and_judging_are_done_by_the_adapters_that_are_for_it(
    name: str, write: str, judge: str, family: str, settings: Settings, requests: list[Request]
) -> None:
    mind = mind_of(name, settings, no_pictures)
    mind.answer([Ask(("Write.",), 2, work="write")])
    mind.choose(Ask(("Choose.",), 1), ("A", "B"))
    assert [request.task for request in requests] == [write, judge] and mind.family == family


@pytest.mark.parametrize(
    ("name", "partition"), [("tiny0", "glance"), ("wide", "4khd-glance"), ("square", None), ("chatty", None)]
)
def test_candidates_are_glanced_at_where_pictures_have_tiles(
    name: str, partition: str | None, settings: Settings, requests: list[Request], tmp_path: Path
) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    mind = mind_of(name, settings, lambda picture_id: tmp_path / f"{picture_id}.png")
    mind.choose(Ask(("What? ", Shown("red")), 1), ("A", "B"))
    mind.choose(Ask(("What?",), 1), ("A", "B"))
    assert [request.partition for request in requests] == [partition, None]


def test_glances_are_named_for_every_family_with_tiles() -> None:
    from model.prompts.partition import PARTITIONS

    families = ("2d5-7b", "4khd-7b", "2-vl-7b", "2-7b", "2-vl-1.8b")
    found = [glance_of(family) for family in families]
    assert found == ["glance", "4khd-glance", None, None, None]
    assert {name for name in found if name} <= set(PARTITIONS)


def test_the_record_decides_the_task_and_not_the_name(settings: Settings, home: Path) -> None:
    assert json.loads((home / "adapters" / "pages" / "teaching.json").read_text())["task"] == "web"
