"""One edit changes its block and nothing else; what does not fit is refused and named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.editing.changed import Written, changed, needs_picture, needs_writer
from interleaf.errors import BlockUnknown, EditRefused
from interleaf.schema import Article, Figure, Heading, ListBlock, Provenance
from interleaf.schema.edit import Edit, edit_adapter
from tests.agents.editing.pieces import BOAT, FIRST, HARBOUR, LOCK, MILL, PICTURES, PIECE, edits


def edit(op: str, **said: Any) -> Edit:
    return edit_adapter.validate_python({"op": op, **said})


def after(one: Edit, article: Article = PIECE, **brought: Any) -> Article:
    picture = PICTURES.get(getattr(one, "picture_id", None) or "")
    return changed(article, one, salt="2", picture=picture, **brought)


def block(article: Article, block_id: str) -> Any:
    return next(one for one in article.blocks if one.id == block_id)


def ids(article: Article) -> list[str]:
    return [one.id for one in article.blocks]


@given(st.data())
def test_everything_outside_the_edited_block_stays_byte_for_byte(data: st.DataObject) -> None:
    article = PIECE
    for number in range(4):
        one = data.draw(edits(article))
        try:
            new = changed(article, one, salt=str(number), picture=PICTURES.get(getattr(one, "picture_id", None) or ""))
        except (BlockUnknown, EditRefused):
            continue
        named = {getattr(one, "block_id", None)}
        was = {old.id: old.model_dump_json() for old in article.blocks}
        touched = [new_.id for new_ in new.blocks if was.get(new_.id) != new_.model_dump_json()]
        assert len(touched) <= 1
        assert not touched or touched[0] in named or touched[0] not in was
        assert len(set(ids(new))) == len(new.blocks), "an id names one block"
        rest = [x for x in ids(new) if x in was and x not in named]
        assert rest == [x for x in ids(article) if x in ids(new) and x not in named], "and all others keep their order"
        shown = {p for f in new.figures for p in (f.picture_id, *(a.picture_id for a in f.alternatives))}
        assert {picture.id for picture in new.pictures} == shown
        assert Article.model_validate_json(new.model_dump_json()) == new, "what comes out can be read again"
        assert (new.title, new.sources, new.run) == (article.title, article.sources, article.run)
        article = new


def test_the_same_edit_of_the_same_version_gives_the_same_bytes() -> None:
    one = edit("insert", place={"after": "b-p1"}, text="New words.")
    assert after(one).model_dump_json() == after(one).model_dump_json()
    assert ids(changed(PIECE, one, salt="3"))[2] != ids(after(one))[2]


def test_typed_sentences_that_were_kept_still_rest_on_their_source() -> None:
    new = block(after(edit("set_text", block_id="b-p1", text="In short: yes. The moon pulls it.")), "b-p1")
    (kept,) = new.provenance.supports
    assert new.text[kept.start : kept.end] == "The moon pulls it."
    assert kept.spans == PIECE.blocks[1].provenance.supports[1].spans
    assert new.provenance.origin == "person"


def test_typing_what_stands_there_keeps_every_support() -> None:
    assert block(after(edit("set_text", block_id="b-p1", text=FIRST)), "b-p1").provenance.supports == (
        PIECE.blocks[1].provenance.supports
    )


def test_a_typed_list_has_a_line_for_each_item() -> None:
    new = block(after(edit("set_text", block_id="b-l1", text="uno\n  due\n\ntre")), "b-l1")
    assert isinstance(new, ListBlock)
    assert [(item.text, item.depth, item.ordered) for item in new.items] == [
        ("uno", 0, True),
        ("due", 1, True),
        ("tre", 0, True),
    ]


def test_moving_and_deleting() -> None:
    assert ids(after(edit("move", block_id="b-p2", place={"before": "b-h1"})))[:2] == ["b-p2", "b-h1"]
    assert ids(after(edit("move", block_id="b-h1", place={"after": "b-f2"})))[-1] == "b-h1"
    assert after(edit("move", block_id="b-h1", place={"after": "b-h1"})) == PIECE
    assert "b-q1" not in ids(after(edit("delete", block_id="b-q1")))


def test_another_picture_stands_in_the_same_place_and_the_one_before_is_an_alternative() -> None:
    new = after(edit("swap_picture", block_id="b-f1", picture_id=MILL.id))
    figure = block(new, "b-f1")
    assert (figure.picture_id, figure.caption, figure.reason) == (MILL.id, "A mill", "A person picked it.")
    assert [other.picture_id for other in figure.alternatives] == [HARBOUR.id]
    back = after(edit("swap_picture", block_id="b-f1", picture_id=HARBOUR.id), new)
    assert block(back, "b-f1").picture_id == HARBOUR.id
    found = after(edit("swap_picture", block_id="b-f1", picture_id=BOAT.id))
    assert BOAT in found.pictures and HARBOUR in found.pictures


def test_no_picture_here_takes_the_figure_and_its_pictures_out() -> None:
    new = after(edit("no_picture", block_id="b-f1"))
    assert [figure.id for figure in new.figures] == ["b-f2"]
    assert new.pictures == (LOCK,)


def test_a_new_figure() -> None:
    new = after(edit("insert_picture", place={"after": "b-p2"}, picture_id=BOAT.id))
    made = new.blocks[ids(new).index("b-p2") + 1]
    assert isinstance(made, Figure) and made.picture_id == BOAT.id


def test_what_a_person_says_of_a_picture() -> None:
    new = after(edit("set_caption", block_id="b-f1", text="The old harbour"))
    assert (block(new, "b-f1").caption, block(new, "b-f1").caption_origin) == ("The old harbour", "person")
    new = after(edit("set_alt", block_id="b-f1", decorative=True))
    assert (block(new, "b-f1").alt, block(new, "b-f1").alt_origin) == ("", "decorative")
    assert block(after(edit("set_credit", block_id="b-f1", text="Mia")), "b-f1").credit == "Mia"


def test_a_heading_of_a_persons_own() -> None:
    new = after(edit("insert", place={"before": "b-p2"}, text="Mills\nand more", kind="heading", level=3))
    made = new.blocks[ids(new).index("b-p2") - 1]
    assert isinstance(made, Heading) and (made.text, made.level) == ("Mills and more", 3)


def test_what_a_writer_wrote_takes_the_place_of_the_block() -> None:
    wrote = Written("Shorter.", Provenance(origin="model"))
    one = edit("shorten", block_id="b-p1")
    assert needs_writer(one) and not needs_picture(one)
    assert block(after(one, written=wrote), "b-p1").text == "Shorter."
    wished = edit("insert", place={"after": "b-p1"}, wish="something about boats")
    assert needs_writer(wished)
    assert after(wished, written=wrote).blocks[2].provenance.origin == "model"
    with pytest.raises(EditRefused, match="table"):
        after(edit("rewrite", block_id="b-t1"), written=wrote)


@pytest.mark.parametrize(
    ("one", "error", "said"),
    [
        (edit("delete", block_id="b-zz"), BlockUnknown, "b-zz"),
        (edit("move", block_id="b-p1", place={"after": "b-zz"}), BlockUnknown, "b-zz"),
        (edit("set_caption", block_id="b-p1", text="x"), EditRefused, "shows no picture"),
        (edit("set_text", block_id="b-f1", text="x"), EditRefused, "no text"),
        (edit("set_text", block_id="b-t1", text="x"), EditRefused, "table"),
        (edit("set_text", block_id="b-h1", text="x" * 5_000), EditRefused, "4000"),
        (edit("swap_picture", block_id="b-f1", picture_id=HARBOUR.id), EditRefused, "already"),
        (edit("swap_picture", block_id="b-f1", picture_id=LOCK.id), EditRefused, "b-f2"),
        (edit("insert_picture", place={"after": "b-p1"}, picture_id=LOCK.id), EditRefused, "b-f2"),
    ],
)
def test_what_does_not_fit_is_refused(one: Edit, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        after(one)


def test_the_last_text_stays() -> None:
    only = PIECE.model_copy(update={"blocks": PIECE.blocks[1:3]})
    with pytest.raises(EditRefused, match="last text"):
        after(edit("delete", block_id="b-p1"), only)


@pytest.mark.parametrize(
    "said",
    [
        {"op": "insert", "place": {"after": "b-1", "before": "b-1"}, "text": "x"},
        {"op": "insert", "place": {}, "text": "x"},
        {"op": "insert", "place": {"after": "b-1"}},
        {"op": "insert", "place": {"after": "b-1"}, "text": "x", "wish": "y"},
        {"op": "insert", "place": {"after": "b-1"}, "wish": " "},
        {"op": "insert", "place": {"after": "b-1"}, "wish": "y", "kind": "heading"},
        {"op": "set_text", "block_id": "b-1", "text": " \n"},
        {"op": "set_alt", "block_id": "b-1"},
        {"op": "set_alt", "block_id": "b-1", "text": "x", "decorative": True},
        {"op": "swap_picture", "block_id": "b-1"},
        {"op": "swap_picture", "block_id": "../etc", "picture_id": "0" * 64},
        {"op": "explode", "block_id": "b-1"},
    ],
)
def test_edits_that_are_none(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        edit_adapter.validate_python(said)
