"""Grammar: which tokens may come next so that an answer fits a JSON schema or an EBNF. The one user of llguidance."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import llguidance
import numpy as np
import torch
from llguidance.gbnf_to_lark import gbnf_to_lark
from numpy.typing import NDArray
from torch import Tensor

from interleaf.errors import ModelError, PromptInvalid, shown
from model.inference.engine import Grammar
from model.prompts.token_bytes import token_bytes

__all__ = ["GrammarCompiler", "Matcher"]

MAX_CHARS: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 4_096
MAX_KEPT: Final = 32
_FORM: Final = "grammar"
# As json.dumps writes it, which is how models have seen it most; free white space could go on for ever.
_JSON_FORM: Final[Any] = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
# Any pieces may spell what must come; otherwise only the library's own choice of them would be let through, which is
# not how the model would say it.
_UNFORCED: Final = '%llguidance {"no_forcing": true}\n'
# About a fifth of a second to compile and 15 ms for a token at most (the library's own figures).
_LIMITS: Final[dict[str, Any]] = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 50_000,
    "max_grammar_size": 100_000,
    "max_lexer_states": 50_000,
    "verbose_errors": False,
}
# Tokens are ruled out 64 at a time, a word of the mask, where no more than so many words need it.
_WORD: Final = 64
_FEW: Final = 96
_ALL_ALLOWED: Final = np.uint64(2**64 - 1)
# (256, 8): what a byte of the mask leaves of eight logits, as their upper bounds.
_BOUNDS: Final[NDArray[np.float32]] = np.where(
    np.arange(256)[:, None] >> np.arange(8) & 1, np.float32(np.inf), np.float32(-np.inf)
)


class _Pieces:
    """A vocabulary as llguidance asks for it."""

    def __init__(self, pieces: Sequence[bytes | None], end: int) -> None:
        self.eos_token_id, self.bos_token_id = end, None
        self.special_token_ids = [i for i, piece in enumerate(pieces) if piece is None]
        self.tokens = [b"<special %d>" % i if piece is None else piece for i, piece in enumerate(pieces)]
        self._byte_ids = {piece[0]: i for i, piece in enumerate(pieces) if piece is not None and len(piece) == 1}

    def __call__(self, text: bytes) -> list[int]:
        """Asked for pieces of text that a grammar forces, which is switched off: byte by byte will do."""
        return [self._byte_ids[byte] for byte in text if byte in self._byte_ids]


class GrammarCompiler:
    """Grammars for one vocabulary; built once for an engine (92,544 pieces: about 0.2 s).

    `pieces`: the bytes that each id stands for, None for those that no text has; `ends`: ids that end an answer;
    `vocab_size`: V of the logits, which may be larger than the vocabulary."""

    def __init__(self, pieces: Sequence[bytes | None], ends: Sequence[int], vocab_size: int) -> None:
        if not ends or not all(0 <= end < vocab_size for end in ends):
            raise ModelError(
                "ends", f"are {list(ends)!r} in a vocabulary of {vocab_size}.", "Give the ids of its ends."
            )
        known: list[bytes | None] = [piece or None for piece in pieces[:vocab_size]]
        known += [None] * (vocab_size - len(known))
        for end in ends:
            known[end] = None
        wrapped = llguidance.TokenizerWrapper(_Pieces(known, ends[0]))
        self._vocab_size, self._ends = vocab_size, tuple(ends)
        self._tokenizer = llguidance.LLTokenizer(wrapped, eos_token=list(ends))
        self._limits = llguidance.LLParserLimits(**_LIMITS)
        self._kept: OrderedDict[tuple[bool, str], Any] = OrderedDict()

    @classmethod
    def of(cls, tokenizer: Any, vocab_size: int, ends: Sequence[int]) -> GrammarCompiler:
        """For the families' tokenizer or any fast one of transformers."""
        return cls(token_bytes(tokenizer), ends, vocab_size)

    def matcher(self, grammar: Grammar) -> Matcher:
        """For one answer. PromptInvalid for a grammar that is too large, damaged or asks for what is not known."""
        text = _source(grammar)
        key = (grammar.json_schema is None, text)
        if key not in self._kept:
            rules = _lark(text) if grammar.json_schema is None else f"start: %json {text}"
            form = llguidance.LLMatcher.grammar_from_lark(_UNFORCED + rules)
            made = llguidance.LLMatcher(self._tokenizer, form, log_level=0, limits=self._limits)
            made.compute_bitmask()  # only now does it find that a rule never ends
            _check(made)
            self._kept[key] = made
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return Matcher(self._kept[key].deep_copy(), self._vocab_size)


