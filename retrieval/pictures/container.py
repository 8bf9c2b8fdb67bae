"""Container: a picture file taken apart into the picture itself and what is said about it.

JPEG, PNG, WebP and GIF are walked segment by segment. What a viewer needs is kept as it is, without
a generation of loss; EXIF with its GPS position, XMP, IPTC, comments, thumbnails, second pictures and
whatever follows the picture's end are left out of `kept` and handed over apart.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from interleaf.errors import PictureUnreadable

__all__ = ["Container", "take_apart"]

MAX_SEGMENTS: Final = 200_000
MAX_JPEG_SCANS: Final = 100  # a progressive JPEG has about ten; thousands of tiny ones are an attack
MAX_SAID_BYTES: Final = 4 * 1024 * 1024  # of EXIF, XMP or IPTC each

_JPEG_MARKER: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_JPEG_KEPT: Final = frozenset([*range(0xC0, 0xD0), 0xDB, 0xDC, 0xDD])
_PNG_KEPT: Final = frozenset(b"IHDR PLTE tRNS IDAT IEND gAMA cHRM sRGB iCCP cICP sBIT pHYs bKGD acTL fcTL fdAT".split())
_WEBP_KEPT: Final = frozenset([b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"])
_WEBP_EXIF_AND_XMP: Final = 0x0C


@dataclass(frozen=True)
class Container:
    """`kept` is a whole file without anything said about it; `rest` is what followed the picture's end."""

    kept: bytes
    rest: bytes = b""
    exif: bytes = b""  # a TIFF block, without the `Exif` signature
    xmp: bytes = b""
    iptc: bytes = b""  # IIM records
    texts: tuple[tuple[str, str], ...] = ()  # PNG keyword → text
    frames: int = 1
    lossy: bool = False
    bits_per_sample: int = 8


@dataclass
class _Said:
    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    texts: list[tuple[str, str]] = field(default_factory=list)


def take_apart(data: bytes, kind: str, name: str) -> Container:
    """The parts of a JPEG, PNG, WEBP or GIF file. PictureUnreadable when it is cut off or not well-formed."""
    walk = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "GIF": _gif}[kind]
    try:
        return walk(data)
    except (IndexError, struct.error) as error:
        raise PictureUnreadable(
            name, f"the {kind} file is cut off after {len(data):,} bytes.", "Copy or download it again."
        ) from error
    except ValueError as error:
        raise PictureUnreadable(name, f"the {kind} file is damaged: {error}.", "Copy or download it again.") from error


def _byte(data: bytes, at: int) -> int:
    """data[at]; IndexError past the end."""
    return data[at]


def _slice(data: bytes, start: int, end: int) -> bytes:
    """data[start:end]; IndexError when that reaches past the end."""
    if end > len(data):
        raise IndexError(end)
    return data[start:end]


def _jpeg(data: bytes) -> Container:
    out, said, at, scans = [b"\xff\xd8"], _Said(), 2, 0
    for _ in range(MAX_SEGMENTS):
        while _byte(data, at) != 0xFF:  # stray bytes between two segments: decoders pass over them
            at = data.find(b"\xff", at)
            if at < 0:
                raise IndexError(at)
        while _byte(data, at) == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker == 0xD9:
            return Container(
                b"".join([*out, b"\xff\xd9"]), data[at:], said.exif, said.xmp, said.iptc, tuple(said.texts), lossy=True
            )
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            continue
        length = struct.unpack_from(">H", data, at)[0]
        if length < 2:
            raise ValueError(f"a segment of type {marker:02X} has length {length}")
        body = _slice(data, at + 2, at + length)
        at += length
        if marker == 0xDA:
            scans += 1
            if scans > MAX_JPEG_SCANS:
                raise ValueError(f"it has more than {MAX_JPEG_SCANS} scans")
            found = _JPEG_MARKER.search(data, at)
            if found is None:
                raise IndexError(at)
            out.append(b"\xff\xda" + struct.pack(">H", length) + body + data[at : found.start()])
            at = found.start()
            continue
        kept = _jpeg_segment(marker, body, said)
        if kept is not None:
            out.append(bytes((0xFF, marker)) + struct.pack(">H", len(kept) + 2) + kept)
    raise ValueError(f"it has more than {MAX_SEGMENTS:,} segments")


def _jpeg_segment(marker: int, body: bytes, said: _Said) -> bytes | None:
    """What is kept of a segment's body; None when all of it goes. Words go into `said`."""
    if marker in _JPEG_KEPT:
        return body
    if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        return body[:12] + b"\0\0"  # version and density, without the thumbnail
    if marker == 0xEE and body.startswith(b"Adobe"):
        return body[:12]  # tells how the colours were transformed
    if marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
        return body
    if marker == 0xE1 and body.startswith(b"Exif\0") and not said.exif:
        said.exif = body[6:]
    elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0") and not said.xmp:
        said.xmp = body[29:]
    elif marker == 0xED and body.startswith(b"Photoshop 3.0\0") and len(said.iptc) < MAX_SAID_BYTES:
        said.iptc += _iptc_of_photoshop(body[14:])
    return None


