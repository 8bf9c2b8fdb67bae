"""Which candidates are looked at for a place, and what a choice is shown of the text before it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agents.context import Candidate, ChooseTask, Place
from agents.prompting.mind import Shown
from agents.prompting.selecting import (
    MAX_BEFORE_CHARS,
    MAX_BEFORE_PICTURES,
    MAX_LOOKED_AT,
    OPTIONS,
    Shortlist,
    Window,
    groups,
)
from interleaf.schema import Paragraph, Provenance, SourceSpan, Support
from tests.fakes import HashingEmbedder, make_picture

BLOCKS = tuple(
    Paragraph(id=f"b-{k}", text=text, provenance=Provenance(origin="model"))
    for k, text in enumerate(("Bees dance on the comb.", "The tide rises twice a day.", "Bread needs salt and time."))
)


def task(candidates: tuple[Candidate, ...]) -> ChooseTask:
    return ChooseTask("T", "en", BLOCKS, tuple(Place(k, 1.0) for k in (1, 2, 3)), candidates, None)


@given(st.integers(1, 200))
def test_groups_hold_everyone_once_four_at_most_and_are_as_few_as_can_be(count: int) -> None:
    found = groups(count)
    assert [k for group in found for k in group] == list(range(count))
    sizes = [len(group) for group in found]
    assert max(sizes) <= OPTIONS and max(sizes) - min(sizes) <= 1 and len(found) == -(-count // OPTIONS)


def test_a_persons_few_pictures_are_all_looked_at_and_many_by_their_words() -> None:
    few = tuple(Candidate(make_picture(f"{k}.png")) for k in range(MAX_LOOKED_AT))
    assert Shortlist(task(few), HashingEmbedder()).of(1, ()) == few
    bee = Candidate(make_picture("bee.png", "Bees dance on the comb, seen from near."))
    many = (*(Candidate(make_picture(f"{k}.png", f"Picture number {k} of stones")) for k in range(40)), bee)
    found = Shortlist(task(many), HashingEmbedder()).of(1, ())
    assert len(found) == MAX_LOOKED_AT and found[0] == bee
    assert bee not in Shortlist(task(many), HashingEmbedder()).of(1, [bee.picture.id]), "what stands already"


def test_the_librarys_are_offered_where_they_were_found_and_four_at_most() -> None:
    found = tuple(
        Candidate(make_picture(f"{k}.png", "stones"), origin="library", library_scores={1 + k % 2: k / 20})
        for k in range(20)
    )
    shortlist = Shortlist(task(found), HashingEmbedder())
    assert [c.picture.name for c in shortlist.of(1, ())] == ["18.png", "16.png", "14.png", "12.png"]
    assert [c.picture.name for c in shortlist.of(2, ())] == ["19.png", "17.png", "15.png", "13.png"]
    assert shortlist.of(3, ()) == ()


def test_a_silent_picture_ranks_in_the_middle() -> None:
    named = tuple(Candidate(make_picture(f"{k}.png", "Bread needs salt and time")) for k in range(6))
    others = tuple(Candidate(make_picture(f"o{k}.png", "zinc quartz")) for k in range(10))
    silent = Candidate(make_picture("silent.png"))
    ranked = Shortlist(task((*others, silent, *named)), HashingEmbedder()).of(3, ())
    assert silent in ranked and ranked.index(silent) == 6


def test_the_window_shows_pictures_where_they_stand() -> None:
    window = Window(["One.", "Two.", "Three."])
    assert window.before(1, {}) == ("One.",)
    assert window.before(3, {1: "a" * 64, 2: "b" * 64}) == ("One.", Shown("a" * 64), "Two.", Shown("b" * 64), "Three.")


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=60), st.sets(st.integers(1, 60)))
def test_the_window_is_bounded_and_ends_with_the_paragraph_before_the_place(sizes: list[int], placed: set[int]) -> None:
    texts = [f"{k} " + "x" * size for k, size in enumerate(sizes)]
    window = Window(texts)
    chosen: dict[int, str] = {}
    for slot in range(1, len(texts) + 1):
        parts = window.before(slot, chosen)
        words = [part for part in parts if isinstance(part, str)]
        assert words[-1] == texts[slot - 1][:2_000]
        assert len(words) == 1 or sum(map(len, words)) <= MAX_BEFORE_CHARS
        assert sum(isinstance(part, Shown) for part in parts) <= MAX_BEFORE_PICTURES
        if slot in placed:
            chosen[slot] = f"{slot:064x}"
    while window.shorten(len(texts)):
        pass
    assert len(window.before(len(texts), {})) == 1


def test_the_same_task_ranks_alike_whatever_the_order() -> None:
    many = tuple(Candidate(make_picture(f"{k}.png", f"Bees and stones {k}")) for k in range(30))
    one = Shortlist(task(many), HashingEmbedder()).of(1, ())
    other = Shortlist(replace(task(many), candidates=many[::-1]), HashingEmbedder()).of(1, ())
    assert one == other


def test_where_a_document_shows_a_picture_it_is_offered_first() -> None:
    span = SourceSpan(source_id="s-1", start=0, end=10)
    rests = Provenance(origin="model", supports=(Support(start=0, end=5, spans=(span,)),))
    blocks = (BLOCKS[0].model_copy(update={"provenance": rests}), *BLOCKS[1:])
    shown = Candidate(
        make_picture("x.png", "zinc"), origin="document", anchor=SourceSpan(source_id="s-1", start=12, end=14)
    )
    many = (*(Candidate(make_picture(f"{k}.png", "Bees dance on the comb")) for k in range(30)), shown)
    found = Shortlist(replace(task(many), blocks=blocks), HashingEmbedder()).of(1, ())
    assert shown in found
