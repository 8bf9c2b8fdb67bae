"""The searcher on a real catalog: what is found, what filters hide, what follows a change, what a crash leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from interleaf.errors import PictureMissing, RetrievalError
from interleaf.schema import LicencePolicy, Picture, PictureFilter, PictureHit, PictureQuery
from retrieval.catalog import Catalog, PictureRow
from retrieval.search import Searcher
from tests.fakes import HashingEmbedder, make_picture

EVERYTHING = PictureFilter()
CAPTIONS = (
    "A grey heron at the harbour wall",
    "The old lighthouse at low tide",
    "Diagram of a diesel engine",
    "Fishing boats in the harbour",
    "松江城の天守閣",
    "Portrait of the engine's inventor",
)


class NamedEmbedder(HashingEmbedder):
    """A hashing encoder under another name or with other weights."""

    def __init__(self, name: str = "hashing", sha256: str = "", english_only: bool = False) -> None:
        super().__init__()
        self.name, self.sha256, self.english_only = name, sha256, english_only


class ColourEncoder(HashingEmbedder):
    """A picture encoder whose space is colour: a picture's mean, and the colour that a text names."""

    name, sha256, dimension = "colours", "c0", 3
    named: ClassVar[dict[str, tuple[int, int, int]]] = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}

    def encode(self, texts: Sequence[str]) -> Any:
        rows = np.array([np.sum([self.named.get(w, (0, 0, 0)) for w in t.split()], axis=0) for t in texts], float)
        return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)

    def encode_pictures(self, pictures: Sequence[Image.Image]) -> Any:
        rows = np.array([np.asarray(p.convert("RGB"), float).mean((0, 1)) for p in pictures])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path)
    for i, caption in enumerate(CAPTIONS):
        put(opened, f"p{i}", caption)
    yield opened
    opened.close()


def put(catalog: Catalog, name: str, caption: str, collection: str = "default", **fields: object) -> Picture:
    picture = make_picture(name, caption, **fields)
    catalog.add(PictureRow(picture, "0" * 64, b"look"), collection)
    return picture


def searcher(catalog: Catalog, tmp_path: Path, embedder: HashingEmbedder | None = None, **more: Any) -> Searcher:
    return Searcher(catalog, tmp_path / "index", embedder or NamedEmbedder(), **more)


def names(hits: Sequence[PictureHit]) -> list[str]:
    return [hit.picture.name for hit in hits]


def find(found: Searcher, text: str, k: int = 3, where: PictureFilter = EVERYTHING) -> list[str]:
    return names(found.search([PictureQuery(text=text)], k, where)[0])


def test_words_around_a_place_find_its_picture(catalog: Catalog, tmp_path: Path) -> None:
    queries = [
        PictureQuery(before="A heron stood on the wall of the harbour.", title="Birds"),
        PictureQuery(after="The engine burns diesel.", heading="Engine", title="Birds"),
        PictureQuery(before="松江城に登る。", title="散歩"),
    ]
    hits = searcher(catalog, tmp_path).search(queries, 3, EVERYTHING)
    assert [h[0].picture.name for h in hits] == ["p0", "p2", "p4"]
    for one in hits:
        assert all(0 <= hit.score <= 1 for hit in one)
        assert [hit.score for hit in one] == sorted((hit.score for hit in one), reverse=True)
        assert all(hit.lexical_score is not None and hit.vector_score is not None for hit in one)
        assert all(hit.pixel_score is None for hit in one)


def test_k_results_mean_k_allowed_results(catalog: Catalog, tmp_path: Path) -> None:
    for i in range(40):
        put(catalog, f"h{i}", f"harbour number {i}", "ports", licence="CC-BY-4.0" if i % 2 else "CC-BY-NC-4.0")
    found = searcher(catalog, tmp_path)
    where = PictureFilter(collections=("ports",), licence_policy=LicencePolicy.model_validate("commercial"))
    hits = found.search([PictureQuery(text="harbour")], 15, where)[0]
    assert len(hits) == 15
    assert {hit.picture.collection for hit in hits} == {"ports"}
    assert {hit.picture.licence for hit in hits} == {"CC-BY-4.0"}
    excluded = tuple(hit.picture.id for hit in hits[:14])
    rest = found.search([PictureQuery(text="harbour")], 15, where.model_copy(update={"exclude_ids": excluded}))[0]
    assert len(rest) == 6 and not {h.picture.id for h in rest} & set(excluded)
    assert find(found, "harbour", 5, PictureFilter(only_ids=())) == []


def test_nothing_asked_or_nothing_there(catalog: Catalog, tmp_path: Path) -> None:
    found = searcher(catalog, tmp_path)
    assert found.search([], 5, EVERYTHING) == []
    assert found.search([PictureQuery()] * 2, 5, EVERYTHING) == [[], []]
    assert found.search([PictureQuery(text="heron")], 0, EVERYTHING) == [[]]
    for k in (-1, 10_001):
        with pytest.raises(RetrievalError):
            found.search([PictureQuery(text="heron")], k, EVERYTHING)
    (tmp_path / "empty").mkdir()
    empty = Catalog(tmp_path / "empty")
    assert find(Searcher(empty, tmp_path / "empty" / "index", NamedEmbedder()), "heron") == []
    empty.close()


