"""Page: what a template is given: the article as values that are ready to be shown, safe text included.

Everything a person or a source wrote is either a plain string, which the template escapes, or Markup made
by `templates.inline`. Heading levels never jump, whatever the article's blocks say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from interleaf.errors import PictureMissing
from interleaf.schema import Article, Code, Figure, Heading, ListBlock, Paragraph, Picture, Quote, Table
from interleaf.text import count_words, is_cjk
from templates.inline import Markup, inline_html, inline_text, paragraphs, safe_url
from templates.labels import Labels, direction, labels_for, language_tag
from templates.licence_link import licence_title, licence_url
from templates.list_tree import ListTree, list_trees
from templates.view import (
    BlockView,
    CodeView,
    CreditView,
    EntryView,
    FigureView,
    HeadingView,
    ListView,
    QuoteView,
    TableView,
    TextView,
    TreeView,
)

__all__ = ["Page", "article_page", "heading_levels", "picture_of"]

MAX_DESCRIPTION_CHARS = 200
MAX_CREDIT_CAPTION_CHARS = 80
SECTIONS_FOR_CONTENTS = 4
WORDS_PER_MINUTE = 230
CJK_CHARACTERS_PER_MINUTE = 420
MAX_LEVEL = 6
_LANGUAGE_NAME = re.compile(r"[^A-Za-z0-9_+#.\-]+")
_SLUG = re.compile(r"[^\w\- ]+")


@dataclass(frozen=True)
class Page:
    """An article ready for a template."""

    title: str
    lang: str
    direction: str
    labels: Labels
    description: str
    minutes: int
    generator: str
    blocks: tuple[BlockView, ...]
    contents: tuple[HeadingView, ...]
    credits: tuple[CreditView, ...]
    sources: tuple[str, ...]

    @property
    def figures(self) -> tuple[FigureView, ...]:
        return tuple(b for b in self.blocks if isinstance(b, FigureView))


def picture_of(article: Article, figure: Figure) -> Picture:
    """The picture of a figure. PictureMissing when the article does not carry it."""
    try:
        return article.picture(figure.picture_id)
    except KeyError as error:
        raise PictureMissing(
            figure.picture_id, f"figure {figure.id} shows it, but the article's pictures do not hold it.", ""
        ) from error


def heading_levels(levels: Sequence[int]) -> tuple[int, ...]:
    """Levels without jumps, starting at 2: each heading is one below the nearest heading above that was
    larger in the article. Equal stays equal, deeper stays deeper."""
    above: list[int] = []
    normal = []
    for level in levels:
        while above and above[-1] >= level:
            above.pop()
        above.append(level)
        normal.append(min(1 + len(above), MAX_LEVEL))
    return tuple(normal)


def article_page(article: Article) -> Page:
    """The page of an article. PictureMissing when a figure's picture is not among the article's pictures."""
    labels = labels_for(article.language)
    blocks = _views(article)
    headings = tuple(b for b in blocks if isinstance(b, HeadingView))
    sections = tuple(h for h in headings if h.level == 2)
    text = " ".join(inline_text(b.text, b.markup) for b in article.text_blocks if isinstance(b, Paragraph))
    words = sum(count_words(b.text) for b in article.text_blocks)
    rate = CJK_CHARACTERS_PER_MINUTE if is_cjk(text) else WORDS_PER_MINUTE
    return Page(
        title=article.title.strip() or (headings[0].text if headings else labels.untitled),
        lang=language_tag(article.language),
        direction=direction(article.language),
        labels=labels,
        description=_cut(text, MAX_DESCRIPTION_CHARS),
        minutes=max(1, round(words / rate)),
        generator=f"interleaf {article.run.interleaf_version}",
        blocks=blocks,
        contents=sections if len(sections) >= SECTIONS_FOR_CONTENTS else (),
        credits=_credits(article, blocks),
        sources=tuple(source.name or source.id for source in article.sources),
    )


def _views(article: Article) -> tuple[BlockView, ...]:
    shown = [b for b in article.blocks if not _is_blank(b)]
    levels = iter(heading_levels([b.level for b in shown if isinstance(b, Heading)]))
    anchors = _anchors(shown)
    views: list[BlockView] = []
    figures = tables = 0
    for block in shown:
        if isinstance(block, Heading):
            text = inline_text(block.text, block.markup)
            views.append(HeadingView(block.id, next(levels), inline_html(block.text, block.markup, anchors), text))
        elif isinstance(block, Paragraph):
            parts = _parts(block.text, block.markup, anchors)
            opens = all(isinstance(view, HeadingView) for view in views)
            views.append(TextView(block.id, parts, lead=opens))
        elif isinstance(block, ListBlock):
            trees = tuple(_tree_view(t, block, anchors) for t in list_trees(block))
            views.append(ListView(block.id, trees))
        elif isinstance(block, Quote):
            views.append(QuoteView(block.id, _parts(block.text, block.markup, anchors)))
        elif isinstance(block, Code):
            views.append(CodeView(block.id, block.text.strip("\n"), _LANGUAGE_NAME.sub("", block.language)[:32]))
        elif isinstance(block, Table):
            tables += 1
            views.append(_table_view(block, tables, anchors))
        else:
            figures += 1
            views.append(_figure_view(article, block, figures))
    return tuple(views)


def _is_blank(block: object) -> bool:
    if isinstance(block, Heading):
        return not inline_text(block.text, block.markup)
    if isinstance(block, Table):
        return not any(cell.strip() for row in (block.header, *block.rows) for cell in row)
    if isinstance(block, Paragraph | Quote | ListBlock | Code):
        return not block.text.strip()
    return False


def _anchors(blocks: Sequence[object]) -> dict[str, str]:
    """Fragment names as Markdown tools make them from headings, for links within the sources' own text."""
    found: dict[str, str] = {}
    for block in blocks:
        if isinstance(block, Heading):
            words = _SLUG.sub("", inline_text(block.text, block.markup).casefold())
            found.setdefault(words.replace(" ", "-"), block.id)
    return found


