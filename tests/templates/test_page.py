"""Page: headings without jumps, credits for every picture, words in the article's language, nothing dropped."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.errors import PictureMissing
from interleaf.schema import Heading, Paragraph, Table
from templates.labels import direction, labels_for, language_tag
from templates.page import article_page, heading_levels
from templates.view import TableView
from tests.templates import sample
from tests.templates.sample import BY_SOURCE, Studio


@given(st.lists(st.integers(2, 6), max_size=20))
def test_heading_levels_never_jump_and_keep_their_order(levels: list[int]) -> None:
    normal = heading_levels(levels)
    above = 1
    for level in normal:
        assert 2 <= level <= above + 1
        above = level
    for (a, b), (x, y) in zip(pairwise(levels), pairwise(normal), strict=True):
        assert (b > a) == (y > x)
        assert not (b == a and y != x)


def test_sound_levels_stay_as_they_are() -> None:
    assert heading_levels((2, 3, 3, 4, 2, 3, 2)) == (2, 3, 3, 4, 2, 3, 2)
    assert heading_levels((4, 6, 4, 2)) == (2, 3, 2, 2)


def test_every_block_that_says_something_is_shown(studio: Studio) -> None:
    article = sample.every_block(studio)
    assert [b.id for b in article_page(article).blocks] == [b.id for b in article.blocks]


def test_blocks_without_words_leave_no_empty_elements() -> None:
    blocks = (
        Heading(id="b-1", provenance=BY_SOURCE, text=" "),
        Paragraph(id="b-2", provenance=BY_SOURCE, text="\n \n"),
        Table(id="b-3", provenance=BY_SOURCE, header=("", ""), rows=((" ",),)),
        Paragraph(id="b-4", provenance=BY_SOURCE, text="Words."),
    )
    assert [b.id for b in article_page(sample.article(blocks)).blocks] == ["b-4"]


def test_ragged_tables_are_padded_to_their_widest_row() -> None:
    table = Table(id="b-1", provenance=BY_SOURCE, header=("a",), rows=(("b", "c", "d"), ()), align=("right",))
    (view,) = article_page(sample.article((table,))).blocks
    assert isinstance(view, TableView)
    assert {len(view.header), *map(len, view.rows), len(view.align)} == {3}


def test_contents_from_four_sections_on() -> None:
    def piece(sections: int) -> int:
        blocks = tuple(Heading(id=f"b-{k}", provenance=BY_SOURCE, text=f"Part {k}") for k in range(sections))
        return len(article_page(sample.article(blocks)).contents)

    assert [piece(n) for n in (1, 3, 4, 9)] == [0, 0, 4, 9]


def test_every_picture_is_credited_and_only_web_addresses_are_links(studio: Studio) -> None:
    page = article_page(sample.every_block(studio))
    assert [c.number for c in page.credits] == [1, 2, 3, 4, 5]
    assert page.credits[0].source_href == "https://example.org/a?b=1&c=2"
    assert page.credits[0].licence == "CC BY 4.0"  # the figure's own word goes before the library's
    assert (page.credits[3].source, page.credits[3].source_href) == ("javascript:alert(1)", "")


def test_alt_text_is_empty_for_decoration_only(studio: Studio) -> None:
    picture = studio.draw(50, 50)
    figures = (
        sample.figure("b-1", picture, "A caption", alt="An alt"),
        sample.figure("b-2", picture, "A caption", alt=""),
        sample.figure("b-3", picture, "", alt=""),
        sample.figure("b-4", picture, "A caption", alt="An alt", alt_origin="decorative"),
    )
    page = article_page(sample.article(figures, (picture,), language="de"))
    assert [f.alt for f in page.figures] == ["An alt", "A caption", "Bild", None]


def test_a_figure_without_its_picture_is_an_error(studio: Studio) -> None:
    lost = sample.figure("b-1", studio.draw(50, 50), "A caption")
    with pytest.raises(PictureMissing, match="b-1"):
        article_page(sample.article((lost,)))


def test_the_description_is_the_opening_cut_at_a_word() -> None:
    text = "*Light* goes [out](https://example.org) in every direction. " * 9
    block = Paragraph(id="b-1", provenance=BY_SOURCE, text=text, markup="markdown")
    said = article_page(sample.article((block,))).description
    assert said.startswith("Light goes out in every direction.")
    assert len(said) <= 200
    assert said.endswith("…")


def test_a_piece_without_title_takes_its_first_heading() -> None:
    heading = Heading(id="b-1", provenance=BY_SOURCE, text="*Rings*", markup="markdown")
    assert article_page(sample.article((heading,), title=" ")).title == "Rings"
    assert article_page(sample.article((), title="", language="fr")).title == "Sans titre"


@pytest.mark.parametrize(
    ("language", "tag", "way", "contents"),
    [
        ("en", "en", "ltr", "Contents"),
        ("de-AT", "de-AT", "ltr", "Inhalt"),
        ("zh_Hant", "zh-Hant", "ltr", "目录"),
        ("ar", "ar", "rtl", "المحتويات"),
        ("ur", "ur", "rtl", "Contents"),
        ("fa-IR", "fa-IR", "rtl", "Contents"),
        ("uz-Arab", "uz-Arab", "rtl", "Contents"),
        ("ur-Latn", "ur-Latn", "ltr", "Contents"),
        ("auto", "und", "ltr", "Contents"),
        ('"><script>', "und", "ltr", "Contents"),
        ("", "und", "ltr", "Contents"),
    ],
)
def test_language_direction_and_labels(language: str, tag: str, way: str, contents: str) -> None:
    assert (language_tag(language), direction(language), labels_for(language).contents) == (tag, way, contents)
