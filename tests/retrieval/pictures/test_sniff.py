"""A file is what its bytes are; a file that is two things at once is refused."""

from __future__ import annotations

import io
import zipfile

import pytest

from interleaf.errors import PictureUnreadable
from retrieval.pictures.decode import decode
from retrieval.pictures.sniff import is_archive, is_picture, picture_kind
from tests.retrieval.drawing import encoded, scene


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_kinds_are_told_by_content(kind: str) -> None:
    assert picture_kind(encoded(scene(1), kind)[:64]) == kind


def test_words_and_archives_are_no_pictures() -> None:
    assert not is_picture(b"BM is how this note begins") and not is_picture(b"")
    assert is_archive(b"PK\x03\x04") and not is_archive(b"PKZIP was a program")


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("run.class", b"x")
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize(
    ("tail", "says"),
    [
        (_archive(), "ZIP"),
        (b"<script>alert(1)</script>", "active content"),
        (b"\n<?php system($_GET[0]); ?>", "active content"),
        (b"\0\0MZ\x90", "program"),
    ],
)
def test_a_picture_with_something_behind_it(kind: str, tail: bytes, says: str) -> None:
    with pytest.raises(PictureUnreadable, match=says):
        decode(encoded(scene(1), kind) + tail, "a.jpg")


def test_a_bitmap_with_an_archive_behind_it() -> None:
    with pytest.raises(PictureUnreadable, match="ZIP"):
        decode(encoded(scene(1), "BMP") + _archive(), "a.jpg")


def test_a_document_in_the_first_kilobyte() -> None:
    data = encoded(scene(1), "JPEG", comment=b"%PDF-1.4")
    with pytest.raises(PictureUnreadable, match="PDF"):
        decode(data, "a.jpg")


def test_a_phones_film_behind_the_picture_is_harmless_and_dropped() -> None:
    film = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20
    decoded = decode(encoded(scene(1)) + film, "motion.jpg")
    assert decoded.stored == encoded(scene(1))


def test_markup_in_a_comment_is_dropped_not_refused() -> None:
    decoded = decode(encoded(scene(1), "JPEG", comment=b"<script>alert(1)</script>"), "a.jpg")
    assert b"script" not in decoded.stored
