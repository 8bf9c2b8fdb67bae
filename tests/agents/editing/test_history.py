"""Undo and redo over versions, held against the two stacks of a text editor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.editing.history import Step, redo_target, undo_target
from interleaf.errors import EditRefused


@given(st.lists(st.sampled_from(["edit", "restore", "undo", "redo"]), max_size=30))
def test_as_a_text_editor_would(asked: list[str]) -> None:
    contents, steps = {1: "made"}, [Step(1, "made")]
    before: list[str] = []
    undone: list[str] = []
    now = "made"
    for number, how in enumerate(asked):
        version = len(steps) + 1
        if how in ("undo", "redo"):
            stack = before if how == "undo" else undone
            target = undo_target if how == "undo" else redo_target
            if not stack:
                with pytest.raises(EditRefused):
                    target(steps)
                continue
            found = contents[target(steps)]
            assert found == stack[-1]
            (undone if how == "undo" else before).append(now)
            now = stack.pop()
        else:
            before.append(now)
            undone.clear()
            now = f"{how} {number}" if how == "edit" else contents[1]
        contents[version] = now
        steps.append(Step(version, how))  # type: ignore[arg-type]


def test_after_an_edit_nothing_can_be_done_again() -> None:
    steps = [Step(1, "made"), Step(2, "edit"), Step(3, "undo")]
    assert redo_target(steps) == 2
    with pytest.raises(EditRefused, match="nothing was undone"):
        redo_target([*steps, Step(4, "edit")])
    with pytest.raises(EditRefused, match="nothing is left"):
        undo_target([Step(1, "made")])
