"""Intake: a note shows the pictures that lie beside it, and no other file of this machine; nothing is fetched."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from interleaf import Composer
from interleaf.errors import InterleafError
from tests.retrieval.drawing import write_scene
from tests.sdk.material import NOTES


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of notes with one picture in it, and one outside."""
    folder = tmp_path / "given" / "notes"
    folder.mkdir(parents=True)
    write_scene(folder / "inside.png", 1)
    write_scene(tmp_path / "given" / "secret.png", 2)
    (folder / "link.png").symlink_to(tmp_path / "given" / "secret.png")
    (folder / "linked").symlink_to(tmp_path / "given")
    return folder


def shown(notes: Path, written: list[str], home: Path) -> list[str]:
    """Names of the pictures of a piece that wants as many as there are, when its note shows what is written there."""
    images = "\n\n".join(f"![A drawing of the lock]({one})" for one in written)
    text = NOTES["locks.md"].replace("## Going down", f"{images}\n\n## Going down")
    (notes / "locks.md").write_text(text, encoding="utf-8")
    brief = {"instruction": "How a canal lock works", "sources": [str(notes)], "pictures_wanted": 5}
    piece = Composer(home=home).compose({**brief, "length_words": 150})
    return [picture.name for picture in piece.document.pictures]


def test_no_way_of_writing_leads_out_of_the_folder(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(socket.socket, "connect", connect)
    secret = (notes.parent / "secret.png").as_posix()
    ways = [
        *("../secret.png", "%2e%2e/secret.png", "..%2fsecret.png", "./x/../../secret.png", "link.png"),
        *("linked/secret.png", "<../secret.png>", "inside.png/../../secret.png", "..\\secret.png", "~/secret.png"),
        *(secret, f"file://{secret}", "http://127.0.0.1/x.png", "//127.0.0.1/x.png", "data:image/png;base64,AAAA"),
    ]
    assert shown(notes, [*ways, "inside.png"], tmp_path / "h") == ["inside.png"]


def test_what_a_brief_names_is_read_as_what_it_is(tmp_path: Path) -> None:
    """A picture that is a note, a note that is a picture, a device: refused by name, whatever the suffix says."""
    (tmp_path / "a.png").write_text("#!/bin/sh\n")
    write_scene(tmp_path / "b.png", 1).rename(tmp_path / "b.md")
    for fields in ({"pictures": [str(tmp_path / "a.png")]}, {"sources": [str(tmp_path / "b.md")]}):
        brief = {"instruction": "x", "sources": [{"text": NOTES["locks.md"]}], **fields}
        with pytest.raises(InterleafError, match=r"[ab]\.(png|md)"):
            Composer(home=tmp_path / "h").compose(brief)


def test_a_picture_is_called_what_its_sender_calls_it(tmp_path: Path) -> None:
    """What was sent lies under a name of ours, which is in no piece; its own may be all that is known of it."""
    ours = tmp_path / "upl_01kaj5v1c8m2n4p6q8r0s2t4v6.png"
    write_scene(ours, 1)
    asked = {"instruction": "How a canal lock works", "sources": [{"text": NOTES["locks.md"]}], "length_words": 150}
    given = [{"path": str(ours), "name": "../gates of the lock.png"}]
    piece = Composer(home=tmp_path / "home").compose({**asked, "pictures": given, "pictures_wanted": 1})
    (picture,) = piece.document.pictures
    assert (picture.name, picture.caption) == ("gates of the lock.png", "gates of the lock")
    assert "upl_" not in piece.document.model_dump_json()
    ours.write_bytes(b"no picture")
    with pytest.raises(InterleafError, match="gates of the lock") as caught:
        Composer(home=tmp_path / "again").compose({**asked, "pictures": given})
    assert "upl_" not in caught.value.message
