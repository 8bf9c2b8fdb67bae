"""The contract of `agents.context.Writer`: one suite, run on every writer and on the fake.

A test class inherits `WriterContract` and gives a `writer` fixture.
"""

from __future__ import annotations

import pytest

from agents.context import Candidate, ChooseTask, DraftTask, OutlineTask, SpotTask, Writer
from interleaf.errors import InterleafError
from interleaf.schema import Brief, Outline, SourceText, TextBlock
from interleaf.text import fold_space
from tests.fakes import make_picture
from workers.run.source_file import source_id

BEES = """# Bees

Honey bees live in colonies of many thousands. Each colony has one queen. The queen lays all the eggs.

A worker bee visits hundreds of flowers on a single flight. It carries pollen home in small baskets on its legs.

## The waggle dance

A bee that found food dances on the comb. The angle of the dance shows the direction of the food. The length of
the dance shows how far away it is. Other bees read the dance in the dark by touch.
"""

TIDES = """# Tides

The moon pulls the water of the oceans. Two bulges of water form on opposite sides of the earth. A harbour sees
two high tides in most days.

## Spring tides

When the sun and the moon stand in line, their pulls add up. The tides are then largest. Sailors call them spring
tides, although they come every two weeks.
"""


def _source(name: str, text: str) -> SourceText:
    return SourceText(id=source_id(text), name=name, media_type="text/markdown", text=text)


SOURCES = (_source("bees.md", BEES), _source("tides.md", TIDES))
CANDIDATES = tuple(
    Candidate(make_picture(name, caption))
    for name, caption in (
        ("dance.png", "A bee dances on the comb; the angle shows the direction of the food."),
        ("pollen.png", "A worker bee with pollen baskets on its legs."),
        ("spring.png", "Sun and moon in line: spring tides are the largest tides."),
    )
)


class WriterContract:
    """What the workflow relies on, whoever writes. `needs_sources`: every paragraph rests on them (a writer that
    copies); else a writer may write without, and says of each sentence what it rests on as far as that is known."""

    needs_sources = True

    @pytest.fixture
    def writer(self) -> Writer:
        raise NotImplementedError

    @pytest.fixture
    def brief(self) -> Brief:
        return Brief(instruction="Write about bees and about tides from these notes.")

    def _outline(self, writer: Writer, brief: Brief) -> Outline:
        return writer.outline(OutlineTask(brief=brief, sources=SOURCES, language="en"))

    def _blocks(self, writer: Writer, brief: Brief) -> tuple[TextBlock, ...]:
        outline = self._outline(writer, brief)
        found: list[TextBlock] = []
        for index in range(len(outline.sections)):
            found += writer.draft(DraftTask(brief, SOURCES, "en", outline, index))
        return tuple(found)

    def test_it_is_a_writer_with_a_name(self, writer: Writer) -> None:
        assert isinstance(writer, Writer)
        assert writer.name
        assert writer.version

    def test_without_sources_it_writes_or_refuses_with_a_remedy(self, writer: Writer, brief: Brief) -> None:
        if not self.needs_sources:
            outline = writer.outline(OutlineTask(brief=brief, sources=(), language="en"))
            blocks = writer.draft(DraftTask(brief, (), "en", outline, 0))
            assert blocks and not any(block.provenance.supports for block in blocks)
            return
        with pytest.raises(InterleafError) as caught:
            writer.outline(OutlineTask(brief=brief, sources=(), language="en"))
        assert "sources" in caught.value.message

    def test_the_outline_points_into_the_sources(self, writer: Writer, brief: Brief) -> None:
        outline = self._outline(writer, brief)
        assert outline.sections
        lengths = {source.id: len(source.text) for source in SOURCES}
        for section in outline.sections:
            for span in section.material:
                assert 0 <= span.start < span.end <= lengths[span.source_id]

    def test_a_given_outline_is_respected(self, writer: Writer, brief: Brief) -> None:
        given = Outline.model_validate(
            {"title": "Two things", "sections": [{"heading": "Spring tides"}, {"heading": "The waggle dance"}]}
        )
        outline = self._outline(writer, brief.model_copy(update={"outline": given}))
        assert outline.title == "Two things"
        assert [s.heading for s in outline.sections] == ["Spring tides", "The waggle dance"]

    def test_blocks_have_their_own_ids_and_rest_on_the_sources(self, writer: Writer, brief: Brief) -> None:
        blocks = self._blocks(writer, brief)
        assert any(block.type == "paragraph" for block in blocks)
        assert len({block.id for block in blocks}) == len(blocks)
        texts = {source.id: source.text for source in SOURCES}
        for block in blocks:
            if block.type == "paragraph" and self.needs_sources:
                assert block.provenance.supports
            for support in block.provenance.supports:
                assert support.spans
                if support.how == "copied":
                    rests = " ".join(texts[s.source_id][s.start : s.end] for s in support.spans)
                    assert fold_space(block.text[support.start : support.end]) == fold_space(rests)

    def test_the_same_task_gives_the_same_draft(self, writer: Writer, brief: Brief) -> None:
        assert self._blocks(writer, brief) == self._blocks(writer, brief)

    def test_places_lie_in_the_text_and_each_has_a_query(self, writer: Writer, brief: Brief) -> None:
        blocks = self._blocks(writer, brief)
        task = SpotTask("Bees", "en", blocks, None)
        places = writer.spot(task)
        slots = [place.slot for place in places]
        assert slots
        assert len(set(slots)) == len(slots)
        assert all(0 <= slot <= len(blocks) for slot in slots)
        assert len(writer.caption(task, places)) == len(places)

    @pytest.mark.parametrize("wanted", [None, 0, 1, 2])
    def test_choices_are_candidates_at_places_none_twice(
        self, writer: Writer, brief: Brief, wanted: int | None
    ) -> None:
        blocks = self._blocks(writer, brief)
        places = writer.spot(SpotTask("Bees", "en", blocks, wanted))
        choices = writer.choose(ChooseTask("Bees", "en", blocks, places, CANDIDATES, wanted, 0))
        ids = [choice.picture_id for choice in choices]
        slots = [choice.slot for choice in choices]
        assert len(set(ids)) == len(ids)
        assert len(set(slots)) == len(slots)
        assert {c.picture.id for c in CANDIDATES}.issuperset(ids)
        assert {place.slot for place in places}.issuperset(slots)
        assert wanted is None or len(choices) <= wanted
        for choice in choices:
            assert 0 <= choice.score <= 1
            assert choice.reason
            assert choice.picture_id not in [other.picture_id for other in choice.alternatives]

    def test_no_candidates_means_no_choices(self, writer: Writer, brief: Brief) -> None:
        blocks = self._blocks(writer, brief)
        places = writer.spot(SpotTask("Bees", "en", blocks, None))
        assert writer.choose(ChooseTask("Bees", "en", blocks, places, (), None, 0)) == ()

    def test_review_names_only_blocks_it_was_given(self, writer: Writer, brief: Brief) -> None:
        blocks = self._blocks(writer, brief)
        for finding in writer.review(brief, "Bees", blocks):
            assert finding.block_id is None or finding.block_id in {block.id for block in blocks}