def _parts(text: str, markup: object, anchors: dict[str, str]) -> tuple[Markup, ...]:
    kind = "markdown" if markup == "markdown" else "plain"
    return tuple(inline_html(part, kind, anchors) for part in paragraphs(text))  # type: ignore[arg-type]


def _tree_view(tree: ListTree, block: ListBlock, anchors: dict[str, str]) -> TreeView:
    entries = tuple(
        EntryView(
            _parts(entry.text, block.markup, anchors),
            tuple(_tree_view(sub, block, anchors) for sub in entry.sublists),
        )
        for entry in tree.entries
    )
    return TreeView(tree.ordered, tree.start, entries)


def _table_view(block: Table, number: int, anchors: dict[str, str]) -> TableView:
    width = max(len(row) for row in (block.header, *block.rows))

    def cells(row: tuple[str, ...]) -> tuple[Markup, ...]:
        shown = [inline_html(" ".join(cell.split()), block.markup, anchors) for cell in row]
        return (*shown, *[Markup("")] * (width - len(row)))

    align = (*block.align, *[""] * width)[:width]
    header = cells(block.header) if any(cell.strip() for cell in block.header) else ()
    return TableView(block.id, number, header, tuple(cells(row) for row in block.rows), align)


def _figure_view(article: Article, figure: Figure, number: int) -> FigureView:
    caption = figure.caption.strip()
    alt: str | None = None
    if figure.alt_origin != "decorative":
        # A picture that says something always says it to everyone: the caption, or at least the word "Picture".
        alt = " ".join((figure.alt or caption or labels_for(article.language).picture).split())
    return FigureView(figure.id, number, picture_of(article, figure), alt, caption, figure.credit.strip())


def _credits(article: Article, blocks: Sequence[BlockView]) -> tuple[CreditView, ...]:
    licences = {figure.id: figure.licence for figure in article.figures}
    credits = []
    for view in blocks:
        if not isinstance(view, FigureView):
            continue
        picture = view.picture
        licence = licences[view.id] or picture.licence
        source = picture.source_url or ""
        followed = source.lower().startswith(("http://", "https://")) and safe_url(source)
        credits.append(
            CreditView(
                figure_id=view.id,
                number=view.number,
                caption=_cut(view.caption or view.alt or "", MAX_CREDIT_CAPTION_CHARS),
                author=picture.author or "",
                licence=licence_title(licence),
                licence_href=licence_url(licence) or "",
                source=source,
                source_href=source if followed else "",
            )
        )
    return tuple(credits)


def _cut(text: str, limit_chars: int) -> str:
    """One line of at most that many characters, cut at a space where there is one, marked when cut."""
    line = " ".join(text.split())
    if len(line) <= limit_chars:
        return line
    head = line[: limit_chars - 1]
    space = head.rfind(" ")
    return (head[:space] if space > limit_chars // 2 else head).rstrip(" ,;:.–—") + "…"
