"""Data URL: a picture that a client put into the request itself. No other URL is ever looked at.

The media type that it claims says nothing; what the bytes are is told by opening them as a picture.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from interleaf.errors import PictureUnreadable
from model.prompts.picture import size_px

__all__ = ["MAX_PICTURE_BYTES", "picture_bytes"]

MAX_PICTURE_BYTES: Final = 20 * 1024 * 1024
_HEAD: Final = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,", re.IGNORECASE)


def picture_bytes(url: str, name: str) -> bytes:
    """The picture file in a `data:image/…;base64,…` URL; its head is read, its pixels are not.

    PictureUnreadable names `name`: another kind of URL, no base64, too many bytes or pixels, or no picture."""
    head = _HEAD.match(url)
    if head is None:
        remedy = "Send the picture itself as data:image/…;base64,…"
        raise PictureUnreadable(name, "is no data URL of a picture; nothing is fetched.", remedy)
    if (len(url) - head.end()) * 3 // 4 > MAX_PICTURE_BYTES + 2:
        raise PictureUnreadable(name, f"has more than {MAX_PICTURE_BYTES >> 20} MiB.", "Save it smaller.")
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureUnreadable(name, "is no base64.", "Encode the whole file, without line ends.") from error
    size_px(data, name)
    return data
