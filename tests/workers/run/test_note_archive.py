"""Archives of notes: unpacked whole and safely, and a run sees what it would have seen of the folder itself."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from interleaf.errors import SourceUnreadable
from interleaf.schema import Brief
from interleaf.service.note_archive import pack_notes, shown_beside
from workers.run.intake import Material, take_in
from workers.run.note_archive import unpack_notes
from workers.run.run_folder import RunFolder

MIB = 2**20


def notes_with_pictures(folder: Path) -> Path:
    (folder / "figures").mkdir(parents=True)
    for number, colour in enumerate(("red", "blue", "green")):
        pixels = Image.new("RGB", (64, 48), colour)
        pixels.putpixel((number, number), (255, 255, 255))
        pixels.save(folder / "figures" / f"{colour} one.png")
    Image.new("RGB", (9, 9)).save(folder.parent / "outside.png")
    (folder / "figures" / "manifest.csv").write_text("file,author,licence\nred one.png,Jo Lind,CC-BY-4.0\n")
    (folder / "a.md").write_text(
        "# Tides\n\nThe sea rises.\n\n![A red thing](figures/red%20one.png)\n\n![Away](../outside.png)\n\n"
        '![Far](https://example.org/x.png)\n\n<img src="figures/green one.png">\n'
    )
    (folder / "b.txt").write_text("The sea falls.")
    return folder


def archive_of(path: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            if name in links:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            made.writestr(info, content)
    return path


def taken_in(folder: Path, run: Path) -> Material:
    run_folder = RunFolder.at(run.parent, run.name)
    run_folder.create()
    brief = Brief.model_validate({"instruction": "x", "sources": [str(folder)]})
    return take_in(brief, Path("/"), run_folder, max_source_bytes=MIB, max_pictures=100)


def test_a_run_sees_what_it_would_have_seen_of_the_folder(tmp_path: Path) -> None:
    folder = notes_with_pictures(tmp_path / "notes")
    packed = pack_notes(folder, [folder / "a.md", folder / "b.txt"])
    assert packed is not None
    try:
        with zipfile.ZipFile(packed) as archive:
            beside = ["figures/green one.png", "figures/manifest.csv", "figures/red one.png"]
            assert sorted(archive.namelist()) == ["a.md", "b.txt", *beside]
        unpacked = unpack_notes(packed, "notes.zip", tmp_path / "unpacked", max_bytes=MIB)
    finally:
        packed.unlink()
    here, there = taken_in(folder, tmp_path / "run-1"), taken_in(unpacked, tmp_path / "run-2")
    assert here == there
    assert [candidate.origin for candidate in here.candidates] == ["document", "document"]
    assert "CC-BY-4.0" in {candidate.picture.licence for candidate in there.candidates}, (
        "a licence is not lost on the way"
    )


def test_notes_without_pictures_are_not_packed(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("![x](nowhere.png) ![y](../a.png) ![z](data:image/png;base64,AAAA)")
    assert list(shown_beside(tmp_path / "a.md")) == []
    assert pack_notes(tmp_path, [tmp_path / "a.md"]) is None


def test_what_is_neither_note_nor_picture_and_what_is_a_link_stays_out(tmp_path: Path) -> None:
    members = {"a.md": b"# A", "run.sh": b"#!/bin/sh", "x.png": b"no picture", "l.md": b"/etc/passwd", ".h.md": b"h"}
    packed = archive_of(tmp_path / "n.zip", members, links=("l.md",))
    folder = unpack_notes(packed, "n.zip", tmp_path / "out", max_bytes=MIB)
    assert sorted(path.name for path in folder.rglob("*")) == ["a.md"]


@pytest.mark.parametrize("name", ["../a.md", "/etc/a.md", "..\\..\\a.md", "C:\\a.md", "x/../../a.md"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    packed = archive_of(tmp_path / "n.zip", {name: b"# A"})
    folder = unpack_notes(packed, "n.zip", tmp_path / "deep" / "out", max_bytes=MIB)
    written = list(tmp_path.rglob("*.md"))
    assert len(written) == 1 and written[0].is_relative_to(folder)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"x.sh": b"x"}, "holds no note"),
        ({}, "holds no note"),
        ({"a.md": b"x" * (MIB + 1)}, "bytes"),
        ({"a.md": b"x" * (MIB - 10), "b.md": b"y" * 11}, "bytes"),
        ({"n" * 256 + ".md": b"x"}, "name"),
    ],
)
def test_what_cannot_be_taken_is_said_and_leaves_nothing(tmp_path: Path, members: dict[str, bytes], said: str) -> None:
    packed = archive_of(tmp_path / "n.zip", members)
    (tmp_path / "run").mkdir()
    with pytest.raises(SourceUnreadable, match=said):
        unpack_notes(packed, "n.zip", tmp_path / "run" / "out", max_bytes=MIB)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_damaged_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "n.zip").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(SourceUnreadable, match="damaged"):
        unpack_notes(tmp_path / "n.zip", "n.zip", tmp_path / "out", max_bytes=MIB)


def test_what_was_unpacked_half_is_unpacked_again(tmp_path: Path) -> None:
    packed = archive_of(tmp_path / "n.zip", {"a.md": b"# A"})
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "half.md").write_text("half")
    folder = unpack_notes(packed, "n.zip", tmp_path / "out", max_bytes=MIB)
    assert [path.name for path in folder.iterdir()] == ["a.md"]
    packed.unlink()
    assert unpack_notes(packed, "n.zip", tmp_path / "out", max_bytes=MIB) == folder
