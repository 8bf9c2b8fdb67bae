"""XComposer steps: several prompts at work in the native network, what they have in common computed once.

Prompts that begin alike, as the sections of one article do, go through that beginning as one, and their keys and
values are copied. Rows are padded in the middle, between the common beginning and what follows. Letters: B rows,
L tokens of a prompt, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from model.cache import LengthCache
from model.xcomposer import XComposerForConditionalGeneration

__all__ = ["PreparedPrompt", "XComposerSteps", "common_length"]

# A shorter common beginning is not worth a forward of its own.
MIN_COMMON: Final = 32


@dataclass(frozen=True)
class PreparedPrompt:
    """`ids` (L,) with placeholders, `features` one (T, H) for each picture in order, `task`, and `planned` tokens of
    prompt and answer."""

    ids: tuple[int, ...]
    features: tuple[Tensor, ...]
    task: str
    planned: int


class XComposerSteps:
    """See decoding.Steps."""

    def __init__(self, model: XComposerForConditionalGeneration, prompts: Sequence[PreparedPrompt]) -> None:
        self._model, self._prompts = model, list(prompts)
        self._device = model.model.tok_embeddings.weight.device
        longest = max(len(p.ids) for p in prompts)
        room = longest + max(p.planned - len(p.ids) for p in prompts)
        self._cache = LengthCache(model.config.num_hidden_layers, room)
        self._mask: Tensor | None = None  # (B, L); None: nothing is padding

    @torch.no_grad()
    def prefill(self) -> Tensor:
        """(B, V) logits after the prompts."""
        prompts, common = self._prompts, common_length(self._prompts, self._model)
        if common:
            self._run([prompts[0].ids[:common]], self._before(prompts[0], common), prompts[:1], None)
            self._cache.batch_repeat_interleave(len(prompts))
        rows = [p.ids[common:] for p in prompts]
        longest, pad = max(map(len, rows)), self._pad()
        if any(len(row) < longest for row in rows):
            self._mask = torch.tensor(
                [[1] * common + [0] * (longest - len(row)) + [1] * len(row) for row in rows], device=self._device
            )
        padded = [(pad,) * (longest - len(row)) + row for row in rows]
        features = [f for p in prompts for f in p.features[len(self._before(p, common)) :]]
        return self._run(padded, features, prompts, self._mask)

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

    def _before(self, prompt: PreparedPrompt, common: int) -> tuple[Tensor, ...]:
        """Features of the pictures that lie in the first `common` tokens."""
        seen = prompt.ids[:common].count(self._model.config.image_token_id)
        count = 0
        while seen > 0:
            seen -= len(prompt.features[count])
            count += 1
        return prompt.features[:count]

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


def common_length(prompts: Sequence[PreparedPrompt], model: XComposerForConditionalGeneration) -> int:
    """How many tokens the prompts begin with alike, pictures whole and the same; 0 where sharing does not pay or is
    not exact (other tasks, other rotary bases)."""
    first = prompts[0]
    trained, lengths = model.config.max_position_embeddings, {p.planned for p in prompts}
    if len(prompts) == 1 or len({p.task for p in prompts}) > 1 or (len(lengths) > 1 and max(lengths) > trained):
        return 0
    limit = min(len(p.ids) for p in prompts) - 1  # one token at least is left to each
    alike = 0
    placeholder, picture, left = model.config.image_token_id, 0, 0
    whole = 0  # the longest beginning that does not end within a picture
    while alike < limit and all(p.ids[alike] == first.ids[alike] for p in prompts):
        if first.ids[alike] == placeholder:
            if not left:
                if picture >= len(first.features) or any(
                    len(p.features) <= picture or p.features[picture] is not first.features[picture] for p in prompts
                ):
                    break
                left = len(first.features[picture])
                picture += 1
            left -= 1
        alike += 1
        if not left:
            whole = alike
    return whole if whole >= MIN_COMMON else 0
