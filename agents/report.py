"""Report: the numbers of a text, counted in one place: for a finished piece, and anew for each of its versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agents.notes.sentence import split_sentences
from interleaf.schema import Notice, Report, SourceText, Support, TextBlock
from interleaf.text import count_words, fold_space, terms

__all__ = ["length_score", "make_report", "repeated_share", "score_of", "sentences_of"]


def length_score(words: int, wanted: int) -> float:
    """S_l of LongBench-Write, 0..100: 100 at equal, falling linearly to 0 at 4 × the target and at a third of it."""
    if words <= 0:
        return 0.0
    over = words / wanted
    loss = (over - 1) / 3 if over > 1 else (wanted / words - 1) / 2
    return 100.0 * max(0.0, 1.0 - loss)


def _holds(block: TextBlock, support: Support, sources: dict[str, str]) -> bool:
    """Whether the spans exist and, for copied words, equal them after white space folding."""
    rests = [sources[s.source_id][s.start : s.end] for s in support.spans if s.source_id in sources]
    if support.how != "copied":
        return bool(rests)
    said = fold_space(block.text if block.type == "code" else block.text[support.start : support.end])
    # Where a mark (a footnote, a picture) was cut out of a sentence, its parts may touch.
    return said in (fold_space(" ".join(rests)), fold_space("".join(rests)))


def _unsupported(block: TextBlock, language: str) -> int:
    """How many sentences of a block no support covers. A heading may be the workflow's own words."""
    if block.type in ("heading", "code", "table"):
        return 0
    covered = [(support.start, support.end) for support in block.provenance.supports]
    return sum(
        not any(start < b and a < end for a, b in covered) for start, end in split_sentences(block.text, language)
    )


def make_report(
    words_wanted: int | None,
    language: str,
    blocks: tuple[TextBlock, ...],
    sources: tuple[SourceText, ...],
    placed: int,
    considered: int,
    notices: tuple[Notice, ...],
) -> Report:
    """The numbers of a finished text. A sentence counts as having a span when the span's text equals it."""
    by_id = {source.id: source.text for source in sources}
    sentences = held = 0
    for block in blocks:
        for support in block.provenance.supports:
            held += _holds(block, support, by_id)
        sentences += sentences_of(block, language)
    words = sum(count_words(block.text) for block in blocks)
    return Report(
        words=words,
        words_wanted=words_wanted,
        length_score=score_of(words, words_wanted),
        sentences=sentences,
        sentences_with_span=held,
        pictures_placed=placed,
        pictures_considered=considered,
        repeated_5grams_share=repeated_share(blocks),
        warnings=notices,
    )


def score_of(words: int, wanted: int | None) -> float | None:
    """`length_score` as a report has it; None where no length was asked for."""
    return round(length_score(words, wanted), 2) if wanted else None


def sentences_of(block: TextBlock, language: str) -> int:
    """Its sentences: those that rest on something, and those that do not."""
    return len(block.provenance.supports) + _unsupported(block, language)


def repeated_share(blocks: Sequence[TextBlock]) -> float:
    """The share of five words in a row that stood there before, 0..1."""
    grams: Counter[tuple[str, ...]] = Counter()
    for block in blocks:
        found = terms(block.text)
        grams.update(tuple(found[i : i + 5]) for i in range(len(found) - 4))
    total = sum(grams.values())
    return round(sum(n - 1 for n in grams.values()) / total, 4) if total else 0.0
