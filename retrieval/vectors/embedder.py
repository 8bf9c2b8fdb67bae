"""Embedder: texts, and pictures where the model knows them, as unit vectors.

The only file that touches sentence-transformers, and with minilm.py torch; their errors leave it as ModelError. Why the
default encoder is computed without the library: docs/decisions/0012.
Letters: N texts or pictures, D vector width.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from interleaf.errors import ModelError
from interleaf.foreign_logs import hush
from interleaf.text import clean
from retrieval.vectors.weights import DEFAULT_ENCODER, english_only, find_weights, is_default, weights_sha256

if TYPE_CHECKING:
    from PIL.Image import Image
    from sentence_transformers import SentenceTransformer

    from retrieval.vectors.minilm import MiniLM

__all__ = ["PixelEmbedder", "TextEmbedder"]

Vectors = NDArray[np.float32]

# Every batch of texts has this shape, whoever is in it: see `TextEmbedder`. Chosen by measuring (docs/decisions/0007).
BATCH_TEXTS: Final = 8
TOKENS_STEP: Final = 8
PROGRESS_STEP_TEXTS: Final = 256
BATCH_PICTURES: Final = 16
REMEMBERED_TEXTS: Final = 50_000  # 75 MiB at D = 384
# No encoder reads further (512 tokens); cutting here keeps the tokenizer linear on a 10 MB note.
MAX_TEXT_CHARS: Final = 20_000


class _Model:
    """A sentence-transformers model that is found at once and loaded at the first use."""

    def __init__(self, name: str, allow_downloads: bool, threads: int | None, stamp_dir: Path | None) -> None:
        self._name, self._threads, self._stamp_dir = name, threads, stamp_dir
        self._allow_downloads = allow_downloads
        self._lock = threading.RLock()
        self._folder: Path | None = None
        self._sha256: str | None = None
        self._loaded: SentenceTransformer | MiniLM | None = None

    @property
    def name(self) -> str:
        """The encoder's name, such as `all-MiniLM-L6-v2`."""
        return DEFAULT_ENCODER if is_default(self._name) else self._name

    @property
    def sha256(self) -> str:
        """Hash of the weights. WeightsUnusable when they are missing, or not the published ones."""
        with self._lock:
            if self._sha256 is None:
                self._sha256 = weights_sha256(self._name, self.folder, self._stamp_dir)
            return self._sha256

    @property
    def folder(self) -> Path:
        """Where the weights are."""
        with self._lock:
            if self._folder is None:
                self._folder = find_weights(self._name, self._allow_downloads)
            return self._folder

    @property
    def dimension(self) -> int:
        """D."""
        if is_default(self._name):
            return 384
        with self._lock, _translated(self.name):
            return int(self._model().get_embedding_dimension() or 0)

    def _model(self) -> Any:
        """The model, loaded: a SentenceTransformer, or what speaks as one."""
        if self._loaded is None:
            assert self.sha256
            import torch

            if self._threads:
                torch.set_num_threads(self._threads)
            with _translated(self.name):
                self._loaded = self._load()
        return self._loaded

    def _load(self) -> SentenceTransformer | MiniLM:
        hush()
        from sentence_transformers import SentenceTransformer

        with _without_loading_bar():
            return SentenceTransformer(
                str(self.folder),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )

    def _run(self, inputs: list[Any], batch: int) -> Vectors:
        """(N, D) unit rows, in order; rows that are not finite are an error, never a vector."""
        with self._lock, _translated(self.name):
            rows = self._model().encode(
                inputs, batch_size=batch, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            )
        found = np.ascontiguousarray(rows, dtype=np.float32)
        if not np.isfinite(found).all():
            raise ModelError(self.name, "gave vectors that are not finite.", "The weights may be damaged.")
        return found


