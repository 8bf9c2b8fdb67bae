"""Both families' words: every form that is asked for can be kept, and whatever is answered is a value or Unreadable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.prompting.chat_dialect import ChatDialect
from agents.prompting.dialect import Dialect, Option, Order, Segment, Unreadable
from agents.prompting.digest import Excerpt
from agents.prompting.mind import Ask, Shown
from agents.prompting.quoting import marks_for
from agents.prompting.xcomposer_dialect import XComposerDialect
from model.inference.engine import Grammar
from model.inference.grammar import GrammarCompiler, Matcher

DIALECTS: tuple[Dialect, ...] = (XComposerDialect(), ChatDialect())
SEGMENTS = tuple(Segment(k, f"Paragraph {k}.", k % 3 != 1) for k in range(1, 9))
COMPILER = GrammarCompiler([bytes([i]) for i in range(256)], [256], 257)


def order(title: str = "", instruction: str = "Write about bees.") -> Order:
    excerpts = (Excerpt("bees.md", "Bees dance.", True),)
    return Order(instruction, title, "en", "", "", None, excerpts, marks_for(0, ["Bees dance."]))


def matcher(ask: Ask) -> Matcher:
    return COMPILER.matcher(Grammar(json_schema=ask.json_schema, ebnf=ask.ebnf))


def fits(ask: Ask, answer: str) -> bool:
    """Whether the form of the answer allows it, whole."""
    one = matcher(ask)
    for byte in answer.encode():
        try:
            one.accept(byte)
        except Exception:
            return False
    return one.complete


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.version)
@given(st.text(max_size=400))
def test_any_answer_is_a_value_or_unreadable(dialect: Dialect, answer: str) -> None:
    for read in (
        lambda: dialect.read_outline(answer, order()),
        lambda: dialect.read_spots(answer, SEGMENTS),
        lambda: dialect.read_caption(answer),
    ):
        try:
            read()
        except Unreadable as error:
            assert str(error)


_names = st.sampled_from(["title", "sections", "heading", "points", "after"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner) | st.dictionaries(_names, inner),
    max_leaves=12,
)


@given(_json)
def test_any_json_is_a_value_or_unreadable(said: object) -> None:
    dialect = ChatDialect()
    for read in (dialect.read_outline, dialect.read_spots):
        try:
            read(json.dumps(said), order() if read == dialect.read_outline else SEGMENTS)  # type: ignore[operator]
        except Unreadable as error:
            assert str(error)


@pytest.mark.parametrize("title", ["", "Bees", 'A "quoted" \\ title'])
def test_the_form_of_an_outline_takes_outlines_and_nothing_else(title: str) -> None:
    ask = XComposerDialect().outline(order(title))
    body = "\n## One\n- a point\n- another\n## Two"
    assert fits(ask, body if title else " Bees" + body)
    assert fits(ask, (body + "\n- a last point") if title else " Bees" + body + "\n- a last point")
    for wrong in ("", " Bees", "Bees\n## One", " Bees\n- a point", " Bees\n## One\n\n"):
        assert not fits(ask, wrong)
    planned = XComposerDialect().read_outline(body if title else " Bees" + body, order(title))
    assert planned.title == (title or "Bees")
    assert planned.sections == (("One", ("a point", "another")), ("Two", ()))


def test_the_taught_free_form_of_an_outline_is_read_too() -> None:
    said = " 标题\n一、引言\n- 背景\n（二）正文\n3. 结尾"
    planned = XComposerDialect().read_outline(said, order())
    assert [heading for heading, _ in planned.sections] == ["引言", "正文", "结尾"]
    assert planned.sections[0][1] == ("背景",)


@settings(max_examples=25)
@given(st.integers(1, 12), st.none() | st.integers(1, 12), st.data())
def test_the_form_of_places_allows_open_segments_only(count: int, wanted: int | None, data: st.DataObject) -> None:
    open_ = data.draw(st.lists(st.booleans(), min_size=count, max_size=count).filter(any))
    segments = tuple(Segment(k, f"{k}", is_open) for k, is_open in enumerate(open_, 1))
    numbers = [segment.number for segment in segments if segment.is_open]
    for dialect in DIALECTS:
        ask = dialect.spot("T", segments, wanted)
        size = len(numbers) if wanted is None else min(wanted, len(numbers))
        chosen = data.draw(st.permutations(numbers))[:size]
        closed = [segment.number for segment in segments if not segment.is_open] or [99]
        if dialect.version.startswith("xcomposer"):
            good, bad = "，".join(f"<Seg{k}>" for k in chosen), f"<Seg{closed[0]}>"
        else:
            good, bad = json.dumps({"after": chosen}), json.dumps({"after": [closed[0]]})
        assert fits(ask, good) and not fits(ask, bad)
        assert dialect.read_spots(good, segments) == tuple(chosen)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.version)
def test_questions_neither_begin_nor_end_with_blanks(dialect: Dialect) -> None:
    """A teaching set keeps no outer blanks: what is taught and what is asked would differ."""
    from interleaf.schema import Outline

    outline = Outline.model_validate({"title": "T", "sections": [{"heading": "One"}, {"heading": ""}]})
    options = [Option(letter, Shown(letter * 64), "") for letter in "AB"]
    asks = [
        dialect.outline(order()),
        dialect.draft(order(), outline, 0),
        dialect.draft(order(), outline, 1),
        dialect.spot("T", SEGMENTS, None),
        dialect.caption("T", SEGMENTS, 2),
        dialect.choose("T", ["Before."], "After.", options, marks_for(0, [])),
    ]
    for ask in asks:
        first, last = ask.parts[0], ask.parts[-1]
        assert not isinstance(first, str) or first == first.lstrip()
        assert not isinstance(last, str) or last == last.rstrip()


def test_text_that_looks_like_a_segment_is_no_segment() -> None:
    segments = (Segment(1, "See <Seg7> there.", True), Segment(2, "End.", True))
    asked = XComposerDialect().spot("A <Seg9> title", segments, None).parts[0]
    assert isinstance(asked, str)
    assert "<Seg7>" not in asked and "<Seg9>" not in asked and "<Seg1> See" in asked
