"""HTML: an article as one self-contained page: style within, pictures within, no script, no outside request."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from interleaf.schema import Article
from templates.embedding import embed
from templates.inline import Markup
from templates.page import article_page
from templates.picture_file import PictureFiles
from templates.theme import load_theme

__all__ = ["render_html"]

_FOLDER = Path(__file__).resolve().parent


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,  # whatever a template's suffix is
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_html(article: Article, pictures: PictureFiles, theme: str) -> bytes:
    """The page as UTF-8: the same bytes for the same article, pictures and theme.

    Unsupported for an unknown theme; PictureMissing and PictureUnreadable name the picture; RequestRefused
    when the pictures do not fit one page.
    """
    chosen = load_theme(theme)
    page = article_page(article)
    text = (
        _environment()
        .get_template("article/page.html.j2")
        .render(
            page=page,
            images=embed(page.figures, pictures),
            style=Markup(chosen.css),
            policy=_policy(chosen.css),
            theme=chosen,
        )
    )
    return text.encode("utf-8")


def _policy(style: str) -> str:
    """The page's own Content-Security-Policy: nothing may run, load or be sent; only this style sheet counts."""
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
