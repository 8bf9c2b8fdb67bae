"""Tokenizer: words to ids and back, as a class of transformers; a person's words never become control ids.

Prompt plumbing (turn tokens, beginning of text) and a person's words meet in one prompt, and words stand beside
words as they do in training. So both are cut by a second tokenizer without the control pieces, in which no text at
all gives a control id; ids of the plumbing's control pieces are put in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self, cast

from tokenizers import Tokenizer
from transformers import TokenizersBackend

from interleaf.errors import PromptInvalid, WeightsUnusable
from model.prompts.vocabulary import ALIASES, BLANK, fast_tokenizer, is_control, read_pieces

__all__ = ["XComposerTokenizer"]

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_BYTE_PIECE: Final = re.compile(r"<0x[0-9A-F]{2}>")
# Both spellings of the tokens around a turn; the first that the vocabulary has gives the id.
_TURN_START: Final = ("[UNUSED_TOKEN_146]", "<|im_start|>")
_TURN_END: Final = ("[UNUSED_TOKEN_145]", "<|im_end|>")


class XComposerTokenizer(TokenizersBackend):
    """The families' tokenizer. `tokenizer(text)` begins with BOS and reads control pieces, in both spellings;
    `encode_untrusted` is for what a person or a document says."""

    vocab_files_names = {"vocab_file": "tokenizer.model", "tokenizer_file": "tokenizer.json"}  # noqa: RUF012
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 (transformers reads a list)
    padding_side: str = "left"

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """From `tokenizer.model` or else `tokenizer.json` in a model's folder.

        WeightsUnusable when it has neither, or the file is damaged or of another kind of tokenizer."""
        return cls(
            **cls.convert_to_native_format(
                vocab_file=str(folder / "tokenizer.model"), tokenizer_file=str(folder / "tokenizer.json")
            )
        )

    @classmethod
    def convert_to_native_format(cls, trust_remote_code: bool = False, **kwargs: Any) -> dict[str, Any]:
        """Called by `from_pretrained` with what the folder's files say.

        Published tokenizer_config.json files name classes and tokens of remote code; nothing of them is needed."""
        folder_files = [Path(str(kwargs[k])) for k in ("vocab_file", "tokenizer_file") if kwargs.get(k)]
        found = next((path for path in folder_files if path.is_file()), None)
        if found is None:
            raise WeightsUnusable(
                "tokenizer", "the folder has neither tokenizer.model nor tokenizer.json.", "Add the checkpoint again."
            )
        backend = fast_tokenizer(read_pieces(found)) if found.suffix == ".model" else _read_json(found)
        names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
        missing = [name for name in ("<s>", "</s>") if backend.token_to_id(name) is None]
        if missing:
            raise WeightsUnusable(found.name, f"has no piece {missing[0]}.", "Take the published file.")
        return {
            "tokenizer_object": backend,
            "clean_up_tokenization_spaces": False,
            "add_bos_token": True,
            **{key: name for key, name in names.items() if backend.token_to_id(name) is not None},
            **{key: kwargs[key] for key in ("name_or_path", "padding_side") if key in kwargs},
        }

    # Control pieces

    @cached_property
    def control_pieces(self) -> dict[str, int]:
        """What steers the model, by name, both spellings among them."""
        added = self._backend.get_added_tokens_decoder()
        found = {token.content: i for i, token in added.items() if token.special or is_control(token.content)}
        found |= {text: i for text, i in self._backend.get_vocab(with_added_tokens=True).items() if is_control(text)}
        for one, other in ALIASES.items():
            both = found.get(one, found.get(other))
            if both is not None:
                found.setdefault(one, both)
                found.setdefault(other, both)
        return dict(sorted(found.items()))

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """Ids that no words may become."""
        return frozenset(self.control_pieces.values())

    @property
    def turn_start_id(self) -> int:
        """Before the name of who speaks. WeightsUnusable when the vocabulary has no such piece."""
        return self._control_id(_TURN_START)

    @property
    def turn_end_id(self) -> int:
        """After what was said; answers stop here. WeightsUnusable when the vocabulary has no such piece."""
        return self._control_id(_TURN_END)

    # Encoding

    def encode_untrusted(self, text: str) -> list[int]:
        """Ids of words alone, without BOS: whatever they spell, none of `control_ids` is among them.

        Lone surrogates, which no encoding knows, become U+FFFD."""
        ids: list[int] = self._words.encode(_SURROGATE.sub("\ufffd", text), add_special_tokens=False).ids
        if not self.control_ids.isdisjoint(ids):
            raise PromptInvalid("text", "became a control token.", "Leave such text out.")
        return ids

    def encode_parts(self, parts: list[int | str]) -> list[int]:
        """Ids of control ids and words in turn; words that stand side by side are cut as one text."""
        ids: list[int] = []
        words: list[str] = []
        for part in [*parts, None]:
            if isinstance(part, str):
                words.append(part)
                continue
            if text := "".join(words):
                ids += self.encode_untrusted(text)
            words = []
            if part is not None:
                ids.append(part)
        return ids

    def split_plumbing(self, text: str) -> list[int | str]:
        """Trusted text as ids of its control pieces and the words between them."""
        return [self.control_pieces.get(part, part) for part in self._control_pattern.split(text) if part]

    # Decoding

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of pieces. Of neighbouring byte pieces, what is UTF-8 becomes characters, each other byte U+FFFD;
        the Rust library would spoil the whole run, and an answer that is still growing often ends within one."""
        text: list[str] = []
        run = bytearray()
        for token in [*tokens, ""]:
            if _BYTE_PIECE.fullmatch(token):
                run.append(int(token[3:5], 16))
                continue
            text.append(_characters(bytes(run)))
            text.append(token.replace(BLANK, " "))
            run.clear()
        return "".join(text)

    def _decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: Any = None, **kwargs: Any
    ) -> str:
        ids = [token_ids] if isinstance(token_ids, int) else token_ids
        dropped = self.control_ids if skip_special_tokens else frozenset()
        found = [self._backend.id_to_token(i) for i in ids if i not in dropped]
        return self.convert_tokens_to_string([token for token in found if token is not None])

    # Inside

    @property
    def _backend(self) -> Tokenizer:
        return cast(Tokenizer, self._tokenizer)

    def _control_id(self, spellings: tuple[str, ...]) -> int:
        for name in spellings:
            if (found := self.control_pieces.get(name)) is not None:
                return found
        raise WeightsUnusable(
            "tokenizer", f"knows neither {' nor '.join(spellings)}.", "Take the tokenizer of the model's own family."
        )

    def _convert_token_to_id_with_added_voc(self, token: str) -> int:
        known = self.control_pieces.get(token)
        return known if known is not None else super()._convert_token_to_id_with_added_voc(token)  # type: ignore[no-any-return,unused-ignore]

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.control_pieces, key=lambda name: (-len(name), name))
        return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    @cached_property
    def _words(self) -> Tokenizer:
        """The same tokenizer without control pieces, nor any merge that would give one or a lone byte."""
        said = json.loads(self._backend.to_str())
        controls = set(self.control_pieces)
        said["added_tokens"] = [t for t in said["added_tokens"] if t["content"] not in controls]
        said["model"]["merges"] = [
            merge for merge in said["model"]["merges"] if not _gives_control("".join(_parts(merge)), controls)
        ]
        said["normalizer"] = _without_aliases(said["normalizer"])
        said["post_processor"] = said["truncation"] = said["padding"] = None
        words = Tokenizer.from_str(json.dumps(said))
        for token in said["added_tokens"]:
            if words.token_to_id(token["content"]) != token["id"]:
                raise WeightsUnusable(
                    "tokenizer.json", f"gives {token['content']!r} an id beyond its vocabulary.", "Use tokenizer.model."
                )
        return words


