"""Redundancy: what says the same is found, what differs in a fact is not."""

from __future__ import annotations

import time
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.words.redundancy import DUPLICATE_SHARE, near_duplicates, shingles, similarity


def pairs(*texts: str) -> list[tuple[int, int]]:
    return near_duplicates([shingles(text) for text in texts])


def test_the_same_in_other_punctuation_case_and_a_word_more() -> None:
    assert pairs("The mill was built in 1761 on a narrow inlet.", "the MILL was built in 1761 on a narrow inlet!") == [
        (0, 1)
    ]
    assert pairs(
        "The mill was built in 1761 on a narrow inlet.",
        "The tide mill was built in 1761 on a narrow inlet of the river.",
    ) == [(0, 1)]
    assert pairs("溪水推着水轮慢慢转动，木锤便一起一落。", "溪水推着水轮慢慢转动，于是木锤便一起一落。") == [(0, 1)]


def test_another_number_or_another_subject_is_another_fact() -> None:
    assert (
        pairs(
            "The 10th arch of the bridge carries a lamp of iron.", "The 11th arch of the bridge carries a lamp of iron."
        )
        == []
    )
    assert (
        pairs("The dam is 140 metres long and carries a track.", "The wheel is of oak and elm and drove the stones.")
        == []
    )
    assert pairs("Yes.", "Yes, the mill was built in 1761 on a narrow inlet.", "") == []


def test_every_copy_is_paired_once_with_the_first() -> None:
    assert pairs(*["Bells ring at dawn in the valley."] * 4) == [(0, 1), (0, 2), (0, 3)]


WORDS = st.lists(
    st.sampled_from(["mill", "dam", "tide", "wheel", "oak", "clay", "1761", "1881", "the", "of", "a", "in"]),
    min_size=0,
    max_size=9,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS.map(" ".join), max_size=12))
def test_the_inverted_index_finds_what_comparing_all_pairs_finds(texts: list[str]) -> None:
    made = list(dict.fromkeys(shingles(text) for text in texts))
    expected = [(i, j) for i, j in combinations(range(len(made)), 2) if similarity(made[i], made[j]) >= DUPLICATE_SHARE]
    assert near_duplicates(made) == expected


@given(WORDS.map(" ".join), WORDS.map(" ".join))
def test_likeness_has_no_direction(one: str, other: str) -> None:
    assert similarity(shingles(one), shingles(other)) == similarity(shingles(other), shingles(one))


def test_ten_thousand_sentences_take_little_time() -> None:
    texts = [
        shingles(f"Ward {k} of the town pays {k * 7} pence to keeper {k % 97} at the old gate.") for k in range(10_000)
    ]
    started = time.process_time()
    near_duplicates(texts)
    assert time.process_time() - started < 5
