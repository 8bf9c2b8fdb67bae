"""Files that a brief names on this machine: each goes to the service once, folders as what is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from interleaf import Client
from interleaf.errors import InvalidBrief, MediaUnsupported, SourceUnreadable
from interleaf.service.picture_archive import PICTURE_FILES, pack_folder
from retrieval.pictures.sidecar import MANIFEST_NAMES
from retrieval.pictures.sniff import PICTURE_SUFFIXES
from tests.api.service import Service
from tests.sdk.faulty_transport import QUICK
from tests.sdk.material import write_material
from workers.store.uploads import REFERENCE


def test_notes_and_pictures_go_along(service: Service, tmp_path: Path) -> None:
    folder = write_material(tmp_path)
    (folder / "notes" / "old.pdf").write_bytes(b"%PDF-")
    (folder / "notes" / ".hidden.md").write_text("hidden")
    (folder / "outside.md").write_text("outside")
    (folder / "notes" / "link.md").symlink_to(folder / "outside.md")
    given = {
        "instruction": "Locks",
        "sources": ["notes", "notes/locks.md", {"text": "x"}],
        "pictures": [{"path": "pictures", "author": "Ada"}, "pictures/side-pond.png"],
    }
    with service.served() as url, Client(url, service.alice, retrying=QUICK) as client:
        brief = client.jobs.create(given, base=folder).brief()
        sent = {upload.reference: upload for upload in client.uploads.list(limit=100).data}
    assert sorted({source.name for source in brief.sources if source.path}) == ["locks.md", "water.txt"]
    named = [one.path for one in (*brief.sources, *brief.pictures) if one.path]
    assert set(named) == set(sent)  # a note that is named twice is sent once
    assert len(named) == len(sent) + 1
    assert all(path.startswith(REFERENCE) for path in named)
    assert [(sent[one.path].media_type, one.author) for one in brief.pictures] == [
        ("application/zip", "Ada"),
        ("image/png", None),
    ]


def test_pictures_that_notes_show_go_along_with_them(service: Service, tmp_path: Path) -> None:
    folder = write_material(tmp_path)
    (folder / "notes" / "side pond.png").write_bytes((folder / "pictures" / "side-pond.png").read_bytes())
    with (folder / "notes" / "locks.md").open("a") as note:
        note.write("\n\n![A side pond](side%20pond.png)\n")
    with service.served() as url, Client(url, service.alice, retrying=QUICK) as client:
        brief = client.jobs.create({"instruction": "Locks", "sources": ["notes"]}, base=folder).brief()
        (sent,) = client.uploads.list().data
    assert [source.path for source in brief.sources] == [sent.reference]
    assert (sent.name, sent.media_type) == ("notes.zip", "application/zip")


def test_what_is_not_there_or_not_taken_is_named(service: Service, tmp_path: Path) -> None:
    (tmp_path / "program.md").write_bytes(b"\x7fELF\x00\x01\xff")
    with service.served() as url, Client(url, service.alice, retrying=QUICK) as client:
        with pytest.raises(SourceUnreadable, match=r"nowhere\.md"):
            client.jobs.create({"instruction": "x", "sources": ["nowhere.md"]}, base=tmp_path)
        with pytest.raises(InvalidBrief, match=r"pictures\[0\]\.path"):
            client.jobs.create({"instruction": "x", "pictures": ["nowhere"]}, base=tmp_path)
        with pytest.raises(MediaUnsupported):
            client.jobs.create({"instruction": "x", "sources": ["program.md"]}, base=tmp_path)
        assert client.jobs.list().data == ()


def test_a_folder_is_always_the_same_archive(tmp_path: Path) -> None:
    folder = write_material(tmp_path) / "pictures"
    (folder / "more.zip").write_bytes(b"PK\x05\x06" + b"\0" * 18)
    (folder / "notes.docx").write_bytes(b"x")
    packed = [pack_folder(folder) for _ in range(2)]
    try:
        contents = [path.read_bytes() for path, _ in packed if path is not None]
        assert contents[0] == contents[1]
        assert [[one.name for one in archives] for _, archives in packed] == [["more.zip"]] * 2
        assert packed[0][0] is not None
        with zipfile.ZipFile(packed[0][0]) as archive:
            names = {path.name for path in folder.iterdir()} - {"more.zip", "notes.docx"}
            assert set(archive.namelist()) == names
            assert names & set(MANIFEST_NAMES)
    finally:
        for path, _ in packed:
            assert path is not None
            path.unlink()


def test_an_empty_folder_is_no_archive(tmp_path: Path) -> None:
    assert pack_folder(tmp_path) == (None, [])


def test_what_is_packed_is_what_the_service_reads() -> None:
    assert PICTURE_FILES <= PICTURE_SUFFIXES
