"""Similarity: how much the words of each picture and the text of each block say the same.

Letters: K pictures, B blocks. Four readings of the same question, each a (K, B) table of float64:
`lexical` cosine of TF-IDF terms, `coverage` share of the caption's weight that the block holds,
`stem` cosine of character n-grams (declined and compounded words), `sense` cosine of sentence vectors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from agents.context import Embedder
from interleaf.schema import Picture, TextBlock
from interleaf.text import fold_space, terms

__all__ = ["Similarity", "block_text", "fused", "measure", "picture_text", "reads_language", "sentences"]

Table = NDArray[np.float64]

# The encoder reads some 256 tokens; a longer sentence is cut by it anyway.
MAX_SENTENCE_CHARS = 600
MAX_SENTENCES_PER_BLOCK = 60
# Alt text often lists all that a drawing shows; beyond this it only blurs.
MAX_PICTURE_CHARS = 600

# How much the other three readings weigh beside the words (1.0).
COVERAGE_WEIGHT = 0.4
STEM_WEIGHT = 0.5
SENSE_WEIGHT = 0.4
_NOT_FOR_SENSE = ("zh", "ja", "ko")

_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\n]{0,500}\)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")


@dataclass(frozen=True)
class Similarity:
    """The four tables (K, B), the same against the title (K,), and the caption terms that each block shares."""

    lexical: Table
    coverage: Table
    stem: Table
    sense: Table
    title_lexical: NDArray[np.float64]
    title_sense: NDArray[np.float64]
    known: NDArray[np.float64]  # (K,) share of the caption's weight whose terms occur anywhere in the text
    between_lexical: Table  # (K, K) pictures with one another, by their words
    between_sense: Table  # (K, K)
    whole_lexical: NDArray[np.float64]  # (K,) against the whole text
    _captions: sparse.csr_matrix
    _blocks: sparse.csr_matrix
    _vocabulary: tuple[str, ...]

    def of_pictures(self, chosen: NDArray[np.bool_]) -> Similarity:
        """The same for some of the pictures."""
        if bool(chosen.all()):
            return self
        pair = np.ix_(chosen, chosen)
        return replace(
            self,
            lexical=self.lexical[chosen],
            coverage=self.coverage[chosen],
            stem=self.stem[chosen],
            sense=self.sense[chosen],
            title_lexical=self.title_lexical[chosen],
            title_sense=self.title_sense[chosen],
            known=self.known[chosen],
            between_lexical=self.between_lexical[pair],
            between_sense=self.between_sense[pair],
            whole_lexical=self.whole_lexical[chosen],
            _captions=self._captions[chosen],
        )

    def shared_terms(self, picture: int, block: int, unsaid: Collection[str] = (), most: int = 3) -> tuple[str, ...]:
        """The terms that picture `picture` and block `block` share, the rarest first; without those of `unsaid`."""
        caption, text = self._captions[picture], self._blocks[block]
        both = caption.multiply(text > 0).tocoo()
        telling = (i for i in range(len(both.col)) if self._vocabulary[both.col[i]] not in unsaid)
        order = sorted(telling, key=lambda i: (-both.data[i], self._vocabulary[both.col[i]]))
        return tuple(self._vocabulary[both.col[i]] for i in order[:most])


def block_text(block: TextBlock) -> str:
    """A block's words without link targets."""
    text = block.text
    return _LINK.sub(r"\1", text) if "](" in text else text


def picture_text(picture: Picture) -> str:
    """What is said of a picture, bounded: caption, alt and keywords."""
    return picture.words[:MAX_PICTURE_CHARS]


def sentences(text: str) -> list[str]:
    """The sentences of a text, good enough to compare one by one."""
    found = (fold_space(s)[:MAX_SENTENCE_CHARS] for s in _SENTENCE_END.split(text))
    return [s for s in found if len(s) > 1][:MAX_SENTENCES_PER_BLOCK]


