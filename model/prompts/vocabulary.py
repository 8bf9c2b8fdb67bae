"""Vocabulary: the pieces of a SentencePiece file, and a fast tokenizer that cuts text exactly as they do.

The published families share one kind of file: byte-pair merges by score, bytes for unknown characters, no blank put
in front, no normalising. Another kind is refused, because its ids would be wrong without anyone noticing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

from interleaf.errors import WeightsUnusable

__all__ = ["ALIASES", "BLANK", "Piece", "fast_tokenizer", "is_control", "merges_of", "read_pieces"]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BLANK: Final = "\u2581"
# Names that InternLM2 gave to pieces that the vocabulary calls unused.
ALIASES: Final = {
    "<|plugin|>": "[UNUSED_TOKEN_141]",
    "<|interpreter|>": "[UNUSED_TOKEN_142]",
    "<|action_end|>": "[UNUSED_TOKEN_143]",
    "<|action_start|>": "[UNUSED_TOKEN_144]",
    "<|im_end|>": "[UNUSED_TOKEN_145]",
    "<|im_start|>": "[UNUSED_TOKEN_146]",
}
# What steers a model of these families. Other pieces that were given to the trainer (runs of blanks, NUL) are text.
_CONTROL: Final = re.compile(r"\[UNUSED_TOKEN_\d+\]|<TOKENS_UNUSED_\d+>|<\|[^|<>\s]+\|>|<eo[a-z]>|</?s>|<unk>|<pad>")


@dataclass(frozen=True)
class Piece:
    """A piece of the vocabulary; its id is its place in the file."""

    text: str
    score: float
    kind: int


def is_control(text: str) -> bool:
    """Whether a piece steers the model, so that a person's words must never become it."""
    return _CONTROL.fullmatch(text) is not None


def read_pieces(path: Path) -> list[Piece]:
    """The pieces of a `tokenizer.model`, in the order of their ids. WeightsUnusable when it is of another kind."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]
    from sentencepiece import sentencepiece_model_pb2  # type: ignore[import-untyped,unused-ignore]

    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror or error}).") from error
    if len(data) > MAX_FILE_BYTES:
        raise _unusable(path, f"has more than {MAX_FILE_BYTES >> 20} MiB.")
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined,unused-ignore]
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise _unusable(path, "is no SentencePiece file.") from error
    _check(path, model)
    return [Piece(p.piece, p.score, p.type) for p in model.pieces]


def merges_of(pieces: list[Piece]) -> list[tuple[str, str]]:
    """The merges that build the ordinary pieces, in the order in which they are tried.

    SentencePiece joins the two neighbours whose joint piece has the best score, of equals the leftmost. Here each
    pair of parts has a rank of its own, so that two pairs for one piece are no equals any more; that this changes
    nothing is held against SentencePiece in the tests, with drawn vocabularies."""
    parts = {p.text for p in pieces if p.kind == NORMAL}
    ranked = sorted((p for p in pieces if p.kind == NORMAL), key=lambda p: -p.score)  # stable
    return [
        (p.text[:k], p.text[k:])
        for p in ranked
        for k in range(1, len(p.text))
        if p.text[:k] in parts and p.text[k:] in parts
    ]


def fast_tokenizer(pieces: list[Piece]) -> Tokenizer:
    """A tokenizer with the ids of `pieces`; control pieces in a text become their ids, in both spellings."""
    vocabulary = {p.text: i for i, p in enumerate(pieces)}
    if len(vocabulary) != len(pieces):
        raise WeightsUnusable("tokenizer.model", "holds a piece twice.", "Copy or download it again.")
    unknown = next((p.text for p in pieces if p.kind == UNKNOWN), None)
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges_of(pieces), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    aliases = {a: t for a, t in ALIASES.items() if t in vocabulary and a not in vocabulary}
    steps: list[Any] = [normalizers.Replace(a, t) for a, t in aliases.items()]
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", BLANK)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]  # type: ignore[list-item,unused-ignore]
    )
    for piece in pieces:
        if piece.kind in (CONTROL, UNKNOWN) or (piece.kind == USER_DEFINED and is_control(piece.text)):
            tokenizer.add_special_tokens([AddedToken(piece.text, normalized=True, special=True)])
        elif piece.kind == USER_DEFINED:
            tokenizer.add_tokens([AddedToken(piece.text, normalized=True, special=False)])
    begin = next((p.text for p in pieces if p.kind == CONTROL and p.text == "<s>"), None)
    if begin is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin}:1 $B:1", special_tokens=[(begin, vocabulary[begin])]
        )
    return tokenizer


def _check(path: Path, model: Any) -> None:
    """WeightsUnusable unless the file is of the kind that fast_tokenizer rebuilds."""
    trained, normal = model.trainer_spec, model.normalizer_spec
    kinds = [p.type for p in model.pieces]
    wrong = [
        said
        for said, is_wrong in (
            ("holds no pieces", not kinds),
            ("is not of byte pairs", trained.model_type != trained.BPE),
            ("has no bytes for unknown characters", not trained.byte_fallback or kinds.count(BYTE) != 256),
            ("puts a blank in front of texts", normal.add_dummy_prefix),
            ("drops blanks", normal.remove_extra_whitespaces),
            ("keeps blanks as they are", not normal.escape_whitespaces),
            ("rewrites characters", bool(normal.precompiled_charsmap)),
            ("puts blanks behind words", trained.treat_whitespace_as_suffix),
            ("holds pieces that are switched off", UNUSED in kinds),
        )
        if is_wrong
    ]
    if wrong:
        raise _unusable(path, f"{wrong[0]}, which no family of this model does.")


def _unusable(path: Path, problem: str) -> WeightsUnusable:
    return WeightsUnusable(path.name, problem, "Take tokenizer.model from the published checkpoint.")
