"""History: what undoing and doing again mean over the versions of a piece. Versions are never taken away.

Each version is a step: an edit, a restored version, an undo or a redo. Undo goes back to the content before the last
step that is not undone, redo takes an undo back; both make a version that repeats an earlier one. An edit or a restored
version after an undo forgets what could be done again, as text editors do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from interleaf.errors import EditRefused

__all__ = ["Step", "redo_target", "undo_target"]


@dataclass(frozen=True)
class Step:
    """How a version came about. `version` counts from 1 and rises by one; the first is made by a job."""

    version: int
    how: Literal["made", "edit", "restore", "undo", "redo"]


def undo_target(steps: Sequence[Step]) -> int:
    """The version whose content undoing brings back. EditRefused when there is nothing to undo."""
    done, _ = _replayed(steps)
    if len(done) < 2:
        raise EditRefused("undo", "nothing is left to undo.", "See the versions of the document.")
    return done[-2]


def redo_target(steps: Sequence[Step]) -> int:
    """The version whose content doing again brings back. EditRefused when nothing was undone."""
    _, undone = _replayed(steps)
    if not undone:
        raise EditRefused("redo", "nothing was undone since the last edit.", "See the versions of the document.")
    return undone[-1]


def _replayed(steps: Sequence[Step]) -> tuple[list[int], list[int]]:
    """Versions whose contents followed one another up to now, and those that were undone, the next to redo last."""
    done: list[int] = []
    undone: list[int] = []
    for step in steps:
        if step.how == "undo" and len(done) > 1:
            undone.append(done.pop())
        elif step.how == "redo" and undone:
            done.append(undone.pop())
        else:
            done.append(step.version)
            undone.clear()
    return done, undone
