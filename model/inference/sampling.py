"""Sampling: which token comes next in one request, by its own random numbers and nobody else's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import torch
from torch import Tensor

from interleaf.errors import ModelError
from model.inference.engine import Sampling

__all__ = ["Chooser", "greedy"]

_RETRY: Final = "Ask again in another number format (bfloat16 or float32), or verify the model's weights."


class Chooser:
    """The choices of one request: repetition penalty, temperature, top-k and top-p as transformers computes and
    orders them, then the largest logit or, with `do_sample`, a draw.

    The penalty falls on `prompt_ids` and on what was chosen, but not on `left_out` (placeholders of pictures, which
    nobody said) nor on ids beyond the logits. A draw is one number of the request's own generator, carried through
    the cumulated probabilities on the CPU, so that it depends neither on the batch nor on the device."""

    def __init__(self, sampling: Sampling, prompt_ids: Sequence[int], left_out: Collection[int] = ()) -> None:
        self._sampling = sampling
        self._generator = torch.Generator("cpu").manual_seed(sampling.seed)
        self._left_out = frozenset(left_out)
        self._seen: set[int] = set()
        if sampling.repetition_penalty != 1.0:
            self._seen.update(i for i in prompt_ids if i >= 0 and i not in self._left_out)

    def choose(self, logits: Tensor) -> int:
        """The next token's id by (V,) float32 logits, which stay as they are; -inf is never chosen.

        ModelError when no logit is finite or one is not a number."""
        scores = self._penalized(logits)
        token = self._drawn(scores) if self._sampling.do_sample else _largest(scores)
        if self._sampling.repetition_penalty != 1.0 and token not in self._left_out:
            self._seen.add(token)
        return token

    def kept(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Ids (K,) int64, ascending, among which is drawn, and their probabilities (K,) float64, which add up to 1."""
        return self._kept(self._penalized(logits))

    def _penalized(self, logits: Tensor) -> Tensor:
        seen = sorted(i for i in self._seen if i < len(logits))
        if not seen:
            return logits
        ids = torch.tensor(seen, device=logits.device)
        penalty, said = self._sampling.repetition_penalty, logits[ids]
        return logits.index_put((ids,), torch.where(said < 0, said * penalty, said / penalty))

    def _kept(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        top_k, top_p = self._sampling.top_k, self._sampling.top_p
        scores = logits.to("cpu", torch.float32) / self._sampling.temperature
        largest = float(scores.max())  # NaN where one is
        if not -torch.inf < largest < torch.inf:
            raise _unusable(largest)
        floor = scores.topk(top_k).values[-1] if 0 < top_k < len(scores) else torch.tensor(-torch.inf)
        ids = ((scores >= floor) & (scores > -torch.inf)).nonzero().flatten()
        scores = scores[ids]
        if top_p < 1.0:
            ascending, order = scores.sort(stable=True)
            removed = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
            removed[-1] = False  # one is always left
            left = order[~removed].sort().values
            ids, scores = ids[left], scores[left]
        return ids, scores.double().softmax(-1)

    def _drawn(self, logits: Tensor) -> int:
        ids, probabilities = self._kept(logits)
        cumulated = probabilities.cumsum(-1)
        number = torch.rand((), generator=self._generator, dtype=torch.float64) * cumulated[-1]
        place = int(torch.searchsorted(cumulated, number, right=True))
        # Rounding may carry the number up to the total; the last that is possible at all is then meant.
        return int(ids[min(place, int(torch.searchsorted(cumulated, cumulated[-1])))])


def greedy(logits: Tensor) -> Tensor:
    """(B,) ids of the largest of (B, V) logits; the first one where several are equal.

    ModelError when a row has no finite logit or one that is not a number."""
    values, ids = logits.max(-1)
    # max() may take any of several equal ones on an accelerator; argmax of the comparison takes the first.
    if not bool(torch.isfinite(values).all()):
        raise _unusable(float(values[~torch.isfinite(values)][0]))
    return ids if logits.device.type == "cpu" else (logits == values[:, None]).int().argmax(-1)


def _largest(logits: Tensor) -> int:
    return int(greedy(logits[None])[0])


def _unusable(value: float) -> ModelError:
    return ModelError("logits", f"have {value} as their largest: numbers overflowed, or nothing may follow.", _RETRY)
