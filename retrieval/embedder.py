"""Embedder: texts, and pictures where the model knows them, as unit vectors.

The only file that touches torch and sentence-transformers; their errors leave it as ModelError.
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
from interleaf.text import clean
from retrieval.weights import DEFAULT_ENCODER, english_only, find_weights, is_default, weights_sha256

if TYPE_CHECKING:
    from PIL.Image import Image
    from sentence_transformers import SentenceTransformer

__all__ = ["PixelEmbedder", "TextEmbedder"]

Vectors = NDArray[np.float32]

BATCH_TEXTS: Final = 32
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
        self._loaded: SentenceTransformer | None = None

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

    def _model(self) -> SentenceTransformer:
        if self._loaded is None:
            assert self.sha256
            import torch
            from sentence_transformers import SentenceTransformer

            if self._threads:
                torch.set_num_threads(self._threads)
            with _translated(self.name):
                self._loaded = SentenceTransformer(
                    str(self.folder),
                    local_files_only=True,
                    trust_remote_code=False,
                    model_kwargs={"use_safetensors": True},
                )
        return self._loaded

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

    Deterministic for the same calls in the same order; a text in other company may differ in the last bits
    (about 2e-7), because the matrix products are cut differently.
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
            step = BATCH_TEXTS * 8 if on_progress else max(1, len(new))
            for start in range(0, len(new), step):
                part = new[start : start + step]
                rows.update(zip(part, self._run(part, BATCH_TEXTS), strict=True))
                if on_progress:
                    on_progress(min(start + step, len(new)), len(new))
            self._memory.update((key, rows[key]) for key in new)
            while len(self._memory) > self._remembered_texts:
                self._memory.popitem(last=False)
        for i, key in enumerate(keys):
            if key:
                found[i] = rows[key]
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
