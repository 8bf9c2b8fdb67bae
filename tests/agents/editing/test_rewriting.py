"""What writers make of a block: sentences of the sources word for word, or a model's words with what they rest on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.context import Context, DraftTask, EditTask, OutlineTask
from agents.editing.changed import changed
from agents.editing.rewriting import written
from agents.extractive import ExtractiveWriter
from interleaf.errors import EditRefused, NothingToSay
from interleaf.schema import Article, Brief, Paragraph, Provenance, SourceSpan, SourceText, Support
from interleaf.schema.edit import Edit, edit_adapter
from interleaf.text import count_words, fold_space
from tests.agents.editing.pieces import PIECE
from tests.fakes import HashingEmbedder, MemoryFinder, ParrotWriter

TIDES = Path(__file__).parents[3] / "examples" / "tides" / "notes"
SOURCES = tuple(
    SourceText(id=f"s-{number}", name=path.name, text=path.read_text(encoding="utf-8"))
    for number, path in enumerate(sorted(TIDES.glob("*.md")))
)
EMBEDDER = HashingEmbedder()


def context(writer: Any = None, sources: tuple[SourceText, ...] = SOURCES) -> Context:
    return Context(writer=writer or ExtractiveWriter(EMBEDDER), finder=MemoryFinder(), sources=sources)


@pytest.fixture(scope="module")
def article() -> Article:
    """A piece that the extractive writer made of the demo's notes, without pictures."""
    brief = Brief(instruction="How tides work", length_words=400)
    writer = ExtractiveWriter(EMBEDDER)
    outline = writer.outline(OutlineTask(brief, SOURCES, "en"))
    blocks = [
        block
        for k in range(len(outline.sections))
        for block in writer.draft(DraftTask(brief, SOURCES, "en", outline, k))
    ]
    return PIECE.model_copy(update={"blocks": tuple(blocks), "pictures": ()})


def edit(op: str, **said: Any) -> Edit:
    return edit_adapter.validate_python({"op": op, **said})


def a_paragraph(article: Article, least_words: int = 40) -> Paragraph:
    return next(b for b in article.blocks if isinstance(b, Paragraph) and count_words(b.text) >= least_words)


def all_copied(text: str, supports: Any) -> bool:
    by_id = {source.id: source.text for source in SOURCES}
    return all(
        fold_space(text[s.start : s.end]) == fold_space(" ".join(by_id[x.source_id][x.start : x.end] for x in s.spans))
        for s in supports
    )


@pytest.mark.parametrize("op", ["rewrite", "expand", "shorten"])
def test_the_extractive_writer_says_it_in_sentences_of_the_sources(article: Article, op: str) -> None:
    block = a_paragraph(article)
    one = edit(op, block_id=block.id)
    made = written(article, one, context(), EMBEDDER)
    assert made.provenance.origin == "source" and made.provenance.supports
    assert all_copied(made.text, made.provenance.supports)
    before, now = count_words(block.text), count_words(made.text)
    if op == "shorten":
        assert now < before
    elif op == "expand":
        assert made.text.startswith(block.text) and now > before
    else:
        said = {fold_space(block.text[s.start : s.end]) for s in block.provenance.supports}
        again = {fold_space(made.text[s.start : s.end]) for s in made.provenance.supports}
        assert not said & again, "other sentences than before"
    new = changed(article, one, salt="2", written=made)
    assert sum(a != b for a, b in zip(article.blocks, new.blocks, strict=True)) == 1


def test_no_sentence_of_another_block_is_said_again(article: Article) -> None:
    block = a_paragraph(article)
    elsewhere = {
        (x.source_id, x.start)
        for b in article.text_blocks
        if b.id != block.id
        for s in b.provenance.supports
        for x in s.spans
    }
    made = written(article, edit("rewrite", block_id=block.id), context(), EMBEDDER)
    assert not {(x.source_id, x.start) for s in made.provenance.supports for x in s.spans} & elsewhere


def test_a_wish_says_what_a_new_paragraph_is_about(article: Article) -> None:
    place = {"after": article.blocks[-1].id}
    made = written(article, edit("insert", place=place, wish="the columns of a tide table"), context(), EMBEDDER)
    assert "table" in made.text.lower()
    assert all_copied(made.text, made.provenance.supports)


def test_the_same_edit_gives_the_same_text(article: Article) -> None:
    one = edit("rewrite", block_id=a_paragraph(article).id)
    assert written(article, one, context(), EMBEDDER) == written(article, one, context(), HashingEmbedder())


def test_without_notes_there_is_nothing_to_say(article: Article) -> None:
    with pytest.raises(NothingToSay, match="no notes"):
        written(article, edit("rewrite", block_id=a_paragraph(article).id), context(sources=()), EMBEDDER)
    short = SourceText(id="s-0", name="n", text="One sentence only stands here.")
    with pytest.raises(NothingToSay, match="no other sentence"):
        used = article.blocks[1].model_copy(
            update={"provenance": said_of(short)}  # the only sentence is said already
        )
        only = article.model_copy(update={"blocks": (used, a_paragraph(article))})
        written(only, edit("insert", place={"after": used.id}, wish="anything"), context(sources=(short,)), EMBEDDER)


def said_of(source: SourceText) -> Provenance:
    span = SourceSpan(source_id=source.id, start=0, end=len(source.text))
    return Provenance(origin="source", supports=(Support(start=0, end=4, spans=(span,)),))


def test_one_sentence_cannot_be_shortened() -> None:
    piece = PIECE.model_copy(update={"blocks": (PIECE.blocks[3],)})
    with pytest.raises(EditRefused, match="single sentence"):
        written(piece, edit("shorten", block_id="b-p2"), context(), EMBEDDER)


def test_headings_lists_and_figures_are_no_writers_business() -> None:
    for block_id in ("b-h1", "b-l1", "b-f1", "b-t1"):
        with pytest.raises(EditRefused, match="not written anew"):
            written(PIECE, edit("rewrite", block_id=block_id), context(), EMBEDDER)


class Rewriter(ParrotWriter):
    """A model as the writer: answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.answer, self.asked = answer, []

    def edit(self, task: EditTask) -> str:
        self.asked.append(task)
        return self.answer


def test_a_model_is_asked_in_its_place_and_what_its_words_rest_on_is_found(article: Article) -> None:
    block = a_paragraph(article)
    first = block.provenance.supports[0]
    copied = block.text[first.start : first.end]
    writer = Rewriter(f"{copied} And unicorns swim in it.")
    made = written(article, edit("rewrite", block_id=block.id, wish="be brief"), context(writer), EMBEDDER, seed=7)
    (task,) = writer.asked
    assert (task.operation, task.text, task.wish, task.seed) == ("rewrite", block.text, "be brief", 7)
    assert made.provenance.origin == "model"
    (rests,) = made.provenance.supports
    assert made.text[rests.start : rests.end] == copied
    wished = edit("insert", place={"before": block.id}, wish="a bridge")
    written(article, wished, replace(context(writer), sources=()), EMBEDDER)
    assert writer.asked[-1].operation == "insert" and writer.asked[-1].after == block.text
