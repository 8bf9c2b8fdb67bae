"""Sniff: what a file is by its first bytes, never by its name; and whether it is two things at once."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Final

from interleaf.errors import PictureUnreadable

__all__ = ["HEAD_BYTES", "PICTURE_SUFFIXES", "is_archive", "is_picture", "picture_kind", "refuse_polyglot"]

HEAD_BYTES: Final = 512

# A file with one of these names that is no readable picture is refused by name, not passed over.
_SUFFIXES = """
    .jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .svg .svgz .ico .psd
    .jp2 .j2k .jxl .cr2 .cr3 .nef .arw .dng .orf .rw2 .raf
"""
PICTURE_SUFFIXES: Final = frozenset(_SUFFIXES.split())

_CONVERT = "Save it as JPEG, PNG or WebP and add it again."
_DISGUISES: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)"), "a ZIP archive (or a document of that form)"),
    (re.compile(rb"%PDF-"), "a PDF document"),
    (
        re.compile(rb"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,200}?-->\s*)?(?:<!doctype svg|<svg)", re.I | re.S),
        "an SVG",
    ),
    (re.compile(rb"\s*(?:<!doctype html|<html|<head|<body|<script|<\?php)", re.I), "a web page"),
    (re.compile(rb"\s*<\?xml", re.I), "an XML document"),
    (re.compile(rb"\s*[{\[]\s*[\"\]}{\[]"), "JSON"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c|Rar!|\x1f\x8b|BZh|\xfd7zXZ"), "a compressed archive"),
    (re.compile(rb"MZ|\x7fELF"), "a program"),
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (re.compile(rb"\x00\x00\x01\x00"), "an icon file"),
    (re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000 picture"),
    (re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), "a JPEG XL picture"),
)
_HEIC_BRANDS: Final = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"))
_ACTIVE: Final = re.compile(rb"<script|<html|<svg|<\?php|%PDF-|<!doctype", re.I)


def picture_kind(head: bytes) -> str | None:
    """JPEG, PNG, WEBP, GIF, BMP, TIFF or AVIF by the first bytes; None for anything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if head[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "BMP"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"):
        return "AVIF"
    return None


def is_picture(head: bytes) -> bool:
    """Whether the first bytes are those of a picture that we read."""
    return picture_kind(head) is not None


def is_archive(head: bytes) -> bool:
    """Whether the first bytes are those of a ZIP archive."""
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def picture_kind_or_refusal(head: bytes, name: str) -> str:
    """The kind of picture. PictureUnreadable says what the file is instead."""
    kind = picture_kind(head)
    if kind is not None:
        return kind
    if not head:
        raise PictureUnreadable(name, "the file is empty.", "Copy or download it again.")
    if head[4:8] == b"ftyp":
        what = "a HEIC picture, which cannot be read here" if head[8:12] in _HEIC_BRANDS else "a video"
        raise PictureUnreadable(name, f"the file is {what}.", _CONVERT)
    for pattern, what in _DISGUISES:
        if pattern.match(head):
            raise PictureUnreadable(name, f"the file is {what}, not a picture that can be read here.", _CONVERT)
    raise PictureUnreadable(name, "the file is not a picture that can be read here.", _CONVERT)


def refuse_polyglot(data: bytes, rest: bytes, name: str) -> None:
    """PictureUnreadable when the file is a picture and something else at once.

    `rest` is what follows the picture's end. A second picture or a phone's short film there is common
    and harmless (it is not kept); an archive, a page, a document or a program is somebody's trick.
    """
    what = ""
    if b"%PDF-" in data[:1024]:
        what = "a PDF document"
    elif b"PK\x05\x06" in data[-65_557:] and _opens_as_zip(data):
        what = "a ZIP archive"
    elif rest and _ACTIVE.search(rest):
        what = "a document with active content"
    elif rest.lstrip(b"\0 \r\n\t").startswith((b"MZ", b"\x7fELF", b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf")):
        what = "an archive or a program"
    if what:
        raise PictureUnreadable(
            name, f"the file is a picture and {what} at once.", "Open it in a picture editor and save it anew."
        )


def _opens_as_zip(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return bool(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError):
        return False
