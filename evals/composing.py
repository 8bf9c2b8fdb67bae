"""Composing: how well the workflow keeps to a length and to its sources, on real articles as notes.

Articles of one source are joined until they hold three times the words asked for; the article graph then
composes from them, without pictures. Measured: length obedience S_l, the share of sentences that are copied
exactly from a valid span, and the share of repeated runs of five terms.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents.context import Context, Embedder, Writer
from agents.extractive import ExtractiveWriter
from agents.graph import article_graph
from agents.notes.sentence import split_sentences
from agents.report import length_score, make_report
from evals.articleset import IllustratedArticle, read_articles
from interleaf.errors import NothingToSay, PictureMissing
from interleaf.schema import Article, Brief, Picture, PictureFilter, PictureHit, PictureQuery, SourceText, TextBlock
from interleaf.text import count_words, fold_space
from interleaf.whole_file import write_whole

__all__ = ["ComposingRow", "NoPictures", "as_markdown", "copied_share", "make_tasks", "render_rows", "run"]

LENGTHS_WORDS = (300, 800, 2_000)
MATERIAL_RATIO = 3
MAX_TASKS_PER_SOURCE = 4


@dataclass(frozen=True)
class ComposingTask:
    source: str
    language: str
    wanted: int
    instruction: str
    notes: tuple[SourceText, ...]


@dataclass(frozen=True)
class ComposingRow:
    """One composed piece. `length_score` in 0..100, the shares in 0..1."""

    source: str
    language: str
    wanted: int
    words: int
    length_score: float
    sentences: int
    sentences_copied: int
    repeated_5grams_share: float
    sections: int
    material_words: int
    seconds: float

    @property
    def copied_share(self) -> float:
        return self.sentences_copied / self.sentences if self.sentences else 0.0


class NoPictures:
    """A finder with nothing to find."""

    def search(self, queries: Sequence[PictureQuery], k: int, where: PictureFilter) -> list[list[PictureHit]]:
        return [[] for _ in queries]

    def picture(self, picture_id: str) -> Picture:
        raise PictureMissing(picture_id, "is not here: this measure composes without pictures.")

    def pixels_path(self, picture_id: str) -> Path:
        raise PictureMissing(picture_id, "is not here: this measure composes without pictures.")

    def fingerprints(self) -> dict[str, str]:
        return {}


def run(
    set_dir: Path,
    out: Path | None = None,
    *,
    embedder: Embedder | None = None,
    lengths: Sequence[int] = LENGTHS_WORDS,
    most: int = MAX_TASKS_PER_SOURCE,
) -> list[ComposingRow]:
    """Compose every task of the set and measure; rows go to `out` as JSON lines when it is given. `lengths` in
    words, at most `most` tasks for each length and source."""
    if embedder is None:
        from workers.settings import settings
        from workers.wiring import make_embedder

        embedder = make_embedder(settings())
    writer = ExtractiveWriter(embedder)
    rows = [measure(task, writer) for task in make_tasks(read_articles(set_dir), lengths, most)]
    if out is not None:
        write_whole(out, "".join(json.dumps(asdict(row)) + "\n" for row in rows).encode())
    return rows


def make_tasks(
    articles: Sequence[IllustratedArticle],
    lengths: Sequence[int] = LENGTHS_WORDS,
    most: int = MAX_TASKS_PER_SOURCE,
) -> Iterator[ComposingTask]:
    """For each source and length up to `most` bundles of its articles, none in two bundles of one length.

    A source with fewer words than asked for gives none for that length.
    """
    by_source: dict[str, list[IllustratedArticle]] = {}
    for article in articles:
        by_source.setdefault(article.source, []).append(article)
    for wanted in lengths:
        for source in sorted(by_source):
            made = 0
            bundle: list[IllustratedArticle] = []
            held = 0
            for article in by_source[source]:
                bundle.append(article)
                held += sum(count_words(block.text) for block in article.blocks)
                if held >= MATERIAL_RATIO * wanted:
                    yield _task(source, wanted, bundle)
                    made += 1
                    bundle, held = [], 0
                if made == most:
                    break


def _task(source: str, wanted: int, bundle: Sequence[IllustratedArticle]) -> ComposingTask:
    notes = []
    for article in bundle:
        text = as_markdown(article)
        notes.append(
            SourceText(id=f"s-{hashlib.sha256(text.encode()).hexdigest()[:16]}", name=article.title, text=text)
        )
    unique = tuple({note.id: note for note in notes}.values())
    # The brief names what all its notes are about: what to leave out is another measure's question.
    instruction = "; ".join(dict.fromkeys(note.name for note in unique if note.name)) or source
    return ComposingTask(source, bundle[0].language, wanted, instruction, unique)


def as_markdown(article: IllustratedArticle) -> str:
    """An article's text as a Markdown note."""
    return "\n\n".join([f"# {fold_space(article.title)}", *(_block_markdown(block) for block in article.blocks)])


