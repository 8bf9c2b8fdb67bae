"""Picture file: the pixels of one picture, decoded within limits and encoded anew for a page or a bundle.

Encoding anew is what strips metadata (GPS, comments, thumbnails): only pixels go in. Deterministic
for the same file and Pillow.
"""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from interleaf.errors import PictureMissing, PictureUnreadable

__all__ = ["PictureFile", "PictureFiles", "Rendition", "open_picture"]

MAX_PICTURE_PX = 120_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
PAGE_LOSSY_QUALITY = 80
BUNDLE_JPEG_QUALITY = 90
# Lossless WebP beyond this many bytes per pixel means that a photograph was stored as PNG.
LOSSLESS_BYTES_PER_PX = 0.30

Codec = Literal["webp", "jpeg", "png"]
_MEDIA_TYPES: dict[Codec, str] = {"webp": "image/webp", "jpeg": "image/jpeg", "png": "image/png"}
_SUFFIXES: dict[Codec, str] = {"webp": "webp", "jpeg": "jpg", "png": "png"}


class PictureFiles(Protocol):
    """Where the pixels of an article's pictures lie."""

    def path(self, picture_id: str) -> Path:
        """The file of that picture. PictureMissing when there is none."""


@dataclass(frozen=True)
class Rendition:
    """One encoding of a picture at one size."""

    width_px: int
    height_px: int
    codec: Codec
    data: bytes

    @property
    def suffix(self) -> str:
        return _SUFFIXES[self.codec]

    @property
    def data_uri(self) -> str:
        return f"data:{_MEDIA_TYPES[self.codec]};base64,{base64.b64encode(self.data).decode('ascii')}"


class PictureFile:
    """A decoded picture: 8-bit sRGB, upright, without transparency. `graphic` when its file was lossless."""

    def __init__(self, image: Image.Image, graphic: bool) -> None:
        self._image = image
        self._graphic = graphic

    @property
    def width_px(self) -> int:
        return self._image.width

    @property
    def height_px(self) -> int:
        return self._image.height

    def for_page(self, width_px: int) -> Rendition:
        """WebP at that width: without loss for plots and drawings while that is small, else lossy."""
        scaled = self._scaled(width_px)
        data = b""
        if self._graphic:
            # Scaling blurs a drawing's few colours into thousands that nobody sees and everybody carries.
            few = _count_colours(self._image) if scaled is not self._image else 0
            flat = scaled.quantize(min(256, 2 * few), dither=Image.Dither.NONE).convert("RGB") if few else scaled
            data = _encoded(flat, "WEBP", lossless=True, quality=40, method=3)
        if not data or len(data) > LOSSLESS_BYTES_PER_PX * scaled.width * scaled.height:
            data = _encoded(scaled, "WEBP", quality=PAGE_LOSSY_QUALITY, method=2)
        return Rendition(scaled.width, scaled.height, "webp", data)

    def for_bundle(self, max_width_px: int) -> Rendition:
        """PNG for what came without loss, JPEG for the rest, at most that wide: what every program opens."""
        scaled = self._scaled(min(max_width_px, self.width_px))
        if self._graphic:
            return Rendition(scaled.width, scaled.height, "png", _encoded(_by_palette(scaled), "PNG", optimize=True))
        data = _encoded(scaled, "JPEG", quality=BUNDLE_JPEG_QUALITY, optimize=True, progressive=True)
        return Rendition(scaled.width, scaled.height, "jpeg", data)

    def _scaled(self, width_px: int) -> Image.Image:
        if width_px >= self.width_px:
            return self._image
        height_px = max(1, round(self.height_px * width_px / self.width_px))
        return self._image.resize((width_px, height_px), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _count_colours(image: Image.Image) -> int:
    """0 when they are more than 256."""
    return len(image.getcolors(256) or ())


def _by_palette(image: Image.Image) -> Image.Image:
    """The same pixels as indices into a palette, which a PNG packs far better; unchanged where that would lose."""
    colours = _count_colours(image)
    indexed = image.quantize(colours, dither=Image.Dither.NONE) if colours else image
    return indexed if indexed.convert("RGB").tobytes() == image.tobytes() else image


def _encoded(image: Image.Image, codec: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=codec, **options)
    return buffer.getvalue()


def open_picture(path: Path, label: str) -> PictureFile:
    """Decode the file at `path`; `label` names the picture in errors.

    PictureMissing when there is no such file; PictureUnreadable when it is not a picture, is damaged,
    or holds more than 120 million pixels.
    """
    try:
        with warnings.catch_warnings():
            # Our own limit below is the one that counts; Pillow's warning would only repeat it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as opened:
                if opened.width * opened.height > MAX_PICTURE_PX:
                    raise PictureUnreadable(
                        label,
                        f"has {opened.width} × {opened.height} pixels; the limit is {MAX_PICTURE_PX:,} pixels.",
                        "Make it smaller.",
                    )
                graphic = opened.format in ("PNG", "GIF") or (opened.format == "WEBP" and _is_lossless_webp(path))
                opened.load()
                return PictureFile(_plain(opened), graphic)
    except FileNotFoundError as error:
        raise PictureMissing(label, "its file is gone.", "Add the picture to the library again.") from error
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        problem = f"cannot be decoded ({type(error).__name__})."
        raise PictureUnreadable(label, problem, "Replace the file by an intact JPEG, PNG, WebP or GIF.") from error


def _is_lossless_webp(path: Path) -> bool:
    with path.open("rb") as file:
        return b"VP8L" in file.read(64)


def _plain(opened: Image.Image) -> Image.Image:
    """Upright 8-bit sRGB on white. Dark lines on a clear ground would vanish on a dark page."""
    image = ImageOps.exif_transpose(opened) or opened
    profile = opened.info.get("icc_profile")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bit(image)
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        image = Image.new("RGB", clear.size, "white")
        image.paste(clear, mask=clear.getchannel("A"))
    if profile and image.mode in ("RGB", "L", "CMYK"):
        image = _to_srgb(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit and 32-bit greys scaled by their own range where they exceed 8 bits, not clipped."""
    wide = image.convert("F")
    low, high = wide.getextrema()
    assert isinstance(low, float | int) and isinstance(high, float | int)
    top = 65535.0 if image.mode.startswith("I;16") or high > 255 else 255.0
    top = max(top, float(high))
    return wide.point(lambda v: v * (255.0 / top) + 0.0).convert("L")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Colours as meant: a page without the profile would show them wrongly. A broken profile is left out."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted if converted is not None else image
