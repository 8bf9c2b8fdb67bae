"""Markdown: an article as CommonMark (tables as in GFM), written so that it reads back as the same article."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from interleaf.schema import Article, Code, Figure, Heading, ListBlock, Paragraph, Quote, Table
from templates.inline import escaped_markdown, inline_markdown, inline_text, paragraphs
from templates.list_tree import ListTree, list_trees
from templates.page import Page, heading_levels
from templates.view import CreditView

__all__ = ["article_markdown"]

_ALIGN_ROW = {"left": ":---", "right": "---:", "center": ":---:", "": "---"}
_BARS = re.compile(r"\|")
_LANGUAGE_NAME = re.compile(r"[^A-Za-z0-9_+#.\-]+")
_HEADING_HASH = re.compile(r"(?<!\\)#")


def article_markdown(article: Article, page: Page, picture_paths: Mapping[str, str]) -> str:
    """The text of `article.md`. `picture_paths` maps a picture id to its path in the bundle; `page` is the
    article's own page, whose title, labels and credits are used."""
    levels = iter(heading_levels([b.level for b in article.blocks if isinstance(b, Heading) and _says(b)]))
    captions = {view.id: view for view in page.figures}
    parts = [f"# {_heading_text(page.title, 'plain')}"]
    previous_list_mark = 0
    for block in article.blocks:
        mark = 0
        if isinstance(block, Heading):
            if _says(block):
                parts.append(f"{'#' * next(levels)} {_heading_text(block.text, block.markup)}")
        elif isinstance(block, Paragraph):
            parts += [inline_markdown(part, block.markup) for part in paragraphs(block.text)]
        elif isinstance(block, Quote):
            inner = "\n\n".join(inline_markdown(part, block.markup) for part in paragraphs(block.text))
            parts += [_prefixed(inner, "> ")] if inner else []
        elif isinstance(block, ListBlock):
            # Two lists in a row would read back as one, were their marks the same.
            mark = 2 if previous_list_mark == 1 else 1
            parts += _lists(list_trees(block), block, mark)
        elif isinstance(block, Code):
            parts += [_fenced(block)] if block.text.strip() else []
        elif isinstance(block, Table):
            parts += [_table(block)] if any(c.strip() for row in (block.header, *block.rows) for c in row) else []
        else:
            view = captions[block.id]
            parts += _figure(view.alt or "", view.caption, block, picture_paths[block.picture_id])
        previous_list_mark = mark
    parts += _closing(page)
    return "\n\n".join(parts) + "\n"


def _says(block: Heading) -> bool:
    return bool(inline_text(block.text, block.markup))


def _heading_text(text: str, markup: str) -> str:
    kind = "markdown" if markup == "markdown" else "plain"
    line = inline_markdown(text, kind).replace("\\\n", " ").replace("\n", " ")  # type: ignore[arg-type]
    # A run of # at the end would be taken for the heading's closing mark.
    return _HEADING_HASH.sub(r"\\#", line) if line.endswith("#") else line


def _prefixed(text: str, prefix: str) -> str:
    return "\n".join((prefix + line).rstrip() for line in text.split("\n"))


def _lists(trees: Sequence[ListTree], block: ListBlock, mark: int) -> list[str]:
    """One part for each list at the top; nested ones are indented to their item's text."""
    return [_list(tree, block, mark) for tree in trees]


def _list(tree: ListTree, block: ListBlock, mark: int) -> str:
    items = []
    # An item of several paragraphs makes the whole list one with blank lines between its items.
    gap = "\n\n" if any(len(paragraphs(entry.text)) > 1 for entry in tree.entries) else "\n"
    for number, entry in enumerate(tree.entries, tree.start):
        sign = f"{number}{'.)'[mark - 1]}" if tree.ordered else "-*"[mark - 1]
        inner = "\n\n".join(inline_markdown(part, block.markup) for part in paragraphs(entry.text))
        for sub in entry.sublists:
            inner += gap + _list(sub, block, mark)
        indent = " " * (len(sign) + 1)
        items.append(f"{sign} " + _prefixed(inner, indent)[len(indent) :])
    return gap.join(items)


def _fenced(block: Code) -> str:
    """A fence longer than any run of back-ticks in the code."""
    code = block.text.strip("\n")
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{_LANGUAGE_NAME.sub('', block.language)[:32]}\n{code}\n{fence}"


def _table(block: Table) -> str:
    width = max(len(row) for row in (block.header, *block.rows))

    def line(row: Sequence[str]) -> str:
        cells = [_cell(cell, block.markup) for cell in row] + [""] * (width - len(row))
        return "| " + " | ".join(cells) + " |"

    align = (*block.align, *[""] * width)[:width]
    ruler = "| " + " | ".join(_ALIGN_ROW[side] for side in align) + " |"
    return "\n".join([line(block.header), ruler, *(line(row) for row in block.rows)])


def _cell(text: str, markup: str) -> str:
    kind = "markdown" if markup == "markdown" else "plain"
    written = inline_markdown(" ".join(text.split()), kind).replace("\\\n", " ").replace("\n", " ")  # type: ignore[arg-type]
    # The table is read before the text in it: a bar needs a sign of its own, in code spans too.
    return _BARS.sub(r"\\|", written.replace("\\|", "|"))


def _figure(alt: str, caption: str, block: Figure, path: str) -> list[str]:
    lines = [f"![{escaped_markdown(' '.join(alt.split()))}]({path})"]
    said = [inline_markdown(part) for part in paragraphs(caption)]
    if block.credit.strip():
        said.append(inline_markdown(block.credit))
    return [*lines, "\\\n".join(said)] if said else lines


def _closing(page: Page) -> list[str]:
    parts = []
    if page.credits:
        parts += [f"## {inline_markdown(page.labels.credits)}"]
        parts += ["\n".join(f"{c.number}. {_credit(c, page)}" for c in page.credits)]
    if page.sources:
        parts += [f"## {inline_markdown(page.labels.sources)}"]
        parts += ["\n".join(f"- {_line(source)}" for source in page.sources)]
    return parts


def _line(text: str) -> str:
    return inline_markdown(" ".join(text.split()))


def _credit(credit: CreditView, page: Page) -> str:
    said = [_line(credit.caption) if credit.caption else f"{page.labels.picture} {credit.number}"]
    if credit.author:
        said.append(escaped_markdown(credit.author))
    licence = escaped_markdown(credit.licence or page.labels.licence_unknown)
    said.append(f"[{licence}](<{credit.licence_href}>)" if credit.licence_href else licence)
    if credit.source_href:
        said.append(inline_markdown(f"[{page.labels.source}](<{credit.source_href}>)", "markdown"))
    elif credit.source:
        said.append(escaped_markdown(credit.source))
    return " · ".join(said)
