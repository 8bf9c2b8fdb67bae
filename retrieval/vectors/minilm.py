"""MiniLM: the network of the default encoder, from its published weights, with torch and its tokenizer alone.

sentence-transformers computes the same to the last bit, and needs seconds to be imported: it brings the training, the
quantisation and the distribution of models along. Who composes a piece on a laptop would wait for it each time.
Letters: N texts, T tokens, D vector width, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MiniLM"]

_HEADS: Final = 12
_EPSILON: Final = 1e-12


class MiniLM:
    """all-MiniLM-L6-v2: six layers of BERT, the mean of its tokens; token 0 is padding. Speaks as a SentenceTransformer
    does."""

    max_seq_length: Final = 256
    """T at most; of a longer text, its beginning is read."""

    def __init__(self, folder: Path) -> None:
        """Read the weights in `folder`, whose hash was checked. OSError or ValueError when its tokenizer is missing or
        damaged."""
        self.device = torch.device(_device())
        self._weights: dict[str, Tensor] = load_file(folder / "model.safetensors", device=str(self.device))
        self._layers = sum(name.endswith("attention.self.query.weight") for name in self._weights)
        self.tokenizer = _tokenizer(folder / "tokenizer.json")
        self.tokenizer.enable_truncation(self.max_seq_length)
        self.tokenizer.no_padding()

    def preprocess(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """(N, T) tokens of texts that have equally many, and which of them are padding (none)."""
        ids = torch.tensor([read.ids for read in self.tokenizer.encode_batch(list(texts))])
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`sentence_embedding`: (N, D) of unit length."""
        ids, seen = batch["input_ids"], batch["attention_mask"]
        count, length = ids.shape
        table = self._weights
        states = table["embeddings.word_embeddings.weight"][ids] + table["embeddings.token_type_embeddings.weight"][0]
        states = states + table["embeddings.position_embeddings.weight"][:length]
        states = self._norm("embeddings.LayerNorm", states)  # (N, T, D)
        # None where nothing is padding: another kernel, as sentence-transformers has it.
        mask = None if bool(seen.all()) else seen[:, None, None, :].bool().expand(count, 1, length, length)
        for layer in range(self._layers):
            states = self._layer(f"encoder.layer.{layer}", states, mask)
        weight = seen[:, :, None].to(states.dtype)  # (N, T, 1)
        mean = (states * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return {"sentence_embedding": functional.normalize(mean)}

    def _layer(self, name: str, states: Tensor, mask: Tensor | None) -> Tensor:
        count, length, width = states.shape
        query, key, value = (
            self._linear(f"{name}.attention.self.{part}", states)
            .view(count, length, _HEADS, width // _HEADS)
            .transpose(1, 2)  # (N, H, T, D / H)
            for part in ("query", "key", "value")
        )
        heard = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        heard = self._linear(f"{name}.attention.output.dense", heard.transpose(1, 2).reshape(count, length, width))
        states = self._norm(f"{name}.attention.output.LayerNorm", heard + states)
        inner = functional.gelu(self._linear(f"{name}.intermediate.dense", states))
        return self._norm(f"{name}.output.LayerNorm", self._linear(f"{name}.output.dense", inner) + states)

    def _linear(self, name: str, states: Tensor) -> Tensor:
        return functional.linear(states, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, states: Tensor) -> Tensor:
        weight = self._weights[f"{name}.weight"]
        return functional.layer_norm(states, weight.shape, weight, self._weights[f"{name}.bias"], _EPSILON)


def _tokenizer(path: Path) -> Tokenizer:
    said = path.read_text(encoding="utf-8")
    try:
        return Tokenizer.from_str(said)
    except Exception as error:  # the library has no class of its own
        raise ValueError(f"{path.name} is damaged: {error}") from error


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
