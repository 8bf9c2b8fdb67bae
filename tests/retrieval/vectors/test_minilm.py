"""The default encoder computes what sentence-transformers does with the same weights, to the last bit, without it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from interleaf.errors import ModelError
from retrieval.vectors.embedder import TextEmbedder
from retrieval.vectors.minilm import MiniLM

ROOT = Path(__file__).resolve().parents[3]
TEXTS = [
    "A boat in the harbour",
    "x",
    "Grüße aus Köln — ‘tide’ 🏔️",
    "海の潮が満ちる。",
    "\x00\x01 \ud800",
    "[PAD] [CLS] a [MASK]",
    "word " * 400,  # longer than is read
    *(f"sentence number {number} " * (1 + 2 * number) for number in range(30)),  # every length, up to the longest
]


def test_the_vectors_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    ours = TextEmbedder(threads=1, stamp_dir=tmp_path)
    # By the name of its folder it is one of any, which sentence-transformers loads.
    theirs = TextEmbedder(str(ours.folder), threads=1, stamp_dir=tmp_path)
    assert (ours.encode(TEXTS) == theirs.encode(TEXTS)).all()
    assert isinstance(ours._loaded, MiniLM) and not isinstance(theirs._loaded, MiniLM)


def test_a_batch_without_padding_is_read_like_one_with_it() -> None:
    network = MiniLM(TextEmbedder().folder)
    short, full = network.preprocess(["the tide"]), network.preprocess(["the tide " * 400])
    assert full["input_ids"].shape == (1, network.max_seq_length) and short["input_ids"].shape == (1, 4)
    vector = network(short)["sentence_embedding"]
    padded = {name: np.pad(table.numpy(), ((0, 0), (0, 5))) for name, table in short.items()}
    again = network({name: type(vector)(table).long() for name, table in padded.items()})["sentence_embedding"]
    assert np.allclose(vector.numpy(), again.numpy(), atol=1e-6)
    assert np.isfinite(network(full)["sentence_embedding"].numpy()).all()


def test_a_damaged_tokenizer_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = TextEmbedder().folder
    copy = tmp_path / "model"
    shutil.copytree(found, copy)
    monkeypatch.setattr("retrieval.vectors.weights._wheel_folder", lambda: copy)
    (copy / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer\.json is damaged"):
        TextEmbedder(stamp_dir=tmp_path).encode(["text"])
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        TextEmbedder(stamp_dir=tmp_path).encode(["text"])


def test_texts_are_encoded_without_the_libraries_that_take_seconds_to_import() -> None:
    code = (
        "import sys\n"
        "from retrieval.vectors.embedder import TextEmbedder\n"
        "assert TextEmbedder().encode(['the tide']).shape == (1, 384)\n"
        "print(sorted({'transformers', 'sentence_transformers', 'torchao', 'peft'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        check=True,
    )
    assert done.stdout == "[]\n"
