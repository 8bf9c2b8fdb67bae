"""What changed between two versions is told whole, in words, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.editing.changed import changed
from agents.editing.difference import difference, in_words
from interleaf.errors import BlockUnknown, EditRefused
from interleaf.schema import Article, Provenance, Support
from interleaf.schema.edit import edit_adapter
from tests.agents.editing.pieces import PICTURES, PIECE, edits


def after(*said: dict[str, object]) -> Article:
    article = PIECE
    for number, one in enumerate(said):
        article = changed(article, edit_adapter.validate_python(one), salt=str(number))
    return article


def test_a_changed_word_is_shown_between_the_words_that_stayed() -> None:
    new = after({"op": "set_text", "block_id": "b-p2", "text": "Mills use the rise of the water."})
    (change,) = difference(PIECE, new)
    assert (change.kind, change.block_id) == ("changed", "b-p2")
    assert "text: Mills use the [-fall-]{+rise+} of the water." in in_words([change])


def test_added_removed_and_moved_blocks_are_told_where_a_reader_meets_them() -> None:
    new = after(
        {"op": "delete", "block_id": "b-p2"},
        {"op": "insert", "place": {"before": "b-h1"}, "text": "First of all."},
        {"op": "move", "block_id": "b-c1", "place": {"after": "b-h1"}},
    )
    told = [(change.kind, change.block_id) for change in difference(PIECE, new)]
    assert told[0][0] == "added"
    assert told[1:] == [("moved", "b-c1"), ("removed", "b-p2")]


def test_what_is_gone_at_the_end_is_told_too() -> None:
    assert [c.kind for c in difference(PIECE, after({"op": "delete", "block_id": "b-f2"}))] == ["removed"]


@given(st.data())
def test_nothing_is_told_of_equal_versions_and_everything_of_others(data: st.DataObject) -> None:
    article = PIECE
    for number in range(3):
        one = data.draw(edits(article))
        try:
            article = changed(
                article, one, salt=str(number), picture=PICTURES.get(getattr(one, "picture_id", None) or "")
            )
        except (BlockUnknown, EditRefused):
            continue
    changes = difference(PIECE, article)
    assert (changes == ()) == (PIECE.blocks == article.blocks)
    before, now = {b.id: b for b in PIECE.blocks}, {b.id: b for b in article.blocks}
    of_kind = {kind: {c.block_id for c in changes if c.kind == kind} for kind in ("added", "removed", "changed")}
    assert of_kind["added"] == now.keys() - before.keys()
    assert of_kind["removed"] == before.keys() - now.keys()
    assert of_kind["changed"] == {i for i in now.keys() & before.keys() if now[i] != before[i]}
    for change in changes:
        for name, words in change.fields:
            if name == "text" and change.block_type != "list":
                old, new = before[change.block_id], now[change.block_id]
                assert "".join(w.text for w in words if w.kind != "added") == old.text
                assert "".join(w.text for w in words if w.kind != "removed") == new.text
    for program in ("Support(", "SourceSpan(", "Alternative(", "ListItem(", "origin='"):
        assert program not in in_words(changes)


def test_what_a_block_rests_on_is_counted() -> None:
    (change,) = difference(PIECE, after({"op": "set_text", "block_id": "b-p2", "text": "Something else."}))
    assert "provenance: [-by the workflow-]{+by a person+}\n" in in_words([change])
    notes = Provenance(origin="source", supports=(Support(start=0, end=5, spans=()),))
    of_notes = PIECE.model_copy(
        update={"blocks": tuple(block.model_copy(update={"provenance": notes}) for block in PIECE.blocks)}
    )
    assert "{+from the notes, 1 sentence+}" in in_words(difference(PIECE, of_notes))
