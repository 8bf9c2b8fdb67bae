"""A video becomes the published composite: the right frames, sizes, labels and lines; a broken one is refused."""

from __future__ import annotations

import builtins
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFont

import model.prompts.video
from interleaf.errors import PictureUnreadable, Unsupported
from model.network.tower import vector_count
from model.prompts.partition import Strip
from model.prompts.video import composite, composite_px, frame_px, sampled_frames, watch

av = pytest.importorskip("av", reason="PyAV is not installed")


def encoded(
    frames: int,
    rate: int = 4,
    size: tuple[int, int] = (64, 48),
    kind: str = "mp4",
    codec: str = "mpeg4",
    **options: Any,
) -> bytes:
    """A video whose frame number i is grey with the level 4 · i."""
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, **options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), min(255, 4 * number), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def sound() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


# Sizes, as published


@pytest.mark.parametrize(
    ("size", "frames", "canvas", "tiles", "count"),
    [
        ((1280, 720), 32, (1120, 21760), (1, 20), 8821),
        ((1280, 720), 8, (1120, 5440), (1, 5), 2521),
        ((720, 1280), 32, None, (18, 1), 7641),
        ((640, 480), 32, None, (1, 26), 11341),
        ((480, 480), 32, None, (32, 1), 13241),
        ((1280, 720), 64, None, (1, 39), 16801),
    ],
)
def test_published_composites_tiles_and_token_counts(
    size: tuple[int, int], frames: int, canvas: tuple[int, int] | None, tiles: tuple[int, int], count: int
) -> None:
    found = composite_px([frame_px(*size)] * frames, size[0] > size[1])
    assert canvas is None or found == canvas
    layout = Strip().layout(*found)
    assert (layout.columns, layout.rows) == tiles
    assert vector_count(layout.rows, layout.columns, 20) == count


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_frame_is_1120_px_long_and_keeps_its_shape(width: int, height: int) -> None:
    found = frame_px(width, height)
    assert max(found) == 1120
    assert min(found) >= 1
    assert abs(min(found) - 1120 * min(width, height) / max(width, height)) <= 1


# Which frames


def second_reading(count: int, rate: float, most: int) -> list[int]:
    positions = list(range(0, count, round(float(rate) / 1) or 1))
    if len(positions) > most:
        step = len(positions) / (most + 1)
        positions = [positions[j] for j in [int(i * step) for i in range(most)]]
    return positions


@given(st.integers(1, 100_000), st.sampled_from([0.2, 1.0, 23.976, 25.0, 29.97, 30.0, 59.94]), st.integers(1, 64))
def test_one_frame_a_second_thinned_out_as_published(count: int, rate: float, most: int) -> None:
    found = sampled_frames(count, rate, most)
    assert found == second_reading(count, rate, most)
    assert len(found) <= most
    assert found == sorted(set(found))
    assert found[0] == 0


def test_a_cut_counts_frames_from_its_start() -> None:
    assert sampled_frames(100, 10, start_frame=25, end_frame=60) == [25, 35, 45, 55]
    assert sampled_frames(30, 10, start_frame=25, end_frame=600) == [25]
    assert sampled_frames(30, 10, start_frame=30) == []


# The composite


def painted(sizes: Sequence[tuple[int, int]]) -> list[Image.Image]:
    return [Image.new("RGB", size, (200, 30 + i, 30)) for i, size in enumerate(sizes)]


@pytest.mark.parametrize("stacked", [True, False])
def test_frames_labels_and_lines_stand_where_they_should(stacked: bool) -> None:
    size = (1120, 600) if stacked else (600, 1120)
    canvas = np.asarray(composite(painted([size] * 3), size))
    along = canvas if stacked else canvas.transpose(1, 0, 2)  # the direction in which frames follow one another first
    block = 650 if stacked else 610
    assert along.shape[0] == 3 * block
    for number in range(3):
        begin = number * block
        frame = along[begin + 40 : begin + 640, :1120] if stacked else along[begin : begin + 600, 40:1160]
        assert (frame == (200, 30 + number, 30)).all()
        label = along[begin : begin + 40] if stacked else along[begin : begin + 600, :40]
        assert (label == 255).all(2).mean() > 0.5  # white, with black letters
        assert (label < 60).all(2).sum() > 200
        gap = along[begin + (640 if stacked else 600) : begin + block]
        black = (gap < 10).all(2).all(1)
        assert black.sum() == (2 if number < 2 else 0), "a line of two pixels after each frame but the last"
    assert not np.array_equal(along[:40], along[block : block + 40]), "labels carry different numbers"


