"""The report of a version: counted anew where it can be, and else moved on by what the edit took and brought."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.editing.changed import Written, changed
from agents.editing.place_query import place_query
from agents.editing.recounting import edited, recounted
from agents.report import make_report
from interleaf.errors import BlockUnknown, EditRefused
from interleaf.schema import Article, Provenance, SourceSpan, SourceText, Support
from interleaf.schema.edit import Edit, edit_adapter
from tests.agents.editing.pieces import BOAT, FIRST, PICTURES, PIECE, edits

SOURCE = SourceText(id="s-1", name="notes.md", text=f"{FIRST} Mills use the fall of the water.")


def edit(op: str, **said: Any) -> Edit:
    return edit_adapter.validate_python({"op": op, **said})


def counted(article: Article) -> Article:
    """With the report that composing would have given it."""
    report = make_report(60, "en", article.text_blocks, (SOURCE,), len(article.figures), 5, ())
    return article.model_copy(update={"report": report})


@given(st.data())
def test_without_the_sources_the_numbers_are_those_that_they_would_give(data: st.DataObject) -> None:
    article = counted(PIECE)
    assert article.report.sentences_with_span == 2
    for number in range(1, 4):
        one = data.draw(edits(article))
        picture = PICTURES.get(getattr(one, "picture_id", None) or "")
        try:
            new = edited(article, one, number, picture=picture)
        except (BlockUnknown, EditRefused):
            continue
        again = recounted(article, changed(article, one, salt=str(number + 1), picture=picture), (SOURCE,))
        assert new == again
        assert 0 <= new.report.sentences_with_span <= new.report.sentences
        assert new.report.pictures_placed == len(new.figures)
        article = new


def test_a_writers_sentences_count_when_the_source_holds_them() -> None:
    article = counted(PIECE)
    text = "Mills use the fall of the water."
    start = SOURCE.text.index(text)
    span = SourceSpan(source_id="s-1", start=start, end=start + len(text))
    made = Provenance(origin="source", supports=(Support(start=0, end=len(text), spans=(span,)),))
    one = edit("rewrite", block_id="b-p1")
    new = edited(article, one, 1, written=Written(text, made), sources=(SOURCE,))
    assert (new.report.sentences_with_span, article.report.sentences_with_span) == (1, 2)
    assert new.report.repeated_5grams_share > article.report.repeated_5grams_share, "another block says it, too"
    # Words that the source does not hold count as sentences without a span.
    wrong = made.model_copy(update={"supports": (Support(start=0, end=9, spans=(span,)),)})
    new = edited(article, one, 1, written=Written("Mills fly away.", wrong), sources=(SOURCE,))
    assert new.report.sentences_with_span == 0
    assert new.report.length_score is not None


def test_a_picture_that_an_edit_brings_was_considered_and_what_was_told_of_the_run_stays() -> None:
    article = counted(PIECE)
    new = edited(article, edit("insert_picture", place={"after": "b-p2"}, picture_id=BOAT.id), 1, picture=BOAT)
    assert (new.report.pictures_placed, new.report.pictures_considered) == (3, 6)
    assert new.report.warnings == article.report.warnings


def test_a_place_is_looked_for_by_the_words_around_it() -> None:
    query = place_query(PIECE, "b-f1", "boats")
    assert (query.text, query.heading, query.title) == ("boats", "Why", "Tides")
    assert (query.before, query.after) == (FIRST, "Mills use the fall of the water.")
    assert place_query(PIECE, "b-p2").before == "Mills use the fall of the water.", "a text is what should be shown"
    assert place_query(PIECE, "b-h1").before == ""
    with pytest.raises(BlockUnknown):
        place_query(PIECE, "b-none")
