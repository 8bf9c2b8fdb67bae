"""The library as others use it: finding, filtering, removing, with every index following the catalog."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from PIL import Image

from agents.context import PictureFinder
from interleaf.errors import InvalidBrief, OutputUnwritable, PictureMissing, RetrievalError, Unsupported
from interleaf.schema import PictureFilter, PictureQuery
from retrieval.library import PictureLibrary
from tests.fakes import HashingEmbedder
from tests.retrieval.drawing import write_scene

SAID = {
    "bridge": "a stone bridge over the river",
    "mill": "a wind mill on a green hill",
    "harbour": "boats in the harbour at low tide",
    "clock": "the clock of the town hall",
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rows = ["file,caption,licence"]
    for i, (name, caption) in enumerate(SAID.items()):
        write_scene(tmp_path / "in" / f"{name}.jpg", i)
        rows.append(f"{name}.jpg,{caption},{'CC0' if i % 2 else 'CC-BY-NC-4.0'}")
    (tmp_path / "in" / "manifest.csv").write_text("\n".join(rows))
    return tmp_path / "in"


def search(library: PictureLibrary, text: str, k: int = 3, where: PictureFilter | None = None) -> list[str]:
    (hits,) = library.search([PictureQuery(text=text)], k, where or PictureFilter())
    return [hit.picture.caption for hit in hits]


def test_it_is_what_the_workflow_asks_for(tmp_path: Path, pictures: Path) -> None:
    with PictureLibrary.open(tmp_path / "library", HashingEmbedder()) as library:
        assert isinstance(library, PictureFinder)
        report = library.add([pictures])
        assert search(library, "stone bridge", 1) == [SAID["bridge"]]
        picture = library.picture(report.added[0])
        with Image.open(library.pixels_path(picture.id)) as image:
            assert image.size == (picture.width_px, picture.height_px)
        assert list(library.fingerprints()) == ["default"]


def test_the_indexes_follow_the_catalog(tmp_path: Path, pictures: Path) -> None:
    with PictureLibrary.open(tmp_path / "library", HashingEmbedder()) as library:
        library.add([pictures / "bridge.jpg", pictures / "mill.jpg"])
        assert search(library, "harbour boats tide", 1) != [SAID["harbour"]]
        with PictureLibrary.open(tmp_path / "library") as other:  # as another process would, without an encoder
            other.add([pictures / "harbour.jpg"])
        assert search(library, "harbour boats tide", 1) == [SAID["harbour"]]
        (hit,) = library.search([PictureQuery(text="harbour boats tide")], 1)[0]
        library.remove([hit.picture.id])
        assert SAID["harbour"] not in search(library, "harbour boats tide")
        (pictures / "manifest.csv").write_text("file,caption\nmill.jpg,a lighthouse in a storm\n")
        library.add([pictures / "mill.jpg"])
        assert search(library, "lighthouse storm", 1) == ["a lighthouse in a storm"]


def test_filters_hold_before_ranking(tmp_path: Path, pictures: Path) -> None:
    with PictureLibrary.open(tmp_path / "library", HashingEmbedder()) as library:
        library.add([pictures])
        open_only = PictureFilter(licence_policy="open")
        assert set(search(library, "stone bridge river", 4, open_only)) <= {SAID["mill"], SAID["clock"]}
        assert search(library, "wind mill", 4, PictureFilter(min_width_px=10_000)) == []
        assert library.count(open_only) == 2
        assert {p.caption for p in library.list(open_only)} == {SAID["mill"], SAID["clock"]}


def test_without_an_encoder_everything_but_search_works(tmp_path: Path, pictures: Path) -> None:
    with PictureLibrary.open(tmp_path / "library") as library:
        assert len(library.add([pictures]).added) == 4
        with pytest.raises(Unsupported, match="without a text encoder"):
            search(library, "mill")


def test_unknown_ids_and_lost_files(tmp_path: Path, pictures: Path) -> None:
    with PictureLibrary.open(tmp_path / "library") as library:
        library.add([pictures])
        for ask in (library.picture, library.pixels_path):
            with pytest.raises(PictureMissing):
                ask("f" * 64)
        picture = library.list(limit=1)[0]
        library.pixels_path(picture.id).unlink()
        with pytest.raises(PictureMissing, match="verify"):
            library.pixels_path(picture.id)


def test_removing_from_a_collection_and_from_the_library(tmp_path: Path, pictures: Path) -> None:
    with PictureLibrary.open(tmp_path / "library") as library:
        (mill,) = library.add([pictures / "mill.jpg"], "one").added
        library.add([pictures / "mill.jpg"], "two")
        path = library.pixels_path(mill)
        assert library.remove([mill], "one") == () and path.is_file()
        assert library.remove([mill]) == (mill,) and not path.exists()
        assert library.add([pictures / "mill.jpg"], "one").added == (mill,), "it is not taken for seen"


def test_a_file_is_known_by_its_pixels(tmp_path: Path, pictures: Path) -> None:
    with PictureLibrary.open(tmp_path / "library") as library:
        (mill,) = library.add([pictures / "mill.jpg"]).added
        assert library.id_of_file(pictures / "mill.jpg") == mill
        with pytest.raises(PictureMissing):
            library.id_of_file(pictures / "clock.jpg")


@pytest.mark.parametrize("name", ["", "  ", "x" * 200])
def test_collections_need_a_name(tmp_path: Path, pictures: Path, name: str) -> None:
    with PictureLibrary.open(tmp_path / "library") as library, pytest.raises(InvalidBrief):
        library.add([pictures], name)


def test_no_library_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="no picture library"):
        PictureLibrary.open(tmp_path / "nowhere", create=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputUnwritable):
        PictureLibrary.open(tmp_path / "file" / "library")


def test_reading_goes_on_while_pictures_come_in(tmp_path: Path, pictures: Path) -> None:
    for i in range(40):
        write_scene(pictures / f"more {i}.jpg", 100 + i)
    counts: list[int] = []
    with PictureLibrary.open(tmp_path / "library") as library:
        library.add([pictures / "mill.jpg"])
        done = threading.Event()

        def read() -> None:
            with PictureLibrary.open(tmp_path / "library", create=False) as reader:
                while not done.is_set():
                    counts.append(len(reader.list(limit=1_000)))

        thread = threading.Thread(target=read)
        thread.start()
        try:
            library.add([pictures])
        finally:
            done.set()
            thread.join()
        assert library.count() == 44
    assert counts and counts == sorted(counts)
