"""Prefilter: from many thousand candidates the few hundred that are worth a closer look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from agents.context import Candidate
from agents.words.similarity import picture_text
from interleaf.text import terms

__all__ = ["MOST_CANDIDATES", "keep_promising"]

# Above this the tables of similarity grow beyond what one decision needs.
MOST_CANDIDATES = 400


def keep_promising(
    title: str, texts: Sequence[str], candidates: Sequence[Candidate], most: int = MOST_CANDIDATES
) -> list[Candidate]:
    """At most `most` of `candidates`, in their order: anchored ones, the library's best, and those whose
    words are nearest to a block or the title. All of them when they are few. No embedding is computed."""
    if len(candidates) <= most:
        return list(candidates)
    worth = np.array([max(c.library_scores.values(), default=0.0) for c in candidates])
    words = [picture_text(c.picture) for c in candidates]
    text = [*texts, title]
    if any(terms(t) for t in text):
        vectorizer = TfidfVectorizer(analyzer=terms, sublinear_tf=True)
        rows = vectorizer.fit(text).transform(text)
        nearest = (vectorizer.transform(words) @ rows.T).max(axis=1)
        worth = np.maximum(worth, np.asarray(nearest.todense()).ravel())
    worth += np.array([2.0 if c.anchor is not None else 0.0 for c in candidates])
    kept = np.sort(np.argsort(-worth, kind="stable")[:most])
    return [candidates[i] for i in kept.tolist()]
