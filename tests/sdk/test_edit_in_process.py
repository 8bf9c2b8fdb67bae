"""A piece edited in its run folder: from Python and from the command line, as at a service, without one."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from interleaf import ComposedArticle, Composer
from interleaf.cli.app import main
from interleaf.errors import (
    BlockUnknown,
    EditRefused,
    InterleafError,
    InvalidRequest,
    NothingToSay,
    ObjectUnknown,
    PictureMissing,
    PictureUnreadable,
    RunUnknown,
    VersionStale,
)
from interleaf.schema import Paragraph
from interleaf.text import count_words, fold_space
from tests.sdk.material import NOTES, write_material

RUN = "r-locks"


@pytest.fixture(scope="module")
def composed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one composed run, and `out` beside it: composed once, copied for each test."""
    place = tmp_path_factory.mktemp("composed")
    material = write_material(place / "material")
    home = place / "home"
    piece = Composer(home=home).compose(
        {
            "instruction": "How a canal lock works and where its water comes from",
            "sources": [str(material / "notes")],
            "pictures": [str(material / "pictures")],
            "length_words": 150,
        },
        run_id=RUN,
    )
    for name in ("article.json", "article.html"):
        piece.save(home / "out" / name)
    return home


@pytest.fixture
def home(composed_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(composed_home, tmp_path / "home"))


@pytest.fixture
def piece(home: Path) -> ComposedArticle:
    return Composer(home=home).open(RUN)


def a_paragraph(piece: ComposedArticle) -> Paragraph:
    return max(
        (block for block in piece.blocks if isinstance(block, Paragraph)), key=lambda block: count_words(block.text)
    )


def others(piece: ComposedArticle, block_id: str) -> list[str]:
    return [block.model_dump_json() for block in piece.blocks if block.id != block_id]


def test_what_is_composed_can_be_edited_and_stays_as_it_was_beside_it(piece: ComposedArticle, home: Path) -> None:
    block = a_paragraph(piece)
    shorter = piece.edit({"op": "shorten", "block_id": block.id})
    assert (piece.version, shorter.version) == (1, 2)
    assert a_paragraph(piece) == block, "a version does not change"
    text = next(one.text for one in shorter.document.text_blocks if one.id == block.id)
    assert count_words(text) < count_words(block.text)
    assert others(piece, block.id) == others(shorter, block.id)
    # Its sentences stand in the notes, and the report was counted anew against them.
    assert shorter.report.words < piece.report.words
    assert shorter.report.sentences_with_span == shorter.report.sentences
    folded = " ".join(fold_space(said) for said in NOTES.values())
    now = next(one for one in shorter.document.text_blocks if one.id == block.id)
    for support in now.provenance.supports:
        assert fold_space(now.text[support.start : support.end]) in folded
    # Another process opens the newest version; and of two that edit one version the second is told.
    assert Composer(home=home).open(RUN).document == shorter.document
    with pytest.raises(VersionStale, match="version 2, not 1"):
        piece.edit({"op": "delete", "block_id": block.id})


def test_undo_redo_and_restore(piece: ComposedArticle, home: Path) -> None:
    block = a_paragraph(piece)
    typed = piece.edit({"op": "set_text", "block_id": block.id, "text": "A lock lifts boats."})
    gone = typed.edit({"op": "delete", "block_id": piece.figures[0].id})
    assert gone.report.pictures_placed == piece.report.pictures_placed - 1
    back = gone.undo()
    assert back.document == typed.document
    assert back.undo().document == piece.document
    with pytest.raises(EditRefused, match="undo"):
        Composer(home=home).open(RUN).undo()
    again = Composer(home=home).open(RUN).redo()
    assert again.document == typed.document
    assert again.redo().document == gone.document
    newest = Composer(home=home).open(RUN)
    assert newest.restore(1).document == piece.document
    with pytest.raises(ObjectUnknown):
        Composer(home=home).open(RUN).restore(99)
    assert [path.name for path in sorted((home / "runs" / RUN / "versions").iterdir())] == [
        f"{number}.json" for number in range(2, 9)
    ]


def test_pictures_are_swapped_for_alternatives_for_others_of_the_run_and_for_files(
    piece: ComposedArticle, tmp_path: Path
) -> None:
    figure = piece.figures[0]
    sent = tmp_path / "my boat.jpg"
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 51.0, 30.0)}  # where it was taken
    Image.new("RGB", (90, 60), (10, 120, 200)).save(sent, exif=exif)
    swapped = piece.edit({"op": "swap_picture", "block_id": figure.id}, picture=sent)
    now = swapped.figures[0]
    assert (now.id, now.alternatives[0].picture_id) == (figure.id, figure.picture_id)
    assert swapped.document.picture(now.picture_id).name == "my boat.jpg"
    stored = swapped._pictures.path(now.picture_id)
    with Image.open(stored) as picture:
        assert not dict(picture.getexif()), "its position is not kept"
    back = swapped.edit({"op": "swap_picture", "block_id": figure.id, "picture_id": figure.picture_id})
    assert back.figures[0].picture_id == figure.picture_id
    html = back.save(tmp_path / "out.html").read_text(encoding="utf-8")
    assert html.count("<figure") == len(piece.figures)
    with pytest.raises(PictureMissing):
        back.edit({"op": "swap_picture", "block_id": figure.id, "picture_id": "0" * 64})
    (tmp_path / "no.png").write_bytes(b"no picture")
    with pytest.raises(PictureUnreadable):
        back.edit({"op": "swap_picture", "block_id": figure.id}, picture=tmp_path / "no.png")


