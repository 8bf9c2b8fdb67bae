"""Which sentences of the sources a sentence rests on: found by words, exact where it says copied, silent in doubt."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.prompting.attribution import attributed
from interleaf.schema import SourceText
from interleaf.text import fold_space
from workers.run.source_file import source_id

TEXT = """# Tides

The moon pulls the water of the oceans. Two bulges of water form on opposite sides of the earth.

When the sun and the moon stand in line, their pulls add up. Sailors call these **spring tides**, although they
come every two weeks. A harbour sees two high tides in most days.
"""
SOURCE = SourceText(id=source_id(TEXT), name="tides.md", text=TEXT)


def how(sentence: str) -> str | None:
    found = attributed(sentence, (SOURCE,), "en")
    return found[0].how if found else None


def test_equal_is_copied_and_points_at_the_words() -> None:
    (found,) = attributed("Two bulges of water form on opposite sides of the earth.", (SOURCE,), "en")
    assert found.how == "copied" and (found.start, found.end) == (0, 56)
    (span,) = found.spans
    assert TEXT[span.start : span.end] == "Two bulges of water form on opposite sides of the earth."


def test_other_words_for_the_same_are_supported_and_other_things_are_not() -> None:
    assert how("On opposite sides of our earth two bulges of water form.") == "supported"
    assert how("Sailors call these spring tides, although they come every two weeks.") == "supported", (
        "without the marks"
    )
    assert (
        how("When sun and moon stand in line their pulls add up, and two bulges of water form on the earth.")
        == "supported"
    )
    for foreign in ("Bread rises because yeast makes gas.", "The moon is made of green cheese, they say.", "Yes.", ""):
        assert how(foreign) is None


def test_one_paragraph_may_rest_in_part() -> None:
    text = (
        "A harbour sees two high tides in most days. Trains are late on Mondays. The moon pulls the water of the seas."
    )
    found = attributed(text, (SOURCE,), "en")
    assert [text[s.start : s.end].split()[0] for s in found] == ["A", "The"]
    assert attributed(text, (), "en") == ()


@settings(max_examples=60)
@given(st.lists(st.sampled_from([*TEXT.split(), "bread", "*", "cheese.", "《"]), max_size=40).map(" ".join))
def test_whatever_is_said_supports_are_in_order_and_copied_is_exact(text: str) -> None:
    end = 0
    for found in attributed(text, (SOURCE,), "en"):
        assert end <= found.start < found.end <= len(text) and found.spans
        end = found.end
        rests = " ".join(TEXT[s.start : s.end] for s in found.spans)
        if found.how == "copied":
            assert fold_space(text[found.start : found.end]) == fold_space(rests)