def test_frames_of_different_sizes_stand_on_white() -> None:
    canvas = composite(painted([(1120, 300), (700, 1120)]), (1120, 300))
    assert canvas.size == (1120, 300 + 50 + 1120 + 50)
    assert canvas.getpixel((1000, 900)) == (255, 255, 255)


def test_labels_are_drawn_without_a_font_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.prompts.video, "FONTS", ("no such font.ttf",))
    assert isinstance(model.prompts.video._label_font(), ImageFont.FreeTypeFont)
    canvas = np.asarray(composite(painted([(1120, 300)]), (1120, 300)))
    assert (canvas[:40] < 60).all(2).sum() > 200


# Files


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        ("mp4", "mpeg4"),
        ("mp4", "libx264"),
        ("matroska", "mpeg4"),
        ("webm", "libvpx"),
        ("avi", "mpeg4"),
        ("mov", "mjpeg"),
    ],
)
def test_the_frames_of_each_second_are_shown(kind: str, codec: str, tmp_path: Path) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this build of PyAV does not encode {codec}")
    options = {"options": {"strict": "-1"}} if codec == "mjpeg" else {}
    data = encoded(22, kind=kind, codec=codec, **options)
    path = tmp_path / "a.b.video"
    path.write_bytes(data)
    shown = watch(path)
    assert shown.frames == 6  # frames 0, 4, 8, 12, 16, 20 at 4 frames a second
    assert shown.image.size == (1120, 6 * (840 + 50))
    levels = [shown.image.getpixel((560, i * 890 + 40 + 420))[0] for i in range(6)]
    np.testing.assert_allclose(levels, [0, 16, 32, 48, 64, 80], atol=6)
    assert watch(data).image.tobytes() == shown.image.tobytes()


def test_a_longer_video_is_thinned_out_and_cut() -> None:
    data = encoded(60, rate=1)
    shown = watch(data, most_frames=4, start_frame=10, end_frame=50)
    levels = [shown.image.getpixel((560, i * 890 + 460))[0] for i in range(shown.frames)]
    np.testing.assert_allclose(levels, [4 * (10 + int(i * 40 / 5)) for i in range(4)], atol=8)


def test_only_shown_frames_are_turned_into_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    whole = Image.fromarray
    monkeypatch.setattr(Image, "fromarray", lambda *a, **k: made.append(1) or whole(*a, **k))
    assert watch(encoded(50, rate=2), most_frames=5).frames == 5
    assert len(made) == 5


def test_a_wrong_count_of_frames_is_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.prompts.video, "_counted", lambda source, name: (400, 4.0))
    assert watch(encoded(22)).frames == 6


def test_an_upright_video_lies_side_by_side() -> None:
    shown = watch(encoded(9, size=(48, 64)))
    assert shown.image.size == (3 * (840 + 10), 1120 + 40)


