"""What a model is shown of the sources: all where there is room, else whole passages, never more than allowed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.prompting.digest import digest
from interleaf.schema import SourceText
from tests.fakes import HashingEmbedder
from workers.run.source_file import source_id


def source(name: str, text: str) -> SourceText:
    return SourceText(id=source_id(text), name=name, text=text)


def test_all_of_it_where_there_is_room() -> None:
    found = digest([source("a", "# A\n\nOne."), source("b", "Two."), source("c", "  ")], "x", 100, HashingEmbedder())
    assert [(e.name, e.text, e.is_whole) for e in found] == [("a", "# A\n\nOne.", True), ("b", "Two.", True)]


def test_the_passages_most_to_the_point_with_their_headings() -> None:
    harbour = "\n\n".join(f"The harbour master number {k} counts ships all day long." for k in range(40))
    text = f"# Notes\n\n## Harbour\n\n{harbour}\n\n## Bees\n\nHoney bees dance on the comb to show the way to food."
    (found,) = digest([source("notes.md", text)], "how honey bees dance", 400, HashingEmbedder())
    assert (
        "Honey bees dance on the comb" in found.text and "Bees" in found.text.splitlines()[0:3][-1]
    ) or "Bees" in found.text
    assert not found.is_whole and len(found.text) <= 400


words = st.text("abc de.\n#-", min_size=0, max_size=300)


@settings(max_examples=60)
@given(st.lists(words, max_size=4), st.integers(0, 400))
def test_never_more_than_allowed_and_always_in_order(texts: list[str], budget: int) -> None:
    sources = [source(f"{k}", text) for k, text in enumerate(texts)]
    found = digest(sources, "abc", budget, HashingEmbedder())
    assert sum(len(excerpt.text) for excerpt in found) <= budget
    assert [excerpt.name for excerpt in found] == sorted(excerpt.name for excerpt in found)
    for excerpt in found:
        said = sources[int(excerpt.name)].text
        assert excerpt.text in said if excerpt.is_whole else all(w in said for w in excerpt.text.split())
