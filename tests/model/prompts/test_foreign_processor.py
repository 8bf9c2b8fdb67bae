"""Folders of other families are opened in every form in which they are published, without torchvision, and without
running anything that comes with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig
from transformers.utils import is_torchvision_available

from interleaf.errors import Unsupported, WeightsUnusable
from model.inference.engine import Engine, Request
from model.inference.engines import open_engine
from model.prompts.foreign_processor import NoVideos, open_processor
from tests.contracts.engine import SHORT, answer, photo
from tests.model.tiny_vlms import FAMILIES, tiny_vlm

WITH_VIDEOS = [family for family in FAMILIES if family != "llava"]


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    tiny_vlm(request.param, tmp_path / request.param)
    return tmp_path / request.param


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    tiny_vlm("qwen2_5_vl", tmp_path / "qwen")
    return tmp_path / "qwen"


def said(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def say(path: Path, what: dict[str, Any]) -> None:
    path.write_text(json.dumps(what), "utf-8")


def seen(engine: Engine) -> Any:
    return answer(engine, Request.ask("What is it?", [photo(3, 130)], sampling=SHORT))


def test_older_forms_mean_the_same(folder: Path) -> None:
    """The family's own tokenizer named, the processor's class beside the settings of pictures, `Fast` ones, the
    template as JSON."""
    first = seen(open_engine(folder))
    own = said(folder / "processor_config.json")
    settings = said(folder / "preprocessor_config.json")
    settings["image_processor_type"] += "Fast"
    if len(own) == 1:  # nothing but the class's name
        (folder / "processor_config.json").unlink()
        settings |= own
    say(folder / "preprocessor_config.json", settings)
    template = (folder / "chat_template.jinja").read_text("utf-8")
    (folder / "chat_template.jinja").unlink()
    tokenizer = said(folder / "tokenizer_config.json")
    tokenizer.pop("chat_template", None)
    tokenizer["tokenizer_class"] = {"llava": "LlamaTokenizerFast", "smolvlm": "GPT2Tokenizer"}.get(
        folder.name, "Qwen2Tokenizer"
    )
    say(folder / "tokenizer_config.json", tokenizer)
    say(folder / "chat_template.json", {"chat_template": template})
    assert seen(open_engine(folder)) == first


def test_the_newest_form_means_the_same(folder: Path) -> None:
    """All settings in one file."""
    first = seen(open_engine(folder))
    own = said(folder / "processor_config.json")
    own["image_processor"] = said(folder / "preprocessor_config.json")
    (folder / "preprocessor_config.json").unlink()
    video = folder / "video_preprocessor_config.json"
    if video.is_file():
        own["video_processor"] = said(video)
        video.unlink()
    say(folder / "processor_config.json", own)
    assert seen(open_engine(folder)) == first


def test_saved_again_it_is_opened_again(folder: Path, tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(folder)
    open_processor(folder, config).save_pretrained(tmp_path / "again")
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).rename(tmp_path / "again" / name)
    again = open_engine(tmp_path / "again")
    tiny_vlm(folder.name, folder)
    assert seen(again) == seen(open_engine(folder))


def test_code_of_a_folder_is_never_run(folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Evil: pass\n", "utf-8")
    first = seen(open_engine(folder))
    for name in ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"):
        if (folder / name).is_file():
            names = ("AutoProcessor", "AutoImageProcessor", "AutoVideoProcessor", "AutoTokenizer")
            say(folder / name, said(folder / name) | {"auto_map": dict.fromkeys(names, "evil.Evil")})
    assert seen(open_engine(folder)) == first
    say(folder / "processor_config.json", said(folder / "processor_config.json") | {"processor_class": "Evil"})
    try:
        assert seen(open_engine(folder)) == first
    except (WeightsUnusable, Unsupported) as error:
        assert "custom code" in str(error) and str(tmp_path) not in str(error)
    assert not ran.exists()


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is there: nothing is missing")
@pytest.mark.parametrize("family", WITH_VIDEOS)
def test_the_missing_video_part_refuses_videos(family: str, tmp_path: Path) -> None:
    model, processor = tiny_vlm(family, tmp_path)
    assert isinstance(processor.video_processor, NoVideos)
    with pytest.raises(Unsupported, match="composite"):
        processor.video_processor([[photo()]])
    assert model is not None and "Pil" in type(processor.image_processor).__name__


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is there: nothing is missing")
def test_what_does_need_torchvision_says_so(qwen: Path) -> None:
    settings = said(qwen / "preprocessor_config.json")
    say(qwen / "preprocessor_config.json", settings | {"image_processor_type": "PPOCRV5ServerDetImageProcessor"})
    with pytest.raises(Unsupported, match="without torchvision"):
        open_engine(qwen)


def test_a_family_that_needs_more_than_pictures_says_so(qwen: Path) -> None:
    from transformers import Qwen2_5OmniConfig

    (qwen / "video_preprocessor_config.json").unlink()
    with pytest.raises(Unsupported, match="feature_extractor"):
        open_processor(qwen, Qwen2_5OmniConfig())


@pytest.mark.parametrize("missing", ["tokenizer.json", "preprocessor_config.json"])
def test_a_folder_that_lacks_a_part_says_which(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises((WeightsUnusable, Unsupported), match=r"tokenizer|image processor|preprocessor_config"):
        open_engine(folder)


@pytest.mark.parametrize("broken", ["tokenizer.json", "preprocessor_config.json", "processor_config.json"])
@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "smolvlm"])
def test_a_broken_file_is_refused(family: str, broken: str, tmp_path: Path) -> None:
    model, _ = tiny_vlm(family, tmp_path)
    for what in ("{", "[]", '{"image_processor_type": 7, "model": []}')[: 2 if broken.startswith("processor") else 3]:
        (tmp_path / broken).write_text(what, "utf-8")
        with pytest.raises((WeightsUnusable, Unsupported)):
            open_processor(tmp_path, model.config)


def test_a_model_that_does_not_chat_or_see_is_refused(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    words = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    template.write_text(words, "utf-8")
    with pytest.raises(Unsupported, match="takes no picture"):
        open_engine(folder)
    template.unlink()
    tokenizer = said(folder / "tokenizer_config.json")
    tokenizer.pop("chat_template", None)
    say(folder / "tokenizer_config.json", tokenizer)
    with pytest.raises(Unsupported, match="no chat template"):
        open_engine(folder)