def test_changes_are_seen_by_the_next_search(catalog: Catalog, tmp_path: Path) -> None:
    found = searcher(catalog, tmp_path)
    assert find(found, "heron", 1) == ["p0"]
    new = put(catalog, "p9", "Another heron, flying")
    assert set(find(found, "heron", 2)) == {"p0", "p9"}
    catalog.remove([catalog.pictures()[0].id])
    assert find(found, "heron", 1) == ["p9"]
    assert "p0" not in find(found, "heron harbour wall grey", 10)
    catalog.describe(new.model_copy(update={"caption": "A windmill"}))
    assert find(found, "windmill", 1) == ["p9"]
    hits = found.search([PictureQuery(text="heron")], 5, EVERYTHING)[0]
    assert all(hit.lexical_score == 0 for hit in hits if hit.picture.name == "p9")


def test_nothing_is_encoded_twice_over_restarts(catalog: Catalog, tmp_path: Path) -> None:
    first = NamedEmbedder()
    before = find(searcher(catalog, tmp_path, first), "heron harbour")
    assert {text for call in first.calls for text in call} >= set(CAPTIONS)
    second = NamedEmbedder()
    assert find(searcher(catalog, tmp_path, second), "heron harbour") == before
    assert not {text for call in second.calls for text in call} & set(CAPTIONS)


