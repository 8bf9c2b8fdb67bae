"""Check: what a rendered page must hold to be readable by everyone and to ask for nothing outside.

These need no browser. `check_page` reads the bytes as written; `check_theme` computes WCAG contrast.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from interleaf.schema import Notice
from templates.theme import Theme

__all__ = ["check_page", "check_theme", "contrast_ratio"]

_URL_ATTRIBUTES = frozenset(
    {"src", "poster", "data", "action", "formaction", "background", "srcset", "ping", "manifest"}
)
_RUNNING_TAGS = frozenset({"script", "iframe", "object", "embed", "applet", "base", "form"})
_VOID_TAGS = frozenset({"meta", "link", "img", "br", "hr", "input", "source", "wbr", "col"})
_CSS_REQUEST = re.compile(r"url\(\s*['\"]?(?!data:)|@import", re.IGNORECASE)
_HEADING = re.compile(r"h[1-6]")
_LINK_SCHEMES = ("http://", "https://", "mailto:", "#")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def contrast_ratio(one: str, other: str) -> float:
    """WCAG 2 contrast of two `#rrggbb` colours: 1 (the same) to 21 (black on white)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def check_theme(theme: Theme) -> tuple[Notice, ...]:
    """One notice for each pair of the theme's colours that is below its ratio, in light or dark."""
    found = []
    for mode, colours in (("light", theme.light), ("dark", theme.dark)):
        for pair in theme.pairs:
            ratio = contrast_ratio(colours[pair.text], colours[pair.ground])
            if ratio < pair.minimum:
                said = f"{theme.name}, {mode}: {pair.text} on {pair.ground} is {ratio:.2f}, below {pair.minimum}"
                found.append(Notice(code="contrast", message=said))
    return tuple(found)


def check_page(page: str) -> tuple[Notice, ...]:
    """What is wrong with a page, in reading order; empty when nothing is.

    Codes: outside_request, runs_code, link_scheme, no_policy, alt_missing, size_missing, heading_order,
    h1_count, no_language, no_title, no_main, id_twice, fragment_missing, unnamed_region, unclosed_tag.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.finished()


class _Reader(HTMLParser):
    """Goes through a page once and keeps what is wrong."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._found: list[Notice] = []
        self._open: list[str] = []
        self._ids: set[str] = set()
        self._fragments: list[str] = []
        self._level = 0
        self._h1_count = 0
        self._seen: set[str] = set()
        self._title = ""

    def _say(self, code: str, message: str) -> None:
        self._found.append(Notice(code=code, message=message[:500]))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._seen.add(tag)
        if tag not in _VOID_TAGS:
            self._open.append(tag)
        self._check_requests(tag, given)
        self._check_ids(tag, given)
        if tag == "html" and not _LANGUAGE.fullmatch(given.get("lang", "")):
            self._say("no_language", "the page does not say its language")
        if tag == "meta" and given.get("http-equiv", "").lower() == "content-security-policy":
            self._seen.add("policy")
        if tag == "img":
            if "alt" not in given:
                self._say("alt_missing", f"picture {given.get('src', '')[:40]} has no alt text")
            if not (given.get("width", "").isdigit() and given.get("height", "").isdigit()):
                self._say("size_missing", "a picture does not say its width and height")
        if _HEADING.fullmatch(tag):
            self._check_heading(int(tag[1]))
        if given.get("role") == "region" and not (given.get("aria-label") or given.get("aria-labelledby")):
            self._say("unnamed_region", f"a region ({tag}) has no name")

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID_TAGS:
            return
        if not self._open or self._open[-1] != tag:
            inside = self._open[-1] if self._open else "nothing"
            self._say("unclosed_tag", f"</{tag}> closes while {inside} is open")
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self._title += data
        if self._open and self._open[-1] == "style" and _CSS_REQUEST.search(data):
            self._say("outside_request", "a style sheet loads something")

    def _check_requests(self, tag: str, given: dict[str, str]) -> None:
        if tag in _RUNNING_TAGS:
            self._say("runs_code", f"<{tag}> has no place in a page")
        for name, value in given.items():
            if name.startswith("on"):
                self._say("runs_code", f"{tag} has a handler {name}")
            if name == "style" and _CSS_REQUEST.search(value):
                self._say("outside_request", f"the style of a {tag} loads something")
            loads = name in _URL_ATTRIBUTES or (name == "href" and tag not in ("a", "area"))
            if loads and not _all_data(name, value):
                self._say("outside_request", f"{tag} {name} asks for {value[:80]}")
        href = given.get("href")
        if tag == "a" and href is not None and not href.lower().startswith(_LINK_SCHEMES):
            self._say("link_scheme", f"a link goes to {href[:80]}")

    def _check_ids(self, tag: str, given: dict[str, str]) -> None:
        if "id" in given:
            if given["id"] in self._ids:
                self._say("id_twice", f"the id {given['id'][:60]} is used twice")
            self._ids.add(given["id"])
        if tag == "a" and given.get("href", "").startswith("#"):
            self._fragments.append(given["href"][1:])
        self._fragments += given.get("aria-labelledby", "").split()

    def _check_heading(self, level: int) -> None:
        self._h1_count += level == 1
        if level > self._level + 1:
            self._say("heading_order", f"a heading of level {level} follows one of level {self._level}")
        self._level = level

    def finished(self) -> tuple[Notice, ...]:
        if self._h1_count != 1:
            self._say("h1_count", f"the page has {self._h1_count} headings of level 1 and needs one")
        if not self._title.strip():
            self._say("no_title", "the page has no title")
        if "main" not in self._seen:
            self._say("no_main", "the page has no main landmark")
        if "policy" not in self._seen:
            self._say("no_policy", "the page has no content security policy of its own")
        for fragment in self._fragments:
            if fragment not in self._ids:
                self._say("fragment_missing", f"nothing on the page has the id {fragment[:60]}")
        for tag in self._open:
            self._say("unclosed_tag", f"<{tag}> is never closed")
        return tuple(self._found)


def _all_data(name: str, value: str) -> bool:
    """Whether an address, or every address of a srcset, is a data: URI."""
    if name == "srcset":
        return all(part.split(" ", 1)[0].startswith("data:") for part in value.split(", "))
    return value.startswith("data:")
