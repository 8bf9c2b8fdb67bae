"""Ranker: the shipped file is read whole, a foreign one is refused by name, probabilities are probabilities."""

import json

import numpy as np
import pytest

from agents.placing.evidence import FEATURES, HABITS, evidence, habits, slot_view
from agents.placing.ranker import MODEL_PATH, load_ranker, read_ranker
from interleaf.errors import WeightsUnusable
from interleaf.schema import Heading, Paragraph, Provenance

PERSON = Provenance(origin="person")
BLOCKS = (
    Paragraph(id="b-0", provenance=PERSON, text="One thing."),
    Heading(id="b-1", provenance=PERSON, text="Two"),
    Paragraph(id="b-2", provenance=PERSON, text="As shown in the figure below."),
)


def test_the_shipped_weights_are_readable_and_finite() -> None:
    ranker = load_ranker()
    assert ranker is load_ranker()
    assert ranker.features.shape == (len(FEATURES),)
    assert ranker.habits.shape == ranker.wordless_habits.shape == (len(HABITS),)
    assert np.isfinite(ranker.features).all()
    assert MODEL_PATH.stat().st_size < 10_000


@pytest.mark.parametrize("damage", ["format", "features", "habits", "belonging"])
def test_a_record_that_lacks_something_is_refused_by_name(damage: str) -> None:
    record = json.loads(MODEL_PATH.read_text(encoding="utf-8"))
    del record[damage]
    with pytest.raises(WeightsUnusable, match=r"mine\.json"):
        read_ranker(record, "mine.json")


def test_rows_sum_to_one_and_likeness_decides_for_pictures_with_words() -> None:
    view = slot_view(BLOCKS)
    fit = np.array([[0.9, 0.0, 0.1], [0.0, 0.1, 0.8], [0.0, 0.0, 0.0]])
    rows = load_ranker().posterior(evidence(fit, view), habits(view), np.array([True, True, False]))
    assert rows.shape == (3, 4)
    assert np.allclose(rows.sum(axis=1), 1.0)
    assert rows[0].argmax() == 1
    assert rows[1].argmax() == 3


def test_habits_say_where_a_picture_without_words_stands() -> None:
    view = slot_view(BLOCKS)
    (row,) = load_ranker().posterior(evidence(np.zeros((1, 3)), view), habits(view), np.array([False]))
    assert row.argmax() == 3
    assert habits(view)[3][HABITS.index("cue_before")] == 1.0
