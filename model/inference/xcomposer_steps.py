"""XComposer steps: several prompts at work in the native network; what was computed before is not computed again.

Prompts that begin as earlier ones did take the keys and values of that beginning from beginnings.py. Prompts of a batch
that begin alike, as the sections of one article do, go through that beginning as one. Rows are padded before what is
known and before what follows. Letters: B rows, L tokens of a prompt, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from model.inference.beginnings import Beginnings, Known, PictureSpan, Tokens
from model.network.cache import LengthCache
from model.network.config import XComposerConfig
from model.network.rotary import rotary_base
from model.network.xcomposer import XComposerForConditionalGeneration

__all__ = ["EncodedPicture", "PreparedPrompt", "XComposerSteps", "shared_beginnings"]

# A shorter common beginning is not worth a forward of its own, nor a mask.
MIN_COMMON: Final = 32
_NOTHING: Final = Known(0, ())


@dataclass(frozen=True)
class EncodedPicture:
    """A picture's (T, H) vectors, and the key that tells it and its layout from all others."""

    key: str
    vectors: Tensor


@dataclass(frozen=True)
class PreparedPrompt:
    """`ids` (L,) with placeholders, `pictures` in their order, `task`, and `planned` tokens of prompt and answer."""

    ids: tuple[int, ...]
    pictures: tuple[EncodedPicture, ...]
    task: str
    planned: int

    def tokens(self, config: XComposerConfig) -> Tokens:
        """What decides the keys and values of the prompt."""
        spans: list[PictureSpan] = []
        at = 0
        for picture in self.pictures:
            at = self.ids.index(config.image_token_id, at)
            spans.append(PictureSpan(at, at + len(picture.vectors), picture.key))
            at += len(picture.vectors)
        base = rotary_base(
            config.rope_theta, config.rope_factor, config.head_dim, config.max_position_embeddings, self.planned
        )
        return Tokens(self.ids, spans, self.task, base)


