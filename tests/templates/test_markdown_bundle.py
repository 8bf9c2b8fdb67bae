"""Markdown bundle: it reads back as the same article, with pictures under names made here."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from interleaf.schema import (
    Block,
    Code,
    Figure,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    Quote,
    Table,
)
from templates.inline import paragraphs
from templates.list_tree import ListTree, list_trees
from templates.markdown import article_markdown
from templates.markdown_bundle import render_bundle
from templates.page import article_page, heading_levels
from tests.templates import sample
from tests.templates.sample import BY_SOURCE, Studio

READER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
WORDS = st.text(alphabet=st.sampled_from(list('ab 漢1.)\\`*_[]()<>&#;~|!+-=:"\n')), min_size=1, max_size=24)
SAID = WORDS.filter(lambda t: bool(t.strip()))
BLOCKS = st.lists(
    st.one_of(
        st.builds(Heading, id=st.just("b-1"), provenance=st.just(BY_SOURCE), level=st.integers(2, 6), text=SAID),
        st.builds(Paragraph, id=st.just("b-1"), provenance=st.just(BY_SOURCE), text=SAID),
        st.builds(Quote, id=st.just("b-1"), provenance=st.just(BY_SOURCE), text=SAID),
        st.builds(Code, id=st.just("b-1"), provenance=st.just(BY_SOURCE), text=SAID, language=WORDS),
        st.builds(
            ListBlock,
            id=st.just("b-1"),
            provenance=st.just(BY_SOURCE),
            start=st.integers(-2, 120),
            items=st.lists(
                st.builds(ListItem, text=SAID, depth=st.integers(0, 4), ordered=st.booleans()), min_size=1, max_size=6
            ).map(tuple),
        ),
        st.builds(
            Table,
            id=st.just("b-1"),
            provenance=st.just(BY_SOURCE),
            header=st.lists(WORDS, max_size=3).map(tuple),
            rows=st.lists(st.lists(SAID, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple),
        ),
    ),
    max_size=5,
).map(lambda blocks: tuple(b.model_copy(update={"id": f"b-{k}"}) for k, b in enumerate(blocks)))


def folded(text: str) -> str:
    return " ".join(text.split())


def said(token: Any) -> str:
    """The words of an inline token."""
    return folded("".join("\n" if "break" in c.type else c.content for c in token.children or []))


def outline_of(markdown: str) -> list[Any]:
    """What a reader sees: nested lists of (kind, detail, words), from markdown-it's tokens."""
    root: list[Any] = []
    stack = [root]
    for token in READER.parse(markdown):
        if token.nesting == 1:
            node: list[Any] = [token.type.removesuffix("_open"), token.tag if token.type == "heading_open" else ""]
            if token.type == "ordered_list_open":
                start = token.attrGet("start")
                node[1] = "1" if start is None else str(start)
            stack[-1].append(node)
            stack.append(node)
        elif token.nesting == -1:
            stack.pop()
        elif token.type == "inline":
            stack[-1].append(said(token))
        else:
            stack[-1].append([token.type, token.info.strip(), token.content.strip("\n")])
    return root


def texts(parts: str) -> list[Any]:
    return [["paragraph", "", folded(p)] for p in paragraphs(parts)]


def expected_list(tree: ListTree) -> list[Any]:
    kind = ["ordered_list", str(tree.start)] if tree.ordered else ["bullet_list", ""]
    items = [
        ["list_item", "", *texts(entry.text), *[expected_list(sub) for sub in entry.sublists]] for entry in tree.entries
    ]
    return [*kind, *items]


