"""Valuing: how much each unit of a section deserves its words.

Four readings, each brought to 0..1 within the section: what it has to do with the heading and the
instruction, how central it is to the section, where it stands, and whether its length reads well. Then
what speaks against it is taken off: pointing at what is not there, saying again what a better one says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.context import Embedder
from agents.excerpting.unit import Unit
from interleaf.text import terms

__all__ = ["lexical_relevance", "unit_values"]

Values = NDArray[np.float64]

RELEVANCE_WEIGHT = 0.34
CENTRALITY_WEIGHT = 0.26
POSITION_WEIGHT = 0.26
SHAPE_WEIGHT = 0.14
# How far the default encoder is to be trusted beside the words: it was trained on English.
SENSE_SHARE = {"en": 0.6, "de": 0.4, "fr": 0.4, "es": 0.4, "it": 0.4, "nl": 0.4, "pt": 0.4}
SENSE_SHARE_ELSEWHERE = 0.2
# The encoder reads some 256 tokens.
MAX_ENCODED_CHARS = 600

GOOD_WORDS = (9, 38)
FIGURE_LOSS = 0.35
ELSEWHERE_LOSS = 0.3
QUESTION_LOSS = 0.1
LEANING_START_LOSS = 0.45
CODE_LOSS = 0.15
UNCLOSED_LOSS = 0.35
# A list of one item, or one that goes on counting, is a step torn from a row of steps.
TORN_LIST_LOSS = 0.25
# Similarity to a better unit from which on a unit is worth less.
NOVELTY_FROM = 0.45
NOVELTY_LOSS = 0.6


def unit_values(units: Sequence[Unit], query: Sequence[str], embedder: Embedder, language: str) -> Values:
    """(N,) values of the units, about 0..1. `query` holds the heading, the points and the instruction."""
    asked = [text for text in query if text.strip()]
    texts = [unit.text[:MAX_ENCODED_CHARS] for unit in units]
    vectors = embedder.encode([*texts, *asked]).astype(np.float64)
    n = len(units)
    sense, asked_sense = vectors[:n], vectors[n:]
    lexical, asked_lexical = _lexical_vectors([unit.text for unit in units], asked)
    share = SENSE_SHARE.get(language.split("-")[0].lower(), SENSE_SHARE_ELSEWHERE)
    alike = share * (sense @ sense.T) + (1 - share) * (lexical @ lexical.T)  # (N, N)
    relevance = np.zeros(n)
    if asked:
        near = share * _spread(_each(sense @ asked_sense.T)) + (1 - share) * _spread(_each(lexical @ asked_lexical.T))
        relevance = _spread(near)
    central = _spread((alike.sum(axis=1) - alike.diagonal()) / max(1, n - 1))
    values: Values = (
        RELEVANCE_WEIGHT * relevance
        + CENTRALITY_WEIGHT * central
        + POSITION_WEIGHT * np.array([_position(unit) for unit in units])
        + SHAPE_WEIGHT * np.array([_shape(unit) for unit in units])
        - np.array([_losses(unit) for unit in units])
    )
    net: Values = values - _repetition(values, alike)
    return net


def lexical_relevance(texts: Sequence[str], query: Sequence[str]) -> Values:
    """(N,) cosine of index terms between each text and the query: cheap enough for a book."""
    asked = Counter(terms(" ".join(query)))
    if not asked:
        return np.zeros(len(texts))
    counts = [Counter(terms(text)) for text in texts]
    spread = Counter(term for count in counts for term in count.keys() & asked.keys())
    weight = {term: np.log((1 + len(texts)) / (1 + spread[term])) + 1 for term in asked}
    scores = []
    for count in counts:
        shared = count.keys() & asked.keys()
        dot = sum(weight[term] ** 2 * (1 + np.log(count[term])) for term in sorted(shared))
        scores.append(float(dot / (1 + sum(count.values())) ** 0.5))
    return np.array(scores)


def _each(table: Values) -> Values:
    """The nearest of several questions counts most: heading, points and instruction ask for different things."""
    near: Values = 0.5 * table.max(axis=1) + 0.5 * table.mean(axis=1)
    return near


def _lexical_vectors(texts: Sequence[str], asked: Sequence[str]) -> tuple[Values, Values]:
    """Unit TF-IDF rows of the texts and of the questions, over the texts' terms."""
    counts = [Counter(terms(text)) for text in texts]
    frequency = Counter(term for count in counts for term in count)
    # A term of one text only joins nothing; leaving it out keeps the table small, its weight stays in the norm.
    vocabulary = {term: k for k, term in enumerate(sorted(t for t, f in frequency.items() if f > 1))}
    asked_counts = [Counter(terms(text)) for text in asked]
    for count in asked_counts:
        for term in count:
            if term in frequency and term not in vocabulary:
                vocabulary[term] = len(vocabulary)
    idf = {term: np.log((1 + len(texts)) / (1 + f)) + 1 for term, f in frequency.items()}
    return _rows(counts, vocabulary, idf), _rows(asked_counts, vocabulary, idf)


def _rows(counts: Sequence[Counter[str]], vocabulary: dict[str, int], idf: dict[str, float]) -> Values:
    rows = np.zeros((len(counts), max(1, len(vocabulary))))
    for row, count in zip(rows, counts, strict=True):
        norm = 0.0
        for term, times in count.items():
            weight = (1 + np.log(times)) * idf.get(term, 1.0)
            norm += weight * weight
            if term in vocabulary:
                row[vocabulary[term]] = weight
        if norm > 0:
            row /= norm**0.5
    return rows


def _spread(values: Values) -> Values:
    """Brought to 0..1 between the 5th and the 95th percentile; all equal gives 0.5."""
    low, high = np.percentile(values, [5, 95])
    if high - low < 1e-9:
        return np.full(len(values), 0.5)
    spread: Values = np.clip((values - low) / (high - low), 0.0, 1.0)
    return spread


def _position(unit: Unit) -> float:
    """Paragraphs begin with what they are about."""
    if unit.is_whole:
        return 0.6
    return (1.0, 0.65, 0.5)[unit.place_in_paragraph] if unit.place_in_paragraph < 3 else 0.4


def _shape(unit: Unit) -> float:
    if unit.is_whole:
        return 0.6
    words = unit.words / max(1, len(unit.parts))
    low, high = GOOD_WORDS
    if words < low:
        return float(words / low)
    return float(max(0.0, 1 - (words - high) / high)) if words > high else 1.0


def _losses(unit: Unit) -> float:
    loss = 0.0
    if unit.points_at_figure and not unit.near_picture:
        loss += FIGURE_LOSS
    if unit.points_elsewhere:
        loss += ELSEWHERE_LOSS
    if unit.text.rstrip("\"'”’»」*_ ").endswith(("?", "？")):
        loss += QUESTION_LOSS
    if unit.leans and not unit.needs_previous:
        loss += LEANING_START_LOSS
    if not unit.is_closed:
        loss += UNCLOSED_LOSS
    if unit.block.kind == "list":
        items = unit.block.items
        if len(items) == 1 or (items[0].ordered and items[0].number > 1):
            loss += TORN_LIST_LOSS
    if unit.block.kind in ("code", "table"):
        loss += CODE_LOSS
    return loss


def _repetition(values: Values, alike: Values) -> Values:
    """What each unit loses because a better one says much the same."""
    order = np.argsort(-values, kind="stable")
    loss = np.zeros(len(values))
    for rank in range(1, len(order)):
        nearest = float(alike[order[rank], order[:rank]].max())
        loss[order[rank]] = NOVELTY_LOSS * max(0.0, nearest - NOVELTY_FROM)
    return loss
