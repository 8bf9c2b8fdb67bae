"""HTML: one file that asks for nothing, the same every time, with pictures that fit. Without a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import re

import pytest

from interleaf.errors import PictureMissing, RequestRefused, Unsupported
from interleaf.schema import Article
from templates import embedding
from templates.check import check_page
from templates.html import render_html
from tests.templates import sample
from tests.templates.sample import HOSTILE, Shelf, Studio


def rendered(article: Article, studio: Studio) -> str:
    return render_html(article, studio.shelf, "paper").decode("utf-8")


def test_a_page_of_every_block_has_no_faults(studio: Studio) -> None:
    assert check_page(rendered(sample.every_block(studio), studio)) == ()


def test_a_hostile_page_has_no_faults_and_shows_every_string_as_text(studio: Studio) -> None:
    page = rendered(sample.hostile(studio), studio)
    assert check_page(page) == ()
    visible = html.unescape(re.sub(r"<[^>]*>", "", page))
    for bad in HOSTILE:
        assert " ".join(bad.translate({0x202E: " ", 0x2066: " "}).split()) in " ".join(visible.split())


@pytest.mark.parametrize("language", ["zh", "ja", "ko", "ar", "he"])
def test_pages_in_other_languages_have_no_faults(studio: Studio, language: str) -> None:
    page = rendered(sample.in_language(studio, language), studio)
    assert check_page(page) == ()
    way = "rtl" if language in ("ar", "he") else "ltr"
    assert f'<html lang="{language}" dir="{way}">' in page


def test_words_of_ours_in_another_language_than_the_article_say_so(studio: Studio) -> None:
    article = sample.every_block(studio).model_copy(update={"language": "fi"})
    assert '<summary id="contents-label" lang="en" dir="ltr">Contents</summary>' in rendered(article, studio)


def test_the_policy_allows_this_style_sheet_and_nothing_else(studio: Studio) -> None:
    page = rendered(sample.every_block(studio), studio)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert style is not None
    assert policy is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert html.unescape(policy[1]) == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert " style=" not in page


def test_pictures_come_in_the_widths_that_they_can_fill(studio: Studio) -> None:
    page = rendered(sample.every_block(studio), studio)
    images = re.findall(r"<img[^>]*>", page)
    widths = [re.findall(r" (\d+)w[,\"]", image) for image in images]
    assert widths == [["480", "960", "1600"], ["480", "700"], ["480", "600"], [], ["480", "960", "1200"]]
    assert [re.findall(r'width="(\d+)" height="(\d+)"', i)[0] for i in images] == [
        ("1600", "889"), ("700", "560"), ("600", "1400"), ("60", "40"), ("1200", "700")
    ]  # fmt: skip
    assert ["eager" in image for image in images] == [True, False, False, False, False]
    assert all('decoding="async"' in image for image in images)


def test_the_same_article_gives_the_same_bytes(studio: Studio) -> None:
    article = sample.every_block(studio)
    assert render_html(article, studio.shelf, "paper") == render_html(article, studio.shelf, "paper")


def test_pictures_step_down_until_they_fit_and_then_are_refused(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    article = sample.every_block(studio)
    monkeypatch.setattr(embedding, "PREFERRED_BYTES", 1000)
    assert "srcset" not in rendered(article, studio)
    monkeypatch.setattr(embedding, "MAX_BYTES", 1000)
    with pytest.raises(RequestRefused, match="5 pictures") as raised:
        rendered(article, studio)
    assert "pictures_wanted" in raised.value.message


def test_an_unknown_theme_and_a_lost_file_are_named(studio: Studio) -> None:
    article = sample.every_block(studio)
    with pytest.raises(Unsupported, match="paper"):
        render_html(article, studio.shelf, "../paper")
    with pytest.raises(PictureMissing):
        render_html(article, Shelf({}), "paper")


def test_a_piece_without_pictures_and_sources_is_a_page_too(studio: Studio) -> None:
    bare = sample.article(()).model_copy(update={"sources": ()})
    assert check_page(rendered(bare, studio)) == ()