def _block_markdown(block: TextBlock) -> str:
    if block.type == "heading":
        return f"{'#' * block.level} {fold_space(block.text)}"
    if block.type == "list":
        return "\n".join(f"- {fold_space(item.text)}" for item in block.items)
    if block.type == "code":
        return f"~~~~\n{block.text}\n~~~~"
    return block.text


def measure(task: ComposingTask, writer: Writer) -> ComposingRow:
    """Compose one task by the article graph and measure the result."""
    brief = Brief(instruction=task.instruction, length_words=task.wanted, language=task.language, pictures_wanted=0)
    begun = time.perf_counter()
    article = _compose(brief, task.notes, writer)
    seconds = time.perf_counter() - begun
    blocks = article.text_blocks if article is not None else ()
    words = sum(count_words(block.text) for block in blocks)
    copied, sentences = copied_share(blocks, task.notes, task.language)
    report = make_report(brief.length_words, task.language, blocks, task.notes, 0, 0, ())
    return ComposingRow(
        source=task.source,
        language=task.language,
        wanted=task.wanted,
        words=words,
        length_score=length_score(words, task.wanted),
        sentences=sentences,
        sentences_copied=copied,
        repeated_5grams_share=report.repeated_5grams_share,
        sections=sum(1 for block in blocks if block.type == "heading" and block.level == 2),
        material_words=sum(count_words(note.text) for note in task.notes),
        seconds=seconds,
    )


def _compose(brief: Brief, notes: tuple[SourceText, ...], writer: Writer) -> Article | None:
    context = Context(writer=writer, finder=NoPictures(), sources=notes)
    try:
        state: dict[str, Any] = article_graph().invoke({"brief": brief}, context=context)
    except NothingToSay:
        return None
    article: Article = state["article"]
    return article


def copied_share(blocks: Sequence[TextBlock], notes: Sequence[SourceText], language: str) -> tuple[int, int]:
    """(sentences copied exactly from a valid span, all sentences). Every character of a sentence must lie in
    supports that equal their spans after white space folding. List items, cells and code count as sentences;
    headings do not: they are phrases, and a workflow may make its own."""
    texts = {note.id: note.text for note in notes}
    copied = total = 0
    for block in blocks:
        if block.type == "heading":
            continue
        good: set[int] = set()
        for support in block.provenance.supports:
            said = block.text[support.start : support.end]
            rests = [texts[s.source_id][s.start : s.end] for s in support.spans if s.source_id in texts]
            # Where something that is not said was taken out, two spans may meet without a space.
            ways = {fold_space(" ".join(rests)), fold_space("".join(rests))}
            if len(rests) == len(support.spans) and support.how == "copied" and fold_space(said) in ways:
                good.update(range(support.start, support.end))
        for start, end in _sentence_ranges(block, language):
            total += 1
            copied += all(at in good or block.text[at].isspace() for at in range(start, end))
    return copied, total


def _sentence_ranges(block: TextBlock, language: str) -> list[tuple[int, int]]:
    if block.type in ("paragraph", "quote"):
        return split_sentences(block.text, language)
    if block.type == "table":
        # Cells are joined by bars that no source has.
        return [(support.start, support.end) for support in block.provenance.supports]
    if block.type == "list":
        ranges, at = [], 0
        for item in block.items:
            ranges.append((at, at + len(item.text)))
            at += len(item.text) + 1
        return ranges
    return [(0, len(block.text))]


def render_rows(rows: Sequence[ComposingRow]) -> str:
    """A table: one line for each length and language, and one for each length over all."""
    lines = [
        "| words asked | notes | pieces | S_l mean | S_l least | copied exactly | repeated 5-grams | seconds each |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for wanted in sorted({row.wanted for row in rows}):
        for language in [*sorted({row.language for row in rows}), ""]:
            some = [row for row in rows if row.wanted == wanted and language in ("", row.language)]
            if not some:
                continue
            count = len(some)
            sentences = sum(row.sentences for row in some)
            lines.append(
                f"| {wanted} | {language or 'all'} | {count} | {sum(r.length_score for r in some) / count:.1f} | "
                f"{min(r.length_score for r in some):.1f} | "
                f"{sum(r.sentences_copied for r in some) / max(1, sentences):.4f} | "
                f"{sum(r.repeated_5grams_share for r in some) / count:.4f} | "
                f"{sum(r.seconds for r in some) / count:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """`python -m evals.composing SET_DIR [--out ROWS.jsonl]` prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set_dir", type=Path)
    parser.add_argument("--out", type=Path, help="write a JSON line for each piece here")
    parser.add_argument("--most", type=int, default=MAX_TASKS_PER_SOURCE, help="pieces per length and source")
    options = parser.parse_args()
    print(render_rows(run(options.set_dir, options.out, most=options.most)))


if __name__ == "__main__":
    main()
