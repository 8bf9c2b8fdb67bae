"""Inline: text of strangers comes out as text, links only where they may go, and Markdown reads back as itself."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from templates.inline import inline_html, inline_markdown, inline_text, paragraphs, safe_url
from tests.templates.sample import HOSTILE

READER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
# Characters that mean something in Markdown, weighted against letters, so that random text hits the grammar.
MARKS = st.text(alphabet=st.sampled_from(list("ab é漢1.)\\`*_[]()<>&#;~|!+-=:\"' \n")), max_size=60)
ANYTHING = st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), max_size=60)


def read_blocks(markdown: str) -> list[str]:
    return [token.type for token in READER.parse(markdown)]


def folded(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_is_only_escaped(text: str) -> None:
    shown = inline_html(text)
    assert "<" not in shown
    assert shown.unescape() == text


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_never_gives_tags_or_links_that_were_not_allowed(text: str) -> None:
    shown = inline_html(text, "markdown")
    for bad in ("<script", "<img", "<svg", "<style", 'href="javascript', 'href="data', "<iframe"):
        assert bad not in shown.lower()


def test_inline_markup_is_rendered() -> None:
    shown = inline_html("*a* **b** `c<d>` ~~e~~ [f](https://example.org/?x=1&y=2)", "markdown")
    assert shown == (
        "<em>a</em> <strong>b</strong> <code>c&lt;d&gt;</code> <s>e</s> "
        '<a href="https://example.org/?x=1&amp;y=2" rel="noopener noreferrer">f</a>'
    )


@pytest.mark.parametrize(
    "href", ["../../etc/passwd", "ftp://example.org/", "//example.org/x", "other.md", "?a", "#lost"]
)
def test_a_link_that_may_not_be_followed_is_shown_as_its_words(href: str) -> None:
    assert inline_html(f"see [the *note*]({href}) here", "markdown") == "see the <em>note</em> here"


def test_a_fragment_leads_to_the_heading_it_names() -> None:
    shown = inline_html("[up](#the-rings) [down](#nowhere)", "markdown", {"the-rings": "b-7"})
    assert shown == '<a href="#b-7" rel="noopener noreferrer">up</a> down'


def test_a_picture_in_the_text_is_its_alt_words_and_is_not_fetched() -> None:
    assert inline_html("a ![the *lamp*](https://example.com/t.png) b", "markdown") == "a the lamp b"


def test_html_in_markdown_is_text() -> None:
    assert inline_html("x<b>y</b>", "markdown") == "x&lt;b&gt;y&lt;/b&gt;"


def test_text_of_markdown_is_its_words() -> None:
    assert (
        inline_text("**Rings** and\n`prisms` [here](https://example.org) ![x](y)", "markdown")
        == "Rings and prisms here x"
    )


def test_paragraphs_split_at_blank_lines_only() -> None:
    assert paragraphs("a\nb\n \n\n c \n\n\n") == ("a\nb", "c")


@pytest.mark.parametrize("url", ["https://example.org/a", "HTTP://EXAMPLE.ORG", "mailto:a@example.org"])
def test_urls_that_may_be_followed(url: str) -> None:
    assert safe_url(url)


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "https://", "https:///x", " https://a", "https://a b"])
def test_urls_that_may_not(url: str) -> None:
    assert not safe_url(url)


@given(st.one_of(MARKS, ANYTHING))
def test_plain_text_reads_back_from_markdown_as_the_same_paragraph(text: str) -> None:
    parts = paragraphs(text)
    written = "\n\n".join(inline_markdown(part) for part in parts)
    tokens = READER.parse(written)
    assert [t.type for t in tokens] == ["paragraph_open", "inline", "paragraph_close"] * len(parts)
    for part, token in zip(parts, tokens[1::3], strict=True):
        assert {c.type for c in token.children or []} <= {"text", "softbreak", "text_special"}
        said = "".join(" " if c.type == "softbreak" else c.content for c in token.children or [])
        assert folded(said) == folded(part)


@given(MARKS)
def test_markdown_reads_back_with_the_same_markup_or_at_least_the_same_words(text: str) -> None:
    for part in paragraphs(text):
        written = inline_markdown(part, "markdown")
        if not inline_text(part, "markdown"):
            continue
        assert read_blocks(written) == ["paragraph_open", "inline", "paragraph_close"]
        assert folded(inline_text(written, "markdown")) == folded(inline_text(part, "markdown"))


@pytest.mark.parametrize(
    "text",
    [
        "a *b* **c _d_** `e` ``f`g`` [h](https://example.org/x_(y)) ~~i~~ <https://example.org>",
        "***both*** and `` ` `` and ` x ` and a\\\nb",
        'quotes "here" & there &amp; 2 < 3 > 1 [link "t"](https://example.org "title")',
    ],
)
def test_markup_survives_a_round_trip(text: str) -> None:
    assert inline_html(inline_markdown(text, "markdown"), "markdown") == inline_html(text, "markdown")


def test_a_sentence_that_begins_like_a_list_stays_a_paragraph() -> None:
    for text in ("1985. The tower was lit.", "- dash", "+ plus", "# hash", "> more", "===", "---", "***", "    code"):
        for markup in ("plain", "markdown"):
            assert read_blocks(inline_markdown(text, markup)) == ["paragraph_open", "inline", "paragraph_close"]


@pytest.mark.parametrize("unit", ["[", "![", "*a ", "`", "<", "[a](", "**_a", "](", "~~a ", "*a**"])
def test_hostile_markup_takes_bounded_time(unit: str) -> None:
    begun = time.process_time()
    inline_html(unit * (400_000 // len(unit)), "markdown")
    inline_html(unit * (19_000 // len(unit)), "markdown")
    assert time.process_time() - begun < 4.0
