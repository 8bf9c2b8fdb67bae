"""Markdown bundle: `article.md` and its pictures in a zip, the same bytes for the same article."""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile

from interleaf.schema import Article
from templates.markdown import article_markdown
from templates.page import article_page
from templates.picture_file import PictureFiles, open_picture
from templates.view import FigureView

__all__ = ["render_bundle"]

MAX_PICTURE_WIDTH_PX = 2400
MAX_SLUG_CHARS = 40
# The first moment that a zip can hold: no clock goes into the bundle.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


def render_bundle(article: Article, pictures: PictureFiles, theme: str = "") -> bytes:
    """The zip. Names in it are made here: `pictures/01-a-few-words.jpg`. Markdown has no looks: `theme` is unused.

    PictureMissing and PictureUnreadable name the picture.
    """
    page = article_page(article)
    paths: dict[str, str] = {}
    files: list[tuple[str, bytes]] = []
    for view in page.figures:
        picture = view.picture
        if picture.id in paths:
            continue
        file = open_picture(pictures.path(picture.id), picture.name or picture.id[:12])
        rendition = file.for_bundle(MAX_PICTURE_WIDTH_PX)
        paths[picture.id] = f"pictures/{len(paths) + 1:02d}-{_slug(view)}.{rendition.suffix}"
        files.append((paths[picture.id], rendition.data))
    text = article_markdown(article, page, paths)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        bundle.writestr(_entry("article.md", zipfile.ZIP_DEFLATED), text.encode("utf-8"), compresslevel=9)
        for name, data in files:
            bundle.writestr(_entry(name, zipfile.ZIP_STORED), data)  # compressed already
    return buffer.getvalue()


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.compress_type = compression
    entry.create_system = 3  # Unix on every system, so that the bytes are the same and the rights below are read
    entry.external_attr = 0o644 << 16
    return entry


def _slug(view: FigureView) -> str:
    """A few ASCII words of the caption, for people who look into the folder."""
    said = unicodedata.normalize("NFKD", view.caption or view.alt or "").encode("ascii", "ignore").decode("ascii")
    slug = _NOT_SLUG.sub("-", said.lower()).strip("-")
    if len(slug) > MAX_SLUG_CHARS:
        slug = slug[: MAX_SLUG_CHARS + 1].rpartition("-")[0] or slug[:MAX_SLUG_CHARS]
    return slug.strip("-") or "picture"
