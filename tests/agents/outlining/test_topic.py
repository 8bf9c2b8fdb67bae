"""Topics in text without headings: found where the subject changes, and never where a text forbids it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.outlining.gap import MEASURES, measure_gaps, topic_votes
from agents.outlining.topic import boundary_gaps, load_topic_model, segment
from tests.fakes import HashingEmbedder


@dataclass(frozen=True)
class Part:
    kind: str
    text: str


SUBJECTS = {
    "dam": "The clay dam holds the pond water back behind oak piles, and the dam leaks clay when the pond is full.",
    "bread": "The baker kneads flour and yeast into dough, and the dough rises beside the oven before bread is baked.",
    "bees": "The bees carry nectar to the hive, where honey fills the comb and the queen of the hive lays eggs.",
}


def article(*counts: tuple[str, int]) -> list[Part]:
    return [
        Part("paragraph", f"{SUBJECTS[name]} It is so in year {1800 + 7 * k} as well.")
        for name, n in counts
        for k in range(n)
    ]


def test_the_strongest_votes_stand_where_the_subject_changes() -> None:
    blocks = article(("dam", 5), ("bread", 4), ("bees", 5))
    votes = topic_votes([b.text for b in blocks], HashingEmbedder())
    assert votes.shape == (13,)
    assert set(np.argsort(-votes)[:2] + 1) == {5, 9}


def test_boundaries_contain_the_changes_of_subject() -> None:
    blocks = article(("dam", 6), ("bread", 6), ("bees", 6))
    gaps = boundary_gaps(blocks, HashingEmbedder())
    assert {6, 12} <= set(gaps) and len(gaps) == load_topic_model().count(18)


def test_no_heading_comes_between_an_announcement_and_what_it_announces() -> None:
    blocks = article(("dam", 5), ("bread", 5))
    blocks[4] = Part("paragraph", "For bread one needs:")
    blocks[5] = Part("list", "- flour\n- yeast\n- an oven")
    assert 5 not in boundary_gaps(blocks, HashingEmbedder())


def test_headings_are_words_of_the_segment_and_all_different() -> None:
    blocks = article(("dam", 6), ("bread", 6), ("bees", 6))
    found = segment(blocks, "Country life", "en", HashingEmbedder())
    edges = [b.k for b in found] + [len(blocks)]
    for boundary, end in zip(found, edges[1:], strict=True):
        assert boundary.level == 2
        assert boundary.heading.casefold() in " ".join(b.text for b in blocks[boundary.k : end]).casefold()
    assert len({b.heading for b in found}) == len(found)


@pytest.mark.parametrize("n", range(4))
def test_short_texts_are_one_topic(n: int) -> None:
    assert boundary_gaps(article(("dam", n)), HashingEmbedder()) == ()


def test_the_number_of_boundaries_grows_slower_than_the_text() -> None:
    model = load_topic_model()
    counts = [model.count(n) for n in (8, 20, 80, 320)]
    assert counts == sorted(counts) and counts[0] >= 2 and counts[3] < 4 * counts[1]


def test_identical_and_wordless_blocks_do_not_break_it() -> None:
    for text in ("the same", "…", "!!!"):
        blocks = [Part("paragraph", text)] * 9
        assert np.isfinite(measure_gaps(blocks, HashingEmbedder())).all()
        assert all(0 < k < 9 for k in boundary_gaps(blocks, HashingEmbedder()))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(Part, st.sampled_from(["paragraph", "list", "code", "quote", "table"]), st.text(max_size=60)),
        max_size=30,
    )
)
def test_any_blocks_give_boundaries_in_order_within_the_text(blocks: list[Part]) -> None:
    found = segment(blocks, "", "en", HashingEmbedder())
    ks = [b.k for b in found]
    assert ks == sorted(set(ks)) and all(0 < k < len(blocks) for k in ks)
    assert found == segment(blocks, "", "en", HashingEmbedder())


def test_long_texts_are_cut_in_parts_of_bounded_size() -> None:
    blocks = article(*[(name, 12) for _ in range(40) for name in ("dam", "bread", "bees")])
    gaps = boundary_gaps(blocks, HashingEmbedder())
    assert len(blocks) == 1440 and gaps == tuple(sorted(set(gaps))) and 720 in gaps


def test_the_model_file_names_every_measure_once() -> None:
    model = load_topic_model()
    assert model.weights.shape == model.means.shape == model.spreads.shape == (len(MEASURES),)
    assert (model.spreads > 0).all()
    weight = dict(zip(MEASURES, model.weights, strict=True))
    assert weight["topic_votes"] > 0 > weight["colon_before"]
