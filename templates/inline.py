"""Inline: the text inside a block, plain or with CommonMark inline markup, as safe HTML, plain words, or CommonMark.

All three come from one parse. Two walls stand before HTML: markdown-it with HTML off (tags in the text are
text), then nh3 with a short list of tags. Links keep http, https, mailto and fragments of this page;
any other link is shown as its words. A picture in the text is shown as its alt words, never fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

__all__ = ["Markup", "inline_html", "inline_markdown", "inline_text", "paragraphs", "safe_url"]

Kind = Literal["plain", "markdown"]

# Longer text is shown without its markup: the parser's time grows faster than the text on hostile input.
MAX_MARKUP_CHARS = 20_000
_SCHEMES = ("http", "https", "mailto")
_SAFE_URL = re.compile(r"(?:https?://[^\s/?#]|mailto:[^\s@]+@)[^\s]*", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
# Every character that means something inside a CommonMark or GFM line, wherever it stands.
_ESCAPED = re.compile(r"([\\`*_\[\]<>~|])|&(?=#?[A-Za-z0-9]{1,32};)")
_LINE_START = re.compile(
    r"^(?:(>|\#(?=\#{0,5}(?:[ \t]|$))|[+](?=[ \t]|$)|[\-:](?=[ \t\-:]|$)|=(?==*[ \t]*$))|(\d{1,9})([.)])(?=[ \t]|$))",
    re.MULTILINE,
)


def _parser() -> MarkdownIt:
    # `html: False` twice over: the preset allows it, and tags must stay text.
    parser = MarkdownIt("commonmark", {"html": False}).enable("strikethrough")
    parser.disable("html_inline")
    return parser


_MARKDOWN = _parser()


def paragraphs(text: str) -> tuple[str, ...]:
    """The text split at blank lines; blank parts are left out."""
    return tuple(part.strip() for part in _BLANK_LINES.split(text) if part.strip())


def safe_url(url: str) -> bool:
    """Whether a link may go there: http, https or mailto, complete, without white space."""
    return _SAFE_URL.fullmatch(url) is not None


def inline_html(text: str, markup: Kind = "plain", anchors: Mapping[str, str] | None = None) -> Markup:
    """Safe HTML. `anchors` maps the fragment names that the text may link to onto ids of the page."""
    if markup == "plain" or len(text) > MAX_MARKUP_CHARS:
        return escape(text)
    tokens = _safe_tokens(text, anchors or {})
    rendered = _MARKDOWN.renderer.render(_wrapped(tokens), _MARKDOWN.options, {})
    cleaned = nh3.clean(
        rendered,
        tags={"a", "br", "code", "em", "s", "strong"},
        attributes={"a": {"href"}},
        url_schemes=set(_SCHEMES),
        link_rel="noopener noreferrer",
    )
    return Markup(cleaned)


def inline_text(text: str, markup: Kind = "plain") -> str:
    """The words alone, on one line: for a table of contents, a description, a label."""
    if markup == "plain" or len(text) > MAX_MARKUP_CHARS:
        return " ".join(text.split())
    return " ".join(_words(_safe_tokens(text, {})).split())


def inline_markdown(text: str, markup: Kind = "plain") -> str:
    """CommonMark that reads back as the same text and markup, and as nothing else: no block can begin in it."""
    if markup == "markdown" and len(text) <= MAX_MARKUP_CHARS:
        written = _trimmed_lines(_serialised(_safe_tokens(text, {}))).strip("\n")
        written = _guard_line_starts(written)
        # Taking a link or picture away can change how stars and underscores beside it are read. Rare; then
        # the words go out without emphasis instead of with a wrong one.
        if _same(written, text):
            return written
        text = inline_text(text, "markdown")
    text = _trimmed_lines(text.strip())
    return _guard_line_starts(escaped_markdown(text))


def escaped_markdown(text: str) -> str:
    """Every character of `text` as itself in a CommonMark line."""
    return _ESCAPED.sub(r"\\\g<0>", text)


def _trimmed_lines(text: str) -> str:
    return "\n".join(line.strip(" \t") for line in text.split("\n"))


def _guard_line_starts(text: str) -> str:
    """Escape what would begin a heading, list, quote, rule or setext underline at the start of a line."""
    return _LINE_START.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", text)


def _same(written: str, text: str) -> bool:
    again = inline_html(written, "markdown")
    return " ".join(again.split()) == " ".join(inline_html(text, "markdown").split())


def _wrapped(children: list[Token]) -> list[Token]:
    token = Token("inline", "", 0)
    token.children = children
    return [token]


def _safe_tokens(text: str, anchors: Mapping[str, str]) -> list[Token]:
    """The inline tokens of `text`: pictures as their alt words, links that may not be followed as their words."""
    inline = _MARKDOWN.parseInline(text)[0]
    kept: list[Token] = []
    open_links: list[bool] = []
    for token in inline.children or []:
        if token.type == "image":
            word = Token("text", "", 0)
            word.content = _words(token.children or [])
            kept.append(word)
        elif token.type == "link_open":
            href = str(token.attrGet("href") or "")
            if href.startswith("#"):
                anchor = anchors.get(href[1:])
                href = f"#{anchor}" if anchor else ""
            followed = href.startswith("#") or safe_url(href)
            open_links.append(followed)
            if followed:
                token.attrs = {"href": href}
                kept.append(token)
        elif token.type == "link_close":
            if open_links.pop():
                kept.append(token)
        else:
            kept.append(token)
    return kept


def _words(tokens: Sequence[Token]) -> str:
    said: list[str] = []
    for token in tokens:
        if token.type in ("text", "code_inline", "text_special"):
            said.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            said.append(" ")
        elif token.type == "image":
            said.append(_words(token.children or []))
    return "".join(said)


def _serialised(tokens: Sequence[Token]) -> str:
    written: list[str] = []
    hrefs: list[str] = []
    for token in tokens:
        if token.type in ("text", "text_special"):
            written.append(escaped_markdown(token.content))
        elif token.type == "code_inline":
            written.append(_code_span(token.content))
        elif token.type == "softbreak":
            written.append("\n")
        elif token.type == "hardbreak":
            written.append("\\\n")
        elif token.type == "link_open":
            hrefs.append(str(token.attrGet("href") or ""))
            written.append("[")
        elif token.type == "link_close":
            written.append(f"](<{_destination(hrefs.pop())}>)")
        else:  # em, strong, s: the same stars or underscores as in the source, for the neighbours are the same
            written.append(token.markup)
    return "".join(written)


def _destination(href: str) -> str:
    """An address between angle brackets: what would end or change it is percent-coded."""
    coded = {"<": "%3C", ">": "%3E", "\\": "%5C", "|": "%7C", "\n": "%0A", "`": "%60", "*": "%2A"}
    return "".join(coded.get(c, c) for c in href).replace("&", "&amp;")


def _code_span(content: str) -> str:
    """A code span whose fence is longer than any run of back-ticks within."""
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * (longest + 1)
    # One space at both ends is taken away by a reader; a span that begins with a back-tick needs one.
    padded = (
        content.startswith("`") or content.endswith("`") or (content[:1] == content[-1:] == " " and content.strip())
    )
    return f"{fence} {content} {fence}" if padded else f"{fence}{content}{fence}"