class Matcher:
    """One answer under its grammar while it grows."""

    def __init__(self, state: Any, vocab_size: int) -> None:
        self._state, self._vocab_size = state, vocab_size
        # One bit for each token, written by the library in place: handing over bytes costs it five times as much.
        self._words: NDArray[np.uint64] = np.zeros(-(-vocab_size // _WORD), np.uint64)
        self._bytes = self._words.view(np.uint8)
        self._place = (self._words.ctypes.data, -(-vocab_size // 32) * 4)  # asking for the address takes 3 µs
        self._bounds: NDArray[np.float32] | None = None
        self._masked = False

    @property
    def finished(self) -> bool:
        """Whether nothing more may follow."""
        return bool(self._state.is_stopped())

    @property
    def complete(self) -> bool:
        """Whether what was accepted so far fits the grammar as it is."""
        return bool(self._state.is_accepting())

    def allow(self, logits: Tensor) -> None:
        """Put -inf, in place, where (V,) logits are of tokens that may not come next; ends may where it is complete.

        PromptInvalid when the grammar became too costly at this place."""
        self._state.unsafe_compute_mask_ptr(*self._place)
        _check(self._state)
        self._masked = True
        if logits.device.type == "cpu" and logits.dtype == torch.float32:
            self._rule_out(logits.numpy())
        else:
            plain = logits.to("cpu", torch.float32)
            self._rule_out(plain.numpy())
            logits.copy_(plain)

    def accept(self, token: int) -> None:
        """Take note of the chosen token. ModelError for one that may not come here, PromptInvalid when the grammar
        became too costly at this place."""
        if self._state.consume_token(token):
            return
        if self._masked and 0 <= token < self._vocab_size and self._bytes[token >> 3] >> (token & 7) & 1:
            _check(self._state)
        raise ModelError(
            _FORM, f"does not take token {token} here: {shown(self._state.get_error())}.", "Choose after `allow`."
        )

    def _rule_out(self, logits: NDArray[np.float32]) -> None:
        """-inf where the mask has no bit. Mostly nearly all may come (within a text) or nearly none: then only the
        words that are neither full nor empty are looked into. Elsewhere every logit meets its bound."""
        logits[self._vocab_size :] = -np.inf
        logits = logits[: self._vocab_size]
        words, whole = self._words, len(logits) // _WORD
        some = (words != _ALL_ALLOWED).nonzero()[0]
        empty = len(some) > _FEW
        if empty:
            some = words.nonzero()[0]
        if len(some) > _FEW or whole * _WORD < len(logits):
            if self._bounds is None:
                self._bounds = np.empty((len(self._bytes), 8), np.float32)
            _BOUNDS.take(self._bytes, axis=0, out=self._bounds, mode="clip")
            np.minimum(logits, self._bounds.reshape(-1)[: len(logits)], out=logits)
            return
        rows = logits.reshape(whole, _WORD)
        bounds = _BOUNDS.take(words[some].view(np.uint8), axis=0, mode="clip").reshape(-1, _WORD)
        left = np.minimum(rows[some], bounds)
        if empty:
            logits.fill(-np.inf)
        rows[some] = left


def _source(grammar: Grammar) -> str:
    if grammar.json_schema is None:
        text = str(grammar.ebnf)
    else:
        _bounded(grammar.json_schema)
        try:
            text = json.dumps({**grammar.json_schema, "x-guidance": _JSON_FORM}, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise _refused("is no JSON.", "Give a JSON schema.") from error
    if len(text) > MAX_CHARS:
        raise _refused(f"has {len(text):,} characters.", f"Give at most {MAX_CHARS:,}.")
    return text


def _bounded(schema: Mapping[str, Any]) -> None:
    """PromptInvalid for a schema that is nested too deeply or has too many values; without recursion."""
    level: list[Any] = [schema]
    values = depth = 0
    while level:
        values, depth = values + len(level), depth + 1
        if values > MAX_VALUES:
            raise _refused(f"has more than {MAX_VALUES:,} values.", "Give a smaller schema.")
        if depth > MAX_DEPTH:
            raise _refused(f"is nested more than {MAX_DEPTH} deep.", "Give a flatter schema.")
        level = [
            inner
            for value in level
            if isinstance(value, Mapping | list | tuple)
            for inner in (value.values() if isinstance(value, Mapping) else value)
        ]


def _lark(ebnf: str) -> str:
    depth = deepest = 0
    for char in ebnf:
        depth += (char in "([") - (char in ")]")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise _refused(f"has brackets {deepest} deep.", f"Give at most {MAX_DEPTH}.")
    try:
        return str(gbnf_to_lark(ebnf))
    except Exception as error:  # the library raises bare Exception for a missing rule
        raise _refused(f"is no EBNF: {shown(error)}.", "Give rules `name ::= …`, one of them `root`.") from error


def _check(state: Any) -> None:
    if state.is_error():
        raise _refused(f"cannot be kept: {shown(state.get_error())}.", "Leave that out, or make the grammar smaller.")


def _refused(problem: str, remedy: str) -> PromptInvalid:
    return PromptInvalid(_FORM, problem, remedy)