def measure(title: str, blocks: Sequence[TextBlock], pictures: Sequence[Picture], embedder: Embedder) -> Similarity:
    """Compare every picture with every block. One call of the embedder for all texts."""
    texts = [block_text(b) for b in blocks]
    words = [picture_text(p) for p in pictures]
    captions, rows, title_row, vocabulary = _tfidf(title, texts, words)
    lexical = _dense(captions @ rows.T)
    held = _dense(captions.power(2) @ (rows > 0).astype(np.float64).T)
    seen = np.asarray((rows > 0).sum(axis=0)).ravel() > 0
    known = np.asarray(captions.power(2) @ seen.astype(np.float64)).ravel()
    whole = sparse.csr_matrix(rows.sum(axis=0)) if len(texts) else title_row * 0.0
    length = np.sqrt(whole.multiply(whole).sum()) or 1.0
    sense, title_sense, between_sense = _sense(title, texts, words, embedder)
    return Similarity(
        lexical=lexical,
        coverage=held,
        stem=_stem(texts, words),
        sense=sense,
        title_lexical=_dense(captions @ title_row.T).ravel(),
        title_sense=title_sense,
        known=known,
        between_lexical=_dense(captions @ captions.T),
        between_sense=between_sense,
        whole_lexical=_dense(captions @ whole.T).ravel() / length,
        _captions=captions,
        _blocks=rows,
        _vocabulary=vocabulary,
    )


def _dense(matrix: sparse.spmatrix) -> Table:
    return np.asarray(matrix.todense(), dtype=np.float64)


def _tfidf(
    title: str, texts: Sequence[str], words: Sequence[str]
) -> tuple[sparse.csr_matrix, sparse.csr_matrix, sparse.csr_matrix, tuple[str, ...]]:
    everything = [*texts, *words, title]
    if not any(terms(t) for t in everything):
        empty = sparse.csr_matrix
        return empty((len(words), 1)), empty((len(texts), 1)), empty((1, 1)), ("",)
    vectorizer = TfidfVectorizer(analyzer=terms, sublinear_tf=True, dtype=np.float64)
    # Document frequencies come from the text alone: captions of one series repeat their own words.
    vectorizer.fit(everything)
    return (
        vectorizer.transform(words).tocsr() if words else sparse.csr_matrix((0, len(vectorizer.vocabulary_))),
        vectorizer.transform(texts).tocsr() if texts else sparse.csr_matrix((0, len(vectorizer.vocabulary_))),
        vectorizer.transform([title]).tocsr(),
        tuple(vectorizer.get_feature_names_out().tolist()),
    )


def _stem(texts: Sequence[str], words: Sequence[str]) -> Table:
    if not words or not texts or not any(len(t.strip()) > 2 for t in [*texts, *words]):
        return np.zeros((len(words), len(texts)))
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float64)
    vectorizer.fit([*texts, *words])
    return _dense(vectorizer.transform(words) @ vectorizer.transform(texts).T)


def _sense(
    title: str, texts: Sequence[str], words: Sequence[str], embedder: Embedder
) -> tuple[Table, NDArray[np.float64], Table]:
    """(K, B) cosine with the nearest sentence of each block, (K,) with the title, (K, K) with one another."""
    split = [sentences(t) for t in texts]
    flat = [s for part in split for s in part]
    vectors = np.asarray(embedder.encode([*words, title, *flat]), dtype=np.float64)
    pictures, title_vector, lines = vectors[: len(words)], vectors[len(words)], vectors[len(words) + 1 :]
    against = pictures @ lines.T  # (K, sentences)
    sense = np.zeros((len(words), len(texts)))
    start = 0
    for i, part in enumerate(split):
        if part:
            sense[:, i] = against[:, start : start + len(part)].max(axis=1)
        start += len(part)
    return sense, pictures @ title_vector, pictures @ pictures.T


def fused(similarity: Similarity, language: str) -> Table:
    """(K, B) one reading out of four. Words lead; the sentence encoder is an English model and says little
    about Chinese, Japanese and Korean, so there only words and characters count."""
    sense_weight = SENSE_WEIGHT if reads_language(language) else 0.0
    return (
        similarity.lexical
        + COVERAGE_WEIGHT * similarity.coverage
        + STEM_WEIGHT * similarity.stem
        + sense_weight * np.maximum(similarity.sense, 0.0)
    )


def reads_language(language: str) -> bool:
    """Whether the sentence encoder's reading of this language is worth anything."""
    return language[:2].lower() not in _NOT_FOR_SENSE
