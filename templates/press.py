"""Press: the formats that an article can be exported to, and the one way to do it.

A further format is one more row of `FORMATS`: a function from article, pictures and theme to bytes. A further
theme is one more folder under `themes/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interleaf.errors import Unsupported, shown
from interleaf.schema import Article
from interleaf.whole_file import write_whole
from templates.html import render_html
from templates.markdown_bundle import render_bundle
from templates.picture_file import PictureFiles
from templates.theme import themes

__all__ = ["Format", "PictureFiles", "export", "export_file", "format_of", "formats", "render", "themes"]

DEFAULT_THEME = "paper"


@dataclass(frozen=True)
class Format:
    """One way to write an article down. `render(article, pictures, theme)` gives the file's bytes, the same
    for the same arguments; formats without a look of their own take no notice of the theme."""

    name: str
    file_name: str
    media_type: str
    summary: str
    render: Callable[[Article, PictureFiles, str], bytes]


FORMATS: tuple[Format, ...] = (
    Format("html", "article.html", "text/html; charset=utf-8", "one self-contained web page", render_html),
    Format("md", "article.zip", "application/zip", "CommonMark with its pictures, in a zip", render_bundle),
)


def formats() -> tuple[str, ...]:
    """The names that a brief's `formats` may hold."""
    return tuple(f.name for f in FORMATS)


def format_of(name: str) -> Format:
    """The format of that name; Unsupported names those there are."""
    for known in FORMATS:
        if known.name == name:
            return known
    raise Unsupported("format", f"there is no format {shown(name)!r}.", f"Choose one of: {', '.join(formats())}.")


def render(article: Article, pictures: PictureFiles, format: str, theme: str = DEFAULT_THEME) -> bytes:
    """The bytes of an article in a format. Unsupported, PictureMissing, PictureUnreadable, RequestRefused."""
    return format_of(format).render(article, pictures, theme)


def export_file(article: Article, pictures: PictureFiles, format: str, path: Path, theme: str = DEFAULT_THEME) -> Path:
    """Write an article to `path`, whole or not at all. Errors as `render`, and OutputUnwritable."""
    return write_whole(path, render(article, pictures, format, theme))


def export(
    article: Article, pictures: PictureFiles, format: str, destination_dir: Path, theme: str = DEFAULT_THEME
) -> Path:
    """Write an article into a folder under the format's own file name, and return the file's path."""
    return export_file(article, pictures, format, destination_dir / format_of(format).file_name, theme)
