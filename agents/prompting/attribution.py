"""Attribution: which sentences of the sources a model's sentences rest on, found by their words.

A model says nothing of where it has a sentence from, and its word for it would prove nothing. So each sentence is
held against the sources: equal after white space folding, it is `copied`; holding most of its weighty words in one
sentence of a source (or in two together), it is `supported`; else it rests on nothing that we know of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log

from agents.notes.document import read_document
from agents.notes.inline import plain_text
from agents.notes.sentence import split_sentences
from agents.words.lexicon import content_terms
from interleaf.schema import SourceSpan, SourceText, Support
from interleaf.text import fold_space

__all__ = ["attributed"]

# Of a sentence's weight in words, this much must stand in what it rests on.
LEAST_COVERED = 0.6
# A sentence of fewer terms that tell anything is not attributed by them: anything might cover them.
LEAST_TERMS = 3
# So many sentences of the sources, those that share the rarest words, are held against each other in pairs.
LOOKED_AT = 12


@dataclass(frozen=True)
class _Said:
    spans: tuple[SourceSpan, ...]
    terms: frozenset[str]


@dataclass(frozen=True)
class _Index:
    sentences: tuple[_Said, ...]
    by_term: dict[str, tuple[int, ...]]
    by_words: dict[str, int]
    weights: dict[str, float]


def attributed(text: str, sources: Sequence[SourceText], language: str) -> tuple[Support, ...]:
    """A support for each sentence of `text` (Markdown allowed) that rests on the sources, in order."""
    if not sources:
        return ()
    index = _index(tuple(sources), language.split("-")[0].lower())
    found: list[Support] = []
    for start, end in split_sentences(text, language):
        said = fold_space(plain_text(text[start:end]))
        place = index.by_words.get(said)
        if place is not None:
            # `copied` promises equal characters; words that only look alike without mark-up are `supported`.
            spans = index.sentences[place].spans
            how = "copied" if _same(text[start:end], spans, sources) else "supported"
            found.append(Support(start=start, end=end, spans=spans, how=how))
        elif spans := _covering(content_terms(said), index):
            found.append(Support(start=start, end=end, spans=spans, how="supported"))
    return tuple(found)


def _same(said: str, spans: Sequence[SourceSpan], sources: Sequence[SourceText]) -> bool:
    texts = {source.id: source.text for source in sources}
    return fold_space(said) == fold_space(" ".join(texts[s.source_id][s.start : s.end] for s in spans))


def _covering(found: Sequence[str], index: _Index) -> tuple[SourceSpan, ...]:
    """The sentence, or the two, that hold most of the weight of some terms; () when that is too little."""
    wanted = frozenset(found)
    if len(wanted) < LEAST_TERMS:
        return ()
    rare = max(index.weights.values(), default=1.0)
    weights = {term: index.weights.get(term, rare) for term in wanted}
    total = sum(weights.values())
    if total <= 0:
        return ()
    held: dict[int, float] = {}
    for term in sorted(wanted):
        for place in index.by_term.get(term, ()):
            held[place] = held.get(place, 0.0) + weights[term]
    best = sorted(held, key=lambda place: (-held[place], place))[:LOOKED_AT]
    if not best:
        return ()
    if held[best[0]] >= LEAST_COVERED * total:
        return index.sentences[best[0]].spans
    first = index.sentences[best[0]].terms & wanted
    together = [
        (sum(weights[term] for term in first | (index.sentences[place].terms & wanted)), -place) for place in best[1:]
    ]
    if together and max(together)[0] >= LEAST_COVERED * total:
        other = -max(together)[1]
        return tuple(span for place in sorted((best[0], other)) for span in index.sentences[place].spans)
    return ()


@lru_cache(maxsize=4)
def _index(sources: tuple[SourceText, ...], language: str) -> _Index:
    sentences: list[_Said] = []
    by_words: dict[str, int] = {}
    for source in sources:
        for block in read_document(source).blocks:
            if block.kind in ("image", "code"):
                continue
            for start, end in split_sentences(block.text, language):
                spans = block.spans(start, end)
                said = fold_space(plain_text(block.text[start:end]))
                if not spans or not said:
                    continue
                by_words.setdefault(said, len(sentences))
                sentences.append(_Said(spans, frozenset(content_terms(said))))
    places: dict[str, list[int]] = {}
    for number, sentence in enumerate(sentences):
        for term in sentence.terms:
            places.setdefault(term, []).append(number)
    n = len(sentences)
    # What stands in nearly every sentence tells nothing.
    weights = {term: max(0.0, log((n + 1) / (len(where) + 0.5))) for term, where in places.items()}
    return _Index(tuple(sentences), {term: tuple(where) for term, where in places.items()}, by_words, weights)
