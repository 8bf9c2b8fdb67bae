"""Inline mark-up: what stands inside a paragraph and is not said (pictures, footnote marks, comments).

markdown-it gives no positions inside a paragraph, so these few forms are found here, in linear time, with
code spans and escapes respected. Everything else stays in the text as it is written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference

from interleaf.text import fold_space

__all__ = ["Cut", "find_cuts", "is_caption", "plain_text"]

MAX_PLAIN_CHARS = 8_000  # longer paragraphs are matched by their head; nothing is printed from this
MAX_CAPTION_CHARS = 600

_SIGN = re.compile(r"\\.|`+|!\[|\[\^|<!--|<img\b", re.S | re.I)
_FOOTNOTE = re.compile(r"\[\^[^\]\[\s]{1,100}\](?!:)")
_WIKI_IMAGE = re.compile(r"!\[\[([^\]\[|\n]{1,500}\.(?:png|jpe?g|gif|webp))(?:\|([^\]\[\n]{0,300}))?\]\]", re.I)
_ALT = re.compile(r"!\[((?:[^\[\]\\]|\\.|\[[^\[\]]{0,500}\]){0,2000})\]", re.S)
_TARGET = re.compile(
    r"\(\s{0,20}(?:<([^<>\n]{0,2000})>|([^\s()<>]{0,2000}(?:\([^\s()<>]{0,500}\)[^\s()<>]{0,500})?))"
    r"(?:\s{1,20}(?:\"((?:[^\"\\]|\\.){0,2000})\"|'((?:[^'\\]|\\.){0,2000})'))?\s{0,20}\)",
    re.S,
)
_LABEL = re.compile(r"\[([^\[\]]{0,500})\]")
_ATTRIBUTES = re.compile(r"\{[^{}\n]{0,200}\}")
_LINK_TAIL = re.compile(r"\s{0,20}\](?:\([^()\n]{0,2000}\)|\[[^\[\]\n]{0,500}\])")
_IMG = re.compile(r"<img\b([^<>]{0,4000})>", re.I)
_ATTRIBUTE = re.compile(
    r"\b(src|alt|title)\s{0,5}=\s{0,5}(?:\"([^\"]{0,2000})\"|'([^']{0,2000})'|([^\s\"'<>]{1,2000}))", re.I
)
_EMPHASISED = re.compile(r"(?:\*[^*]{1,600}\*|_[^_]{1,600}_|\*\*[^*]{1,600}\*\*|__[^_]{1,600}__)")
_FIGURE_LINE = re.compile(
    r"[*_]{0,3}(?:fig(?:ure|ura|\.)?|abb(?:ildung|\.)?|bild|photo|foto|image|imagen|picture|illustration|図|圖|图|写真|그림|사진)"
    r"\s{0,3}\d{0,4}(?:[.\-]\d{1,4}){0,3}[*_]{0,3}\s{0,3}[:：.．—–-]",
    re.I,
)
_NUMBERED_FIGURE = re.compile(r"(?:図|圖|图|그림|fig(?:ure|ura|\.)|abb(?:ildung|\.))\s{0,3}\d", re.I)
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")

_parser = MarkdownIt("commonmark", {"maxNesting": 20})


@dataclass(frozen=True)
class Cut:
    """`text[start:end]` is not said. `image` is (path, alt, title) when it shows a picture."""

    start: int
    end: int
    image: tuple[str, str, str] | None = None


def find_cuts(text: str, references: Mapping[str, Mapping[str, object]]) -> list[Cut]:
    """The parts of a paragraph's Markdown that are not said, in order. `references` are the document's
    link definitions by normalised label, as markdown-it keeps them."""
    if "![" not in text and "[^" not in text and "<" not in text:
        return []
    return list(_cuts(text, references))


def _cuts(text: str, references: Mapping[str, Mapping[str, object]]) -> Iterator[Cut]:
    ticks: dict[int, list[int]] = {}
    for run in re.finditer("`+", text):
        ticks.setdefault(run.end() - run.start(), []).append(run.start())
    last_comment_end = text.rfind("-->")
    at = 0
    while found := _SIGN.search(text, at):
        start, at = found.span()
        sign = found.group()
        if sign[0] == "`":
            same = ticks.get(len(sign), [])
            k = bisect_right(same, start)
            at = same[k] + len(sign) if k < len(same) else at
            continue
        cut: Cut | None = None
        if sign == "![":
            cut = _markdown_image(text, start, references)
        elif sign == "[^":
            mark = _FOOTNOTE.match(text, start)
            cut = Cut(start, mark.end()) if mark else None
        elif sign == "<!--":
            if at <= last_comment_end:
                cut = Cut(start, text.index("-->", at) + len("-->"))
        elif sign[0] == "<":
            tag = _IMG.match(text, start)
            cut = Cut(start, tag.end(), html_image(tag.group(1))) if tag else None
        if cut is not None:
            yield cut
            at = cut.end


def html_image(attributes: str) -> tuple[str, str, str] | None:
    """(src, alt, title) of an `<img …>`; None when it names no file."""
    values = {m.group(1).lower(): m.group(2) or m.group(3) or m.group(4) or "" for m in _ATTRIBUTE.finditer(attributes)}
    return (values["src"], values.get("alt", ""), values.get("title", "")) if values.get("src") else None


def html_images(html: str) -> Iterator[tuple[int, int, tuple[str, str, str]]]:
    """The pictures of a piece of raw HTML: (start, end, (src, alt, title))."""
    for tag in _IMG.finditer(html):
        image = html_image(tag.group(1))
        if image is not None:
            yield tag.start(), tag.end(), image


def _markdown_image(text: str, start: int, references: Mapping[str, Mapping[str, object]]) -> Cut | None:
    if wiki := _WIKI_IMAGE.match(text, start):
        alt = wiki.group(2) or ""
        return Cut(start, wiki.end(), (wiki.group(1), "" if alt.isdigit() else alt, ""))
    alt_part = _ALT.match(text, start)
    if alt_part is None:
        return None
    alt = plain_text(alt_part.group(1))
    end = alt_part.end()
    if target := _TARGET.match(text, end):
        path = target.group(1) if target.group(1) is not None else target.group(2)
        title = target.group(3) or target.group(4) or ""
        end = target.end()
    else:
        label = _LABEL.match(text, end)
        name = (label.group(1) if label else "") or alt_part.group(1)
        known = references.get(normalizeReference(name))
        if known is None:
            return None
        path, title = str(known.get("href", "")), str(known.get("title", ""))
        end = label.end() if label else end
    if attributes := _ATTRIBUTES.match(text, end):
        end = attributes.end()
    if start and text[start - 1] == "[" and (tail := _LINK_TAIL.match(text, end)):
        start, end = start - 1, tail.end()  # the picture is a link: the link goes with it
    image = (_ESCAPE.sub(r"\1", path), alt, fold_space(_ESCAPE.sub(r"\1", title))) if path else None
    return Cut(start, end, image)


def is_caption(text: str) -> bool:
    """Whether a line below a picture is its caption: wholly emphasised, or beginning like "Figure 3:"."""
    text = text.strip()
    if not text or len(text) > MAX_CAPTION_CHARS:
        return False
    return bool(_EMPHASISED.fullmatch(text) or _FIGURE_LINE.match(text) or _NUMBERED_FIGURE.match(text))


def plain_text(markdown: str) -> str:
    """The words of inline Markdown without its marks: link texts stay; pictures, tags and targets go.
    One line. Only the first 8,000 characters are read: this is for matching, headings and captions."""
    text = markdown[:MAX_PLAIN_CHARS]
    if not any(c in text for c in "*_`[]<\\&!~"):
        return fold_space(text)
    said: list[str] = []
    for token in _parser.parseInline(text)[0].children or ():
        if token.type in ("text", "code_inline", "text_special"):
            said.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            said.append(" ")
    return fold_space("".join(said))
