"""Pixel files are there wholly or not at all, under names that we made."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from interleaf.errors import OutputUnwritable
from retrieval.pictures.store import PixelStore

ID = "ab" * 32


def test_a_file_is_written_under_its_id(tmp_path: Path) -> None:
    store = PixelStore(tmp_path / "pictures")
    path = store.write(ID, "image/jpeg", b"pixels")
    store.sync()
    assert path == tmp_path / "pictures" / "ab" / f"{ID}.jpg" and path.read_bytes() == b"pixels"
    assert list(store.files()) == [path]
    store.remove(ID, "image/jpeg")
    store.remove(ID, "image/jpeg")
    assert list(store.files()) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    store = PixelStore(tmp_path)

    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fails)
    else:
        monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OutputUnwritable, match=os.strerror(number)):
        store.write(ID, "image/png", b"pixels")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_what_a_killed_process_left_aside_is_cleared(tmp_path: Path) -> None:
    store = PixelStore(tmp_path)
    store.write(ID, "image/png", b"pixels")
    (tmp_path / ".aside" / "half.png").write_bytes(b"pix")
    assert [p.name for p in store.files()] == [f"{ID}.png"], "it is no picture's file"
    store.clear_aside()
    assert list((tmp_path / ".aside").iterdir()) == []
