"""The catalog: numbers that are never used twice, filters before ranking, collections as sets, vectors kept safe."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interleaf.errors import LibraryDamaged, OutputUnwritable, PictureMissing, RetrievalError
from interleaf.schema import LicencePolicy, Picture, PictureFilter
from retrieval.catalog import Catalog, PictureRow


def picture(name: str, **fields: Any) -> Picture:
    values: dict[str, Any] = {
        "id": hashlib.sha256(name.encode()).hexdigest(),
        "media_type": "image/png",
        "width_px": 640,
        "height_px": 480,
        "size_bytes": 9,
        "name": f"{name}.png",
        "caption": f"a {name}",
        "caption_origin": "sidecar",
        "perceptual_hash": "00ff00ff00ff00ff",
    }
    return Picture(**{**values, **fields})


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path)
    yield opened
    opened.close()


def add(catalog: Catalog, *pictures: Picture) -> list[int]:
    return [catalog.add(PictureRow(p, "0" * 64, b"look"), p.collection) for p in pictures]


def test_a_picture_comes_back_as_it_was(catalog: Catalog) -> None:
    told = picture(
        "mill", keywords=("wind", "风车"), author="Jo", licence="CC0-1.0", taken_at="2021-05-04T10:20:30+02:00"
    )
    (number,) = add(catalog, told)
    assert catalog.picture(told.id) == told
    assert catalog.pictures_by_number([number, 99]) == {number: told}
    assert list(catalog.texts()) == [(number, told.words)]
    assert catalog.number(told.id) == number


def test_numbers_rise_and_are_never_used_twice(catalog: Catalog) -> None:
    first, second = add(catalog, picture("a"), picture("b"))
    catalog.remove([picture("b").id])
    (third,) = add(catalog, picture("b"))
    assert first < second < third
    assert catalog.numbers().tolist() == [first, third]


def test_new_words_are_a_new_number_and_lose_their_text_vector_only(catalog: Catalog) -> None:
    number, other = add(catalog, picture("a"), picture("b"))
    for kind in ("text", "pixels"):
        catalog.put_vectors("enc", kind, [number, other], np.ones((2, 3), np.float32))
    catalog.describe(picture("a", licence="CC0-1.0"))
    assert catalog.number(picture("a").id) == number, "a licence is no word to match"
    catalog.describe(picture("a", caption="something else"))
    fresh = catalog.number(picture("a").id)
    assert fresh > other and catalog.without_vectors("enc", "text").tolist() == [fresh]
    assert catalog.vectors("enc", "pixels")[0].tolist() == [other, fresh]
    assert catalog.collections_of(picture("a").id) == ("default",)
    (after,) = add(catalog, picture("c"))
    assert after > fresh


def test_collections_are_sets_and_pixels_are_stored_once(catalog: Catalog) -> None:
    add(catalog, picture("a"), picture("b"))
    assert catalog.join(picture("a").id, "sea") and not catalog.join(picture("a").id, "sea")
    assert catalog.collections() == {"default": 2, "sea": 1}
    assert catalog.collections_of(picture("a").id) == ("default", "sea")
    assert catalog.remove([picture("a").id], "default") == []
    assert catalog.picture(picture("a").id).collection == "sea"
    assert catalog.remove([picture("a").id], "sea") == [(picture("a").id, "image/png")]
    with pytest.raises(PictureMissing):
        catalog.picture(picture("a").id)


def test_removing_is_all_or_nothing(catalog: Catalog) -> None:
    add(catalog, picture("a"))
    with pytest.raises(PictureMissing):
        catalog.remove([picture("a").id, "f" * 64])
    assert catalog.count() == 1


def test_the_counter_rises_with_pictures_not_with_vectors(catalog: Catalog) -> None:
    counters = [catalog.change_counter()]
    (number,) = add(catalog, picture("a"))
    counters.append(catalog.change_counter())
    catalog.describe(picture("a", caption="new"))
    counters.append(catalog.change_counter())
    catalog.put_vectors("enc", "text", [number], np.ones((1, 2), np.float32))
    assert catalog.change_counter() == counters[-1] and counters == sorted(set(counters))


LICENCES = (None, "CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0", "All rights reserved", "x'); DROP TABLE pictures; --")


@settings(max_examples=25, deadline=None)
@given(
    pictures=st.lists(
        st.tuples(st.integers(1, 400), st.integers(1, 400), st.sampled_from(LICENCES), st.sampled_from("abc")),
        max_size=12,
    ),
    where=st.builds(
        PictureFilter,
        collections=st.none() | st.lists(st.sampled_from("abcd"), max_size=3).map(tuple),
        licence_policy=st.sampled_from(["any", "known", "open", "commercial"]).map(LicencePolicy.model_validate),
        min_width_px=st.integers(1, 400),
        min_height_px=st.integers(1, 400),
    ),
    excluded=st.sets(st.integers(0, 11)),
    only=st.none() | st.sets(st.integers(0, 11)),
)
def test_filters_in_sql_say_what_the_filter_says(
    tmp_path_factory: pytest.TempPathFactory,
    pictures: list[tuple[int, int, str | None, str]],
    where: PictureFilter,
    excluded: set[int],
    only: set[int] | None,
) -> None:
    rows = [
        picture(str(i), width_px=w, height_px=h, licence=licence, collection=collection)
        for i, (w, h, licence, collection) in enumerate(pictures)
    ]
    ids = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(12)]
    where = where.model_copy(
        update={
            "exclude_ids": tuple(ids[i] for i in sorted(excluded)),
            "only_ids": None if only is None else tuple(ids[i] for i in sorted(only)),
        }
    )
    catalog = Catalog(tmp_path_factory.mktemp("catalog"))
    try:
        numbers = add(catalog, *rows)
        expected = [
            number
            for number, p in zip(numbers, rows, strict=True)
            if (where.collections is None or p.collection in where.collections)
            and where.licence_policy.permits(p.licence)
            and p.width_px >= where.min_width_px
            and p.height_px >= where.min_height_px
            and p.id not in where.exclude_ids
            and (where.only_ids is None or p.id in where.only_ids)
        ]
        assert catalog.allowed_numbers(where).tolist() == expected
        assert catalog.count(where) == len(expected)
        assert [p.id for p in catalog.pictures(where)] == [rows[numbers.index(n)].id for n in expected]
    finally:
        catalog.close()


def test_listing_goes_on_after_a_picture(catalog: Catalog) -> None:
    add(catalog, *(picture(str(i)) for i in range(7)))
    seen: list[str] = []
    while page := catalog.pictures(limit=3, after=seen[-1] if seen else ""):
        seen += [p.id for p in page]
    assert seen == [picture(str(i)).id for i in range(7)]


def test_vectors_come_back_in_order_and_gone_numbers_are_passed_over(catalog: Catalog) -> None:
    numbers = add(catalog, *(picture(str(i)) for i in range(5)))
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    catalog.put_vectors("enc", "text", [*reversed(numbers), 999], rows)
    found, matrix = catalog.vectors("enc", "text")
    assert found.tolist() == numbers and np.array_equal(matrix, rows[:5][::-1])
    assert catalog.vectors("other", "text")[1].shape == (0, 0)
    catalog.remove([picture("0").id])
    assert catalog.vectors("enc", "text")[0].tolist() == numbers[1:]
    with pytest.raises(RetrievalError, match="shape"):
        catalog.put_vectors("enc", "text", numbers[:2], rows)


def test_pages_are_walked_to_the_end(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.catalog.PAGE_ROWS", 3)
    numbers = add(catalog, *(picture(str(i)) for i in range(10)))
    catalog.put_vectors("enc", "text", numbers, np.eye(10, dtype=np.float32))
    assert [n for n, _ in catalog.texts()] == numbers
    assert [n for n, _ in catalog.texts(after_number=numbers[4])] == numbers[5:]
    assert [n for n, _ in catalog.texts(numbers[::2])] == numbers[::2]
    assert catalog.vectors("enc", "text")[1].shape == (10, 10)
    assert len(list(catalog.files())) == 10


def test_fingerprints_depend_on_contents_not_on_order(tmp_path: Path) -> None:
    prints = []
    for order in (["a", "b"], ["b", "a"]):
        catalog = Catalog(tmp_path / "-".join(order)) if (tmp_path / "-".join(order)).mkdir() is None else None
        assert catalog is not None
        add(catalog, *(picture(name) for name in order))
        prints.append(catalog.fingerprints())
        catalog.describe(picture("a", caption="other"))
        assert catalog.fingerprints() != prints[-1]
        catalog.close()
    assert prints[0] == prints[1] and list(prints[0]) == ["default"]


def test_ids_by_their_beginning(catalog: Catalog) -> None:
    add(catalog, picture("a"), picture("b"))
    assert catalog.ids_beginning(picture("a").id[:8]) == [picture("a").id]
    assert catalog.ids_beginning("%") == [] and catalog.ids_beginning("") == []


def test_a_transaction_is_whole_or_not_at_all(catalog: Catalog) -> None:
    with pytest.raises(KeyboardInterrupt), catalog.writing():
        add(catalog, picture("a"))
        raise KeyboardInterrupt
    assert catalog.count() == 0


def test_another_database_is_not_ours(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "catalog.sqlite") as other:
        other.execute("PRAGMA user_version = 1")
    with pytest.raises(LibraryDamaged, match="not made by interleaf"):
        Catalog(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    Catalog(tmp_path).close()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(LibraryDamaged, match="schema 99"):
        Catalog(tmp_path)


def test_words_instead_of_a_database(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_text("this is a shopping list, " * 100)
    with pytest.raises(LibraryDamaged, match="not a database"):
        Catalog(tmp_path)


def test_a_full_disk_is_told_and_nothing_is_half_written(catalog: Catalog) -> None:
    add(catalog, picture("a"))
    pages = catalog.database.rows("PRAGMA page_count")[0][0]
    catalog.database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutputUnwritable, match="disk is full"), catalog.writing():
        for i in range(200):
            add(catalog, picture(str(i), caption="x" * 2_000))
    assert catalog.count() == 1


def test_no_library_here(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="no picture library"):
        Catalog(tmp_path / "nowhere", create=False)
    assert not (tmp_path / "nowhere").exists()
