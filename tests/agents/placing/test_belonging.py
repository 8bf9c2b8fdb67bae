"""Belonging: bags that look all at home stay whole, strangers are found out, and the library must show that it fits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.placing.looks import COLOUR_BINS, likeness_of_looks, look_nearness
from agents.placing.ranker import load_ranker
from agents.words.similarity import measure
from interleaf.schema import Paragraph, Provenance
from tests.fakes import HashingEmbedder, make_picture

PERSON = Provenance(origin="person")
TEXTS = (
    "The lighthouse has a lens of Bohemian glass from the year 1871.",
    "Cider apples ripen late on the northern slopes above the harbour.",
    "The press house stands beside the mill stream, below the orchard wall.",
    "Its keeper wrote the weather down in a blue ledger four times a day.",
)
OWN = (
    "The lens of Bohemian glass in the lighthouse",
    "Cider apples on the northern slopes",
    "The press house beside the mill stream",
    "The keeper and his blue ledger of the weather",
)
STRANGERS = ("Quarterly revenue of a bank", "A tram in Lisbon", "Chloroplasts of spinach", "Two goals by Rossi")


def judged(captions: tuple[str, ...], library: bool = False) -> np.ndarray:
    blocks = [Paragraph(id=f"b-{i}", provenance=PERSON, text=t) for i, t in enumerate(TEXTS)]
    found = measure("The harbour", blocks, [make_picture(c, c) for c in captions], HashingEmbedder())
    has_words = np.array([bool(c.strip()) for c in captions], dtype=np.bool_)
    reader = load_ranker().belonging
    if library:
        return reader.of_library(found, has_words, True)
    return reader.of_bag(found, has_words, None, True)


def test_a_bag_that_is_all_at_home_stays_whole() -> None:
    assert (judged(OWN) > 0.5).all()


def test_strangers_are_found_out() -> None:
    share = judged(OWN + STRANGERS)
    assert share[:4].min() > 0.5 > share[4:].max()


def test_pictures_without_words_are_not_sent_away_for_that_alone() -> None:
    assert (judged(("", "")) == 1.0).all()


def test_the_library_must_show_that_its_picture_fits() -> None:
    share = judged((*STRANGERS, ""), library=True)
    assert share.max() < 0.5


def test_a_bag_that_nobody_looked_at_is_scored_like_one_whose_pictures_look_alike() -> None:
    blocks = [Paragraph(id=f"b-{i}", provenance=PERSON, text=t) for i, t in enumerate(TEXTS)]
    found = measure("The harbour", blocks, [make_picture(c, c) for c in OWN], HashingEmbedder())
    reader = load_ranker().belonging
    alike = np.full((4, 4), reader.weights.looks.level)
    has_words = np.ones(4, dtype=np.bool_)
    unseen, seen = (reader.scores(found, has_words, looks, True)[0] for looks in (None, alike))
    assert np.allclose(unseen, seen)


def test_the_order_of_the_bag_does_not_matter() -> None:
    forward, backward = judged(OWN + STRANGERS), judged((OWN + STRANGERS)[::-1])
    assert np.allclose(forward, backward[::-1])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=6), st.booleans())
def test_any_bag_gives_probabilities(captions: list[str], library: bool) -> None:
    share = judged(tuple(captions), library)
    assert share.shape == (len(captions),)
    assert ((share >= 0) & (share <= 1)).all()


def test_looks_of_one_series_are_nearer_than_others() -> None:
    red = (1.0,) + (0.0,) * (COLOUR_BINS - 1) + (0.9, 0.1, 0.1)
    blue = (0.0, 1.0) + (0.0,) * (COLOUR_BINS - 2) + (0.1, 0.1, 0.9)
    table = likeness_of_looks([red, red, blue], [(64, 48), (64, 48), (99, 99)])
    assert table is not None
    assert table[0, 1] > table[0, 2]
    nearness = look_nearness(table, 3)
    assert nearness[0] > nearness[2]
    assert likeness_of_looks([red, ()], [(1, 1), (1, 1)]) is None
    assert look_nearness(None, 2).tolist() == [0.0, 0.0]
