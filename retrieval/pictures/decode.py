"""Decode: bytes from a stranger into a picture that is safe to keep, or an error that names the file.

The only file that opens pictures with Pillow. What is stored says nothing about its maker: the
compressed data is kept as it is where that loses nothing, and written anew where it must be turned
upright, made smaller, or brought to eight bits per sample.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from interleaf.errors import PictureUnreadable
from retrieval.pictures.container import Container, take_apart
from retrieval.pictures.sniff import HEAD_BYTES, picture_kind_or_refusal, refuse_polyglot

__all__ = ["MAX_FILE_BYTES", "MAX_PIXELS", "MIN_SIDE_PX", "Decoded", "decode", "open_stored"]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_PIXELS: Final = 100_000_000
MIN_SIDE_PX: Final = 16
MAX_STORED_SIDE_PX: Final = 8192
MAX_PROFILE_BYTES: Final = 4 * 1024 * 1024
JPEG_QUALITY: Final = 92

MediaType = Literal["image/jpeg", "image/png", "image/webp", "image/gif"]
_MEDIA_TYPES: Final[dict[str, MediaType]] = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
}
# What Pillow's decoders and its Exif reader raise on hostile bytes.
PILLOW_ERRORS: Final = (
    *(OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError),
    *(EOFError, RuntimeError, MemoryError, struct.error, ImageCms.PyCMSError, Image.DecompressionBombError),
    Image.DecompressionBombWarning,
)

# Pillow's own limit is one per process and lower than ours; above ours, its warning is an error.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# Damaged EXIF is expected from strangers; a person is told of the picture, not of the block.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")


@dataclass(frozen=True)
class Decoded:
    """A picture that is safe to keep.

    `stored` is the file to keep; `image` its first frame in mode L, LA, RGB or RGBA; `id` the sha256
    over mode, size and pixel bytes of that (and of the whole file when it moves). `said` holds what the
    original file said about itself, `exif` its EXIF tags by number.
    """

    id: str
    media_type: MediaType
    stored: bytes
    image: Image.Image
    said: Container
    exif: dict[int, object]

    @property
    def width_px(self) -> int:
        return self.image.width

    @property
    def height_px(self) -> int:
        return self.image.height


def decode(data: bytes, name: str) -> Decoded:
    """The picture in `data`. PictureUnreadable names `name`, the reason and the remedy."""
    if len(data) > MAX_FILE_BYTES:
        raise too_many_bytes(name, len(data))
    kind = picture_kind_or_refusal(data[:HEAD_BYTES], name)
    said = take_apart(data, kind, name) if kind in _MEDIA_TYPES else Container(data)
    refuse_polyglot(data, said.rest, name)
    try:
        with Image.open(io.BytesIO(said.kept), formats=(kind,)) as opened:
            _check_size(opened.width, opened.height, name)
            said = _with_pillow_said(said, opened) if kind not in _MEDIA_TYPES else said
            exif = _exif_tags(said.exif)
            opened.load()
            return _safe(opened, kind, said, exif, name)
    except PictureUnreadable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureUnreadable(
            name, f"the picture has more than {MAX_PIXELS / 1e6:.0f} megapixels.", "Make it smaller and add it again."
        ) from error
    except UnidentifiedImageError as error:
        raise PictureUnreadable(
            name, f"the file begins like a {kind} picture but is none.", "Copy or download it again."
        ) from error
    except PILLOW_ERRORS as error:
        cut_off = "truncated" in str(error).lower() or isinstance(error, EOFError)
        reason = "is cut off" if cut_off else f"is damaged ({type(error).__name__})"
        raise PictureUnreadable(name, f"the {kind} file {reason}.", "Copy or download it again.") from error


def open_stored(data: bytes, media_type: str, name: str) -> Image.Image:
    """A stored file's first frame in mode L, LA, RGB or RGBA. PictureUnreadable when it is damaged."""
    kind = next((k for k, m in _MEDIA_TYPES.items() if m == media_type), "")
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as opened:
            opened.load()
            return _plain_mode(opened, name)
    except PILLOW_ERRORS as error:
        raise PictureUnreadable(
            name, f"the stored file is damaged ({type(error).__name__}).", "Run: interleaf library verify --repair"
        ) from error


def picture_id(image: Image.Image, stored: bytes, frames: int) -> str:
    """sha256 over mode, size and pixels; of a moving picture also over its whole stored file."""
    digest = hashlib.sha256(f"{image.mode} {image.width}x{image.height}\n".encode("ascii"))
    digest.update(image.tobytes())
    if frames > 1:
        digest.update(f"{frames} frames\n".encode("ascii") + hashlib.sha256(stored).digest())
    return digest.hexdigest()


def too_many_bytes(name: str, size_bytes: int) -> PictureUnreadable:
    return PictureUnreadable(
        name,
        f"the file has {size_bytes:,} bytes; at most {MAX_FILE_BYTES:,} are read.",
        "Save it smaller and add it again.",
    )


