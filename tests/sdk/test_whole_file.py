"""A file appears whole or not at all, whatever the disk says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from interleaf.errors import OutputUnwritable
from interleaf.whole_file import write_whole


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputUnwritable, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputUnwritable, match="A file stands"):
        write_whole(tmp_path / "out" / "a.json", b"x")


def test_a_new_folder_is_made_and_the_file_is_readable(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "a" / "b" / "c.txt", b"text")
    assert path.read_bytes() == b"text"
    assert path.stat().st_mode & 0o777 == 0o644