def test_other_weights_get_their_own_vectors(catalog: Catalog, tmp_path: Path) -> None:
    find(searcher(catalog, tmp_path, NamedEmbedder("a", "1" * 64)), "heron")
    other = NamedEmbedder("a", "2" * 64)
    assert find(searcher(catalog, tmp_path, other), "heron", 1) == ["p0"]
    assert {text for call in other.calls for text in call} >= set(CAPTIONS)


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "gone", "words"])
def test_a_damaged_index_is_built_again_from_the_catalog(
    catalog: Catalog, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = searcher(catalog, tmp_path).search([PictureQuery(text="heron harbour")], 5, EVERYTHING)
    (path,) = (tmp_path / "index").glob("text-*.index")
    content = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(content[:-9])
    elif harm == "flip":
        content[60] ^= 4
        path.write_bytes(content)
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "gone":
        path.unlink()
    else:
        (tmp_path / "index" / "words.npz").write_bytes(b"PK\x03\x04 not a zip")
    again = NamedEmbedder()
    assert searcher(catalog, tmp_path, again).search([PictureQuery(text="heron harbour")], 5, EVERYTHING) == before
    assert not {text for call in again.calls for text in call} & set(CAPTIONS)
    if harm in ("cut", "flip", "empty"):
        assert "Building it again" in caplog.text


def test_an_ingest_killed_while_encoding_goes_on_where_it_stopped(catalog: Catalog, tmp_path: Path) -> None:
    import retrieval.vectors.derived as module

    class Dying(NamedEmbedder):
        def encode(self, texts: Sequence[str]) -> Any:
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().encode(texts)

    kept, module.ENCODED_AT_ONCE = module.ENCODED_AT_ONCE, 2  # type: ignore[misc]
    try:
        with pytest.raises(KeyboardInterrupt):
            searcher(catalog, tmp_path, Dying()).refresh()
        after = NamedEmbedder()
        done: list[tuple[int, int]] = []
        searcher(catalog, tmp_path, after).refresh(lambda *counts: done.append(counts))
    finally:
        module.ENCODED_AT_ONCE = kept  # type: ignore[misc]
    assert [text for call in after.calls for text in call] == list(CAPTIONS[4:])
    assert done == [(2, 2)]


def test_an_index_folder_that_cannot_be_written_still_searches(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "index").write_text("in the way")
    assert find(searcher(catalog, tmp_path), "heron", 1) == ["p0"]
    assert "cannot be kept" in caplog.text


def test_an_english_encoder_is_not_asked_about_other_scripts(catalog: Catalog, tmp_path: Path) -> None:
    encoder = NamedEmbedder(english_only=True)
    found = searcher(catalog, tmp_path, encoder)
    found.refresh()
    encoder.calls.clear()
    (hits,) = found.search([PictureQuery(before="松江城の天守閣に登った。")], 1, EVERYTHING)
    assert names(hits) == ["p4"] and not encoder.calls
    many = NamedEmbedder()
    find(searcher(catalog, tmp_path, many), "松江城")
    assert any("松江城" in text for call in many.calls for text in call)


def test_a_batch_is_encoded_in_one_call_and_gives_what_single_calls_give(catalog: Catalog, tmp_path: Path) -> None:
    encoder = NamedEmbedder()
    found = searcher(catalog, tmp_path, encoder)
    found.refresh()
    encoder.calls.clear()
    queries = [PictureQuery(text=text) for text in ("heron", "engine", "lighthouse")]
    together = found.search(queries, 4, EVERYTHING)
    assert len(encoder.calls) == 1
    assert together == [found.search([query], 4, EVERYTHING)[0] for query in queries]


def test_pictures_of_one_subject_are_found_together(catalog: Catalog, tmp_path: Path) -> None:
    for i in range(4):
        put(catalog, f"s{i}", f"Stick figure {('juggling', 'asleep', 'cycling', 'reading')[i]}")
    hits = find(searcher(catalog, tmp_path), "juggling", 4)
    assert hits[0] == "s0" and set(hits) == {"s0", "s1", "s2", "s3"}


def test_search_by_a_picture_leaves_that_picture_out(catalog: Catalog, tmp_path: Path) -> None:
    found = searcher(catalog, tmp_path)
    heron = catalog.pictures()[0]
    hits = found.search([PictureQuery(picture_id=heron.id)], 2, EVERYTHING)[0]
    assert hits[0].picture.name == "p3" and heron.id not in {hit.picture.id for hit in hits}
    with pytest.raises(PictureMissing):
        found.search([PictureQuery(picture_id="f" * 64)], 2, EVERYTHING)


def test_pixels_are_encoded_searched_and_fused(catalog: Catalog, tmp_path: Path) -> None:
    colours = dict(zip(CAPTIONS, ("red", "green", "blue", "red", "green", "blue"), strict=True))
    opened: list[str] = []

    def open_picture(picture: Picture) -> Image.Image:
        opened.append(picture.name)
        return Image.new("RGB", (8, 8), colours[picture.caption])

    make: Callable[[], Searcher] = lambda: searcher(  # noqa: E731
        catalog, tmp_path, pixel_embedder=ColourEncoder(), open_picture=open_picture
    )
    hits = make().search([PictureQuery(text="something blue")], 2, EVERYTHING)[0]
    assert {hit.picture.caption for hit in hits} == {CAPTIONS[2], CAPTIONS[5]}
    assert all(hit.pixel_score == 1 for hit in hits)
    assert len(opened) == 6
    engine = catalog.pictures()[2]
    (like,) = make().search([PictureQuery(picture_id=engine.id)], 1, EVERYTHING)
    assert like[0].picture.caption == CAPTIONS[5]
    assert len(opened) == 6


def test_a_picture_without_words_is_kept_as_known_and_never_asked_again(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, "mute", "")
    encoder = NamedEmbedder()
    found = searcher(catalog, tmp_path, encoder)
    assert "mute" not in find(found, "heron", 10)
    assert len(catalog.without_vectors("hashing@", "text")) == 0
    put(catalog, "p7", "A windmill")
    encoder.calls.clear()
    assert find(found, "windmill", 1) == ["p7"]
    assert "" not in {text for call in encoder.calls for text in call}


def test_what_a_filter_hides_moves_no_score(catalog: Catalog, tmp_path: Path) -> None:
    """A piece that is made again finds the same, whatever was added to other collections of the library meanwhile."""
    mine = PictureFilter(collections=("default",))
    queries = [
        PictureQuery(before="Fishing boats enter the harbour at low tide.", title="The harbour"),
        PictureQuery(text="an engine"),
        PictureQuery(picture_id=make_picture("p0", CAPTIONS[0]).id),
    ]
    found = searcher(catalog, tmp_path)
    alone = found.search(queries, 6, mine)
    assert all(len(hits) >= 2 for hits in alone)
    for i in range(9):
        put(catalog, f"other{i}", f"The harbour and an engine, number {i}", "elsewhere")
    assert found.search(queries, 6, mine) == alone
    # Where the others may be found, they count.
    assert found.search(queries[:1], 6, PictureFilter()) != alone[:1]


def test_equally_good_pictures_come_in_an_order_that_their_coming_does_not_tell(
    catalog: Catalog, tmp_path: Path
) -> None:
    """The same pictures, taken in in another order, make the same library: as many of the equal ones are found, and the
    same ones."""
    (tmp_path / "other").mkdir()
    other = Catalog(tmp_path / "other")
    twins = [f"twin{i}" for i in range(9)]
    for name in twins:
        put(catalog, name, "A windmill")
    for name in reversed(twins):
        put(other, name, "A windmill")
    for i, caption in enumerate(CAPTIONS):
        put(other, f"p{i}", caption)
    assert other.fingerprints() == catalog.fingerprints()
    queries = [PictureQuery(text="a windmill at the harbour")]
    here = searcher(catalog, tmp_path).search(queries, 5, EVERYTHING)
    there = searcher(other, tmp_path / "other").search(queries, 5, EVERYTHING)
    assert here == there
    assert len(here[0]) == 5
    assert len({hit.score for hit in here[0]}) == 1
    other.close()
