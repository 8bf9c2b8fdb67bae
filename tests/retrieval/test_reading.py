"""Reading a collection while others write, by pages that stay where they are; and what looks like a picture."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from interleaf.errors import PictureMissing, PictureUnreadable, RetrievalError
from interleaf.schema import LicencePolicy, PictureFilter
from retrieval.library import PictureLibrary
from retrieval.reading import PictureReader
from tests.fakes import HashingEmbedder
from tests.retrieval.test_search import ColourEncoder

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = PictureFilter()


def drawn(colour: tuple[int, int, int], seed: int, side: int = 96) -> Image.Image:
    """A picture of one colour with a pattern of its own."""
    image = Image.new("RGB", (side, side), colour)
    for i in range(12):
        x, y = (i * 37 + seed * 11) % side, (i * 53 + seed * 29) % side
        image.paste((255 - colour[0], (seed * 40) % 256, colour[2] // 2), (x, y, min(side, x + 14), min(side, y + 9)))
    return image


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A library of seven pictures in `a` and of one of them in `b`."""
    given = tmp_path / "given"
    given.mkdir()
    for i in range(7):
        (given / f"p{i}.png").write_bytes(png(drawn((200, 30 * i, 20), i)))
    with PictureLibrary.open(tmp_path / "library") as library:
        for i in range(7):
            licence = "CC0-1.0" if i % 2 else "CC-BY-NC-4.0"
            library.add([given / f"p{i}.png"], "a", dedupe="exact", given={"licence": licence, "caption": f"no. {i}"})
        library.add([given / "p3.png"], "b", dedupe="exact")
    return tmp_path / "library"


def test_pages_run_from_the_newest_and_back(root: Path) -> None:
    with PictureReader(root) as reader:
        everything = reader.page("a", 100)
        assert [p.caption for p in everything] == [f"no. {i}" for i in (6, 5, 4, 3, 2, 1, 0)]
        first = reader.page("a", 3)
        second = reader.page("a", 3, after=first[-1].id)
        assert [*first, *second] == everything[:6]
        back = reader.page("a", 2, before=second[0].id)
        assert back == [everything[2], everything[1]]
        assert [p.caption for p in reader.page("b", 10)] == ["no. 3"]
        assert reader.page("c", 10) == []
        with pytest.raises(PictureMissing):
            reader.page("b", 10, after=everything[0].id)


def test_filters_hold_and_totals_count(root: Path) -> None:
    with PictureReader(root) as reader:
        free = reader.page("a", 100, where=PictureFilter(licence_policy=LicencePolicy.model_validate("open")))
        assert [p.caption for p in free] == ["no. 5", "no. 3", "no. 1"]
        assert reader.page("a", 100, where=PictureFilter(min_width_px=97)) == []
        assert [p.id for p in reader.page("a", 100, id_prefix=free[0].id[:8])] == [free[0].id]
        totals = reader.totals("a")
        assert totals.pictures == 7
        assert totals.bytes == sum(reader.file(p).path.stat().st_size for p in reader.page("a", 100))
        assert reader.totals("none") == (0, 0)
        with pytest.raises(PictureMissing):
            reader.picture("b", reader.page("a", 1)[0].id)


def test_there_may_be_no_library_yet(tmp_path: Path) -> None:
    assert PictureReader.opened(tmp_path) is None
    with pytest.raises(RetrievalError):
        PictureReader(tmp_path)


def test_reading_loads_no_numpy() -> None:
    program = "import sys; import retrieval.reading; sys.exit('numpy' in sys.modules or 'PIL' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'sdk')]}; {program}"]
    )
    assert done.returncode == 0


def test_a_collection_goes_and_what_others_have_stays(root: Path) -> None:
    with PictureLibrary.open(root) as library, PictureReader(root) as reader:
        kept = reader.page("b", 1)[0]
        files = [reader.file(p).path for p in reader.page("a", 100)]
        told: list[int] = []
        assert library.remove_collection("a", told.append) == 7
        assert told == [7]
        assert reader.totals("a") == (0, 0)
        assert [path for path in files if path.exists()] == [reader.file(kept).path]
        assert library.remove_collection("a") == 0


def test_names_of_files_are_those_that_people_gave(tmp_path: Path) -> None:
    kept = tmp_path / "upl_1.png"
    kept.write_bytes(png(drawn((0, 0, 200), 1)))
    broken = tmp_path / "upl_2.png"
    broken.write_bytes(b"no picture at all")
    with PictureLibrary.open(tmp_path / "library") as library:
        report = library.add([kept, broken], names={kept: "old harbour bridge.png", broken: "<b>plan</b>.png"})
        picture = library.picture(report.added[0])
    assert (picture.name, picture.caption) == ("old harbour bridge.png", "old harbour bridge")
    assert [refused.name for refused in report.refused] == ["<b>plan</b>.png"]


def test_the_same_picture_is_found_first_and_then_what_is_like_it(root: Path) -> None:
    with PictureLibrary.open(root, HashingEmbedder()) as library:
        hits = library.search_like(png(drawn((200, 90, 20), 3)), "p.png", 3, PictureFilter(collections=("a",)))
        assert (hits[0].picture.caption, hits[0].score) == ("no. 3", 1.0)
        assert len({hit.picture.id for hit in hits}) == len(hits)
        assert library.search_like(png(drawn((200, 90, 20), 3)), "p.png", 0, EVERYTHING) == []


def test_a_picture_of_elsewhere_is_compared_by_its_looks(root: Path) -> None:
    blurred = drawn((200, 90, 20), 3).resize((64, 64)).filter(ImageFilter.GaussianBlur(1))
    with PictureLibrary.open(root, HashingEmbedder()) as library:
        hits = library.search_like(png(blurred), "p.png", 7, PictureFilter(collections=("a",)))
        assert hits[0].picture.caption == "no. 3"
        assert hits[0].score < 1.0
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        free = PictureFilter(collections=("a",), licence_policy=LicencePolicy.model_validate(["CC-BY-NC-*"]))
        assert "no. 3" not in {hit.picture.caption for hit in library.search_like(png(blurred), "p.png", 7, free)}


def test_a_picture_of_elsewhere_is_compared_by_the_encoder_where_there_is_one(root: Path) -> None:
    with PictureLibrary.open(root, HashingEmbedder(), ColourEncoder()) as library:
        mean = drawn((200, 180, 20), 6).resize((1, 1), Image.Resampling.BOX).resize((64, 64))
        hits = library.search_like(png(mean), "p.png", 2, EVERYTHING)
        assert all(hit.pixel_score is not None for hit in hits)
        assert hits[0].picture.caption == "no. 6"


def test_what_is_no_picture_is_refused_by_its_name(root: Path) -> None:
    with PictureLibrary.open(root, HashingEmbedder()) as library, pytest.raises(PictureUnreadable, match=r"sent\.png"):
        library.search_like(b"words", "sent.png", 3, EVERYTHING)
