"""A folder appears complete or not at all, and a killed process's leavings are cleared."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from interleaf.errors import OutputUnwritable
from model.weights.whole_folder import clear_leftovers, need_room, whole_folder


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "model"
    with whole_folder(target) as aside:
        (aside / "x").write_text("1")
        assert not target.exists()
    assert _names(target) == ["x"] and _names(target.parent) == ["model"]


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()]
)
def test_a_failure_leaves_what_was_there(failure: BaseException, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("1")
    wanted = OutputUnwritable if isinstance(failure, OSError) else type(failure)
    with pytest.raises(wanted) as caught, whole_folder(tmp_path / "model") as aside:
        (aside / "half").write_text("1")
        raise failure
    assert _names(tmp_path) == ["model"] and _names(tmp_path / "model") == ["old"]
    if isinstance(failure, OSError):
        assert "No space left on device" in caught.value.message and "Free some space" in caught.value.message


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with whole_folder(tmp_path / "model") as aside:
            (aside / content).write_text("1")
    assert _names(tmp_path) == ["model"] and _names(tmp_path / "model") == ["second"]


def test_leavings_of_a_kill_at_every_point(tmp_path: Path) -> None:
    """Killed while filling; between moving the old away and the new in; while removing the old."""
    target = tmp_path / "model"
    part, old = tmp_path / ".model.part", tmp_path / ".model.old"
    for there in ((part,), (part, old), (target, old), (part, target), (target, old, part)):
        for folder in there:
            folder.mkdir()
            (folder / folder.name).write_text("1")
        clear_leftovers(target)
        assert set(_names(tmp_path)) <= {"model"}
        if old in there or target in there:
            assert target.exists()
            shutil.rmtree(target)


def test_no_room(tmp_path: Path) -> None:
    need_room(tmp_path / "a" / "b", 1)
    with pytest.raises(OutputUnwritable, match=r"needs 1000000\.\d+ GB and the disk has .* free"):
        need_room(tmp_path / "a" / "b", 10**15)
