"""HTML in a real Chromium: nothing runs, nothing is asked for, nothing sticks out, by day, by night and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from templates.press import export
from tests.templates import sample
from tests.templates.sample import Studio

pytestmark = pytest.mark.browser

# Goes through the page so that lazy pictures load, and comes back.
SCROLL = """async () => {
  for (let y = 0; y < document.documentElement.scrollHeight; y += 600) {
    scrollTo({top: y, behavior: "instant"});
    await new Promise(done => requestAnimationFrame(() => setTimeout(done, 20)));
  }
  scrollTo({top: 0, behavior: "instant"});
}"""
PICTURES = "[...document.images].map(i => [i.complete && i.naturalWidth > 0, i.clientWidth, i.clientHeight])"
OVERFLOW = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
# Elements that stand out over the right or left edge without a scrolling box around them.
OUTSIDE = """() => [...document.querySelectorAll("body *")].filter(e => {
  if (e.closest(".table, .code, .skip")) return false;
  const box = e.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
}).map(e => e.outerHTML.slice(0, 80))"""
# Every text with its computed colour and the nearest painted ground behind it.
COLOURS = """() => {
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (!walker.currentNode.textContent.trim()) continue;
    let element = walker.currentNode.parentElement;
    const colour = getComputedStyle(element).color;
    const size = parseFloat(getComputedStyle(element).fontSize);
    const clear = e => getComputedStyle(e).backgroundColor === "rgba(0, 0, 0, 0)";
    while (element && clear(element)) element = element.parentElement;
    const ground = element ? getComputedStyle(element).backgroundColor : "rgb(255, 255, 255)";
    found.add(JSON.stringify([colour, ground, size]));
  }
  return [...found].map(JSON.parse);
}"""


@dataclass
class Opened:
    """A page in the browser, and what it did."""

    page: Any
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@contextmanager
def opened(chromium: Any, path: Path, width_px: int = 1280, scheme: str = "light", **options: Any) -> Iterator[Opened]:
    context = chromium.new_context(viewport={"width": width_px, "height": 900}, color_scheme=scheme, **options)
    try:
        seen = Opened(context.new_page())

        def dismissed(dialog: Any) -> None:
            seen.dialogs.append(dialog.message)
            dialog.dismiss()

        seen.page.on("request", lambda r: None if r.url.startswith("data:") else seen.requests.append(r.url))
        seen.page.on("console", lambda m: seen.console.append(m.text))
        seen.page.on("pageerror", lambda e: seen.console.append(str(e)))
        seen.page.on("dialog", dismissed)
        seen.page.goto(path.as_uri())
        seen.page.evaluate(SCROLL)
        yield seen
    finally:
        context.close()


@pytest.fixture
def every(studio: Studio, tmp_path: Path) -> Path:
    return export(sample.every_block(studio), studio.shelf, "html", tmp_path / "every")


@pytest.mark.parametrize("width_px", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_and_nothing_is_asked_for(
    chromium: Any, every: Path, tmp_path: Path, width_px: int, scheme: str
) -> None:
    with opened(chromium, every, width_px, scheme) as seen:
        width, room = seen.page.evaluate(OVERFLOW)
        assert width <= room
        assert seen.page.evaluate(OUTSIDE) == []
        assert all(loaded for loaded, _, _ in seen.page.evaluate(PICTURES))
        shot = tmp_path / "shot.png"
        seen.page.screenshot(path=str(shot), full_page=True)
        with Image.open(shot) as image:
            assert image.width == width_px
            ground = image.convert("RGB").getpixel((2, 2))
            assert isinstance(ground, tuple)
            assert (sum(ground) < 200) == (scheme == "dark")
        assert (seen.requests, seen.console, seen.dialogs) == ([every.as_uri()], [], [])


@pytest.mark.parametrize("width_px", [360, 1280])
def test_a_hostile_article_runs_nothing(chromium: Any, studio: Studio, tmp_path: Path, width_px: int) -> None:
    path = export(sample.hostile(studio), studio.shelf, "html", tmp_path / "hostile")
    with opened(chromium, path, width_px) as seen:
        page = seen.page
        assert page.title() == sample.HOSTILE[0]
        assert page.evaluate("document.querySelectorAll('script, iframe, object, embed, form, svg, base').length") == 0
        assert page.evaluate("[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
                             ".filter(n => n.startsWith('on') || n === 'style')") == []  # fmt: skip
        schemes = page.evaluate("[...new Set([...document.links].map(a => a.protocol))].sort()")
        assert set(schemes) <= {"file:", "https:"}
        assert page.evaluate("[...document.links].filter(a => a.protocol === 'file:' && !a.hash).length") == 0
        text = page.inner_text("main")
        for bad in sample.HOSTILE:
            assert " ".join(bad.translate({0x202E: " ", 0x2066: " "}).split()) in " ".join(text.split())
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        width, room = page.evaluate(OVERFLOW)
        assert width <= room
        assert {r.split("#")[0] for r in seen.requests} == {path.as_uri()}
        assert (seen.console, seen.dialogs) == ([], [])


@pytest.mark.parametrize("language", ["zh", "ja", "ko", "ar", "he"])
def test_other_scripts_fit_a_phone_and_run_their_own_way(
    chromium: Any, studio: Studio, tmp_path: Path, language: str
) -> None:
    path = export(sample.in_language(studio, language), studio.shelf, "html", tmp_path / language)
    with opened(chromium, path, 360) as seen:
        width, room = seen.page.evaluate(OVERFLOW)
        assert width <= room
        assert seen.page.evaluate(OUTSIDE) == []
        # The bar beside a quote stands at the side where lines begin.
        box, bar = seen.page.evaluate("""() => {
          const style = getComputedStyle(document.querySelector("blockquote"));
          return [parseFloat(style.borderLeftWidth), parseFloat(style.borderRightWidth)];
        }""")
        assert (box > bar) == (language not in ("ar", "he"))
        assert seen.console == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_that_are_painted_keep_the_contrast(chromium: Any, every: Path, scheme: str) -> None:
    with opened(chromium, every, scheme=scheme) as seen:
        for colour, ground, _size in seen.page.evaluate(COLOURS):
            assert _contrast(colour, ground) >= 4.5, (colour, ground)


def _contrast(one: str, other: str) -> float:
    from templates.check import contrast_ratio

    return contrast_ratio(*("#" + "".join(f"{int(v):02x}" for v in re.findall(r"\d+", c)[:3]) for c in (one, other)))


def test_a_phone_takes_the_small_rendition_and_pictures_reserve_their_room(chromium: Any, every: Path) -> None:
    with opened(chromium, every, 360) as seen:
        assert seen.page.evaluate("document.images[0].naturalWidth") <= 480
        shifts = seen.page.evaluate("""() => new Promise(done => {
          let total = 0;
          new PerformanceObserver(list => { for (const e of list.getEntries()) total += e.value; })
            .observe({type: "layout-shift", buffered: true});
          setTimeout(() => done(total), 100);
        })""")
        assert shifts < 0.02


def test_the_keyboard_reaches_the_article_the_contents_and_what_scrolls(chromium: Any, every: Path) -> None:
    with opened(chromium, every, 360) as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "article"
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.className"))
        assert {"table", "code"} <= reached


def test_on_paper_everything_is_there_and_addresses_are_spelt_out(chromium: Any, every: Path, tmp_path: Path) -> None:
    context = chromium.new_context(color_scheme="dark")
    try:
        page = context.new_page()
        page.goto(every.as_uri())
        # Straight to paper, not scrolled through: lazy pictures must be there all the same.
        data = page.pdf(prefer_css_page_size=True)
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert page.evaluate("getComputedStyle(document.querySelector('.contents')).display") == "none"
        assert "example.org" in page.evaluate(
            "getComputedStyle(document.querySelector('article a[href^=http]'), '::after').content"
        )
    finally:
        context.close()
    assert data.startswith(b"%PDF")
    sizes = set(re.findall(rb"/Subtype /Image\s*/Width (\d+)\s*/Height (\d+)", data))
    assert len(sizes) == 5
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", data)
    assert box is not None
    assert [round(float(v)) for v in box.groups()] == [595, 842]  # A4 in points
