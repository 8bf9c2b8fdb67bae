"""Knapsack: the dynamic programme finds what trying every choice finds, and keeps every need."""

from __future__ import annotations

import time
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.excerpting.knapsack import Item, choose_items

ITEMS = st.builds(
    Item,
    weight=st.integers(1, 12),
    value=st.integers(-20, 60).map(float),
    follows=st.booleans(),
    start_cost=st.integers(0, 6).map(float),
    stop_cost=st.integers(0, 3).map(float),
    needs_previous=st.booleans(),
    needs_next=st.booleans(),
    is_usable=st.booleans(),
)


def linked(items: list[Item]) -> list[Item]:
    """As the units are made: the first follows nothing, and only a neighbour can be needed next."""
    made = []
    for k, item in enumerate(items):
        next_follows = k + 1 < len(items) and items[k + 1].follows
        made.append(
            Item(
                weight=item.weight,
                value=item.value,
                follows=item.follows and k > 0,
                start_cost=item.start_cost,
                stop_cost=item.stop_cost,
                needs_previous=item.needs_previous,
                needs_next=item.needs_next and next_follows,
                is_usable=item.is_usable,
            )
        )
    return made


def worth(items: list[Item], taken: tuple[bool, ...]) -> float | None:
    """Value of a choice by the definition; None when it breaks a need."""
    total = 0.0
    for k, (item, is_taken) in enumerate(zip(items, taken, strict=True)):
        before = k > 0 and taken[k - 1]
        if is_taken:
            run = before and item.follows
            if not item.is_usable or (item.needs_previous and not run):
                return None
            if item.needs_next and not (k + 1 < len(items) and taken[k + 1] and items[k + 1].follows):
                return None
            total += item.value - (0.0 if run else item.start_cost)
        elif before and item.follows:
            total -= item.stop_cost
    return total


@settings(max_examples=200, deadline=None)
@given(st.lists(ITEMS, min_size=1, max_size=9).map(linked), st.integers(1, 60))
def test_the_choice_is_the_best_there_is(items: list[Item], wanted: int) -> None:
    found = choose_items(items, wanted)
    possible = {}
    for taken in product((False, True), repeat=len(items)):
        value = worth(items, taken)
        if value is not None and any(taken):
            possible[taken] = (sum(i.weight for i, t in zip(items, taken, strict=True) if t), value)
    if not possible:
        assert found == []
        return
    mine = tuple(k in found for k in range(len(items)))
    assert mine in possible, "a need was broken"
    words, value = possible[mine]
    least = min(abs(w - wanted) for w, _ in possible.values())
    assert value == max(v for w, v in possible.values() if w == words)
    assert abs(words - wanted) <= max(1.0, 0.015 * wanted) or abs(words - wanted) <= max(
        least * 4, least + 0.15 * wanted
    )


def test_nothing_to_choose_from() -> None:
    assert choose_items([], 10) == []
    assert choose_items([Item(3, 1.0, is_usable=False)], 10) == []
    assert choose_items([Item(3, 1.0)], 0) == []
    assert choose_items([Item(300, 1.0)], 10) == [0], "one that is too long is better than nothing"


def test_a_book_is_chosen_from_in_seconds() -> None:
    items = [Item(10 + k % 23, (k * 37 % 101) / 5, follows=k % 5 > 0, start_cost=4, stop_cost=1) for k in range(6_000)]
    started = time.process_time()
    found = choose_items(items, 20_000)
    assert time.process_time() - started < 5
    assert abs(sum(items[k].weight for k in found) - 20_000) < 0.06 * 20_000
