"""Video: about one frame a second becomes one tall or wide picture with numbered frames.

The model sees no time, only `<IMAGE 0>`, `<IMAGE 1>`, … above its frames. PyAV is touched here alone and is an
optional extra. Videos are hostile: known containers only, from an open file (so that no playlist can name another
one), with limits on frames and pixels; only frames that are shown are kept in memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from interleaf.errors import PictureUnreadable, Unsupported

__all__ = ["VideoComposite", "composite", "composite_px", "frame_px", "sampled_frames", "watch"]

MOST_FRAMES: Final = 32
MOST_FRAMES_ALLOWED: Final = 64
MAX_VIDEO_FRAMES: Final = 500_000  # four and a half hours at 30 frames a second
MAX_FRAME_PIXELS: Final = 40_000_000
CONTAINERS: Final = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "asf", "mpegts", "mpeg", "flv", "ogg")

LONG_SIDE_PX: Final = 1120
LABEL_PX: Final = 40  # the band with a frame's number; also the size of its letters
GAP_PX: Final = 10
# The weights were taught with SimHei; the labels are plain ASCII and any sans serves.
FONTS: Final = (
    "SimHei.ttf",
    "simhei.ttf",
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSans-Regular.ttf",
    "Arial.ttf",
    "Helvetica.ttc",
)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class VideoComposite:
    """A video as one RGB picture; the processor cuts it into one row or column of tiles."""

    image: Image.Image
    frames: int


def watch(
    source: Path | str | bytes,
    *,
    most_frames: int = MOST_FRAMES,
    start_frame: int = 0,
    end_frame: int | None = None,
    font: _Font | None = None,
    name: str = "video",
) -> VideoComposite:
    """The frames of a video file as one picture.

    `most_frames`: 1 to 64, shown at most; `start_frame` and `end_frame` (not included) cut the video. `font`: of the
    labels; None takes a sans of the system, or Pillow's own. Unsupported when PyAV is not installed;
    PictureUnreadable names `name` when the file is no video, is broken, has no frames, or exceeds a limit."""
    if not 1 <= most_frames <= MOST_FRAMES_ALLOWED:
        raise PictureUnreadable(
            name, f"was to be shown in {most_frames} frames.", f"Ask for 1 to {MOST_FRAMES_ALLOWED}."
        )
    if start_frame < 0 or (end_frame is not None and end_frame <= start_frame):
        raise PictureUnreadable(
            name, f"was cut from frame {start_frame} to {end_frame}.", "Start at 0 or later, end after the start."
        )
    count, rate_fps = _counted(source, name)
    while True:
        positions = sampled_frames(count, rate_fps, most_frames, start_frame, end_frame)
        if not positions:
            raise PictureUnreadable(
                name, f"has {count} frames, none of them from {start_frame} on.", "Give another video or start earlier."
            )
        frames, original_px, decoded = _decoded(source, positions, name)
        if len(frames) == len(positions):
            return VideoComposite(composite(frames, original_px, font), len(frames))
        # The file's own count was wrong (a frame that is never shown); what was decoded is the truth.
        if not decoded:
            raise PictureUnreadable(name, "has no frame that can be decoded.", "Copy or download it again.")
        count = decoded


def sampled_frames(
    count: int, rate_fps: float, most_frames: int = MOST_FRAMES, start_frame: int = 0, end_frame: int | None = None
) -> list[int]:
    """Which of `count` frames are shown: one a second, thinned out evenly where that is more than `most_frames`."""
    stride = max(1, round(rate_fps))
    end_frame = count if end_frame is None else min(end_frame, count)
    positions = list(range(start_frame, end_frame, stride))
    if len(positions) <= most_frames:
        return positions
    step = len(positions) / (most_frames + 1)  # as published; the last seconds are never seen
    return [positions[int(i * step)] for i in range(most_frames)]


def frame_px(width_px: int, height_px: int) -> tuple[int, int]:
    """A frame's size in the composite: its long side is 1120 px."""
    ratio = width_px / height_px
    if width_px > height_px:
        return LONG_SIDE_PX, max(1, int(LONG_SIDE_PX / ratio))
    return max(1, int(LONG_SIDE_PX * ratio)), LONG_SIDE_PX


def composite_px(frame_sizes: Sequence[tuple[int, int]], stacked: bool) -> tuple[int, int]:
    """The composite's size from those of its resized frames, `stacked` or side by side."""
    if stacked:
        return max(w for w, _ in frame_sizes), sum(h + GAP_PX + LABEL_PX for _, h in frame_sizes)
    return sum(w + GAP_PX for w, _ in frame_sizes), max(h for _, h in frame_sizes) + LABEL_PX