def _check_size(width_px: int, height_px: int, name: str) -> None:
    if width_px * height_px > MAX_PIXELS:
        raise PictureUnreadable(
            name,
            f"the picture has {width_px} × {height_px} px; at most {MAX_PIXELS / 1e6:.0f} megapixels are read.",
            "Make it smaller and add it again.",
        )
    shorter = min(width_px, height_px)
    shrink = max(1.0, max(width_px, height_px) / MAX_STORED_SIDE_PX)
    if shorter < MIN_SIDE_PX:
        raise PictureUnreadable(
            name,
            f"the picture has only {width_px} × {height_px} px; each side needs at least {MIN_SIDE_PX}.",
            "Give a larger version, or leave it out.",
        )
    if shorter / shrink < MIN_SIDE_PX:
        raise PictureUnreadable(
            name, f"the picture ({width_px} × {height_px} px) is too narrow to be shown.", "Crop it, or leave it out."
        )


def _exif_tags(block: bytes) -> dict[int, object]:
    """EXIF tags by number, those of the Exif directory among them; none when the block is damaged."""
    if not block:
        return {}
    exif = Image.Exif()
    try:
        exif.load(b"Exif\0\0" + block)
        return {**dict(exif.get_ifd(ExifTags.IFD.Exif)), **dict(exif)}
    except PILLOW_ERRORS:
        return {}


def _with_pillow_said(said: Container, opened: Image.Image) -> Container:
    """For the kinds that we do not walk ourselves (TIFF, BMP, AVIF): what Pillow found in the file."""
    try:
        exif = opened.getexif().tobytes().removeprefix(b"Exif\0\0")
    except PILLOW_ERRORS:
        exif = b""
    xmp = opened.info.get("xmp", b"")
    return Container(said.kept, b"", exif, xmp if isinstance(xmp, bytes) else b"", lossy=opened.format == "AVIF")


def _safe(opened: Image.Image, kind: str, said: Container, exif: dict[int, object], name: str) -> Decoded:
    turned = exif.get(ExifTags.Base.Orientation, 1)
    upright = turned in (0, 1) or not isinstance(turned, int) or turned > 8
    small_enough = max(opened.size) <= MAX_STORED_SIDE_PX
    keeps = kind in _MEDIA_TYPES and upright and small_enough and said.bits_per_sample <= 8 and opened.mode != "CMYK"
    if keeps:
        image = _plain_mode(opened, name)
        return _decoded(image, _MEDIA_TYPES[kind], said.kept, said, said.frames, exif)

    profile = opened.info.get("icc_profile")
    image = _to_srgb(opened, profile) if opened.mode == "CMYK" else _plain_mode(opened, name)
    if opened.mode == "CMYK" or not isinstance(profile, bytes) or len(profile) > MAX_PROFILE_BYTES:
        profile = None
    if not upright:
        image.getexif()[ExifTags.Base.Orientation] = cast(int, turned)
        image = ImageOps.exif_transpose(image)
    if not small_enough:
        image.thumbnail((MAX_STORED_SIDE_PX, MAX_STORED_SIDE_PX), Image.Resampling.LANCZOS)
    image.info = {}
    media_type: MediaType = "image/jpeg" if said.lossy and image.mode in ("L", "RGB") else "image/png"
    out = io.BytesIO()
    if media_type == "image/jpeg":
        image.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True, icc_profile=profile)
    else:
        image.save(out, "PNG", compress_level=6, icc_profile=profile)
    stored = out.getvalue()
    return _decoded(open_stored(stored, media_type, name), media_type, stored, said, 1, exif)


def _decoded(
    image: Image.Image, media_type: MediaType, stored: bytes, said: Container, frames: int, exif: dict[int, object]
) -> Decoded:
    return Decoded(picture_id(image, stored, frames), media_type, stored, image, said, exif)


def _plain_mode(image: Image.Image, name: str) -> Image.Image:
    """The picture in mode L, LA, RGB or RGBA, 8 bits per sample."""
    mode = image.mode
    if mode in ("L", "LA", "RGB", "RGBA") and "transparency" not in image.info:
        return image.copy()
    if mode == "F":
        raise PictureUnreadable(name, "its samples are floating-point numbers.", "Save it with 8 bits per sample.")
    if mode.startswith("I"):  # 16 bits of grey: the upper eight
        grey = np.asarray(image).astype(np.int64)
        return Image.fromarray((np.clip(grey, 0, 65_535) >> 8).astype(np.uint8))
    if mode == "1":
        return image.convert("L")
    if mode == "CMYK":
        return _to_srgb(image, image.info.get("icc_profile"))
    if mode in ("L", "LA", "La"):
        return image.convert("LA")
    return image.convert("RGBA" if image.has_transparency_data or mode in ("PA", "RGBa") else "RGB")


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """CMYK as sRGB, by its own profile where it has a usable one."""
    if isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return image.convert("RGB")
    return image.convert("RGB")
