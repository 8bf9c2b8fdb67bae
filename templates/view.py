"""View: one block, or one line of the credits, as a template shows it: checked, padded, with safe text."""

from __future__ import annotations

from dataclasses import dataclass

from interleaf.schema import Picture
from templates.inline import Markup

__all__ = [
    "BlockView",
    "CodeView",
    "CreditView",
    "EntryView",
    "FigureView",
    "HeadingView",
    "ListView",
    "QuoteView",
    "TableView",
    "TextView",
    "TreeView",
]


@dataclass(frozen=True)
class HeadingView:
    id: str
    level: int
    html: Markup
    text: str
    kind: str = "heading"


@dataclass(frozen=True)
class TextView:
    """A paragraph of the article; `lead` when it opens the piece, with nothing but a heading before it."""

    id: str
    parts: tuple[Markup, ...]
    lead: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class EntryView:
    parts: tuple[Markup, ...]
    sublists: tuple[TreeView, ...]


@dataclass(frozen=True)
class TreeView:
    ordered: bool
    start: int
    entries: tuple[EntryView, ...]


@dataclass(frozen=True)
class ListView:
    id: str
    trees: tuple[TreeView, ...]
    kind: str = "list"


@dataclass(frozen=True)
class QuoteView:
    id: str
    parts: tuple[Markup, ...]
    kind: str = "quote"


@dataclass(frozen=True)
class CodeView:
    id: str
    text: str
    language: str
    kind: str = "code"


@dataclass(frozen=True)
class TableView:
    """Rows are padded to one width; `align` has a word for each column."""

    id: str
    number: int
    header: tuple[Markup, ...]
    rows: tuple[tuple[Markup, ...], ...]
    align: tuple[str, ...]
    kind: str = "table"


@dataclass(frozen=True)
class FigureView:
    """`number` counts from 1; `alt` is None for a decorative picture."""

    id: str
    number: int
    picture: Picture
    alt: str | None
    caption: str
    credit: str
    kind: str = "figure"


@dataclass(frozen=True)
class CreditView:
    """One line of the credits section. Addresses are checked or empty."""

    figure_id: str
    number: int
    caption: str
    author: str
    licence: str
    licence_href: str
    source: str
    source_href: str


BlockView = HeadingView | TextView | ListView | QuoteView | CodeView | TableView | FigureView
