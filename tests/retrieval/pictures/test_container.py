"""A picture file loses everything that is said about it, and not one pixel."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from interleaf.errors import PictureUnreadable
from retrieval.pictures.container import take_apart
from tests.retrieval.drawing import (
    GPS_MARK,
    XMP_MARK,
    encoded,
    exif_block,
    iptc_block,
    png_texts,
    scene,
    srgb_profile,
    with_iptc,
    xmp_packet,
)


def _loaded(kind: str) -> bytes:
    said = {"exif": exif_block(description="a bridge"), "icc_profile": srgb_profile()}
    if kind == "JPEG":
        data = encoded(scene(1), "JPEG", xmp=xmp_packet(creator="Jo"), comment=b"COMMENT-SECRET", **said)
        return with_iptc(data, iptc_block({(2, 120): b"IPTC-SECRET"}))
    if kind == "PNG":
        texts = png_texts(Comment="COMMENT-SECRET", **{"XML:com.adobe.xmp": xmp_packet().decode()})
        return encoded(scene(1), "PNG", pnginfo=texts, **said)
    if kind == "WEBP":
        return encoded(scene(1), "WEBP", xmp=xmp_packet(), lossless=True, **said)
    return encoded(scene(1, mode="P"), "GIF", comment=b"COMMENT-SECRET", xmp=xmp_packet())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_what_is_said_goes_and_the_pixels_stay(kind: str) -> None:
    data = _loaded(kind)
    if kind != "GIF":
        assert GPS_MARK in data, "the test must begin with a file that has a position"
    taken = take_apart(data, kind, "a")
    for secret in (GPS_MARK, XMP_MARK, b"COMMENT-SECRET", b"IPTC-SECRET", b"Exif\0"):
        assert secret not in taken.kept
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(taken.kept)) as after:
        assert before.convert("RGB").tobytes() == after.convert("RGB").tobytes()
        assert not after.getexif()
        if kind != "GIF":
            assert after.info["icc_profile"] == srgb_profile()


def test_what_is_said_is_handed_over() -> None:
    jpeg = take_apart(_loaded("JPEG"), "JPEG", "a")
    assert b"a bridge" in jpeg.exif and XMP_MARK in jpeg.xmp and b"IPTC-SECRET" in jpeg.iptc
    png = take_apart(_loaded("PNG"), "PNG", "a")
    assert b"a bridge" in png.exif and XMP_MARK in png.xmp and ("Comment", "COMMENT-SECRET") in png.texts
    webp = take_apart(_loaded("WEBP"), "WEBP", "a")
    assert b"a bridge" in webp.exif and XMP_MARK in webp.xmp and not webp.lossy


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_what_follows_the_end_is_not_kept(kind: str) -> None:
    data = _loaded(kind)
    taken = take_apart(data + b"PK\x03\x04 hidden", kind, "a")
    assert taken.rest == b"PK\x03\x04 hidden"
    assert taken.kept == take_apart(data, kind, "a").kept


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_taking_apart_twice_changes_nothing(kind: str) -> None:
    once = take_apart(_loaded(kind), kind, "a").kept
    assert take_apart(once, kind, "a").kept == once


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_moving_pictures_keep_their_frames(kind: str) -> None:
    frames = [scene(seed) for seed in range(3)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=80, loop=0)
    taken = take_apart(data, kind, "a")
    assert taken.frames == 3
    with Image.open(io.BytesIO(taken.kept)) as after:
        assert after.n_frames == 3


def test_a_thumbnail_in_the_jfif_header_goes() -> None:
    data = encoded(scene(1))
    assert data[6:11] == b"JFIF\0"
    body = data[6:18] + b"\x02\x02" + b"THUMBNAILxxx"
    forged = data[:2] + b"\xff\xe0" + (len(body) + 2).to_bytes(2, "big") + body + data[20:]
    assert b"THUMBNAIL" in forged and b"THUMBNAIL" not in take_apart(forged, "JPEG", "a").kept


def test_progressive_jpegs_are_walked_through_all_scans() -> None:
    data = encoded(scene(1), "JPEG", progressive=True)
    assert data.count(b"\xff\xda") > 3
    assert take_apart(data, "JPEG", "a").kept == data


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = encoded(scene(1), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    with pytest.raises(PictureUnreadable, match="scans"):
        take_apart(data[:at] + data[at:-2] * 1_000 + data[-2:], "JPEG", "a")


def test_a_changed_byte_in_png_data_is_noticed() -> None:
    data = bytearray(encoded(scene(1), "PNG"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(PictureUnreadable, match="checksum"):
        take_apart(bytes(data), "PNG", "a.png")