def test_what_cannot_be_done_says_why_and_writes_nothing(piece: ComposedArticle, home: Path) -> None:
    block = a_paragraph(piece)
    for edit, error in (
        ({"op": "delete", "block_id": "b-none"}, BlockUnknown),
        ({"op": "rewrite", "block_id": piece.figures[0].id}, EditRefused),
        ({"op": "swap_picture", "block_id": piece.figures[0].id, "upload_id": "upl_x"}, EditRefused),
        ({"op": "fly"}, InvalidRequest),
        ({"op": "set_text", "block_id": block.id}, InvalidRequest),
        ({"op": "set_text", "block_id": "../../x", "text": "x"}, InvalidRequest),
    ):
        with pytest.raises(error):
            piece.edit(edit)
    (home / "runs" / RUN / "material.json").unlink()
    with pytest.raises(NothingToSay, match="no notes left"):
        piece.edit({"op": "rewrite", "block_id": block.id})
    assert not (home / "runs" / RUN / "versions").exists()
    with pytest.raises(RunUnknown):
        Composer(home=home).open("r-nothing")


def test_of_many_who_edit_at_once_one_writes_each_version(piece: ComposedArticle, home: Path) -> None:
    block = a_paragraph(piece)
    gate, came = threading.Barrier(5), list[Any]()

    def write(number: int) -> None:
        mine = Composer(home=home).open(RUN)
        gate.wait()
        try:
            came.append(mine.edit({"op": "set_text", "block_id": block.id, "text": f"By {number}."}).version)
        except InterleafError as error:
            came.append(type(error))

    threads = [threading.Thread(target=write, args=[number]) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert came.count(2) == 1
    assert came.count(VersionStale) == 4
    assert Composer(home=home).open(RUN).version == 2


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The program's exit code, and what it said."""
    monkeypatch.setattr(sys, "argv", ["interleaf", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_command_edits_a_folder_that_compose_wrote(
    home: Path, piece: ComposedArticle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, block, at = home / "out", a_paragraph(piece), ("--home", str(home))

    def edit(*arguments: str) -> tuple[int, str, str]:
        return run(monkeypatch, capsys, "edit", *arguments, *at)

    code, said, _ = edit("show", str(out))
    assert code == 0
    assert block.id in said
    assert "version 1" in said
    code, said, _ = edit(str(out), "--block", block.id, "--op", "set_text", "--text", "A lock [b]lifts[/b] boats.")
    assert code == 0, said
    assert "version 2" in said
    assert "{+" in said
    assert "A lock [b]lifts[/b] boats." in (out / "article.html").read_text(encoding="utf-8")
    assert not (out / "article.zip").exists(), "the formats that the folder has, and no others"
    before = (out / "article.html").read_bytes()
    code, said, _ = edit("apply", str(out), "--block", block.id, "--op", "rewrite", "--json")
    told = json.loads(said)
    assert (code, told["version"], len(told["files"])) == (0, 3, 2)
    assert edit("undo", str(out), "--json")[0] == 0
    assert (out / "article.html").read_bytes() == before
    assert edit("redo", RUN, "--json")[1].startswith('{"version": 5')
    assert edit("restore", RUN, "1")[0] == 0
    code, said, _ = edit("versions", RUN, "--json")
    assert [one["how"] for one in json.loads(said)["versions"]] == ["restore", "redo", "undo", "edit", "edit", "made"]
    code, said, _ = edit("diff", RUN, "--from", "1", "--to", "6")
    assert "nothing differs" in said
    code, said, _ = edit("diff", RUN, "--from", "1", "--to", "2", "--json")
    assert [one["kind"] for one in json.loads(said)["changes"]] == ["changed"]
    # The folder is still at version 4: which run it is of can no longer be told.
    code, _, said = edit("show", str(out))
    assert (code, "newest version of no run" in said) == (2, True)
    code, _, said = edit(RUN, "--block", block.id, "--op", "delete", "--if-version", "5")
    assert code == 2
    assert "version 6, not 5" in said
    figure = piece.figures[0]
    other = next(one.id for one in piece.document.pictures if one.id not in {f.picture_id for f in piece.figures})
    code, said, said_ = edit(RUN, "--block", figure.id, "--op", "swap_picture", "--picture", other[:10], "--json")
    assert code == 0, said_
    assert json.loads(edit("show", RUN, "--block", figure.id, "--json")[1])["blocks"][0]["picture_id"] == other
    code, _, said = edit(RUN, "--block", figure.id, "--op", "swap_picture", "--picture", "nowhere.jpg")
    assert (code, "neither a file nor a picture" in said) == (2, True)
