"""List tree: depths become lists within lists, nothing is lost, jumps leave no empty level."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interleaf.schema import ListBlock, ListItem
from templates.list_tree import ListTree, list_trees
from tests.templates.sample import BY_SOURCE

ITEMS = st.lists(
    st.builds(ListItem, text=st.sampled_from(["a", "b", "c", " "]), depth=st.integers(0, 8), ordered=st.booleans()),
    min_size=1,
    max_size=12,
)


def block(items: list[ListItem], start: int = 1) -> ListBlock:
    return ListBlock(id="b-1", provenance=BY_SOURCE, items=tuple(items), start=start)


def flat(trees: tuple[ListTree, ...] | list[ListTree]) -> list[tuple[str, bool]]:
    found = []
    for tree in trees:
        for entry in tree.entries:
            found.append((entry.text, tree.ordered))
            found += flat(entry.sublists)
    return found


@given(ITEMS)
def test_every_item_with_text_is_there_in_order_and_of_its_kind(items: list[ListItem]) -> None:
    assert flat(list_trees(block(items))) == [(i.text, i.ordered) for i in items if i.text.strip()]


def test_nesting_follows_relative_depth() -> None:
    items = [ListItem(text=t, depth=d) for t, d in (("a", 2), ("b", 5), ("c", 5), ("d", 2), ("e", 0))]
    (tree,) = list_trees(block(items))
    assert [e.text for e in tree.entries] == ["a", "d", "e"]
    assert [e.text for e in tree.entries[0].sublists[0].entries] == ["b", "c"]


def test_bullets_and_numbers_in_a_row_are_two_lists_and_only_the_first_starts_elsewhere() -> None:
    items = [ListItem(text="a", ordered=True), ListItem(text="b"), ListItem(text="c", ordered=True)]
    trees = list_trees(block(items, start=7))
    assert [(t.ordered, t.start) for t in trees] == [(True, 7), (False, 1), (True, 1)]


def test_a_start_that_no_reader_understands_is_one() -> None:
    for start in (-3, 10**12):
        assert list_trees(block([ListItem(text="a", ordered=True)], start))[0].start == 1
