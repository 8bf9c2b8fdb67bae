"""Token bytes: what each id of a vocabulary stands for, for vocabularies with byte pieces and for byte-level ones."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from interleaf.errors import Unsupported
from model.prompts.vocabulary import BLANK

__all__ = ["token_bytes"]

_BYTE_PIECE: Final = re.compile(r"<0x([0-9A-F]{2})>")


def token_bytes(tokenizer: Any) -> list[bytes | None]:
    """Bytes by id, None for control pieces and gaps. `tokenizer`: the families' or a fast one of transformers.

    Unsupported when it is not a fast one, or writes text in another way than these two."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise Unsupported("tokenizer", f"{type(tokenizer).__name__} is no fast one.", "Ask without a grammar.")
    said = json.loads(backend.to_str())
    kinds = {part["type"] for part in _steps(said.get("decoder"))}
    if not kinds & {"ByteLevel", "ByteFallback", "Metaspace"}:
        raise Unsupported(
            "tokenizer", f"writes text by {sorted(kinds)!r}, which no grammar can follow.", "Ask without a grammar."
        )
    added = {token["id"]: token for token in said["added_tokens"]}
    controls = set(tokenizer.all_special_ids) | {i for i, token in added.items() if token["special"]}
    controls |= getattr(tokenizer, "control_ids", frozenset())
    vocabulary = backend.get_vocab(with_added_tokens=True)
    found: list[bytes | None] = [None] * (max(vocabulary.values(), default=-1) + 1)
    characters = _byte_characters() if "ByteLevel" in kinds else None
    for text, i in vocabulary.items():
        if i not in controls:
            found[i] = text.encode() if i in added and characters else _bytes(text, characters)
    return found


def _bytes(text: str, characters: dict[str, int] | None) -> bytes | None:
    if characters is not None:
        return bytes(characters[c] for c in text) if all(c in characters for c in text) else None
    if byte := _BYTE_PIECE.fullmatch(text):
        return bytes([int(byte[1], 16)])
    return text.replace(BLANK, " ").encode()


def _steps(decoder: dict[str, Any] | None) -> list[dict[str, Any]]:
    if decoder is None:
        return []
    return list(decoder["decoders"]) if decoder["type"] == "Sequence" else [decoder]


def _byte_characters() -> dict[str, int]:
    """The character by which byte-level vocabularies write each byte: itself where it prints, else from 256 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}