class XComposerSteps:
    """See decoding.Steps. `beginnings` of this network are used and added to."""

    def __init__(
        self,
        model: XComposerForConditionalGeneration,
        prompts: Sequence[PreparedPrompt],
        beginnings: Beginnings | None = None,
    ) -> None:
        self._model, self._prompts = model, list(prompts)
        self._tokens = [prompt.tokens(model.config) for prompt in prompts]
        self._beginnings = Beginnings(0) if beginnings is None else beginnings
        self._device = model.model.tok_embeddings.weight.device
        self._cache = LengthCache(model.config.num_hidden_layers)
        self._mask: Tensor | None = None  # (B, L); None: nothing is padding

    @torch.no_grad()
    def prefill(self) -> Tensor:
        """(B, V) logits after the prompts."""
        known = [self._known(tokens) for tokens in self._tokens]
        for length, row in shared_beginnings(self._tokens):
            if length - known[row].length >= MIN_COMMON:
                self._compute([row], [known[row]], length)
                found, source = Known(length, (self._cache.part(0, 0),)), self._tokens[row]
                for other, line in enumerate(self._tokens):
                    alike = source.common(line, length)
                    if alike > known[other].length:
                        known[other] = found.first(alike)
        return self._compute(range(len(known)), known, None)

    @torch.no_grad()
    def step(self, tokens: Sequence[int]) -> Tensor:
        """(B, V) logits after one more token for each row."""
        if self._mask is not None:
            self._mask = torch.cat((self._mask, self._mask.new_ones(len(tokens), 1)), dim=1)
        return self._run([(token,) for token in tokens], [], self._prompts, self._mask)

    @torch.no_grad()
    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows go on."""
        kept = torch.tensor(rows, device=self._device)
        self._cache.batch_select_indices(kept)
        self._prompts = [self._prompts[row] for row in rows]
        if self._mask is not None:
            self._mask = self._mask.index_select(0, kept)

    @torch.no_grad()
    def scores_after(self, endings: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability of each ending after the one prompt, by one forward over the prompt and one over endings."""
        first = self.prefill().log_softmax(-1)[0]  # (V,)
        scores = [float(first[ending[0]]) for ending in endings]
        longest = max(map(len, endings))
        if longest == 1:
            return scores
        self._cache.batch_repeat_interleave(len(endings))
        prompts = self._prompts * len(endings)
        # Padding stands behind, where causal order keeps it out of sight.
        ids = [(*ending, *([self._pad()] * (longest - len(ending)))) for ending in endings]
        after = self._forward(ids, [], prompts, None, 0).log_softmax(-1)  # (B, longest, V)
        for row, ending in enumerate(endings):
            scores[row] += sum(float(after[row, i - 1, ending[i]]) for i in range(1, len(ending)))
        return scores

    def _known(self, tokens: Tokens) -> Known:
        """What need not be computed of a prompt; one token at least is left."""
        found = self._beginnings.find(tokens, len(tokens) - 1)
        return found if found.length >= MIN_COMMON else _NOTHING

    def _compute(self, rows_of: Sequence[int], known: Sequence[Known], end: int | None) -> Tensor:
        """(B, V) logits after the first `end` tokens (None: all) of these prompts, of which so much is known; the cache
        then holds them, and what is new is kept."""
        prompts, tokens = [self._prompts[row] for row in rows_of], [self._tokens[row] for row in rows_of]
        past = max(one.length for one in known)
        rows = [prompt.ids[one.length : end] for prompt, one in zip(prompts, known, strict=True)]
        longest, pad = max(map(len, rows)), self._pad()
        answer = 0 if end is not None else max(prompt.planned - len(prompt.ids) for prompt in prompts)
        self._cache = LengthCache(self._model.config.num_hidden_layers, past + longest + answer)
        if past:
            self._cache.begin([one.parts for one in known])
        self._mask = None
        if any(one.length < past or len(row) < longest for one, row in zip(known, rows, strict=True)):
            seen = [
                [0] * (past - one.length) + [1] * one.length + [0] * (longest - len(row)) + [1] * len(row)
                for one, row in zip(known, rows, strict=True)
            ]
            self._mask = torch.tensor(seen, device=self._device)
        vectors = [
            picture.vectors
            for prompt, line, one in zip(prompts, tokens, known, strict=True)
            for picture, span in zip(prompt.pictures, line.pictures, strict=True)
            if one.length <= span.start and (end is None or span.start < end)
        ]
        logits = self._run([(pad,) * (longest - len(row)) + row for row in rows], vectors, prompts, self._mask)
        for number, (line, one, row) in enumerate(zip(tokens, known, rows, strict=True)):
            new = self._cache.part(number, past + longest - len(row))
            self._beginnings.put(line, one.length + len(row), (*one.parts, new))
        return logits

    def _pad(self) -> int:
        return int(self._model.config.pad_token_id or 0)

    def _run(
        self,
        ids: Sequence[Sequence[int]],
        features: Sequence[Tensor],
        prompts: list[PreparedPrompt],
        mask: Tensor | None,
    ) -> Tensor:
        return self._forward(ids, features, prompts, mask, 1)[:, -1]

    def _forward(
        self,
        ids: Sequence[Sequence[int]],
        features: Sequence[Tensor],
        prompts: list[PreparedPrompt],
        mask: Tensor | None,
        keep: int,
    ) -> Tensor:
        vectors: Any = list(features)
        encoded = {"image": BaseModelOutputWithPooling(pooler_output=vectors)} if features else None
        logits: Tensor = self._model(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=mask,
            past_key_values=self._cache,
            mm_encoder_outputs=encoded,
            task=[p.task for p in prompts],
            planned_length=[p.planned for p in prompts],
            logits_to_keep=keep,
        ).logits
        return logits


def shared_beginnings(prompts: Sequence[Tokens]) -> list[tuple[int, int]]:
    """Lengths of beginnings that two of the prompts have in common, each with the number of one of the two; the longest
    first. Only neighbours in the order of their pictures and ids are held against one another."""
    order = sorted(
        range(len(prompts)),
        key=lambda row: (prompts[row].setting, [p.key for p in prompts[row].pictures], prompts[row].ids.tobytes()),
    )
    found = [
        (prompts[one].common(prompts[other], min(len(prompts[one]), len(prompts[other]))), one)
        for one, other in pairwise(order)
    ]
    return sorted(found, reverse=True)
