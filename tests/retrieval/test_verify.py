"""Verify finds what is lost, damaged or left over, and repair puts it right without inventing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from interleaf.errors import LibraryDamaged
from interleaf.schema import PictureQuery
from retrieval.library import PictureLibrary
from tests.fakes import HashingEmbedder
from tests.retrieval.drawing import write_scene


@pytest.fixture
def library(tmp_path: Path) -> PictureLibrary:
    for i in range(4):
        write_scene(tmp_path / "in" / f"{i}.jpg", i)
    opened = PictureLibrary.open(tmp_path / "library")
    opened.add([tmp_path / "in"])
    return opened


def test_nothing_is_wrong_at_first(library: PictureLibrary) -> None:
    report = library.verify()
    assert report.ok and report.pictures == 4 and report.bytes_read > 0 and not report.repaired


def test_lost_damaged_and_left_over_files(tmp_path: Path, library: PictureLibrary) -> None:
    lost, damaged, *whole = library.list()
    library.pixels_path(lost.id).unlink()
    path = library.pixels_path(damaged.id)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    (tmp_path / "library" / "pictures" / "ab").mkdir(exist_ok=True)
    (tmp_path / "library" / "pictures" / "ab" / "stray.jpg").write_bytes(b"x")

    report = library.verify()
    assert not report.ok
    assert {(p.kind, p.name) for p in report.problems} == {
        ("lost_file", lost.id),
        ("damaged_file", damaged.id),
        ("leftover_file", "stray.jpg"),
    }
    assert library.count() == 4, "looking changes nothing"

    assert library.verify(repair=True).ok
    assert library.verify().problems == ()
    assert [p.id for p in library.list()] == [p.id for p in whole]
    again = library.add([tmp_path / "in"])
    assert set(again.added) == {lost.id, damaged.id}, "what was removed is not taken for seen"


def test_a_lost_file_comes_back_when_its_picture_is_offered_again(tmp_path: Path, library: PictureLibrary) -> None:
    lost = library.list()[0]
    library.pixels_path(lost.id).unlink()
    copied = tmp_path / "elsewhere.jpg"
    copied.write_bytes((tmp_path / "in" / "0.jpg").read_bytes())
    library.add([copied])
    assert library.verify().problems == ()


def test_a_catalog_that_contradicts_itself_is_told(library: PictureLibrary) -> None:
    database = library._catalog.database
    database.rows("PRAGMA foreign_keys = OFF")
    database.run("INSERT INTO memberships VALUES (999, 'ghosts', 1)")
    with pytest.raises(LibraryDamaged, match="contradicts itself"):
        library.verify()


def test_an_index_with_a_changed_byte_is_told_and_built_again(tmp_path: Path, library: PictureLibrary) -> None:
    library.add([tmp_path / "in"], given={"caption": "A drawn scene"})
    library.close()
    query = [PictureQuery(text="scene")]
    with PictureLibrary.open(tmp_path / "library", HashingEmbedder()) as searched:
        before = searched.search(query, 3)
        assert searched.verify().ok
    folder = tmp_path / "library" / "index"
    changed = [*folder.glob("*.index"), folder / "words.npz"]
    assert len(changed) == 2
    for path in changed:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    with PictureLibrary.open(tmp_path / "library") as opened:
        report = opened.verify()
        assert {(p.kind, p.name) for p in report.problems} == {("damaged_index", path.name) for path in changed}
        assert opened.verify(repair=True).ok and opened.verify().problems == ()
    with PictureLibrary.open(tmp_path / "library", HashingEmbedder()) as searched:
        assert searched.search(query, 3) == before
        assert searched.verify().ok
