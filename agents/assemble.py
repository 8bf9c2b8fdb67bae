"""Assemble: text and figures become the finished article with its report and its run record."""

from __future__ import annotations

import hashlib
from collections import Counter

from langgraph.runtime import Runtime

from agents.choose import candidates_of
from agents.context import Context
from agents.figure import make_figure
from agents.notes.sentence import split_sentences
from agents.progress import tell
from agents.state import State
from interleaf.schema import (
    Article,
    Block,
    Brief,
    Notice,
    Picture,
    Report,
    Run,
    SourceRecord,
    SourceText,
    Support,
    TextBlock,
)
from interleaf.text import clean_line, count_words, fold_space, terms

__all__ = ["assemble", "length_score", "make_report"]


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
    brief: Brief,
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
            sentences += 1
            held += _holds(block, support, by_id)
        sentences += _unsupported(block, language)
    words = sum(count_words(block.text) for block in blocks)
    grams: Counter[tuple[str, ...]] = Counter()
    for block in blocks:
        found = terms(block.text)
        grams.update(tuple(found[i : i + 5]) for i in range(len(found) - 4))
    total = sum(grams.values())
    return Report(
        words=words,
        words_wanted=brief.length_words,
        length_score=round(length_score(words, brief.length_words), 2) if brief.length_words else None,
        sentences=sentences,
        sentences_with_span=held,
        pictures_placed=placed,
        pictures_considered=considered,
        repeated_5grams_share=round(sum(n - 1 for n in grams.values()) / total, 4) if total else 0.0,
        warnings=notices,
    )


def assemble(state: State, runtime: Runtime[Context]) -> State:
    """The article. Nothing in it depends on the clock or on the run's id."""
    context, brief = runtime.context, state["brief"]
    candidates = {c.picture.id: c for c in candidates_of(state, context)} if state["places"] else {}
    by_slot: dict[int, list[Block]] = {}
    pictures: dict[str, Picture] = {}
    for choice in state["choices"]:
        figure = make_figure(choice, candidates[choice.picture_id], candidates)
        by_slot.setdefault(choice.slot, []).append(figure)
        for picture_id in (choice.picture_id, *(other.picture_id for other in choice.alternatives)):
            if picture_id in candidates:
                pictures[picture_id] = candidates[picture_id].picture
    blocks: list[Block] = []
    for slot in range(len(state["blocks"]) + 1):
        blocks += by_slot.get(slot, [])
        if slot < len(state["blocks"]):
            blocks.append(state["blocks"][slot])
    notices = (*context.notices, *state.get("notices", ()))
    article = Article(
        title=clean_line(brief.title or state["outline"].title) or "Untitled",
        language=state["language"],
        blocks=tuple(blocks),
        pictures=tuple(pictures[picture_id] for picture_id in sorted(pictures)),
        sources=tuple(
            SourceRecord(
                id=source.id,
                name=source.name,
                sha256=hashlib.sha256(source.text.encode()).hexdigest(),
                length_chars=len(source.text),
            )
            for source in context.sources
        ),
        report=make_report(
            brief,
            state["language"],
            tuple(state["blocks"]),
            context.sources,
            len(state["choices"]),
            len(candidates),
            notices,
        ),
        run=Run(
            interleaf_version=context.interleaf_version,
            writer=context.writer.name,
            writer_version=context.writer.version,
            encoder=context.encoder_name,
            encoder_sha256=context.encoder_sha256,
            seed=brief.seed,
            brief_sha256=context.brief_sha256,
            libraries=context.finder.fingerprints() if context.searches else {},
        ),
    )
    tell(runtime, "assemble", 1.0, article.title)
    return {"article": article}
