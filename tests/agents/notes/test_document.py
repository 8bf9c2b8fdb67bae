"""Reading sources: every offset is exact, whatever the text."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.notes import document as module
from agents.notes.document import SourceBlock, SourceDocument, read_document, to_block
from interleaf.schema import Code, ListBlock, Quote, SourceText, Table
from interleaf.text import fold_space

NOTES = """---
title: "Building the bridge"
lang: en
author: [A. Mason, B. Smith]
---

# The bridge {#bridge}

An opening with *stress* and[^1] a mark.
Its second line <!-- not said --> goes on.

![A plan](img/plan.png "The plan of 1880")

![](img/site.jpg){width=50%}
*The site in spring.*

> [!NOTE]
> Quoted line one
> and line two.
>
> A second paragraph.

- one
  more of one
  - nested
- two

  ```py
  x = 1

  y = 2
  ```
- three

3. third
4. fourth

| Year | Load |
|---:|:-:|
| 1880 \\| 81 | 20 t |
| 1900 | `a` |

<p><img src="z.png" alt="zed"></p>

Figure 2: The zed.

<script>alert(1)</script>

##### Afterwards

[^1]: The note, which is not in the flow.

See [![badge](badge.svg)](https://x.example) and `![code](no.png)` there.
"""


def document(text: str, media_type: str = "text/markdown") -> SourceDocument:
    return read_document(SourceText(id="s-1", name="note", media_type=media_type, text=text))


def source_words(doc: SourceDocument, block: SourceBlock, start: int = 0, end: int | None = None) -> list[str]:
    return [doc.source.text[s.start : s.end] for s in block.spans(start, end)]


def kinds(doc: SourceDocument) -> list[str]:
    return [b.kind for b in doc.blocks]


def test_front_matter_gives_title_language_and_author_and_no_text() -> None:
    doc = document(NOTES)
    assert (doc.title, doc.language, doc.author) == ("Building the bridge", "en", "A. Mason, B. Smith")
    assert doc.blocks[0].text == "The bridge"


def test_a_thematic_break_at_the_start_is_not_front_matter() -> None:
    doc = document("---\n\nHe said nothing.\n\n---\n\nAnd then he left.\n")
    assert [b.text for b in doc.blocks] == ["He said nothing.", "And then he left."]


def test_what_is_not_said_is_left_out_and_the_rest_keeps_its_place() -> None:
    doc = document(NOTES)
    opening = doc.blocks[1]
    assert opening.text == "An opening with *stress* and a mark.\nIts second line goes on."
    assert source_words(doc, opening) == ["An opening with *stress* and", "a mark.\nIts second line", "goes on."]
    said = "\n".join(b.text for b in doc.blocks)
    assert "alert" not in said and "not in the flow" not in said and "not said" not in said
    assert "`![code](no.png)`" in said


def test_pictures_come_with_path_alt_caption_and_anchor() -> None:
    doc = document(NOTES)
    assert [(i.path, i.alt, i.caption) for i in doc.images] == [
        ("img/plan.png", "A plan", "The plan of 1880"),
        ("img/site.jpg", "", "The site in spring."),
        ("z.png", "zed", "Figure 2: The zed."),
        ("badge.svg", "badge", ""),
    ]
    anchors = [doc.source.text[i.span.start : i.span.end] for i in doc.images]
    assert anchors[0] == '![A plan](img/plan.png "The plan of 1880")'
    assert anchors[3] == "[![badge](badge.svg)](https://x.example)"
    assert "The site in spring" not in "\n".join(b.text for b in doc.blocks)


def test_picture_by_reference_and_by_wiki_link() -> None:
    doc = document("![A mill][m] and ![[photos/mill 2.jpg|The mill]]\n\n[m]: mill.png 'Old mill'\n")
    assert [(i.path, i.alt, i.caption) for i in doc.images] == [
        ("mill.png", "A mill", "Old mill"),
        ("photos/mill 2.jpg", "The mill", ""),
    ]


def test_quotes_have_a_span_for_each_line() -> None:
    doc = document(NOTES)
    quote = next(b for b in doc.blocks if b.kind == "quote")
    assert quote.text == "Quoted line one\nand line two.\n\nA second paragraph."
    assert source_words(doc, quote) == ["Quoted line one", "and line two.", "A second paragraph."]
    start = quote.text.index("line two")
    assert source_words(doc, quote, start, start + 8) == ["line two"]


def test_lists_keep_depth_order_and_numbers_around_code() -> None:
    doc = document(NOTES)
    assert kinds(doc)[5:9] == ["list", "code", "list", "list"]
    first, code, second, numbered = doc.blocks[5:9]
    assert [(i.text, i.depth, i.ordered) for i in first.items] == [
        ("one\n  more of one", 0, False),
        ("nested", 1, False),
        ("two", 0, False),
    ]
    assert code.text == "x = 1\n\ny = 2" and code.language == "py"
    assert [i.text for i in second.items] == ["three"]
    assert [(i.text, i.ordered, i.number) for i in numbered.items] == [("third", True, 3), ("fourth", True, 4)]


def test_tables_keep_cells_and_alignment() -> None:
    table = next(b for b in document(NOTES).blocks if b.kind == "table")
    assert [c.text for c in table.header] == ["Year", "Load"]
    assert [[c.text for c in row] for row in table.rows] == [["1880 | 81", "20 t"], ["1900", "`a`"]]
    assert table.align == ("right", "center")


def test_heading_levels_lose_their_gaps_and_the_title_stands_above() -> None:
    assert [b.level for b in document(NOTES).blocks if b.kind == "heading"] == [1, 2]
    assert [b.level for b in document("# A\n\ntext\n\n# B\n\n### C\n").blocks if b.kind == "heading"] == [2, 2, 3]
    setext = document("A long\ntitle\n===\n\nB\n---\n\nx\n")
    assert [(b.text, b.level) for b in setext.blocks if b.kind == "heading"] == [("A long\ntitle", 1), ("B", 2)]


def test_whole_blocks_become_article_blocks_with_supports() -> None:
    doc = document(NOTES)
    made = [to_block(b, f"b-{k}") for k, b in enumerate(doc.blocks) if b.kind != "image"]
    assert {type(b) for b in made} >= {ListBlock, Quote, Code, Table}
    checked = 0
    for block in made:
        for support in block.provenance.supports:
            said = block.text[support.start : support.end]
            written = " ".join(doc.source.text[s.start : s.end] for s in support.spans)
            if isinstance(block, Table):
                written = written.replace("\\|", "|")
            # Where a mark was taken out of a sentence, the pieces may have stood closer together.
            assert "".join(said.split()) == "".join(written.split())
            checked += 1
    assert checked >= 18
    with pytest.raises(ValueError, match="image"):
        to_block(next(b for b in doc.blocks if b.kind == "image"), "b-x")


def test_plain_text_has_headings_lists_quotes_and_wrapped_paragraphs() -> None:
    text = (
        "The Mill\n========\n\nIt was built in\n1870 by hand.\n\nWhat it ground\n\nWheat and rye.\n\n"
        "* wheat\n  of the south\n* rye\n\n> an old letter\n> said so\n\n2. The flood\n\nIt came in spring.\n\n"
        "Best wishes,\n\nAnna\n"
    )
    doc = document(text, "text/plain")
    assert [(b.kind, b.text) for b in doc.blocks] == [
        ("heading", "The Mill"),
        ("paragraph", "It was built in\n1870 by hand."),
        ("heading", "What it ground"),
        ("paragraph", "Wheat and rye."),
        ("list", "wheat\n  of the south\nrye"),
        ("quote", "an old letter\nsaid so"),
        ("heading", "2. The flood"),
        ("paragraph", "It came in spring."),
        ("paragraph", "Best wishes,"),
        ("paragraph", "Anna"),
    ]
    assert doc.title == "The Mill"


def test_markup_of_markdown_is_only_text_in_plain_text() -> None:
    doc = document("A *star* and ![x](y.png) stay as they are, all of it.", "text/plain")
    assert doc.blocks[0].text == "A *star* and ![x](y.png) stay as they are, all of it." and not doc.images


def test_blank_sources_have_no_blocks() -> None:
    for text in ("", "  \n\t\n", "<!-- only this -->", "---\ntitle: x\n---\n"):
        assert document(text).blocks == ()
    assert document(" \n", "text/plain").blocks == ()


def test_lines_that_ended_in_carriage_returns_are_read_alike() -> None:
    doc = document("---\r\ntitle: T\r\n---\r\n# T\r\n\r\nOne.\r\nTwo.\r\n\r\n- a\r\n- b\r\n")
    assert doc.title == "T" and kinds(doc) == ["heading", "paragraph", "list"]
    assert fold_space(doc.blocks[1].text) == "One. Two."


MARKS = st.sampled_from(
    [
        *(
            "# ",
            "## ",
            "- ",
            "1. ",
            "> ",
            "```\n",
            "| a | b |\n|---|---|\n| c | d |\n",
            "\n",
            "\n\n",
            "    ",
            "\t",
            "---\n",
        ),
        *(
            "![a](b.png)",
            "[^1]",
            "[^1]: x\n",
            "<!--",
            "-->",
            "<b>",
            "`",
            "\\",
            "*w*",
            "word ",
            "Satz. ",
            "文。",
            "===\n",
        ),
        *("<img src=x>", "| ", "Figure 1: x\n", "\r\n", "{#a}", "[x]: y\n", "![x]", "  "),
    ]
)
TEXTS = st.one_of(st.lists(MARKS, max_size=40).map("".join), st.text(max_size=200))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, st.sampled_from(["text/markdown", "text/plain"]))
def test_any_text_gives_blocks_in_order_with_exact_offsets(text: str, media_type: str) -> None:
    doc = document(text, media_type)
    source = doc.source.text
    last = 0
    for number, block in enumerate(doc.blocks):
        assert last <= block.span.start <= block.span.end <= len(source), block
        last = block.span.end
        at = 0
        place = block.span.start
        for piece in block.pieces:
            assert piece.at >= at and piece.start >= place and piece.end <= block.span.end
            length = piece.end - piece.start
            assert block.text[piece.at : piece.at + length] == source[piece.start : piece.end]
            at, place = piece.at + length, piece.end
        if block.kind == "image":
            assert block.images
            continue
        assert block.text.strip()
        if block.kind != "table":
            # All words come from the pieces: nothing but white space lies between them.
            covered = "".join(block.text[p.at : p.at + p.end - p.start] for p in block.pieces)
            assert "".join(covered.split()) == "".join(block.text.split())
        to_block(block, f"b-{number}")
    for image in doc.images:
        assert 0 <= image.span.start < image.span.end <= len(source) and image.path


@pytest.mark.parametrize(
    "text",
    [
        ">" * 200_000,
        "- " * 100_000 + "x",
        "![" * 100_000,
        "`" * 100_001 + "a" + "`" * 100_000,
        "<img " * 50_000,
        "[^" * 100_000,
        "*a " * 60_000,
        "| a " * 20_000 + "\n" + "|---" * 20_000 + "\n",
        "<!--" * 50_000,
        "![a](" * 50_000,
    ],
    ids=["quotes", "lists", "images", "ticks", "tags", "notes", "stars", "table", "comments", "targets"],
)
def test_hostile_repetition_is_read_in_linear_time(text: str) -> None:
    start = time.perf_counter()
    document(text)
    document(text, "text/plain")
    assert time.perf_counter() - start < 5


def test_what_was_read_is_remembered_up_to_a_number_and_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    def source(number: int, chars: int = 100) -> SourceText:
        return SourceText(id=f"s-{number}", name=f"{number}.md", text=f"{number} ".ljust(chars, "x"))

    monkeypatch.setattr(module, "_READ", {})
    monkeypatch.setattr(module, "REMEMBERED_DOCUMENTS", 3)
    monkeypatch.setattr(module, "REMEMBERED_CHARS", 1_000)
    first = read_document(source(1))
    assert read_document(source(1)) is first
    for number in (2, 3):
        read_document(source(number))
    assert read_document(source(1)) is first, "used again, it is the newest"
    read_document(source(4))
    assert [one.id for one in module._READ] == ["s-3", "s-1", "s-4"]
    large = read_document(source(5, 5_000))
    assert list(module._READ.values()) == [large], "one that is longer than all may be stays by itself"
    read_document(source(6))
    assert [one.id for one in module._READ] == ["s-6"]