def _read_json(path: Path) -> Tokenizer:
    try:
        backend = Tokenizer.from_file(str(path))
        kind = json.loads(backend.to_str())["model"]["type"]
    except Exception as error:  # the Rust library raises bare Exception for all that is wrong
        raise WeightsUnusable(path.name, "is damaged.", "Copy or download it again.") from error
    if kind != "BPE":
        raise WeightsUnusable(path.name, f"is of the kind {kind}, not BPE.", "Take the model's own tokenizer.")
    backend.no_truncation()
    backend.no_padding()
    return backend


def _characters(run: bytes) -> str:
    """UTF-8 with U+FFFD for each byte that belongs to no character, as SentencePiece writes it."""
    found: list[str] = []
    at = 0
    while at < len(run):
        try:
            found.append(run[at:].decode("utf-8"))
            break
        except UnicodeDecodeError as error:
            found += [run[at : at + error.start].decode("utf-8"), "\ufffd"]
            at += error.start + 1
    return "".join(found)


def _parts(merge: str | list[str]) -> Iterator[str]:
    yield from merge.split(" ") if isinstance(merge, str) else merge


def _gives_control(product: str, controls: set[str]) -> bool:
    return product in controls or is_control(product) or _BYTE_PIECE.fullmatch(product) is not None


def _without_aliases(normalizer: dict[str, Any] | None) -> dict[str, Any] | None:
    """A normaliser that does not read the second spelling of control pieces."""
    if normalizer is None or normalizer.get("type") != "Sequence":
        return normalizer
    kept = [n for n in normalizer["normalizers"] if (n.get("pattern") or {}).get("String") not in ALIASES]
    return {**normalizer, "normalizers": kept}
