"""What is said of a picture: merged by priority, cleaned, cut with a note, never trusted."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interleaf.schema import Picture
from retrieval.pictures.metadata import MAX_CAPTION_CHARS, PictureMetadata, from_mapping, parse_date


def test_a_better_source_wins_field_by_field() -> None:
    sidecar = PictureMetadata(caption="from the manifest", caption_origin="sidecar", licence="CC0")
    embedded = PictureMetadata(caption="from the file", caption_origin="embedded", author="Jo", licence="CC-BY-4.0")
    merged = sidecar.over(embedded)
    assert (merged.caption, merged.caption_origin) == ("from the manifest", "sidecar")
    assert (merged.author, merged.licence) == ("Jo", "CC0")
    assert PictureMetadata().over(embedded).caption_origin == "embedded"


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("Caption", "caption"),
        ("DESCRIPTION", "caption"),
        ("title", "caption"),
        ("alt-text", "alt"),
        ("Creator", "author"),
        ("photographer", "author"),
        ("License", "licence"),
        ("rights", "licence"),
        ("source url", "source_url"),
        ("url", "source_url"),
    ],
)
def test_people_write_fields_under_many_names(key: str, field: str) -> None:
    assert getattr(from_mapping({key: "https://example.org/x"}, "sidecar"), field) == "https://example.org/x"


def test_a_title_that_repeats_the_file_name_says_nothing() -> None:
    said = from_mapping({"title": "IMG_1.jpg", "description": ""}, "sidecar", "IMG_1.jpg")
    assert (said.caption, said.caption_origin) == ("", "none")


def test_keywords_as_a_list_or_separated() -> None:
    assert from_mapping({"tags": "sea; harbour,  night"}, "sidecar").keywords == ("sea", "harbour", "night")
    assert from_mapping({"keywords": ["sea", 7, None]}, "sidecar").keywords == ("sea", "7")


def test_nested_values_say_nothing() -> None:
    assert from_mapping({"caption": {"a": "b"}, "author": [["x"]], 3: "y"}, "sidecar") == PictureMetadata()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2021:05:04 10:20:30", datetime(2021, 5, 4, 10, 20, 30)),
        ("2021-05-04", datetime(2021, 5, 4)),
        ("20210504T102030+0200", datetime(2021, 5, 4, 10, 20, 30, tzinfo=timezone(timedelta(hours=2)))),
        ("2021-05-04T10:20:30Z", datetime(2021, 5, 4, 10, 20, 30, tzinfo=timezone.utc)),  # noqa: UP017 - reads alike
        ("0000:00:00 00:00:00", None),
        ("2021-13-40", None),
        ("yesterday", None),
    ],
)
def test_dates(written: str, read: datetime | None) -> None:
    assert parse_date(written) == read


def test_a_bad_date_is_noted() -> None:
    said = from_mapping({"date": "last summer"}, "sidecar")
    assert said.taken_at is None and "last summer" in said.notes[0]


@pytest.mark.parametrize("source", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "JaVaScRiPt:x"])
def test_only_web_addresses_are_sources(source: str) -> None:
    said = PictureMetadata(source_url=source).cleaned()
    assert said.source_url is None and said.notes


def test_a_caption_of_a_megabyte_is_cut_with_a_note() -> None:
    said = PictureMetadata(caption="word " * 200_000, caption_origin="sidecar").cleaned()
    assert len(said.caption) <= MAX_CAPTION_CHARS and "1,000,000" in said.notes[0].replace("999,999", "1,000,000")


def test_licences_get_one_spelling() -> None:
    assert PictureMetadata(licence="Creative Commons Attribution-ShareAlike 4.0").cleaned().licence == "CC-BY-SA-4.0"
    assert PictureMetadata(licence="  ").cleaned().licence is None


@given(st.dictionaries(st.sampled_from(["caption", "alt", "author", "licence", "url", "tags", "date"]), st.text()))
def test_whatever_is_written_makes_a_valid_picture(values: dict[str, str]) -> None:
    said = from_mapping(values, "sidecar").cleaned()
    picture = Picture(
        id="0" * 64,
        media_type="image/png",
        width_px=20,
        height_px=20,
        size_bytes=1,
        caption=said.caption,
        alt=said.alt,
        keywords=said.keywords,
        author=said.author,
        licence=said.licence,
        source_url=said.source_url,
    )
    assert picture.caption == said.caption, "cleaning twice changes nothing"
    assert not any("\ud800" <= c <= "\udfff" or c == "\x00" for c in picture.words)
