"""What is offered from folders, archives and files; hostile names and members do nothing."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from interleaf.errors import PictureUnreadable
from retrieval.pictures.archive import Archive
from retrieval.pictures.offers import offered
from tests.retrieval.drawing import encoded, scene, write_scene, zipped

JPEG = encoded(scene(1, (64, 48)))


def test_a_folder_is_walked_in_order_and_other_files_are_counted(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "sub/c.png", ".hidden/d.jpg", ".e.jpg", "__MACOSX/f.jpg"):
        write_scene(tmp_path / name, 1)
    (tmp_path / "notes.md").write_text("# notes")
    (tmp_path / "README").write_text("words")
    (tmp_path / "photo-without-suffix").write_bytes(JPEG)
    (tmp_path / "disguised.jpg").write_text("<html>")
    found = offered([tmp_path])
    assert [o.name for o in found.offers] == ["a.jpg", "b.jpg", "disguised.jpg", "photo-without-suffix", "c.png"]
    assert found.ignored_files == 2 and not found.refused


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = write_scene(tmp_path / "outside" / "secret.jpg", 1)
    folder = tmp_path / "folder"
    write_scene(folder / "own.jpg", 2)
    (folder / "out.jpg").symlink_to(outside)
    (folder / "outdir").symlink_to(outside.parent)
    (folder / "in.jpg").symlink_to(folder / "own.jpg")
    (folder / "loop").symlink_to(folder)
    found = offered([folder])
    assert [o.name for o in found.offers] == ["own.jpg"]
    assert [Path(r.name).name for r in found.refused] == ["out.jpg"] and "link" in found.refused[0].reason


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert offered([tmp_path]).offers == [] and offered([tmp_path]).ignored_files == 1
    assert "neither" in offered([tmp_path / "pipe.jpg"]).refused[0].reason
    assert "no such file" in offered([tmp_path / "nothing.jpg"]).refused[0].reason


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(JPEG)
    (offer,) = offered([tmp_path]).offers
    assert offer.name == "caf\ufffd.jpg" and offer.read() == JPEG and offer.place == name


def test_sidecars_speak_for_their_pictures_nearest_first(tmp_path: Path) -> None:
    for name in ("a.jpg", "sub/b.jpg", "sub/c.jpg", "sub/deep/d.jpg"):
        write_scene(tmp_path / name, 1)
    (tmp_path / "manifest.csv").write_text("file,caption,author\na.jpg,A,Jo\nsub/b.jpg,from above,Jo\nd.jpg,D,\n")
    (tmp_path / "sub" / "manifest.json").write_text('{"b.jpg": "from beside"}')
    (tmp_path / "sub" / "c.jpg.yaml").write_text("caption: its own\nlicense: CC0\n")
    said = {o.name: o.beside for o in offered([tmp_path]).offers}
    assert (said["a.jpg"].caption, said["a.jpg"].author) == ("A", "Jo")
    assert (said["b.jpg"].caption, said["b.jpg"].author) == ("from beside", "Jo"), "the rest is filled from above"
    assert (said["c.jpg"].caption, said["c.jpg"].licence) == ("its own", "CC0-1.0")
    assert said["d.jpg"].caption == "D"


def test_single_files_know_what_lies_beside_them(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.jpg", 1)
    (tmp_path / "manifest.yaml").write_text("a.jpg: {caption: A}")
    (tmp_path / "a.json").write_text('{"author": "Jo"}')
    found = offered([path, tmp_path / "manifest.yaml", tmp_path / "a.json"])
    (offer,) = found.offers
    assert (offer.beside.caption, offer.beside.author) == ("A", "Jo")
    assert found.ignored_files == 2, "photos/* hands over the sidecars too"


def test_a_broken_sidecar_is_noted_and_the_picture_comes(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.jpg", 1)
    (tmp_path / "manifest.json").write_text('[{"file": "a.jpg",\n oops')
    found = offered([tmp_path])
    assert len(found.offers) == 1
    assert found.notes[0].name.endswith("manifest.json") and "line 2" in found.notes[0].message


def test_an_archive_is_read_in_memory_and_its_paths_do_nothing(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep.jpg", JPEG)
    path = zipped(
        tmp_path / "photos.zip",
        {
            "sub/a.jpg": JPEG,
            "sub/manifest.csv": b"file,caption\na.jpg,from inside\n",
            "../../evil.jpg": JPEG,
            "/absolute.jpg": JPEG,
            "C:\\windows\\back.jpg": JPEG,
            "__MACOSX/._a.jpg": b"x",
            ".hidden.jpg": JPEG,
            "notes.txt": b"words",
            "inner.zip": inner.getvalue(),
            "bare": JPEG,
        },
    )
    before = sorted(tmp_path.parent.rglob("*"))
    found = offered([path])
    assert sorted(o.name for o in found.offers) == ["a.jpg", "absolute.jpg", "back.jpg", "bare", "evil.jpg"]
    assert all(o.read() == JPEG and ".." not in o.label for o in found.offers)
    assert next(o for o in found.offers if o.name == "a.jpg").beside.caption == "from inside"
    assert [r.name.rpartition("/")[2] for r in found.refused] == ["inner.zip"]
    assert found.ignored_files >= 1 and sorted(tmp_path.parent.rglob("*")) == before


def test_links_and_passwords_in_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.jpg", JPEG)
    found = offered([path])
    assert [o.name for o in found.offers] == ["good.jpg"]
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[at + 8] |= 1
    path.write_bytes(bytes(data))
    assert "encrypted" in offered([path]).refused[0].reason


def test_bombs_are_refused_before_they_unfold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blown = zipped(tmp_path / "blown.zip", {"zeros.bmp": b"\0" * 20_000_000, "good.jpg": JPEG})
    found = offered([blown])
    assert [o.name for o in found.offers] == ["good.jpg"] and "tightly" in found.refused[0].reason
    monkeypatch.setattr("retrieval.pictures.archive.MAX_MEMBERS", 3)
    many = zipped(tmp_path / "many.zip", {f"{i}.jpg": JPEG for i in range(4)})
    assert "4 files" in offered([many]).refused[0].reason
    deep = zipped(tmp_path / "deep.zip", {"a/" * 5_000 + "x.jpg": JPEG})
    assert "deep" in offered([deep]).refused[0].reason


def test_a_member_larger_than_it_says_is_stopped(tmp_path: Path) -> None:
    archive = Archive(zipped(tmp_path / "a.zip", {"a.jpg": JPEG}), "a.zip")
    (member,) = archive.members()
    with pytest.raises(PictureUnreadable, match="at most"):
        archive.read(member, limit=10)


def test_damaged_archives_and_members(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": JPEG, "b.jpg": JPEG + b"x"})
    data = bytearray(path.read_bytes())
    data[60:70] = b"\0" * 10
    path.write_bytes(bytes(data))
    offers = offered([path]).offers
    with pytest.raises(PictureUnreadable, match="unpacked"):
        offers[0].read()
    assert offers[1].read() == JPEG + b"x"
    path.write_bytes(bytes(data[: len(data) // 2]))
    assert "damaged" in offered([path]).refused[0].reason
