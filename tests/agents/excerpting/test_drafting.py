"""Drafting: every sentence is a source's own, the length is kept, and nothing hangs in the air."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.context import DraftTask
from agents.excerpting.drafting import draft_section
from agents.notes.sentence import split_sentences
from agents.words.coreference import introduces_next, leans_back
from agents.words.redundancy import near_duplicates, shingles
from interleaf.schema import Brief, Outline, OutlineSection, SourceSpan, SourceText, TextBlock
from interleaf.text import count_words, fold_space
from tests.agents.own_notes import ENGLISH, NOTES, as_source, outline_by_headings
from tests.fakes import HashingEmbedder

BRIEF = Brief(instruction="Tell how it was built, how it works and what became of it.")


def draft(
    text: str, length_words: int | None, language: str = "en", media_type: str = "text/markdown"
) -> tuple[SourceText, Outline, list[tuple[TextBlock, ...]]]:
    source = as_source(text, media_type)
    outline = outline_by_headings(source, length_words)
    return source, outline, draft_all((source,), outline, language)


def draft_all(sources: tuple[SourceText, ...], outline: Outline, language: str = "en") -> list[tuple[TextBlock, ...]]:
    return [
        draft_section(DraftTask(BRIEF, sources, language, outline, index), HashingEmbedder())
        for index in range(len(outline.sections))
    ]


def check_copied(blocks: tuple[TextBlock, ...], source: SourceText, language: str) -> int:
    """Every sentence lies in a support that equals its one span; the number of supports."""
    count = 0
    for block in blocks:
        assert block.type == "heading" or block.provenance.origin == "source"
        covered: set[int] = set()
        for support in block.provenance.supports:
            rests = " ".join(source.text[s.start : s.end] for s in support.spans)
            assert support.how == "copied"
            assert fold_space(block.text[support.start : support.end]) == fold_space(rests)
            covered.update(range(support.start, support.end))
            count += 1
        if block.type == "paragraph":
            for start, end in split_sentences(block.text, language):
                assert all(at in covered or block.text[at].isspace() for at in range(start, end))
    return count


@pytest.mark.parametrize("language", sorted(NOTES))
@pytest.mark.parametrize("length_words", [60, 110, 160, None])
def test_every_sentence_is_copied_from_its_span(language: str, length_words: int | None) -> None:
    source, _, drafts = draft(NOTES[language], length_words, language)
    assert sum(check_copied(blocks, source, language) for blocks in drafts) > 3
    ids = [block.id for blocks in drafts for block in blocks]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("language", sorted(NOTES))
@pytest.mark.parametrize("length_words", [60, 110, 160])
def test_no_sentence_loses_what_it_leans_on(language: str, length_words: int) -> None:
    source, _, drafts = draft(NOTES[language], length_words, language)
    for blocks in drafts:
        last_end: int | None = None
        for block in blocks:
            for support in block.provenance.supports if block.type != "heading" else ():
                start = support.spans[0].start
                said = block.text[support.start : support.end]
                # The source's own text must stand unbroken before it, but for white space and list marks.
                unbroken = last_end is not None and not source.text[last_end:start].strip(" \n-*>0123456789.")
                if block.type == "paragraph" and leans_back(said, language):
                    begins = not source.text[:start].rpartition("\n#")[2].partition("\n")[2].strip()
                    assert unbroken or begins, f"{said!r} lost the sentence before it"
                last_end = support.spans[-1].end


@pytest.mark.parametrize("language", sorted(NOTES))
@pytest.mark.parametrize("length_words", [60, 90, 120, 160, 220])
def test_lists_come_whole_and_with_their_introduction(language: str, length_words: int) -> None:
    text = NOTES[language]
    source, _, drafts = draft(text, length_words, language)
    for blocks in drafts:
        for before, block in pairwise(blocks):
            if block.type == "list":
                assert len(block.items) == 3, "a list was cut"
                assert introduces_next(before.text, before_whole=True), "a list without its introduction"
        for k, block in enumerate(blocks):
            if block.type == "paragraph" and block.text.rstrip().endswith((":", "：")):
                assert k + 1 < len(blocks) and blocks[k + 1].type == "list", "an introduction of nothing"
    assert source.text == text


def long_note(paragraphs: int = 40) -> str:
    """A note of many different sentences, some leaning on the one before."""
    nouns = [
        "river",
        "bridge",
        "harbour",
        "garden",
        "tower",
        "market",
        "forest",
        "station",
        "island",
        "quarry",
        "chapel",
        "meadow",
        "canal",
    ]
    verbs = ["crosses", "borders", "feeds", "shelters", "divides", "overlooks", "serves", "crowns"]
    lines = ["# The town", "", "## Its parts", ""]
    for p in range(paragraphs):
        here, there = nouns[p % 13], nouns[(p * 5 + 3) % 13]
        lines.append(
            f"The {here} of ward {p} {verbs[p % 8]} the old {there} near milestone {p * 7}. It was surveyed in "
            f"{1700 + p} by {p + 3} clerks with chains of brass. Every spring the {there} keeper of ward {p} paints "
            f"{p + 11} posts white. However, the colour fades by August {p}. Merchants pay a toll of "
            f"{p + 2} pence at the {here} gate."
        )
        lines.append("")
    return "\n".join(lines)


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 900))
def test_a_section_has_the_words_it_was_asked_for(length_words: int) -> None:
    source, _, (blocks,) = draft(long_note(), length_words)
    words = sum(count_words(block.text) for block in blocks)
    assert abs(words - length_words) <= max(6, 0.06 * length_words), "further off than half a sentence"
    check_copied(blocks, source, "en")


@pytest.mark.parametrize("length_words", [200, 500, 900])
def test_paragraphs_have_a_pleasant_size(length_words: int) -> None:
    _, _, (blocks,) = draft(long_note(), length_words)
    sizes = [count_words(block.text) for block in blocks if block.type == "paragraph"]
    assert max(sizes) <= 190
    # One scrap may stay where the words end.
    assert sum(size < 40 for size in sizes) <= 1, sizes


def test_nothing_is_said_twice_in_a_section_or_across_sections() -> None:
    _, _, drafts = draft(ENGLISH, None)
    said = [
        block.text[s.start : s.end]
        for blocks in drafts
        for block in blocks
        if block.type == "paragraph"
        for s in block.provenance.supports
    ]
    assert near_duplicates([shingles(text) for text in said]) == []
    assert sum("built in 1761" in text for text in said) == 1, "the opening and the last part say it alike"
    again = "# T\n\n## A\n\n" + "The gate opens at dawn every day of the week. Bells ring. " * 5
    _, _, (blocks,) = draft(again, 200)
    assert blocks[1].text == "The gate opens at dawn every day of the week. Bells ring."


def test_without_a_length_everything_is_taken_with_its_sub_headings() -> None:
    text = "# T\n\n## A\n\nOne thing is said here.\n\n### Detail\n\n" + "A detail of some weight is told at length. "
    text += " ".join(f"Fact number {n} is about the {n}th stone of the wall." for n in range(12))
    source = as_source(text)
    span = SourceSpan(source_id=source.id, start=text.index("One"), end=len(text))
    start = text.index("A\n")
    outline = Outline(
        sections=(
            OutlineSection(
                heading="A",
                heading_span=SourceSpan(source_id=source.id, start=start, end=start + 1),
                material=(span,),
            ),
        )
    )
    (blocks,) = draft_all((source,), outline)
    assert [(b.type, b.text) for b in blocks[:3]] == [
        ("heading", "A"),
        ("paragraph", "One thing is said here."),
        ("heading", "Detail"),
    ]
    assert blocks[2].level == 3
    assert "Fact number 11 is about" in blocks[-1].text


def test_tables_quotes_and_code_survive_whole_or_not_at_all() -> None:
    text = (
        "# T\n\n## A\n\nThe command is short and safe.\n\n```sh\nmake all\nmake install\n```\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n> Quoted once. And again.\n\nThe end is near, they say.\n"
    )
    for length_words in (*range(5, 45, 3), None):
        _, _, (blocks,) = draft(text, length_words)
        for block in blocks:
            if block.type == "code":
                assert block.text.strip() == "make all\nmake install" and block.language == "sh"
            if block.type == "table":
                assert block.rows[-1] == ("1", "2") and block.header == ("a", "b")
            if block.type == "quote":
                assert block.text == "Quoted once. And again."
    assert [b.type for b in blocks] == ["heading", "paragraph", "code", "table", "quote", "paragraph"]


def test_a_reference_to_what_is_not_there_is_avoided_when_there_is_a_choice() -> None:
    sentences = [f"The {n}th arch of the bridge carries a lamp of iron and glass." for n in range(10, 18)]
    text = "# T\n\n## A\n\nSee Figure 3 for the arches of the bridge and their lamps of iron. " + " ".join(sentences)
    _, _, (blocks,) = draft(text, 60)
    assert "Figure 3" not in " ".join(block.text for block in blocks)


def test_a_heading_says_where_it_comes_from() -> None:
    source = as_source("# T\n\n## Its *parts*\n\nWords stand here.\n")
    span = SourceSpan(source_id=source.id, start=source.text.index("Words"), end=len(source.text) - 1)
    head = SourceSpan(source_id=source.id, start=8, end=19)
    given_outline = Outline(sections=(OutlineSection(heading="Mine", material=(span,)),))
    for section, origin, how in (
        (OutlineSection(heading="Its *parts*", heading_span=head, material=(span,)), "source", "copied"),
        (OutlineSection(heading="Its parts", heading_span=head, material=(span,)), "source", "adapted"),
        (OutlineSection(heading="Other", material=(span,)), "workflow", None),
        (given_outline.sections[0], "person", None),
    ):
        brief = Brief(instruction="x", outline=given_outline)
        blocks = draft_section(DraftTask(brief, (source,), "en", Outline(sections=(section,)), 0), HashingEmbedder())
        assert blocks[0].text == section.heading
        assert blocks[0].provenance.origin == origin
        assert [s.how for s in blocks[0].provenance.supports] == ([how] if how else [])


def test_no_material_gives_no_blocks_and_no_lonely_heading() -> None:
    source = as_source("# T\n\n## A\n\nWords.\n")
    outline = Outline(
        sections=(
            OutlineSection(heading="Empty"),
            OutlineSection(heading="Else", material=(SourceSpan(source_id="s-unknown", start=0, end=5),)),
        )
    )
    assert draft_all((source,), outline) == [(), ()]


def test_a_block_claimed_by_two_sections_is_told_once() -> None:
    source = as_source(long_note(6))
    whole = SourceSpan(source_id=source.id, start=0, end=len(source.text))
    outline = Outline(
        sections=(OutlineSection(heading="One", material=(whole,)), OutlineSection(heading="Two", material=(whole,)))
    )
    first, second = draft_all((source,), outline)
    assert first and second
    texts = [b.text for b in (*first, *second) if b.type == "paragraph"]
    assert len(texts) == len(set(texts))
    said = [s.spans for b in (*first, *second) for s in b.provenance.supports]
    assert len(said) == len(set(said))


def test_the_same_task_gives_the_same_blocks() -> None:
    assert draft(long_note(), 300)[2] == draft(long_note(), 300)[2]


def test_plain_text_stays_plain_and_one_question_is_asked_of_the_encoder() -> None:
    source = as_source("\n\n".join(f"Hut {n} has *{n}* beds and a stove of clay." for n in range(30)), "text/plain")
    span = SourceSpan(source_id=source.id, start=0, end=len(source.text))
    outline = Outline(sections=(OutlineSection(length_words=60, material=(span,)),))
    embedder = HashingEmbedder()
    blocks = draft_section(DraftTask(BRIEF, (source,), "en", outline, 0), embedder)
    assert {block.markup for block in blocks} == {"plain"}
    assert len(embedder.calls) == 1


MARKS = st.sampled_from(
    [
        "It is so. ",
        "See: ",
        "\n\n",
        "- item\n",
        "\n## H\n",
        "However, no. ",
        "“Open. ",
        "close.” ",
        "> q\n",
        "```\ncode\n```\n",
        "| a |\n|---|\n| b |\n",
        "这是。",
        "word ",
        "[a. b](c.d) ",
        "**bo. ",
        "ld.** ",
        "x[^1]. ",
        "![p](q.png) ",
        "<b>.</b> ",
        "1. one\n",
        ":\n\n",
        "\ud800",
        "! ",
    ]
)


@settings(max_examples=120, deadline=None)
@given(st.lists(MARKS, max_size=40).map("".join), st.one_of(st.none(), st.integers(1, 80)))
def test_any_note_drafts_without_breaking(text: str, length_words: int | None) -> None:
    source = as_source(text)
    whole = SourceSpan(source_id=source.id, start=0, end=len(source.text))
    outline = Outline(sections=(OutlineSection(heading="All", length_words=length_words, material=(whole,)),))
    (blocks,) = draft_all((source,), outline)
    assert not blocks or len(blocks) > 1, "a heading stands alone"
    for block in blocks:
        for support in block.provenance.supports:
            assert all(s.end <= len(source.text) for s in support.spans)


def test_a_large_note_drafts_in_little_time_and_asks_the_encoder_little() -> None:
    source = as_source(long_note(1_500))
    outline = outline_by_headings(source, 800)
    embedder = HashingEmbedder()
    started = time.process_time()
    blocks = draft_section(DraftTask(BRIEF, (source,), "en", outline, 0), embedder)
    assert time.process_time() - started < 8
    assert abs(sum(count_words(block.text) for block in blocks) - 800) < 48
    assert sum(map(len, embedder.calls)) < 600
