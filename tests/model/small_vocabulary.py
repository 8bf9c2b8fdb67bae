"""A SentencePiece vocabulary of the families' kind in small, trained on the spot, and vocabularies put together."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

# What every small vocabulary of the tests is learned from; a text of their own, so that no page has to stay as it is.
TEXT = Path(__file__).with_name("vocabulary_text.txt").read_text(encoding="utf-8")
PIECES = 1_200
UNUSED = tuple(f"[UNUSED_TOKEN_{i}]" for i in range(147))
# Other pieces that were given to the trainer and are plain text: runs of blanks, a tabulator, NUL cannot be trained.
GIVEN_TEXT = ("\u2581\u2581\u2581\u2581", "\t", "\u2581" * 8)


@functools.cache
def trained(**options: Any) -> bytes:
    """A tokenizer.model with the published options; `options` change them."""
    lines = TEXT.splitlines()
    lines += ["根据给定上下文和候选图像，选择合适的配图：", "    def f(x):\n        return x", "user", "assistant"] * 10
    lines += ["aaaa abab ababab ------ ===== ....... 2024 1999 3.14", "Image1 Image2 Image3; what is it?"] * 10
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        **{
            "sentence_iterator": iter(lines),
            "model_writer": out,
            "model_type": "bpe",
            "vocab_size": PIECES,
            "byte_fallback": True,
            "split_digits": True,
            "add_dummy_prefix": False,
            "remove_extra_whitespaces": False,
            "normalization_rule_name": "identity",
            "allow_whitespace_only_pieces": True,
            "character_coverage": 0.999,
            "user_defined_symbols": [*GIVEN_TEXT, *UNUSED],
            "unk_id": 0,
            "bos_id": 1,
            "eos_id": 2,
            "pad_id": -1,
            "minloglevel": 2,
            "num_threads": 1,
        }
        | options
    )
    return out.getvalue()


def put_together(pieces: Sequence[tuple[str, float]]) -> bytes:
    """A tokenizer.model of the families' kind with these ordinary pieces and scores, after control pieces and bytes."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(trained())
    fixed = [(p.piece, p.score, p.type) for p in proto.pieces if p.type in (2, 3, 6)]
    del proto.pieces[:]
    for text, score, kind in [*fixed, *((t, s, 1) for t, s in pieces)]:
        proto.pieces.add(piece=text, score=score, type=kind)
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return bytes(proto.SerializeToString())


def folder_with(folder: Path, data: bytes | None = None) -> Path:
    """`folder` with a tokenizer.model in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(trained() if data is None else data)
    return folder
