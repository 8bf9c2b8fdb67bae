"""Similarity: tables have the promised shapes, shared rare words are named, and hostile or empty texts pass."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.words.similarity import block_text, fused, measure, reads_language, sentences
from interleaf.schema import Paragraph, Provenance
from tests.fakes import HashingEmbedder, make_picture

PERSON = Provenance(origin="person")


def blocks_of(*texts: str) -> list[Paragraph]:
    return [Paragraph(id=f"b-{i}", provenance=PERSON, text=t) for i, t in enumerate(texts)]


def test_the_nearest_block_and_the_words_it_shares() -> None:
    blocks = blocks_of("Aphids turn red by carotenoids.", "The harbour of the town.", "The town in the morning.")
    pictures = [make_picture("a", "Red aphids hold carotenoids"), make_picture("b", "The harbour")]
    found = measure("Insects", blocks, pictures, HashingEmbedder())
    assert found.lexical.shape == found.coverage.shape == found.stem.shape == found.sense.shape == (2, 3)
    assert found.lexical.argmax(axis=1).tolist() == [0, 1]
    assert set(found.shared_terms(0, 0)) <= {"aphids", "carotenoids", "red"}
    assert found.shared_terms(0, 1) == ()
    assert 0.0 <= found.known.min() <= found.known.max() <= 1.0 + 1e-9
    assert np.allclose(found.between_lexical, found.between_lexical.T)


def test_all_texts_are_encoded_in_one_call() -> None:
    embedder = HashingEmbedder()
    measure("T", blocks_of("One. Two.", "Three."), [make_picture("a", "One")], embedder)
    assert len(embedder.calls) == 1


def test_some_of_the_pictures_keep_their_rows() -> None:
    blocks = blocks_of("Aphids turn red.", "The harbour.")
    pictures = [make_picture(n, c) for n, c in (("a", "Aphids"), ("b", "Trams"), ("c", "Harbour"))]
    whole = measure("T", blocks, pictures, HashingEmbedder())
    part = whole.of_pictures(np.array([True, False, True]))
    assert np.array_equal(part.lexical, whole.lexical[[0, 2]])
    assert part.between_lexical.shape == (2, 2)
    assert part.shared_terms(1, 1) == ("harbour",)


def test_a_link_counts_by_its_words_not_its_target() -> None:
    (block,) = blocks_of("See [the harbour](https://example.org/tram).")
    assert block_text(block) == "See the harbour."


def test_the_english_encoder_is_silent_about_japanese() -> None:
    found = measure("T", blocks_of("港です。", "林檎の木。"), [make_picture("a", "林檎の木")], HashingEmbedder())
    assert not reads_language("ja")
    assert reads_language("de")
    assert not np.array_equal(fused(found, "ja"), fused(found, "de"))


def test_sentences_end_at_stops_of_both_scripts() -> None:
    assert sentences("It rained. It was 3.14 m. \nおっ。ヨットだ。") == [
        "It rained.",
        "It was 3.14 m.",
        "おっ。",
        "ヨットだ。",
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=4), st.lists(st.text(max_size=30), max_size=3), st.text(max_size=20))
def test_any_text_gives_finite_numbers(texts: list[str], captions: list[str], title: str) -> None:
    pictures = [make_picture(f"p{i}", c) for i, c in enumerate(captions)]
    found = measure(title, blocks_of(*texts), pictures, HashingEmbedder())
    for table in (fused(found, "en"), found.known, found.title_lexical, found.between_sense, found.whole_lexical):
        assert np.isfinite(table).all()
    assert fused(found, "en").shape == (len(captions), len(texts))
