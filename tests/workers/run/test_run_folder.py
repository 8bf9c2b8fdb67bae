"""Run folders: server-made names, whole files or none, one worker at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from interleaf.errors import InvalidBrief, RunBusy, RunUnknown
from workers.run.run_folder import RunFolder, list_runs
from workers.store.ids import new_run_id


@pytest.mark.parametrize("bad", ["../x", "a/b", "", "A", "..", "x" * 65, "a\x00b", "-a"])
def test_a_run_id_never_leaves_the_folder(tmp_path: Path, bad: str) -> None:
    with pytest.raises(InvalidBrief):
        RunFolder.at(tmp_path, bad)


def test_new_ids_are_valid_and_differ(tmp_path: Path) -> None:
    ids = {new_run_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(RunFolder.at(tmp_path, one).path.parent == tmp_path for one in ids)


def test_two_workers_do_not_share_a_run(tmp_path: Path) -> None:
    folder = RunFolder.at(tmp_path, "run-1")
    folder.create()
    with folder.held(), pytest.raises(RunBusy), folder.held():
        pass
    with folder.held():
        pass


def test_an_unknown_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunUnknown):
        RunFolder.at(tmp_path, "run-1").require()
    assert list_runs(tmp_path) == []