def _iptc_of_photoshop(body: bytes) -> bytes:
    """The IPTC records inside Photoshop's image resources; empty when there are none."""
    at = 0
    while body[at : at + 4] == b"8BIM" and at + 12 <= len(body):
        resource = struct.unpack_from(">H", body, at + 4)[0]
        name_length = body[at + 6] + 1
        at += 6 + name_length + name_length % 2
        if at + 4 > len(body):
            break
        size = struct.unpack_from(">I", body, at)[0]
        if resource == 0x0404:
            return body[at + 4 : at + 4 + size]
        at += 4 + size + size % 2
    return b""


def _png(data: bytes) -> Container:
    out, said, at, frames, bits = [data[:8]], _Said(), 8, 1, 8
    for position in range(MAX_SEGMENTS):
        length = struct.unpack_from(">I", data, at)[0]
        kind = _slice(data, at + 4, at + 8)
        end = at + 12 + length
        body = _slice(data, at + 8, end)[:-4]
        if (kind == b"IHDR") != (position == 0) or (position == 0 and length != 13):
            raise ValueError("its header is not where it must be")
        if kind in _PNG_KEPT:
            if struct.unpack_from(">I", data, end - 4)[0] != zlib.crc32(body, zlib.crc32(kind)):
                raise ValueError(f"the checksum of a {kind.decode('ascii')} chunk is wrong")
            out.append(data[at:end])
        if kind == b"IHDR":
            bits = body[8]
        elif kind == b"acTL" and length == 8:
            frames = max(1, struct.unpack(">I", body[:4])[0])
        elif kind == b"eXIf" and length <= MAX_SAID_BYTES:
            said.exif = body
        elif kind in (b"tEXt", b"zTXt", b"iTXt") and len(said.texts) < 64:
            _png_text(kind, body, said)
        at = end
        if kind == b"IEND":
            texts = tuple(said.texts)
            return Container(b"".join(out), data[at:], said.exif, said.xmp, b"", texts, frames, False, bits)
    raise ValueError(f"it has more than {MAX_SEGMENTS:,} chunks")


def _png_text(kind: bytes, body: bytes, said: _Said) -> None:
    """A text chunk's keyword and text; one that is not well-formed says nothing."""
    keyword, _, text = body.partition(b"\0")
    packed, encoding = False, "latin-1"
    if kind == b"zTXt":
        packed, text = True, text[1:]
    elif kind == b"iTXt":
        packed, encoding = text[:1] == b"\1", "utf-8"
        text = text[2:].partition(b"\0")[2].partition(b"\0")[2]
    if packed:
        try:
            text = zlib.decompressobj().decompress(text, MAX_SAID_BYTES)
        except zlib.error:
            return
    text = text[:MAX_SAID_BYTES]
    if keyword == b"XML:com.adobe.xmp":
        said.xmp = text
    else:
        said.texts.append((keyword.decode("latin-1"), text.decode(encoding, "replace")))


def _webp(data: bytes) -> Container:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    end += end % 2
    if end > len(data) + 1:  # some writers leave the last padding byte out
        raise IndexError(end)
    out, said, at, frames, lossy = [b"WEBP"], _Said(), 12, 0, True
    for _ in range(MAX_SEGMENTS):
        if at + 8 > min(end, len(data)):
            kept = b"".join(out)
            whole = b"RIFF" + struct.pack("<I", len(kept)) + kept
            return Container(whole, data[end:], said.exif, said.xmp, b"", (), max(1, frames), lossy)
        kind, length = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        body = _slice(data, at + 8, at + 8 + length)
        at += 8 + length + length % 2
        if kind == b"VP8X" and length >= 10:
            body = bytes([body[0] & ~_WEBP_EXIF_AND_XMP]) + body[1:]
        elif kind == b"EXIF" and length <= MAX_SAID_BYTES:
            said.exif = body.removeprefix(b"Exif\0\0")
        elif kind == b"XMP " and length <= MAX_SAID_BYTES:
            said.xmp = body
        elif kind == b"VP8L":
            lossy = False
        frames += kind == b"ANMF"
        if kind in _WEBP_KEPT:
            out.append(kind + struct.pack("<I", length) + body + b"\0" * (length % 2))
    raise ValueError(f"it has more than {MAX_SEGMENTS:,} chunks")


def _gif(data: bytes) -> Container:
    at = 13 + (3 << (_byte(data, 10) & 7) + 1 if data[10] & 0x80 else 0)
    out, frames = [_slice(data, 0, at)], 0
    for _ in range(MAX_SEGMENTS):
        if at == len(data) and frames:  # no trailer, but nothing is cut in two
            return Container(b"".join([*out, b";"]), frames=frames)
        start, kind = at, _byte(data, at)
        if kind == 0x3B:
            return Container(b"".join([*out, b";"]), data[at + 1 :], frames=max(1, frames))
        if kind == 0x21:
            label = _byte(data, at + 1)
            at = _gif_blocks_end(data, at + 2)
            loops = label == 0xFF and data[start + 3 : start + 14] in (b"NETSCAPE2.0", b"ANIMEXTS1.0")
            if label == 0xF9 or loops:
                out.append(data[start:at])
        elif kind == 0x2C:
            flags = _byte(data, at + 9)
            at += 10 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            at = _gif_blocks_end(data, at + 1)
            out.append(data[start:at])
            frames += 1
        else:
            raise ValueError(f"a block of unknown type {kind:02X}")
    raise ValueError(f"it has more than {MAX_SEGMENTS:,} blocks")


def _gif_blocks_end(data: bytes, at: int) -> int:
    """The offset after a chain of sub-blocks."""
    while size := _byte(data, at):
        at += 1 + size
    return at + 1
