"""What becomes of what is offered: order, duplicates, words, refusals; and that a killed ingest loses nothing."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from interleaf.errors import LibraryBusy, OutputUnwritable
from retrieval.library import PictureLibrary
from retrieval.pictures.ingest import IngestProgress
from retrieval.pictures.metadata import PictureMetadata
from tests.retrieval.drawing import GPS_MARK, encoded, exif_block, scene, write_scene, zipped

ROOT = Path(__file__).parents[3]


@pytest.fixture
def library(tmp_path: Path) -> PictureLibrary:
    return PictureLibrary.open(tmp_path / "library")


def test_pictures_come_in_order_with_their_words(tmp_path: Path, library: PictureLibrary) -> None:
    for i, name in enumerate(("c-stone arch.jpg", "a-old mill.png", "b.webp", "d.gif")):
        write_scene(tmp_path / "in" / name, i)
    (tmp_path / "in" / "d.gif.json").write_text('{"caption": "a moving thing", "license": "CC BY 4.0"}')
    steps: list[IngestProgress] = []
    report = library.add([tmp_path / "in"], on_progress=steps.append)
    pictures = library.list()
    assert [p.id for p in pictures] == list(report.added)
    assert [(p.caption, p.caption_origin) for p in pictures] == [
        ("a old mill", "file_name"),
        ("", "none"),
        ("c stone arch", "file_name"),
        ("a moving thing", "sidecar"),
    ]
    assert [p.media_type for p in pictures] == ["image/png", "image/webp", "image/jpeg", "image/gif"]
    assert pictures[3].licence == "CC-BY-4.0"
    assert [(s.done, s.total) for s in steps] == [(i, 4) for i in range(1, 5)]
    assert library.verify().problems == ()


def test_positions_are_in_no_stored_byte(tmp_path: Path, library: PictureLibrary) -> None:
    for orientation in (1, 6):
        path = tmp_path / "in" / f"{orientation}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(scene(orientation), exif=exif_block(orientation, serial="SERIAL-SECRET")))
        assert GPS_MARK in path.read_bytes()
    library.add([tmp_path / "in"])
    library.close()
    for path in (tmp_path / "library").rglob("*"):
        if path.is_file():
            assert GPS_MARK not in path.read_bytes() and b"SERIAL-SECRET" not in path.read_bytes(), path


def test_one_bad_file_does_not_stop_the_rest(tmp_path: Path, library: PictureLibrary) -> None:
    for i in range(3):
        write_scene(tmp_path / "in" / f"{i}.jpg", i)
    (tmp_path / "in" / "cut.jpg").write_bytes(encoded(scene(8))[:500])
    (tmp_path / "in" / "page.png").write_text("<!doctype html><script>alert(1)</script>")
    (tmp_path / "in" / "dot.png").write_bytes(encoded(Image.new("RGB", (1, 1)), "PNG"))
    report = library.add([tmp_path / "in"])
    assert len(report.added) == 3
    assert {Path(name).name: reason.split(".")[0] for name, reason in report.refused} == {
        "cut.jpg": "the JPEG file is cut off after 500 bytes",
        "page.png": "the file is a web page, not a picture that can be read here",
        "dot.png": "the picture has only 1 × 1 px; each side needs at least 16",
    }


def test_the_same_pixels_are_stored_once(tmp_path: Path, library: PictureLibrary) -> None:
    first = write_scene(tmp_path / "in" / "a.png", 1)
    shutil.copy(first, tmp_path / "in" / "b.png")
    report = library.add([tmp_path / "in"], "one")
    assert len(report.added) == 1 and [d.kind for d in report.duplicates] == ["exact"]
    again = library.add([tmp_path / "in"], "one")
    assert not again.added and set(again.already_there) == set(report.added)
    other = library.add([first], "two")
    assert other.added == report.added, "it is new in this collection"
    assert library.collections() == {"one": 1, "two": 1} and library.count() == 1
    assert set(report.picture_ids.values()) == set(report.added)


def test_near_duplicates_keep_the_first_and_may_lend_their_words(tmp_path: Path, library: PictureLibrary) -> None:
    image = scene(3, (640, 480))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.png").write_bytes(encoded(image, "PNG"))
    (folder / "2.jpg").write_bytes(encoded(image.resize((320, 240)), quality=80))
    (folder / "2.json").write_text('{"caption": "a lent caption", "author": "Jo"}')
    (folder / "3.jpg").write_bytes(encoded(image, quality=70))
    (folder / "3.json").write_text('{"caption": "comes too late"}')
    (folder / "4.jpg").write_bytes(encoded(scene(4, (640, 480))))
    report = library.add([folder])
    kept, other = library.list()
    assert [(Path(d.name).name, d.of, d.kind) for d in report.duplicates] == [
        ("2.jpg", kept.id, "near"),
        ("3.jpg", kept.id, "near"),
    ]
    assert (kept.media_type, kept.caption, kept.author) == ("image/png", "a lent caption", "Jo")
    assert other.id in report.added
    assert library.add([folder]).duplicates == report.duplicates, "and it is remembered without decoding"
    exact = library.add([folder], "exact", dedupe="exact")
    assert len(exact.added) == 4 and not exact.duplicates
    assert library.add([folder / "2.jpg"], "alone").added, "a collection's near duplicates are its own affair"


def test_words_that_a_person_edits_win_when_added_again(tmp_path: Path, library: PictureLibrary) -> None:
    path = write_scene(tmp_path / "in" / "mill.jpg", 1)
    library.add([tmp_path / "in"])
    manifest = tmp_path / "in" / "manifest.csv"
    for caption in ("first words", "better words"):
        manifest.write_text(f"file,caption\nmill.jpg,{caption}\n")
        report = library.add([tmp_path / "in"])
        (picture,) = library.list()
        assert (picture.caption, report.described, report.added) == (caption, (picture.id,), ())
    assert library.add([tmp_path / "in"]).described == ()
    library.add([path], given={"caption": "said in the call"})
    assert library.list()[0].caption == "said in the call" and library.list()[0].caption_origin == "given"


def test_hostile_words_are_kept_as_words(tmp_path: Path, library: PictureLibrary) -> None:
    write_scene(tmp_path / "in" / "a.jpg", 1)
    hostile = "<script>alert(1)</script> {{ 7*7 }} ../../x \ud800 \u202e \x00 end"
    (tmp_path / "in" / "a.jpg.json").write_text(json.dumps({"caption": hostile, "url": "javascript:alert(1)"}))
    report = library.add([tmp_path / "in"])
    (picture,) = library.list()
    assert picture.caption.startswith("<script>alert(1)</script> {{ 7*7 }} ../../x \ufffd")
    assert "\u202e" not in picture.caption and "\x00" not in picture.caption and picture.source_url is None
    assert any("web address" in note.message for note in report.notes)


def test_a_caption_of_a_megabyte_is_cut_and_noted(tmp_path: Path, library: PictureLibrary) -> None:
    write_scene(tmp_path / "in" / "a.jpg", 1)
    (tmp_path / "in" / "manifest.csv").write_text("file,caption\na.jpg," + "long " * 200_000)
    report = library.add([tmp_path / "in"])
    assert len(library.list()[0].caption) <= 4_000
    assert any("the first 4,000 are kept" in note.message for note in report.notes)


def test_words_that_the_caller_brings(tmp_path: Path, library: PictureLibrary) -> None:
    path = write_scene(tmp_path / "in" / "IMG_1.jpg", 1)
    (tmp_path / "in" / "IMG_1.json").write_text('{"caption": "not asked"}')
    said = PictureMetadata(caption="from the article", caption_origin="document", licence="cc0")
    report = library.add_described([(path, said)])
    picture = library.picture(report.picture_ids[path.as_posix()])
    assert (picture.caption, picture.caption_origin, picture.licence) == ("from the article", "document", "CC0-1.0")


def test_archives_and_folders_give_the_same_library(tmp_path: Path) -> None:
    files = {f"{i}.jpg": encoded(scene(i)) for i in range(4)}
    files["manifest.csv"] = b"file,caption\n2.jpg,the third\n"
    (tmp_path / "in").mkdir()
    for name, data in files.items():
        (tmp_path / "in" / name).write_bytes(data)
    prints = []
    for i, path in enumerate((tmp_path / "in", zipped(tmp_path / "in.zip", files))):
        with PictureLibrary.open(tmp_path / str(i)) as library:
            assert len(library.add([path]).added) == 4
            assert library.add([path]).already_there
            prints.append(library.fingerprints())
    assert prints[0] == prints[1]


def test_a_second_writer_is_told(tmp_path: Path, library: PictureLibrary) -> None:
    path = write_scene(tmp_path / "a.jpg", 1)
    with FileLock(tmp_path / "library" / ".lock"), pytest.raises(LibraryBusy) as busy:
        library.add([path])
    assert busy.value.retryable
    assert library.add([path]).added


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_a_full_disk_keeps_what_came_before(
    tmp_path: Path, library: PictureLibrary, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    for i in range(10):
        write_scene(tmp_path / "in" / f"{i}.jpg", i)
    real, calls = os.fsync, [0]

    def full_at_some_point(handle: int) -> None:
        calls[0] += 1
        if calls[0] > 10 * share:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full_at_some_point)
        with pytest.raises(OutputUnwritable, match="No space left"):
            library.add([tmp_path / "in"])
    report = library.verify()
    assert report.problems == (), "nothing half-written"
    assert len(library.add([tmp_path / "in"]).added) == 10 - report.pictures
    assert library.verify().problems == ()


CHILD = """
import sys
from pathlib import Path
from retrieval.library import PictureLibrary
import retrieval.pictures.ingest
retrieval.pictures.ingest.BATCH_PICTURES = 8
print("begun", flush=True)
with PictureLibrary.open(Path(sys.argv[1])) as library:
    report = library.add([Path(p) for p in sys.argv[2:]], on_progress=lambda p: print("step", flush=True))