class TextEmbedder(_Model):
    """Texts → unit vectors. Remembers what it encoded, so that no text is encoded twice in a run.

    A text's vector does not depend on its company, to the last bit: every batch has BATCH_TEXTS rows of the
    text's own length rounded up to TOKENS_STEP tokens, so that the matrix products are always cut alike. A run
    that was killed and goes on, or that drafts its sections in another order, therefore decides the same.
    """

    def __init__(
        self,
        name: str = DEFAULT_ENCODER,
        *,
        allow_downloads: bool = False,
        threads: int | None = None,
        stamp_dir: Path | None = None,
        remembered_texts: int = REMEMBERED_TEXTS,
    ) -> None:
        """`name`: the wheel's model, a folder, or a sentence-transformers name in the local cache.

        `threads` limits torch's CPU threads in this process (None: torch's own choice); in `stamp_dir` the
        checked hash is remembered. Nothing is read before the first use."""
        super().__init__(name, allow_downloads, threads, stamp_dir)
        self._memory: OrderedDict[str, Vectors] = OrderedDict()
        self._remembered_texts = remembered_texts

    @property
    def english_only(self) -> bool:
        """Whether the model card says that it was trained on English alone."""
        return english_only(self.folder)

    def encode(self, texts: Sequence[str], on_progress: Callable[[int, int], None] | None = None) -> Vectors:
        """(N, D) float32 rows of unit length, in the order of `texts`; a blank text gives a zero row.

        `on_progress(done, total)` is called with the number of distinct texts that were new."""
        keys = [_key(text) for text in texts]
        found = np.zeros((len(keys), self.dimension), np.float32)  # (N, D)
        with self._lock:
            rows = {key: self._memory[key] for key in dict.fromkeys(keys) if key in self._memory}
            for key in rows:
                self._memory.move_to_end(key)
            # Similar lengths share a batch: little padding. Longest first, so that memory peaks at the start.
            new = sorted({key for key in keys if key and key not in rows}, key=lambda key: (-len(key), key))
            step = PROGRESS_STEP_TEXTS if on_progress else max(1, len(new))
            for start in range(0, len(new), step):
                part = new[start : start + step]
                rows.update(zip(part, self._run_alike(part), strict=True))
                if on_progress:
                    on_progress(min(start + step, len(new)), len(new))
            self._memory.update((key, rows[key]) for key in new)
            while len(self._memory) > self._remembered_texts:
                self._memory.popitem(last=False)
        for i, key in enumerate(keys):
            if key:
                found[i] = rows[key]
        return found

    def _load(self) -> SentenceTransformer | MiniLM:
        if not is_default(self._name):
            return super()._load()
        from retrieval.vectors.minilm import MiniLM

        return MiniLM(self.folder)

    def _run_alike(self, texts: Sequence[str]) -> Vectors:
        """(N, D) unit rows, each batch of the same shape."""
        import torch

        with self._lock, _translated(self.name), torch.inference_mode():
            model = self._model()
            tokens = [model.preprocess([text]) for text in texts]
            if not all(_is_token_table(one) for one in tokens):
                # A model that does not read rows of tokens (static embeddings) has no padding to keep alike.
                return self._run(list(texts), BATCH_TEXTS)
            pad = int(getattr(model.tokenizer, "pad_token_id", None) or 0)
            most = int(model.max_seq_length or 1 << 30)
            by_length: dict[tuple[int, bool], list[int]] = {}
            for i, one in enumerate(tokens):
                length = one["input_ids"].shape[1]
                # One padded token at least in every row, or none in any: a batch without padding is computed
                # by another kernel.
                padded = (length // TOKENS_STEP + 1) * TOKENS_STEP
                key = (padded, True) if padded <= most else (length, False)
                by_length.setdefault(key, []).append(i)
            found = np.empty((len(texts), self.dimension), np.float32)
            for (length, _), members in sorted(by_length.items()):
                for start in range(0, len(members), BATCH_TEXTS):
                    part = members[start : start + BATCH_TEXTS]
                    rows = part + [part[0]] * (BATCH_TEXTS - len(part))
                    batch = dict(tokens[part[0]])  # notes such as the modality stay as they are
                    for name in (name for name, value in batch.items() if isinstance(value, torch.Tensor)):
                        value = pad if name == "input_ids" else 0
                        tables = [_padded(tokens[i][name], length, value) for i in rows]
                        batch[name] = torch.cat(tables).to(model.device)
                    vectors = model(batch)
                    unit = torch.nn.functional.normalize(vectors["sentence_embedding"].float())
                    found[part] = unit[: len(part)].cpu().numpy()
        if not np.isfinite(found).all():
            raise ModelError(self.name, "gave vectors that are not finite.", "The weights may be damaged.")
        return found


class PixelEmbedder(_Model):
    """Pictures, and texts that describe them, as unit vectors of one space (CLIP-type models)."""

    def __init__(
        self,
        name: str,
        *,
        allow_downloads: bool = False,
        threads: int | None = None,
        stamp_dir: Path | None = None,
    ) -> None:
        super().__init__(name, allow_downloads, threads, stamp_dir)

    def encode_pictures(self, pictures: Sequence[Image]) -> Vectors:
        """(N, D) unit rows of decoded pictures."""
        if not pictures:
            return np.zeros((0, self.dimension), np.float32)
        return self._run([picture.convert("RGB") for picture in pictures], BATCH_PICTURES)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(N, D) rows of texts, comparable with those of pictures; a blank text gives a zero row."""
        keys = [_key(text) for text in texts]
        said = sorted(set(keys) - {""})
        found = np.zeros((len(keys), self.dimension), np.float32)  # (N, D)
        if said:
            rows = dict(zip(said, self._run(said, BATCH_TEXTS), strict=True))
            for i, key in enumerate(keys):
                if key:
                    found[i] = rows[key]
        return found


def _key(text: str) -> str:
    """What is encoded of a text: tokenizers refuse lone surrogates, and outer space means nothing."""
    return clean(text.strip()[:MAX_TEXT_CHARS]).strip()


def _is_token_table(features: Any) -> bool:
    """Whether a tokenised text is a row of tokens, with masks and the like of the same shape."""
    width = getattr(features.get("input_ids"), "shape", ())
    return len(width) == 2 and all(getattr(value, "shape", width) == width for value in features.values())


def _padded(table: Any, length: int, value: int) -> Any:
    """A (1, T) table of tokens as (1, length)."""
    import torch

    return torch.nn.functional.pad(table, (0, length - table.shape[1]), value=value)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Errors of torch and sentence-transformers as ModelError."""
    try:
        yield
    except ModelError:
        raise
    except MemoryError as error:
        raise ModelError(
            name, "there is not enough memory to run it.", "Close something, or choose a smaller model."
        ) from error
    except (RuntimeError, ValueError, TypeError, KeyError, OSError, ImportError, AttributeError, IndexError) as error:
        reason = str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
        raise ModelError(
            name, f"cannot be loaded or run ({reason}).", "Check that it is a sentence-transformers model."
        ) from error


@contextmanager
def _without_loading_bar() -> Iterator[None]:
    """transformers draws a bar while it loads weights; a tenth of a second is no news, and stderr is the caller's."""
    from transformers.utils import logging

    bar: Any = logging  # untyped functions

    shown = bar.is_progress_bar_enabled()
    bar.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bar.enable_progress_bar()