def composite(frames: Sequence[Image.Image], original_px: tuple[int, int], font: _Font | None = None) -> Image.Image:
    """Resized RGB frames (see frame_px) on white with their numbers and lines between them.

    They are stacked when `original_px`, the last frame's size in the video, is wider than high."""
    stacked = original_px[0] > original_px[1]
    canvas = Image.new("RGB", composite_px([f.size for f in frames], stacked), "white")
    draw = ImageDraw.Draw(canvas)
    font = font or _label_font()
    at_px = 0
    for number, frame in enumerate(frames):
        corner = (0, at_px) if stacked else (at_px, 0)
        canvas.paste(frame, (corner[0], corner[1] + LABEL_PX))
        draw.text(corner, f"<IMAGE {number}>", font=font, fill="black")
        end_px = at_px + (LABEL_PX + frame.height if stacked else frame.width)
        if number + 1 < len(frames):
            line_px = end_px + GAP_PX // 2
            line = ((0, line_px), (canvas.width, line_px)) if stacked else ((line_px, 0), (line_px, canvas.height))
            draw.line(line, fill="black", width=2)
        at_px = end_px + GAP_PX
    return canvas


def _label_font() -> _Font:
    for file in FONTS:
        try:
            return ImageFont.truetype(file, LABEL_PX)
        except OSError:
            continue  # not on this machine: the next one
    return ImageFont.load_default(LABEL_PX)


def _counted(source: Path | str | bytes, name: str) -> tuple[int, float]:
    """How many frames the video has, without decoding them, and how many a second."""
    with _stream(source, name) as (container, stream):
        count = 0
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                count += 1
            if count > MAX_VIDEO_FRAMES:
                raise PictureUnreadable(
                    name, f"has more than {MAX_VIDEO_FRAMES:,} frames.", "Cut it into shorter videos."
                )
        if not count:
            raise PictureUnreadable(name, "has a video stream without frames.", "Copy or download it again.")
        rate = stream.average_rate or stream.guessed_rate or Fraction(1)
        return count, float(rate)


def _decoded(
    source: Path | str | bytes, positions: Sequence[int], name: str
) -> tuple[list[Image.Image], tuple[int, int], int]:
    """The frames at `positions`, resized; the size of the last of them as it is in the video; frames decoded."""
    wanted = frozenset(positions)
    frames: list[Image.Image] = []
    original_px, decoded = (0, 0), 0
    with _stream(source, name) as (container, stream):
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            if decoded in wanted:
                _check_frame(frame.width, frame.height, name)
                image = Image.fromarray(frame.to_ndarray(format="rgb24"))
                if frame.rotation:  # a telephone held upright
                    image = image.rotate(frame.rotation, expand=True)
                original_px = image.size
                frames.append(image.resize(frame_px(*image.size), Image.Resampling.BILINEAR))
            decoded += 1
            if decoded > positions[-1]:
                break
    return frames, original_px, decoded


@contextmanager
def _stream(source: Path | str | bytes, name: str) -> Iterator[tuple[Any, Any]]:
    """The open container and its first video stream, and every error of PyAV in our words."""
    try:
        import av
    except ImportError as error:
        raise Unsupported(name, "needs PyAV, which is not installed.", "Run: pip install 'interleaf[video]'") from error
    try:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file,
            av.open(
                file, options={"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "none"}
            ) as container,
        ):
            if not container.streams.video:
                raise PictureUnreadable(name, "has no video stream.", "Give a file with pictures, not sound alone.")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise PictureUnreadable(name, "is coded in a way that PyAV cannot decode.", "Convert it to H.264.")
            # 0 × 0 is what a stream says that has not shown a frame yet.
            _check_frame(stream.codec_context.width or 1, stream.codec_context.height or 1, name)
            # Also for frames that turn out larger than the file's head says.
            stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
            yield container, stream
    except (av.FFmpegError, OSError, ValueError, RuntimeError, MemoryError, OverflowError) as error:
        raise PictureUnreadable(
            name,
            f"cannot be read as a video ({type(error).__name__}).",
            "Give an intact MP4, MOV, WebM, MKV, AVI, WMV, MPEG or FLV file.",
        ) from error


def _check_frame(width_px: int, height_px: int, name: str) -> None:
    if width_px < 1 or height_px < 1 or width_px * height_px > MAX_FRAME_PIXELS:
        raise PictureUnreadable(
            name,
            f"has frames of {width_px} × {height_px} px; 1 to {MAX_FRAME_PIXELS / 1e6:.0f} megapixels are read.",
            "Give a smaller version.",
        )