print(len(report.added), len(report.already_there), flush=True)
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on_and_nothing_is_broken(tmp_path: Path) -> None:
    """kill -9 at five random moments; the sixth run ends with the library of an undisturbed one."""
    for i in range(70):
        write_scene(tmp_path / "in" / f"{i:03}.jpg", i)
    zipped(tmp_path / "more.zip", {f"z{i}.png": encoded(scene(1_000 + i), "PNG") for i in range(20)})
    offered = [str(tmp_path / "in"), str(tmp_path / "more.zip")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sdk")]), "OMP_NUM_THREADS": "1"}

    def start(library: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, str(library), *offered]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "begun\n"
        return child

    undisturbed = start(tmp_path / "whole")
    assert undisturbed.wait() == 0

    chance, killed, grew = random.Random(7), 0, [0]
    for _ in range(5):
        child = start(tmp_path / "torn")
        assert child.stdout is not None
        for _ in range(chance.randrange(40)):  # steps rather than seconds: a busy machine must not outrun the kill
            child.stdout.readline()
        time.sleep(chance.uniform(0, 0.02))
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
        if (tmp_path / "torn" / "catalog.sqlite").exists():
            with PictureLibrary.open(tmp_path / "torn") as library:
                report = library.verify()
                assert {p.kind for p in report.problems} <= {"leftover_file"}, "a catalogued picture is whole"
                grew.append(report.pictures)
    assert killed >= 3, "the test must interrupt the work"
    assert grew == sorted(grew), "nothing that was kept is lost"
    last = start(tmp_path / "torn")
    assert last.wait() == 0
    with PictureLibrary.open(tmp_path / "torn") as torn, PictureLibrary.open(tmp_path / "whole") as whole:
        assert torn.verify().problems == () and whole.count() == torn.count() == 90
        assert torn.fingerprints() == whole.fingerprints()
        assert [p.id for p in torn.list(limit=200)] == [p.id for p in whole.list(limit=200)]
