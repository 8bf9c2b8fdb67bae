"""Numbered pictures stand in the order of their numbers, and where the text names their number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.context import Candidate, ChooseTask, SpotTask
from agents.placing.placement import choose_pictures, spot_places
from agents.placing.series import in_order
from interleaf.schema import Paragraph, Provenance, TextBlock
from tests.fakes import HashingEmbedder, make_picture


def _paragraphs(*texts: str) -> tuple[TextBlock, ...]:
    return tuple(
        Paragraph(id=f"b-{i}", text=text, provenance=Provenance(origin="person")) for i, text in enumerate(texts)
    )


def _placed(blocks: tuple[TextBlock, ...], captions: list[str]) -> dict[str, int]:
    pictures = [make_picture(f"{i}.png", caption) for i, caption in enumerate(captions)]
    places = spot_places(SpotTask("Bread", "en", blocks, len(captions)))
    task = ChooseTask("Bread", "en", blocks, places, tuple(Candidate(p) for p in pictures), len(captions))
    by_id = {p.id: p.caption for p in pictures}
    return {by_id[c.picture_id]: c.slot for c in choose_pictures(task, HashingEmbedder())}


def test_steps_rise_with_the_text() -> None:
    blocks = _paragraphs(
        "Mix flour and water and leave the dough alone.",
        "Fold the dough from the side.",
        "Shape a loaf and let it rise.",
        "Bake it in a hot oven.",
    )
    slots = _placed(blocks, ["Step 3", "Step 1", "Step 4", "Step 2"])
    assert [slots[f"Step {n}"] for n in (1, 2, 3, 4)] == sorted(slots.values())


def test_a_figure_stands_after_the_paragraph_that_names_its_number() -> None:
    blocks = _paragraphs(
        "Yeast is alive.",
        "The crumb of a loaf opens in the oven (see Figure 2).",
        "Salt slows it.",
        "Figure 1 shows rye.",
    )
    slots = _placed(blocks, ["Figure 2: a cut through it", "Figure 7: elsewhere"])
    assert slots["Figure 2: a cut through it"] == 2


def test_equal_numbers_say_nothing() -> None:
    assert in_order([(0, 5), (1, 2)], ["Figure 1", "Figure 1"]) == [(1, 2), (0, 5)]


@given(st.permutations(range(6)), st.lists(st.integers(0, 40), min_size=6, max_size=6, unique=True))
def test_slots_are_only_exchanged_within_a_series(order: list[int], slots: list[int]) -> None:
    captions = ["Step 2", "a cat", "Step 1", "Figure 3", "Figure 2", "a dog"]
    pairs = [(picture, slots[i]) for i, picture in enumerate(order)]
    moved = dict(in_order(pairs, captions))
    before = dict(pairs)
    assert sorted(moved.values()) == sorted(before.values())
    assert moved[1] == before[1]
    assert moved[5] == before[5]
    assert moved[2] < moved[0]
    assert moved[4] < moved[3]
