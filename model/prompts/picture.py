"""Picture: from a picture file, or one in memory, to the tiles that the vision tower sees.

Pictures are hostile: only plain raster formats are opened, sizes are read before pixels, and whatever Pillow says of
a broken file becomes PictureUnreadable. Letters: P edge of a tile in px, h × w tiles.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from interleaf.errors import PictureUnreadable
from model.prompts.partition import Layout, SizeRule

__all__ = ["MAX_PIXELS", "PictureSource", "PreparedPicture", "prepare", "size_px", "tiles_of", "upright_rgb"]

# A path, the bytes of a file, or a picture that is already open.
PictureSource = Image.Image | Path | str | bytes

MAX_PIXELS: Final = 89_000_000  # less than what Pillow warns of, so that its warning never decides
MAX_FILE_BYTES: Final = 256 * 1024 * 1024
MAX_PROFILE_BYTES: Final = 4 * 1024 * 1024
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
# Of the published preprocessing: those of CLIP.
MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
STD: Final = (0.26862954, 0.26130258, 0.27577711)

_PILLOW_ERRORS: Final = (
    *(OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, EOFError),
    *(RuntimeError, MemoryError, struct.error, ZeroDivisionError, ImageCms.PyCMSError),
)
_BOMBS: Final = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# How a picture must be turned for each EXIF orientation; those of which the sides change places.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS: Final = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class PreparedPicture:
    """What the vision tower is given for one picture.

    `tiles` (1 + h · w, 3, P, P) float32, normalised: the overview, then the tiles row by row; of a family without
    tiles (1, 3, P, P). `grid`: (h, w), (0, 0) without tiles. `key`: sha256 of the pixels and their layout, the same
    for the same picture under the same budget."""

    tiles: Tensor
    grid: tuple[int, int]
    key: str


def prepare(source: PictureSource, rule: SizeRule, pictures: int = 1, name: str = "picture") -> PreparedPicture:
    """The tiles of a picture under `rule`, as one of `pictures` in its prompt. PictureUnreadable names `name`."""
    image = upright_rgb(source, name)
    return tiles_of(image, rule.layout(*image.size, pictures), name)


def size_px(source: PictureSource, name: str = "picture") -> tuple[int, int]:
    """Width and height as the picture will be seen, read from the file's head without decoding pixels."""
    with _opened(source, name) as image:
        turned = _orientation(image) in _SIDEWAYS
        return (image.height, image.width) if turned else image.size


def upright_rgb(source: PictureSource, name: str = "picture") -> Image.Image:
    """The first frame, turned as its EXIF says, in mode RGB; transparent parts are white.

    PictureUnreadable for what is no picture, is broken, has no pixels or more than MAX_PIXELS of them."""
    with _opened(source, name) as image:
        turn = _TURNS.get(_orientation(image))
        if getattr(image, "is_animated", False):
            image.seek(0)
        image.load()
        plain = _rgb(image, name)
        return plain.transpose(turn) if turn is not None else plain


def tiles_of(image: Image.Image, layout: Layout, name: str = "picture") -> PreparedPicture:
    """An RGB picture, cut by `layout`. PictureUnreadable when that was made for another size."""
    if image.size != layout.source_px:
        said, found = "{} × {}".format(*layout.source_px), "{} × {}".format(*image.size)
        raise PictureUnreadable(name, f"has {found} px, its head said {said}.", "Copy or download it again.")
    pixels = _laid_out(image, layout)
    grid = (layout.rows, layout.columns)
    key = hashlib.sha256(f"{layout.unit_px} {grid} {pixels.shape}\n".encode("ascii"))
    key.update(pixels.data)
    whole = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div_(255.0)  # (3, h · P, w · P)
    whole.sub_(torch.tensor(MEAN).view(3, 1, 1)).div_(torch.tensor(STD).view(3, 1, 1))
    if not layout.rows:
        return PreparedPicture(whole.unsqueeze(0), grid, key.hexdigest())
    unit = layout.unit_px
    # Bicubic without smoothing, on the padded and normalised values: the form the published weights know.
    overview = functional.interpolate(whole.unsqueeze(0), size=(unit, unit), mode="bicubic", align_corners=False)
    cut = whole.view(3, layout.rows, unit, layout.columns, unit).permute(1, 3, 0, 2, 4)  # (h, w, 3, P, P)
    return PreparedPicture(torch.cat((overview, cut.reshape(-1, 3, unit, unit))), grid, key.hexdigest())


