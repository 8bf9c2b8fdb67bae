"""File name: the last resort for a caption, when it was written by a person and not by a camera."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote

from interleaf.text import clean_line, is_cjk

__all__ = ["caption_from_name"]

MAX_NAME_CHARS: Final = 300

# Names that devices, programs and web sites give.
_MACHINE: Final = re.compile(
    r"(?:img|image|imag|imgp|dsc|dscn|dscf|dscn|dcim|pict|photo|picture|pic|pxl|mvimg|vid|gopr|dji|scan|screenshot|"
    r"bildschirmfoto|screen ?shot|whatsapp image|signal|fb img|received|snapchat|untitled|unnamed|unbenannt|"
    r"download|clipboard|figure|fig|abb|abbildung|bild|foto|slide|page|frame|thumb|thumbnail|output|temp|tmp|"
    r"capture|p|r|dsc0?|cimg|sam|hpim|kimg|wp|n|图片|图像|截图|截屏|スクリーンショット|画像|写真)"
    r"[\s\d.:xX()]*(?:(?:at|from|um|vom)[\s\d.:]*)?(?:am|pm|hdr|edited|edit|copy|bearbeitet|kopie|final|large|small|min)?[\s\d()]*",
    re.I,
)
_HEX: Final = re.compile(r"(?=.*\d)[0-9a-f]{8,}", re.I)
_UUID: Final = re.compile(r"[0-9a-f]{8}([ -])?(?:[0-9a-f]{4}\1?){3}[0-9a-f]{12}", re.I)
_SIZE: Final = re.compile(r"\b\d{2,5}\s?[x×]\s?\d{2,5}\b|\b\d{2,4}px\b|@[123]x\b|\bscaled\b", re.I)
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_LAST_NUMBER: Final = re.compile(r"\s+(?:0\d{0,4}|\d{5,}|\(\d{1,4}\)|copy|\(copy\))$", re.I)


def caption_from_name(name: str) -> str:
    """`old-harbour_bridge 02.jpg` → `old harbour bridge`; empty for `IMG_2031.jpg`, hashes and numbers."""
    stem = PurePosixPath(name.replace("\\", "/")).name[:MAX_NAME_CHARS]
    stem = stem.rpartition(".")[0] if "." in stem else stem
    text = unicodedata.normalize("NFC", unquote(stem, errors="replace"))
    text = clean_line(re.sub(r"[_+\-‐‑–—~.]+", " ", text))
    if _MACHINE.fullmatch(text):
        return ""
    text = clean_line(_SIZE.sub(" ", _CAMEL.sub(" ", text)))
    for _ in range(3):
        text = _LAST_NUMBER.sub("", text)
    bare = text.replace(" ", "")
    if _MACHINE.fullmatch(text) or _UUID.fullmatch(text) or _HEX.fullmatch(bare) or _looks_random(bare):
        return ""
    if not (is_cjk(text) or re.search(r"[^\W\d_]{3}", text)):
        return ""
    return text


def _looks_random(bare: str) -> bool:
    """A long run of letters and digits mixed without a pause, as tokens of web sites are."""
    if len(bare) < 12 or not bare.isascii() or not bare.isalnum():
        return False
    changes = sum(a.isdigit() != b.isdigit() for a, b in pairwise(bare))
    return changes >= 4
