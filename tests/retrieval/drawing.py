"""Drawing: pictures for tests, drawn from a seed, and files made of them with all that real ones carry."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

GPS_MARK = b"48N-GPS-SECRET"
XMP_MARK = b"XMP-SECRET"


def scene(seed: int, size: tuple[int, int] = (320, 240), mode: str = "RGB") -> Image.Image:
    """A picture with large and small shapes; two seeds give pictures that nobody would confuse."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(int(v) for v in rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(24):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        w, h = rng.integers(size[0] // 16, size[0] // 2 + 1), rng.integers(size[1] // 16, size[1] // 2 + 1)
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape([int(x), int(y), int(x + w), int(y + h)], fill=colour)
    return image.convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The image as a file."""
    out = io.BytesIO()
    if kind == "JPEG":
        options = {"quality": 88, **options}
    image.save(out, kind, **options)
    return out.getvalue()


def exif_block(orientation: int = 1, **said: Any) -> bytes:
    """EXIF with a GPS position, a maker's serial number, and what is said: description, artist, copyright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for tag, key in ((0x010E, "description"), (0x013B, "artist"), (0x8298, "copyright"), (0xA431, "serial")):
        if key in said:
            exif[tag] = f"{key[0].upper()}" * len(said[key].encode())  # Pillow writes ASCII only; people write UTF-8
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[29] = "N", (48.0, 12.0, 30.0), GPS_MARK.decode("ascii")
    inner = exif.get_ifd(0x8769)
    inner[0x9003] = said.get("taken", "2021:05:04 10:20:30")
    block = exif.tobytes()
    for key in said.keys() & {"description", "artist", "copyright", "serial"}:
        block = block.replace(key[0].upper().encode() * len(said[key].encode()), said[key].encode())
    return block


def xmp_packet(**said: str) -> bytes:
    """An XMP packet that says title, creator, rights, subject and the like."""
    rows = [f"<dc:marker>{XMP_MARK.decode()}</dc:marker>"]
    if "description" in said:
        rows.append(
            f'<dc:description><rdf:Alt><rdf:li xml:lang="de">nicht dies</rdf:li>'
            f'<rdf:li xml:lang="x-default">{said["description"]}</rdf:li></rdf:Alt></dc:description>'
        )
    if "creator" in said:
        rows.append(f"<dc:creator><rdf:Seq><rdf:li>{said['creator']}</rdf:li></rdf:Seq></dc:creator>")
    if "subject" in said:
        items = "".join(f"<rdf:li>{word}</rdf:li>" for word in said["subject"].split(","))
        rows.append(f"<dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>")
    if "licence" in said:
        rows.append(f'<cc:license rdf:resource="{said["licence"]}"/>')
    if "alt" in said:
        rows.append(
            f'<i:AltTextAccessibility><rdf:Alt><rdf:li xml:lang="x-default">{said["alt"]}</rdf:li></rdf:Alt>'
            "</i:AltTextAccessibility>"
        )
    spaces = (
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:cc="http://creativecommons.org/ns#" xmlns:i="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"'
    )
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {spaces}><rdf:Description>{"".join(rows)}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def iptc_block(records: dict[tuple[int, int], bytes | list[bytes]]) -> bytes:
    """IIM records: (record, dataset) → value or values."""
    out = b""
    for (record, dataset), values in records.items():
        for value in values if isinstance(values, list) else [values]:
            out += bytes((0x1C, record, dataset)) + len(value).to_bytes(2, "big") + value
    return out


def with_iptc(jpeg: bytes, block: bytes) -> bytes:
    """A JPEG with the records in a Photoshop segment after its first segment."""
    resource = b"8BIM\x04\x04\x00\x00" + len(block).to_bytes(4, "big") + block + b"\0" * (len(block) % 2)
    body = b"Photoshop 3.0\0" + resource
    return jpeg[:2] + b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


@functools.cache  # it holds the second in which it was made
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def png_texts(**said: str) -> PngImagePlugin.PngInfo:
    """PNG text chunks."""
    info = PngImagePlugin.PngInfo()
    for key, value in said.items():
        info.add_itxt(key, value)
    return info


def write_scene(path: Path, seed: int, **options: Any) -> Path:
    """A picture file of the kind that its suffix says."""
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".gif": "GIF"}[path.suffix.lower()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(scene(seed), kind, **options))
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    """A ZIP archive with these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