@pytest.mark.parametrize(
    ("turn", "corner"), [(0, "top left"), (-90, "bottom left"), (90, "top right"), (180, "bottom right")]
)
def test_a_video_is_turned_as_its_file_says(turn: int, corner: str) -> None:
    """`turn`: degrees counterclockwise; after it, what is stored in `corner` stands top left."""
    pixels = np.full((96, 64, 3), 255, np.uint8)
    rows = slice(0, 48) if "top" in corner else slice(48, 96)
    columns = slice(0, 32) if "left" in corner else slice(32, 64)
    pixels[rows, columns] = (255, 0, 0)
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 96, "yuv420p", 4_000_000
        if turn:
            stream.set_display_rotation(turn)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    with av.open(io.BytesIO(out.getvalue())) as container:
        assert next(container.decode(video=0)).rotation % 360 == turn % 360
    image = watch(out.getvalue()).image
    # Lying on its side it is wider than high, so its label is above it; a single frame, so no line.
    assert image.size == ((1120, 746 + 50) if abs(turn) == 90 else (746 + 10, 1120 + 40))
    np.testing.assert_allclose(image.getpixel((100, 40 + 100)), (255, 0, 0), atol=30)
    np.testing.assert_allclose(image.getpixel((image.width - 100, image.height - 120)), (255, 255, 255), atol=30)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "cannot be read as a video", id="no bytes"),
        pytest.param(b"\0" * 5000, "cannot be read as a video", id="zeros"),
        pytest.param(encoded(20)[:300], "cannot be read|without frames|no frame", id="cut off"),
        pytest.param(encoded(20, kind="matroska")[200:], "cannot be read as a video", id="without its head"),
        pytest.param(sound(), "no video stream", id="sound alone"),
        pytest.param(encoded(0), "without frames|cannot be read|no video stream", id="no frames"),
        pytest.param(
            b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
            "cannot be read",
            id="a playlist names other files",
        ),
        pytest.param(b"ffconcat version 1.0\nfile /etc/hostname\n", "cannot be read", id="a list of other files"),
    ],
)
def test_a_broken_video_is_refused_by_name(data: bytes, said: str) -> None:
    with pytest.raises(PictureUnreadable, match=said) as caught:
        watch(data, name="clip.mp4")
    assert caught.value.thing == "clip.mp4"
    assert caught.value.remedy


def test_a_video_that_is_not_there_or_an_address_is_refused(tmp_path: Path) -> None:
    for source in (tmp_path / "none.mp4", "http://127.0.0.1:9/a.mp4", "a\0b"):
        with pytest.raises(PictureUnreadable, match="cannot be read as a video"):
            watch(source)


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=80))
def test_damaged_videos_are_shown_or_refused_and_nothing_else(at: int, noise: bytes) -> None:
    data = DAMAGED[: at % len(DAMAGED)] + noise + DAMAGED[at % len(DAMAGED) + len(noise) :]
    try:
        assert 1 <= watch(data).frames <= 9
    except PictureUnreadable as error:
        assert error.remedy


DAMAGED = encoded(9, size=(32, 16), kind="avi")


def test_limits_on_frames_and_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(30)
    monkeypatch.setattr(model.prompts.video, "MAX_VIDEO_FRAMES", 29)
    with pytest.raises(PictureUnreadable, match="more than 29 frames"):
        watch(data)
    monkeypatch.undo()
    monkeypatch.setattr(model.prompts.video, "MAX_FRAME_PIXELS", 64 * 48 - 1)
    with pytest.raises(PictureUnreadable, match="64 × 48 px"):
        watch(data)
    # A head that lies about the size: the decoder itself keeps the limit.
    monkeypatch.setattr(model.prompts.video, "_check_frame", lambda *a: None)
    with pytest.raises(PictureUnreadable, match="cannot be read"):
        watch(encoded(3, codec="libx264") if "libx264" in av.codecs_available else data)


@pytest.mark.parametrize(
    "options", [{"most_frames": 0}, {"most_frames": 65}, {"start_frame": -1}, {"start_frame": 5, "end_frame": 5}]
)
def test_senseless_wishes_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(PictureUnreadable, match=r"was (to be shown|cut)"):
        watch(b"", **options)  # type: ignore[arg-type]


def test_a_start_behind_the_end_is_refused() -> None:
    with pytest.raises(PictureUnreadable, match="has 8 frames, none of them from 9 on"):
        watch(encoded(8), start_frame=9)


def test_without_pyav_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "av", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Unsupported, match=r"interleaf\[video\]"):
        watch(b"")
