"""Tiles hold the pixels that the original code computes; strange pictures are read rightly or refused by name."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from interleaf.errors import PictureUnreadable
from model.prompts.partition import PARTITIONS, Partition, Square, Strip
from model.prompts.picture import MEAN, STD, PictureSource, prepare, size_px, tiles_of, upright_rgb

GOLDEN = Path(__file__).parents[3].parent / "shared" / "eval" / "xcomposer-golden"
SMALL = Partition(24, unit_px=56)


def drawn(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def whole(tiles: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """(3, height, width) put together again from tiles without the overview."""
    edge = tiles.shape[-1]
    return tiles[1:].reshape(rows, columns, 3, edge, edge).permute(2, 0, 3, 1, 4).reshape(3, rows * edge, -1)


# The original code's pixels


@pytest.mark.parametrize(
    ("name", "partition"),
    [("small_hd24", "chat"), ("wide_hd24", "chat"), ("tall_hd24", "chat"), ("wide_hd6", "multi")],
)
def test_pixels_are_those_of_the_original_code(name: str, partition: str) -> None:
    if not (GOLDEN / "golden.npz").is_file():
        pytest.skip("the folder xcomposer-golden is not there")
    golden = np.load(GOLDEN / "golden.npz", allow_pickle=False)
    prepared = prepare(GOLDEN / f"{name.partition('_')[0]}.png", PARTITIONS[partition])
    pixels = whole(prepared.tiles, *prepared.grid)
    assert (pixels.shape[2], pixels.shape[1]) == tuple(golden[f"size_{name}"])
    torch.testing.assert_close(pixels[:, :24, :24], torch.tensor(golden[f"pixels_corner_{name}"]), atol=1e-6, rtol=0)
    mean = torch.tensor(golden[f"pixels_mean_{name}"][0])
    torch.testing.assert_close(pixels.mean((1, 2)), mean, atol=1e-5, rtol=0)


# What tiles hold


@given(st.integers(1, 300), st.integers(1, 300), st.booleans())
@settings(max_examples=40, deadline=None)
def test_tiles_are_the_resized_picture_on_white_cut_row_by_row(width: int, height: int, centred: bool) -> None:
    image = drawn(width, height)
    layout = Partition(6, padding="centre" if centred else "end", unit_px=28).layout(width, height)
    prepared = tiles_of(image, layout)
    # Independently: mirrored to landscape, resized by Pillow, pasted on white, mirrored back.
    seen = image.transpose(Image.Transpose.TRANSPOSE) if width < height else image
    landscape = (max(layout.resized_px), min(layout.resized_px)) if layout.tiles > 1 else layout.resized_px
    if width < height:
        landscape = layout.resized_px[::-1]
    small = np.asarray(seen.resize(landscape, Image.Resampling.BILINEAR))
    small = small.transpose(1, 0, 2) if width < height else small
    canvas = np.full((layout.padded_px[1], layout.padded_px[0], 3), 255, np.uint8)
    left, top = layout.offset_px
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    expected = (canvas.astype(np.float64) / 255 - MEAN) / STD
    assert prepared.tiles.shape == (1 + layout.tiles, 3, 28, 28)
    assert prepared.grid == (layout.rows, layout.columns)
    number = 1
    for row in range(layout.rows):
        for column in range(layout.columns):
            part = expected[row * 28 : row * 28 + 28, column * 28 : column * 28 + 28].transpose(2, 0, 1)
            np.testing.assert_allclose(prepared.tiles[number].numpy(), part, atol=1e-5)
            number += 1


def test_the_overview_is_bicubic_without_smoothing_on_normalised_values() -> None:
    prepared = tiles_of(drawn(112, 112), SMALL.layout(112, 112))
    pixels = whole(prepared.tiles, *prepared.grid).double()
    # Halving a side: each sample lies in the middle of four, with the weights of the cubic at ±½ and ±1½.
    weights = torch.tensor([-0.09375, 0.59375, 0.59375, -0.09375], dtype=torch.float64)
    at = torch.arange(56).unsqueeze(1) * 2 + torch.tensor([-1, 0, 1, 2])
    at = at.clamp(0, 111)
    rows = (pixels[:, at, :] * weights.view(1, 1, 4, 1)).sum(2)
    both = (rows[:, :, at] * weights).sum(3)
    torch.testing.assert_close(prepared.tiles[0].double(), both, atol=1e-4, rtol=0)
    assert float(prepared.tiles[0].max()) > float(pixels.max())  # the cubic shoots over: nothing was clipped to bytes


@pytest.mark.parametrize("edge", [224, 490])
def test_a_square_is_bicubic_whatever_the_shape(edge: int) -> None:
    image = drawn(300, 100)
    prepared = prepare(image, Square(edge))
    expected = np.asarray(image.resize((edge, edge), Image.Resampling.BICUBIC)).transpose(2, 0, 1) / 255
    assert prepared.grid == (0, 0)
    assert prepared.tiles.shape == (1, 3, edge, edge)
    back = prepared.tiles[0].numpy() * np.array(STD).reshape(3, 1, 1) + np.array(MEAN).reshape(3, 1, 1)
    np.testing.assert_allclose(back, expected, atol=1e-5)


def test_keys_are_equal_for_equal_pictures_and_differ_for_pixels_budget_and_layout() -> None:
    image = drawn(100, 60)
    same = prepare(saved(image, "PNG"), SMALL).key
    assert prepare(image, SMALL).key == same
    touched = image.copy()
    touched.putpixel((99, 59), tuple(255 - v for v in image.getpixel((99, 59))))
    other = [
        prepare(touched, SMALL).key,
        prepare(image, Partition(1, unit_px=56)).key,
        prepare(image, Partition(24, padding="centre", unit_px=56)).key,
        prepare(image, Square(56)).key,
        prepare(image, Strip(56)).key,
    ]
    assert len({same, *other}) == 6
    assert len(same) == len(hashlib.sha256().hexdigest())


# Strange pictures, read rightly


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied_and_known_from_the_head(orientation: int, kind: str) -> None:
    quadrants = Image.new("RGB", (48, 32), "white")
    quadrants.paste("red", (0, 0, 24, 16))  # what must come out: red top left, blue bottom right
    quadrants.paste("blue", (24, 16, 48, 32))
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quadrants.transpose(inverse[orientation]) if orientation > 1 else quadrants
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    assert size_px(data) == (48, 32)
    seen = upright_rgb(data)
    assert seen.size == (48, 32)
    np.testing.assert_allclose(np.asarray(seen)[4, 4], (255, 0, 0), atol=40)
    np.testing.assert_allclose(np.asarray(seen)[28, 44], (0, 0, 255), atol=40)


def test_nonsense_in_exif_does_not_spoil_a_picture() -> None:
    for exif in (b"Exif\0\0" + b"\xff" * 40, b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0"):
        assert upright_rgb(saved(drawn(20, 10), "JPEG", exif=exif)).size == (20, 10)


def palette_with_transparency() -> Image.Image:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((0, 0), 1)
    image.info["transparency"] = 0
    return image


GREY_16 = Image.fromarray(np.array([[0, 0x8000], [0xFFFF, 0x00FF]], dtype=np.uint16))
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (255, 0, 0)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), [WHITE] * 2, id="RGBA, clear is white"),
        pytest.param(Image.new("RGBA", (4, 4), (255, 0, 0, 51)), [(255, 204, 204)] * 2, id="RGBA, a fifth of red"),
        pytest.param(Image.new("LA", (4, 4), (0, 0)), [WHITE] * 2, id="LA"),
        pytest.param(Image.new("L", (4, 4), 77), [(77, 77, 77)] * 2, id="L"),
        pytest.param(Image.new("1", (4, 4), 1), [WHITE] * 2, id="1"),
        pytest.param(Image.new("P", (4, 4), 0), [BLACK] * 2, id="P"),
        pytest.param(palette_with_transparency(), [RED, WHITE], id="P with a clear colour"),
        pytest.param(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), [RED] * 2, id="CMYK"),
        pytest.param(GREY_16, [BLACK, (128, 128, 128)], id="I;16"),
        pytest.param(GREY_16.convert("I"), [BLACK, (128, 128, 128)], id="I"),
        pytest.param(Image.new("I", (4, 4), 200), [(200, 200, 200)] * 2, id="I within 8 bits"),
        pytest.param(Image.new("F", (4, 4), 0.5), [(128, 128, 128)] * 2, id="F from 0 to 1"),
        pytest.param(Image.new("YCbCr", (4, 4), (255, 128, 128)), [WHITE] * 2, id="YCbCr"),
        pytest.param(Image.new("LAB", (4, 4), (255, 128, 128)), [WHITE] * 2, id="LAB"),
    ],
)
def test_every_mode_becomes_rgb_on_white(image: Image.Image, expected: list[tuple[int, int, int]]) -> None:
    seen = upright_rgb(image)
    assert seen.mode == "RGB"
    for x, colour in enumerate(expected):
        np.testing.assert_allclose(seen.getpixel((x, 0)), colour, atol=2)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_survive_a_file(kind: str) -> None:
    assert [p[0] for p in np.asarray(upright_rgb(saved(GREY_16, kind))).reshape(-1, 3)] == [0, 128, 255, 1]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animated_picture_the_first_frame_is_seen(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(upright_rgb(data).getpixel((0, 0)), RED, atol=3)
    opened = Image.open(io.BytesIO(data))
    opened.seek(2)
    np.testing.assert_allclose(upright_rgb(opened).getpixel((0, 0)), RED, atol=3)


def test_a_given_picture_is_not_changed() -> None:
    image = drawn(10, 10)
    before = image.tobytes()
    result = upright_rgb(image)
    result.paste("black", (0, 0, 10, 10))
    assert image.tobytes() == before


def test_a_picture_of_one_pixel_and_a_thread_are_prepared() -> None:
    for size in ((1, 1), (3000, 1), (1, 3000)):
        prepared = prepare(drawn(*size), SMALL)
        assert prepared.tiles.shape[0] == 1 + prepared.grid[0] * prepared.grid[1]
        assert torch.isfinite(prepared.tiles).all()


# Refused


class Huge(Image.Image):
    """Says that it is larger than what may be read; has no pixels to decode."""

    def __init__(self) -> None:
        super().__init__()
        self._size, self._mode = (100_000, 100_000), "RGB"

    def load(self) -> None:
        raise AssertionError("pixels were asked for")


def bomb() -> bytes:
    """A PNG of 70 bytes whose head says 60,000 × 60,000 px."""
    data = bytearray(saved(Image.new("1", (1, 1)), "PNG"))
    import struct
    import zlib

    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param(Image.new("RGB", (0, 5)), "0 × 5 px", id="nothing wide"),
        pytest.param(Image.new("L", (5, 0)), "5 × 0 px", id="nothing high"),
        pytest.param(Huge(), "100000 × 100000 px", id="too many pixels"),
        pytest.param(bomb(), "at most 89 megapixels", id="bomb"),
        pytest.param(b"", "no picture of a known kind", id="no bytes"),
        pytest.param(b"GIF89a", "damaged|known kind", id="only a head"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "known kind", id="SVG"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "known kind", id="EPS is never run"),
        pytest.param(saved(drawn(64, 64), "PNG")[:-400], "cut off|damaged", id="cut off PNG"),
        pytest.param(saved(drawn(64, 64), "JPEG")[:700], "cut off", id="cut off JPEG"),
        pytest.param(Path("nowhere") / "a.png", "cannot be read \\(No such file", id="no file"),
        pytest.param("http://example.com/a.png", "cannot be read \\(No such file", id="addresses are not fetched"),
        pytest.param("a\0b", "embedded null byte", id="NUL in a name"),
        pytest.param(Image.new("F", (2, 2), float("nan")), "no brightness", id="NaN"),
        pytest.param(7, "is a int", id="no source at all"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(source: PictureSource, said: str) -> None:
    with pytest.raises(PictureUnreadable, match=said) as caught:
        prepare(source, SMALL, name="picture 3")
    assert caught.value.thing == "picture 3"
    assert caught.value.remedy


@given(st.binary(max_size=60), st.integers(0, 900), st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]))
@settings(max_examples=150, deadline=None)
def test_damaged_files_are_read_or_refused_and_nothing_else(noise: bytes, at: int, kind: str) -> None:
    data = saved(drawn(24, 16), kind)
    data = data[: at % len(data)] + noise + data[at % len(data) + len(noise) :]
    try:
        assert upright_rgb(data).mode == "RGB"
    except PictureUnreadable as error:
        assert error.remedy


def test_a_layout_for_another_size_is_refused() -> None:
    with pytest.raises(PictureUnreadable, match="20 × 10 px, its head said 10 × 20"):
        tiles_of(drawn(20, 10), SMALL.layout(10, 20))