def expected(blocks: tuple[Block, ...]) -> list[Any]:
    """The same, from the article's blocks."""
    levels = iter(heading_levels([b.level for b in blocks if isinstance(b, Heading)]))
    found: list[Any] = []
    for block in blocks:
        if isinstance(block, Heading):
            found.append(["heading", f"h{next(levels)}", folded(block.text)])
        elif isinstance(block, Paragraph):
            found += texts(block.text)
        elif isinstance(block, Quote):
            found.append(["blockquote", "", *texts(block.text)])
        elif isinstance(block, Code):
            info = re.sub(r"[^A-Za-z0-9_+#.\-]+", "", block.language)
            found.append(["fence", info, block.text.strip("\n")])
        elif isinstance(block, ListBlock):
            found += [expected_list(tree) for tree in list_trees(block)]
        elif isinstance(block, Table):
            width = max(len(r) for r in (block.header, *block.rows))
            head = [folded(c) for c in (*block.header, *[""] * width)][:width]
            body = [[folded(c) for c in (*row, *[""] * width)][:width] for row in block.rows]
            found.append(
                [
                    "table",
                    "",
                    ["thead", "", ["tr", "", *[["th", "", c] for c in head]]],
                    ["tbody", "", *[["tr", "", *[["td", "", c] for c in row]] for row in body]],
                ]
            )
    return found


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BLOCKS)
def test_any_article_reads_back_with_the_same_structure_and_words(blocks: tuple[Block, ...]) -> None:
    article = sample.article(blocks).model_copy(update={"sources": ()})
    markdown = article_markdown(article, article_page(article), {})
    assert outline_of(markdown) == [["heading", "h1", "A sample"], *expected(blocks)]


def bundle(data: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(data))


def test_a_bundle_holds_the_text_and_every_picture_it_names(studio: Studio) -> None:
    article = sample.every_block(studio)
    files = bundle(render_bundle(article, studio.shelf))
    assert files.testzip() is None
    text = files.read("article.md").decode()
    shown = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text)
    assert [path for _, path in shown] == files.namelist()[1:]
    assert [alt for alt, _ in shown] == [
        f.alt if f.alt_origin != "decorative" else "" for f in article.figures if isinstance(f, Figure)
    ]
    for _, path in shown:
        with Image.open(io.BytesIO(files.read(path))) as picture:
            picture.load()
    for words in ("The tower in section.", "## Picture credits", "## Sources", "notes/one.md", "Ada Painter"):
        assert words in text


def test_names_in_a_bundle_are_ours(studio: Studio) -> None:
    files = bundle(render_bundle(sample.hostile(studio), studio.shelf))
    for name in files.namelist():
        assert re.fullmatch(r"article\.md|pictures/\d\d-[a-z0-9-]{1,40}\.(jpg|png)", name)


def test_a_hostile_article_reads_back_without_links_or_pictures_of_its_own(studio: Studio) -> None:
    text = bundle(render_bundle(sample.hostile(studio), studio.shelf)).read("article.md").decode()
    for token in READER.parse(text):
        assert token.type != "html_block"
        for child in token.children or []:
            if child.type == "image":
                assert str(child.attrGet("src")).startswith("pictures/")
            if child.type == "link_open":
                assert str(child.attrGet("href")).startswith(("https://example.com", "https://creativecommons.org/"))
            assert child.type != "html_inline"


def test_the_same_article_gives_the_same_bytes_without_a_clock(studio: Studio) -> None:
    article = sample.every_block(studio)
    data = render_bundle(article, studio.shelf)
    assert data == render_bundle(article, studio.shelf)
    assert {info.date_time for info in bundle(data).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_picture_shown_twice_is_packed_once(studio: Studio) -> None:
    picture = studio.draw(60, 60)
    figures = tuple(sample.figure(f"b-{k}", picture, "Twice") for k in (1, 2))
    files = bundle(render_bundle(sample.article(figures, (picture,)), studio.shelf))
    assert files.namelist() == ["article.md", "pictures/01-twice.png"]
    assert files.read("article.md").decode().count("](pictures/01-twice.png)") == 2


def test_a_bar_in_a_code_span_of_a_table_survives() -> None:
    table = Table(id="b-1", provenance=BY_SOURCE, markup="markdown", header=("a", "b"), rows=(("`x|y`", "*p* \\| q"),))
    article = sample.article((table,))
    tokens = READER.parse(article_markdown(article, article_page(article), {}))
    cells = [[(c.type, c.content) for c in t.children or []] for t in tokens if t.type == "inline"]
    assert cells[3] == [("code_inline", "x|y")]
    assert cells[4][-1][1].endswith("q")
    assert "".join(content for _, content in cells[4]) == "p | q"
