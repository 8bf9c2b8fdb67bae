"""Placement: the decision for a whole piece keeps its contract for any material, and does what a person would."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.context import Candidate, Choice, ChooseTask, Place, SpotTask
from agents.placing.placement import caption_queries, choose_pictures, spot_places
from interleaf.schema import (
    Code,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    Provenance,
    SourceSpan,
    Support,
    TextBlock,
)
from tests.fakes import HashingEmbedder, make_picture

PERSON = Provenance(origin="person")
SOURCE = "s-abc"


def paragraph(number: int, text: str, start: int | None = None) -> Paragraph:
    if start is None:
        return Paragraph(id=f"b-{number}", provenance=PERSON, text=text)
    span = SourceSpan(source_id=SOURCE, start=start, end=start + len(text))
    support = Support(start=0, end=len(text), spans=(span,))
    return Paragraph(id=f"b-{number}", provenance=Provenance(origin="source", supports=(support,)), text=text)


HARBOUR: tuple[TextBlock, ...] = (
    paragraph(0, "The town lies on a quiet bay and lives from its harbour and its orchards."),
    Heading(id="b-1", provenance=PERSON, text="The lighthouse"),
    paragraph(2, "The old lighthouse was lit with whale oil until 1871, when its lens of Bohemian glass was mounted."),
    paragraph(3, "Its keeper wrote down the weather four times a day for thirty years."),
    Heading(id="b-4", provenance=PERSON, text="The orchards"),
    paragraph(5, "Cider apples ripen late on the northern slopes, where wasps and thrushes gather in October."),
    paragraph(6, "The press house stands at the foot of the hill beside the mill stream."),
    paragraph(7, "Every autumn the whole town meets there for three days."),
)
OWN = {
    "lens": "The lens of Bohemian glass in the old lighthouse",
    "apples": "Cider apples on the northern slopes in October",
    "press": "The press house beside the mill stream",
}


def task(
    blocks: tuple[TextBlock, ...], candidates: list[Candidate], wanted: int | None = None, seed: int = 0
) -> ChooseTask:
    spot = SpotTask(title="A town by the bay", language="en", blocks=blocks, pictures_wanted=wanted)
    return ChooseTask(
        title=spot.title,
        language="en",
        blocks=blocks,
        places=spot_places(spot),
        candidates=tuple(candidates),
        pictures_wanted=wanted,
        seed=seed,
    )


def own_candidates() -> list[Candidate]:
    return [Candidate(make_picture(name, caption)) for name, caption in OWN.items()]


def slots_of(choices: tuple[Choice, ...]) -> dict[str, int]:
    names = {make_picture(name).id: name for name in [*OWN, *(f"p{i}" for i in range(200))]}
    return {names.get(choice.picture_id, choice.picture_id): choice.slot for choice in choices}


def test_pictures_stand_right_after_the_paragraph_that_speaks_of_them() -> None:
    assert slots_of(choose_pictures(task(HARBOUR, own_candidates()), HashingEmbedder())) == {
        "lens": 3,
        "apples": 6,
        "press": 7,
    }


def test_the_reason_names_the_shared_words_and_the_score_is_a_probability() -> None:
    choices = choose_pictures(task(HARBOUR, own_candidates()), HashingEmbedder())
    lens = next(c for c in choices if c.slot == 3)
    assert "bohemian" in lens.reason
    assert lens.reason.endswith(".")
    assert 0.0 < lens.score <= 1.0
    assert 1 <= len(lens.alternatives) <= 3
    assert lens.picture_id not in {a.picture_id for a in lens.alternatives}
    assert all(a.score <= lens.score for a in lens.alternatives)


def test_the_order_of_the_candidates_does_not_matter() -> None:
    candidates = own_candidates() + [Candidate(make_picture(f"p{i}")) for i in range(3)]
    expected = choose_pictures(task(HARBOUR, candidates), HashingEmbedder())
    for seed in range(5):
        random.Random(seed).shuffle(candidates)
        assert choose_pictures(task(HARBOUR, candidates), HashingEmbedder()) == expected


def test_exactly_as_many_as_wanted_and_the_best_of_them() -> None:
    candidates = [*own_candidates(), Candidate(make_picture("p1", "Quarterly revenue of a bank in Zurich"))]
    chosen = slots_of(choose_pictures(task(HARBOUR, candidates, wanted=3), HashingEmbedder()))
    assert set(chosen) == set(OWN)
    assert len(choose_pictures(task(HARBOUR, candidates, wanted=4), HashingEmbedder())) == 4
    assert choose_pictures(task(HARBOUR, candidates, wanted=0), HashingEmbedder()) == ()


def test_the_library_offers_nothing_where_nothing_fits() -> None:
    strangers = [
        Candidate(make_picture(f"p{i}", caption), origin="library", library_scores={2: 0.9})
        for i, caption in enumerate(
            ["Quarterly revenue of a bank in Zurich", "A tram in Lisbon", "Photosynthesis in a chloroplast", ""]
        )
    ]
    assert choose_pictures(task(HARBOUR, strangers), HashingEmbedder()) == ()


def test_a_picture_of_a_document_goes_where_its_text_went() -> None:
    moved = (paragraph(0, "Wind and rain came from the west.", 900), paragraph(1, "A quiet day followed it.", 100))
    anchored = Candidate(
        make_picture("p1", "Something else entirely"),
        origin="document",
        anchor=SourceSpan(source_id=SOURCE, start=126, end=150),
    )
    (choice,) = choose_pictures(task(moved, [anchored]), HashingEmbedder())
    assert choice.slot == 2
    assert "source document" in choice.reason


def test_a_picture_never_stands_twice_however_often_it_is_offered() -> None:
    candidates = own_candidates() * 3
    choices = choose_pictures(task(HARBOUR, candidates), HashingEmbedder())
    assert len(choices) == len({c.picture_id for c in choices}) == len(OWN)


def test_only_given_places_are_used() -> None:
    asked = task(HARBOUR, own_candidates())
    narrowed = ChooseTask(
        title=asked.title,
        language="en",
        blocks=asked.blocks,
        places=(Place(slot=1, desire=1.0), Place(slot=6, desire=0.5), Place(slot=99, desire=1.0)),
        candidates=asked.candidates,
        pictures_wanted=None,
    )
    choices = choose_pictures(narrowed, HashingEmbedder())
    assert {c.slot for c in choices} == {1, 6}


def test_places_are_in_order_and_none_after_a_last_heading() -> None:
    blocks = (*HARBOUR, Heading(id="b-8", provenance=PERSON, text="Sources"))
    places = spot_places(SpotTask(title="T", language="en", blocks=blocks, pictures_wanted=None))
    assert [p.slot for p in places] == list(range(len(blocks)))
    assert max(p.desire for p in places) == 1.0
    assert spot_places(SpotTask(title="T", language="en", blocks=blocks, pictures_wanted=0)) == ()
    assert spot_places(SpotTask(title="T", language="en", blocks=(), pictures_wanted=None)) == ()


def test_a_text_that_points_below_asks_for_a_picture_there() -> None:
    blocks = (paragraph(0, "It was late."), paragraph(1, "The map below shows the bay."), paragraph(2, "They left."))
    places = spot_places(SpotTask(title="T", language="en", blocks=blocks, pictures_wanted=None))
    assert places[2].cue == "map below"
    assert places[2].desire > max(places[1].desire, places[3].desire)


def test_a_query_holds_the_words_around_its_place_but_no_code() -> None:
    blocks = (HARBOUR[1], HARBOUR[2], Code(id="b-9", provenance=PERSON, text="x = 1"), HARBOUR[3])
    spot = SpotTask(title="Title", language="en", blocks=blocks, pictures_wanted=None)
    (query,) = caption_queries(spot, (Place(slot=3, desire=1.0),))
    assert query.before == HARBOUR[2].text
    assert query.after == HARBOUR[3].text
    assert (query.heading, query.title) == ("The lighthouse", "Title")


WORDS = st.text(alphabet="abc 図如.:123(\n", max_size=40)


@st.composite
def tasks(draw: st.DrawFn) -> ChooseTask:
    blocks: list[TextBlock] = []
    for i in range(draw(st.integers(0, 6))):
        text = draw(WORDS)
        kind = draw(st.sampled_from(["paragraph", "heading", "list", "code"]))
        if kind == "heading":
            blocks.append(Heading(id=f"b-{i}", provenance=PERSON, text=text))
        elif kind == "list":
            blocks.append(ListBlock(id=f"b-{i}", provenance=PERSON, items=(ListItem(text=text),)))
        elif kind == "code":
            blocks.append(Code(id=f"b-{i}", provenance=PERSON, text=text))
        else:
            blocks.append(paragraph(i, text))
    candidates = tuple(
        Candidate(make_picture(f"p{i}", draw(WORDS)), origin=draw(st.sampled_from(["given", "document", "library"])))
        for i in range(draw(st.integers(0, 9)))
    )
    wanted = draw(st.none() | st.integers(0, 12))
    language = draw(st.sampled_from(["en", "ja", "xx"]))
    spot = SpotTask(title=draw(WORDS), language=language, blocks=tuple(blocks), pictures_wanted=wanted)
    return ChooseTask(
        title=spot.title,
        language=language,
        blocks=spot.blocks,
        places=spot_places(spot),
        candidates=candidates,
        pictures_wanted=wanted,
    )


@settings(max_examples=120, deadline=None)
@given(tasks())
def test_the_contract_holds_for_any_material(asked: ChooseTask) -> None:
    choices = choose_pictures(asked, HashingEmbedder())
    slots, ids = [c.slot for c in choices], [c.picture_id for c in choices]
    assert slots == sorted(set(slots))
    assert len(set(ids)) == len(ids)
    assert set(slots) <= {p.slot for p in asked.places}
    assert set(ids) <= {c.picture.id for c in asked.candidates}
    assert all(0.0 <= c.score <= 1.0 and c.reason for c in choices)
    if asked.pictures_wanted is not None:
        assert len(choices) <= asked.pictures_wanted
    handed = {c.picture.id for c in asked.candidates if c.origin != "library"}
    if asked.pictures_wanted is not None and asked.places:
        assert len(choices) >= min(len(handed), asked.pictures_wanted, len(asked.places))


def test_twenty_thousand_candidates_are_sifted_before_any_is_encoded() -> None:
    embedder = HashingEmbedder()
    crowd = [Candidate(make_picture(f"c{i}", f"Tram number {i} in Lisbon"), origin="library") for i in range(20_000)]
    started = time.process_time()
    choices = choose_pictures(task(HARBOUR, [*crowd, *own_candidates()]), embedder)
    assert time.process_time() - started < 30
    assert set(OWN) <= set(slots_of(choices))
    assert sum(len(call) for call in embedder.calls) < 600


@pytest.mark.parametrize("language", ["de", "fr", "es", "zh", "ja", "ko"])
def test_shared_words_decide_in_other_languages(language: str) -> None:
    texts = {
        "de": ("Der Leuchtturm wurde 1871 gebaut.", "Die Apfelbäume tragen spät.", "Apfelbäume am Hang"),
        "fr": ("Le phare fut construit en 1871.", "Les pommiers donnent tard.", "Des pommiers sur la pente"),
        "es": ("El faro se construyó en 1871.", "Los manzanos dan tarde.", "Manzanos en la ladera"),
        "zh": ("灯塔建于1871年。", "苹果树结果很晚。", "山坡上的苹果树"),
        "ja": ("灯台は1871年に建てられた。", "林檎の木は遅く実る。", "斜面の林檎の木"),
        "ko": ("등대는 1871년에 지어졌다.", "사과나무는 늦게 열매를 맺는다.", "언덕의 사과나무는 푸르다"),
    }[language]
    blocks = (paragraph(0, texts[0]), paragraph(1, texts[1]), paragraph(2, "1880."), paragraph(3, "1890."))
    asked = ChooseTask(
        title="1871",
        language=language,
        blocks=blocks,
        places=tuple(Place(slot=s, desire=1.0) for s in range(5)),
        candidates=(Candidate(make_picture("p1", texts[2])),),
        pictures_wanted=1,
    )
    (choice,) = choose_pictures(asked, HashingEmbedder())
    assert choice.slot == 2


def test_a_thousand_strangers_are_a_collection_and_none_is_placed() -> None:
    """Somebody who points at a whole drive does not want it all shown."""
    blocks = tuple(
        Paragraph(id=f"b-{i}", text=text, provenance=Provenance(origin="person"))
        for i, text in enumerate(
            ("A canal lock lifts boats from one level of water to another.", "Paddles let the water into the chamber.")
        )
    )
    pictures = [make_picture(f"{i}.png", f"Object number {i} of the store, shelf {i % 97}") for i in range(1000)]
    pictures.append(make_picture("paddles.png", "Paddles let the water run into the chamber of a lock."))
    places = spot_places(SpotTask("Locks", "en", blocks, None))
    task = ChooseTask("Locks", "en", blocks, places, tuple(Candidate(p) for p in pictures), None)
    chosen = choose_pictures(task, HashingEmbedder())
    assert [c.picture_id for c in chosen] == [pictures[-1].id]
    assert chosen[0].slot == 2
