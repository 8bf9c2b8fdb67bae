"""Reviewing: what a reader would stumble over is found, and a good text is left alone."""

from __future__ import annotations

from agents.reviewing import review_draft
from interleaf.schema import Brief, Heading, Paragraph, Provenance, SourceSpan, Support, TextBlock

SOURCE = Provenance(origin="source")


def paragraph(name: str, *sentences: str) -> Paragraph:
    text, supports = "", []
    for sentence in sentences:
        text += " " if text else ""
        at = len(text)
        text += sentence
        span = SourceSpan(source_id="s-1", start=at, end=at + len(sentence))
        supports.append(Support(start=at, end=len(text), spans=(span,)))
    return Paragraph(id=f"b-{name}", text=text, provenance=Provenance(origin="source", supports=tuple(supports)))


def heading(name: str, text: str, level: int = 2) -> Heading:
    return Heading(id=f"b-{name}", text=text, level=level, provenance=SOURCE)


def review(*blocks: TextBlock, length_words: int | None = None) -> list[tuple[str, str | None, str]]:
    brief = Brief(instruction="x", length_words=length_words)
    return [(f.code, f.block_id, f.remedy) for f in review_draft(brief, "The title", blocks)]


A = "The mill was built in 1761 on a narrow inlet."
B = "The dam is 140 metres long and carries a track."
C = "An undershot wheel of oak drove three pairs of stones."


def test_a_good_text_has_no_findings() -> None:
    blocks = (
        paragraph("a", A),
        heading("h", "The dam"),
        paragraph("b", B),
        heading("i", "The wheel", 3),
        paragraph("c", C),
    )
    assert review(*blocks) == []


def test_a_heading_over_nothing_goes() -> None:
    assert review(heading("h", "Empty"), heading("i", "Full"), paragraph("a", A)) == [("empty_section", "b-h", "drop")]
    assert review(paragraph("a", A), heading("h", "Last")) == [("empty_section", "b-h", "drop")]
    deep = (heading("h", "Over"), heading("i", "Under", 3), paragraph("a", A))
    assert review(*deep) == []
    lonely = (paragraph("a", A), heading("h", "Over"), heading("i", "Under", 3))
    assert {block_id for _, block_id, _ in review(*lonely)} == {"b-h", "b-i"}


def test_what_was_said_before_goes_or_is_noted() -> None:
    assert review(paragraph("a", A, B), heading("h", "H"), paragraph("b", A), paragraph("c", C)) == [
        ("repeated_sentence", "b-b", "drop")
    ]
    assert review(paragraph("a", A, B), paragraph("b", A, C)) == [("repeated_sentence", "b-b", "note")]


def test_a_heading_left_alone_by_a_dropped_block_goes_too() -> None:
    found = review(paragraph("a", A), heading("h", "Again"), paragraph("b", A), heading("i", "Next"), paragraph("c", C))
    assert found == [("empty_section", "b-h", "drop"), ("repeated_sentence", "b-b", "drop")]


def test_walls_of_text_twin_headings_and_missing_sources_are_noted() -> None:
    wall = paragraph("w", *(f"Fact {k} of the wall has its own {k * 7} words here." for k in range(40)))
    bare = Paragraph(id="b-x", text="Nobody knows where this comes from.", provenance=SOURCE)
    found = review(wall, heading("h", "Same"), paragraph("a", A), heading("i", "same"), bare)
    assert [(code, block) for code, block, _ in found] == [
        ("long_paragraph", "b-w"),
        ("repeated_heading", "b-i"),
        ("no_source", "b-x"),
    ]
    assert {remedy for *_, remedy in found} == {"note"}


def test_the_length_is_told_when_it_is_far_off() -> None:
    assert review(paragraph("a", A, B), length_words=100) == [("length_off_target", None, "note")]
    assert review(paragraph("a", *(f"Fact {k} says {k * 3} other words." for k in range(9))), length_words=54) == []


def test_many_findings_of_a_kind_are_counted() -> None:
    bare = [Paragraph(id=f"b-{k}", text=f"Unknown {k}.", provenance=SOURCE) for k in range(9)]
    findings = review_draft(Brief(instruction="x"), "T", bare)
    assert len(findings) == 6
    assert findings[-1].message == "4 more blocks name no source"