def _laid_out(image: Image.Image, layout: Layout) -> NDArray[np.uint8]:
    """(height, width, 3) pixels of the picture in its size and place, with white around it."""
    if not layout.rows:
        squeezed = image.resize(layout.resized_px, Image.Resampling.BICUBIC)
        return np.array(squeezed)
    # A portrait is resized mirrored: Pillow rounds between its two passes, and the order of these counts.
    seen = _mirrored(image) if layout.mirrored else image
    resized_px, padded_px, offset_px = layout.resized_px, layout.padded_px, layout.offset_px
    if layout.mirrored:
        resized_px, padded_px, offset_px = resized_px[::-1], padded_px[::-1], offset_px[::-1]
    canvas = Image.new("RGB", padded_px, (255, 255, 255))
    canvas.paste(seen.resize(resized_px, Image.Resampling.BILINEAR), offset_px)
    return np.array(_mirrored(canvas) if layout.mirrored else canvas)


def _mirrored(image: Image.Image) -> Image.Image:
    """On its main diagonal: rows become columns."""
    return image.transpose(Image.Transpose.TRANSPOSE)


@contextmanager
def _opened(source: PictureSource, name: str) -> Iterator[Image.Image]:
    """The picture with its head read, and every error of Pillow in our words."""
    try:
        if isinstance(source, Image.Image):
            _check_size(source.width, source.height, name)
            yield source
            return
        data = _bytes_of(source, name)
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            _check_size(opened.width, opened.height, name)
            yield opened
    except PictureUnreadable:
        raise
    except _BOMBS as error:
        raise _too_large(name, "far more") from error
    except UnidentifiedImageError as error:
        raise PictureUnreadable(name, "is no picture of a known kind.", f"Give one of {', '.join(FORMATS)}.") from error
    except _PILLOW_ERRORS as error:
        cut_off = isinstance(error, EOFError) or "truncated" in str(error).lower()
        reason = "is cut off." if cut_off else f"is damaged ({type(error).__name__})."
        raise PictureUnreadable(name, reason, "Copy or download it again.") from error


def _bytes_of(source: Path | str | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        return source
    if not isinstance(source, Path | str):
        raise PictureUnreadable(
            name, f"is a {type(source).__name__}.", "Give a path, the bytes of a file, or a Pillow picture."
        )
    path = Path(source)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise PictureUnreadable(name, f"cannot be read ({said}).", "Give a file that exists.") from error
    if len(data) > MAX_FILE_BYTES:
        raise PictureUnreadable(name, f"has more than {MAX_FILE_BYTES >> 20} MiB.", "Save it smaller.")
    return data


def _check_size(width_px: int, height_px: int, name: str) -> None:
    if width_px < 1 or height_px < 1:
        raise PictureUnreadable(name, f"has {width_px} × {height_px} px: there is nothing to see.", "Leave it out.")
    if width_px * height_px > MAX_PIXELS:
        raise _too_large(name, f"{width_px} × {height_px}")


def _too_large(name: str, size: str) -> PictureUnreadable:
    return PictureUnreadable(
        name, f"has {size} px; at most {MAX_PIXELS / 1e6:.0f} megapixels are read.", "Make it smaller."
    )


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 when it says nothing, or nonsense.

    Of a PNG only what stands before the pixels counts: to look behind them, all would have to be decoded."""
    try:
        if image.format == "PNG":
            said = image.info.get("exif")
            exif = Image.Exif()
            if isinstance(said, bytes):
                exif.load(said)
        else:
            exif = image.getexif()
        value = exif.get(ExifTags.Base.Orientation, 1)
    except _PILLOW_ERRORS:
        return 1  # a damaged block of EXIF does not spoil the picture
    return value if isinstance(value, int) and value in _TURNS else 1


def _rgb(image: Image.Image, name: str) -> Image.Image:
    """The picture in mode RGB, 8 bits a sample, on white; its pixels are its own."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_wide(image, name)
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        ground = Image.new("RGB", clear.size, (255, 255, 255))
        ground.paste(clear, mask=clear.getchannel("A"))
        return ground
    if image.mode == "CMYK":
        return _from_cmyk(image)
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _from_wide(image: Image.Image, name: str) -> Image.Image:
    """Grey with more than 8 bits: by the full range of 16 bits where 8 are exceeded, never clipped at 255."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise PictureUnreadable(name, "holds numbers that are no brightness.", "Save it with 8 bits a sample.")
    tops = {"F": (1.0, 255.0, 65_535.0), "I": (255.0, 65_535.0)}.get(image.mode, (65_535.0,))
    top = next((t for t in tops if high <= t), high)
    grey = np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _from_cmyk(image: Image.Image) -> Image.Image:
    """Print colours as sRGB, by the picture's own profile where it has a usable one."""
    profile: Any = image.info.get("icc_profile")
    if isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")
