"""Every picture that people have becomes a safe one; everything else is refused by name, and nothing else happens."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from interleaf.errors import PictureUnreadable
from retrieval.pictures.decode import MAX_FILE_BYTES, decode, open_stored
from tests.retrieval.drawing import GPS_MARK, encoded, exif_block, scene, srgb_profile

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def _drawn(mode: str) -> Image.Image:
    if mode != "I;16":
        return scene(3).convert(mode)
    return Image.fromarray((np.asarray(scene(3, mode="L")).astype(np.uint16) << 8) + 17)


def _writable(kind: str, mode: str) -> bool:
    """Whether Pillow can write files of this kind in this mode."""
    try:
        return bool(encoded(_drawn(mode).crop((0, 0, 32, 32)), kind))
    except (OSError, ValueError, KeyError):
        return False


MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16")


@pytest.mark.parametrize(("kind", "mode"), [(k, m) for k in KINDS for m in MODES if _writable(k, m)])
def test_every_kind_and_mode_that_pillow_can_write(kind: str, mode: str) -> None:
    image = _drawn(mode)
    data = encoded(image, kind)
    decoded = decode(data, "a")
    assert (decoded.width_px, decoded.height_px) == (320, 240)
    assert decoded.image.mode in ("L", "LA", "RGB", "RGBA")
    again = open_stored(decoded.stored, decoded.media_type, "a")
    assert (again.mode, again.tobytes()) == (decoded.image.mode, decoded.image.tobytes())
    assert decode(decoded.stored, "a").id == decoded.id, "what is stored is the picture with that id"
    if kind in ("PNG", "BMP", "TIFF", "GIF") and mode in ("RGB", "L", "RGBA"):
        difference = np.abs(np.asarray(decoded.image.convert("RGB"), int) - np.asarray(image.convert("RGB"), int))
        assert difference.mean() < (12 if kind == "GIF" else 0.01)


def test_sixteen_bits_become_the_upper_eight() -> None:
    grey = np.linspace(0, 65_535, 64 * 64).astype(np.uint16).reshape(64, 64)
    decoded = decode(encoded(Image.fromarray(grey), "PNG"), "a.png")
    assert decoded.image.mode == "L"
    assert np.array_equal(np.asarray(decoded.image), (grey >> 8).astype(np.uint8))


def test_sixteen_bit_colour_is_stored_with_eight() -> None:
    width = height = 32
    rng = np.random.default_rng(0)
    rows = b"".join(
        b"\0" + rng.integers(0, 65_536, width * 3, dtype=np.uint16).astype(">u2").tobytes() for _ in range(32)
    )
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    decoded = decode(data, "a.png")
    assert decoded.image.mode == "RGB" and decoded.stored[24] == 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied_and_positions_are_gone(kind: str, orientation: int) -> None:
    upright = scene(5, (96, 64))
    # The picture as the camera stores it: showing it with the orientation gives `upright` again.
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    lying = upright.transpose(inverse[orientation]) if orientation in inverse else upright
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 97, "subsampling": 0}}.get(kind, {})
    data = encoded(lying, kind, exif=exif_block(orientation), **options)
    assert GPS_MARK in data
    decoded = decode(data, "a")
    assert (decoded.width_px, decoded.height_px) == upright.size
    difference = np.abs(np.asarray(decoded.image, int) - np.asarray(upright, int)).mean()
    assert difference < (6 if kind == "JPEG" else 0.01)
    assert GPS_MARK not in decoded.stored and b"Exif" not in decoded.stored and b"eXIf" not in decoded.stored


def test_an_upright_jpeg_keeps_its_compressed_data() -> None:
    plain = encoded(scene(6))
    decoded = decode(encoded(scene(6), exif=exif_block()), "a.jpg")
    assert decoded.stored == plain, "no generation of loss"


def test_colour_profiles_stay_and_cmyk_becomes_srgb() -> None:
    kept = decode(encoded(scene(7), icc_profile=srgb_profile(), exif=exif_block(6)), "a.jpg")
    with Image.open(io.BytesIO(kept.stored)) as stored:
        assert ImageCms.getProfileDescription(io.BytesIO(stored.info["icc_profile"])).startswith("sRGB")
    inks = decode(encoded(scene(7, mode="CMYK"), "JPEG", quality=95), "b.jpg")
    assert inks.image.mode == "RGB" and inks.media_type == "image/jpeg"
    assert np.abs(np.asarray(inks.image, int) - np.asarray(scene(7), int)).mean() < 12


def test_the_id_is_of_the_pixels_not_of_the_file() -> None:
    image = scene(8)
    png, again = encoded(image, "PNG"), encoded(image, "PNG", compress_level=1, exif=exif_block())
    assert png != again and decode(png, "a").id == decode(again, "b").id
    palette = image.quantize(16)
    assert decode(encoded(palette, "PNG"), "a").id == decode(encoded(palette.convert("RGB"), "PNG"), "b").id
    other = palette.copy()
    colours = other.getpalette()
    assert colours is not None
    other.putpalette([255 - value for value in colours])
    assert decode(encoded(other, "PNG"), "c").id != decode(encoded(palette, "PNG"), "a").id


def test_two_moving_pictures_with_the_same_first_frame_differ() -> None:
    def moving(*seeds: int) -> bytes:
        first, *rest = [scene(seed, mode="P") for seed in seeds]
        return encoded(first, "GIF", save_all=True, append_images=rest)

    assert decode(moving(1, 2), "a").id != decode(moving(1, 3), "b").id
    assert decode(moving(1, 2), "a").id == decode(moving(1, 2), "c").id


def test_a_very_large_side_is_made_smaller() -> None:
    decoded = decode(encoded(scene(9, (9_000, 300))), "a.jpg")
    assert (decoded.width_px, decoded.height_px) == (8192, 273)


def _png_of_size(width: int, height: int) -> bytes:
    data = bytearray(encoded(scene(1), "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")  # as decode.py sets it; pytest resets it
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (encoded(scene(1, (1, 1))), "at least 16"),
        (encoded(scene(1, (400, 9))), "at least 16"),
        (encoded(scene(1, (20_000, 17))), "too narrow"),
        (_png_of_size(20_000, 20_000), "megapixels"),
        (_png_of_size(12_000, 12_000), "megapixels"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 100, "JPEG file is"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b'<?xml version="1.0"?><!-- a --><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"PK\x03\x04rest of an archive", "ZIP"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 50, "HEIC"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 50, "video"),
        (b"just some words", "not a picture"),
        (b"MZ\x90\0", "program"),
    ],
)
def test_refusals_name_the_file_and_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(PictureUnreadable, match=says) as refused:
        decode(data, "holiday.jpg")
    assert refused.value.thing == "holiday.jpg" and refused.value.remedy


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(PictureUnreadable, match="at most"):
        decode(encoded(scene(1)) + b"\0" * MAX_FILE_BYTES, "a.jpg")


def test_floating_point_samples_are_refused() -> None:
    with pytest.raises(PictureUnreadable, match="floating-point"):
        decode(encoded(Image.new("F", (32, 32), 0.5), "TIFF"), "a.tif")


FILES = {kind: encoded(scene(2, (64, 48)), kind) for kind in KINDS}


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]), share=st.floats(0.0, 0.999))
def test_a_truncated_file_is_always_refused(kind: str, share: float) -> None:
    data = FILES[kind]
    cut = min(int(len(data) * share), len(data) - 2)
    with pytest.raises(PictureUnreadable):
        decode(data[:cut], "cut")


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    changes=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_damaged_bytes_never_raise_anything_else(kind: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(FILES[kind])
    for place, value in changes:
        data[int(len(data) * place)] = value
    try:
        decoded = decode(bytes(data), "damaged")
    except PictureUnreadable as refused:
        assert refused.thing == "damaged"
    else:
        assert open_stored(decoded.stored, decoded.media_type, "a").size == decoded.image.size
