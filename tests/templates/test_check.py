"""Check: each fault is found, a sound page has none, and the themes keep their contrast in both modes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from templates.check import check_page, check_theme, contrast_ratio
from templates.theme import load_theme, themes

SOUND = (
    '<!doctype html><html lang="en"><head><meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    "<title>A</title><style>p{background:url(data:,)}</style></head><body><h1>A</h1><main>"
    '<h2 id="x">B</h2><p><a href="#x">up</a><img alt="" width="1" height="1" src="data:,"></p></main></body></html>'
)


def codes(page: str) -> set[str]:
    return {notice.code for notice in check_page(page)}


def test_a_sound_page_has_no_faults() -> None:
    assert check_page(SOUND) == ()


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('src="data:,"', 'src="https://example.com/a.png"', "outside_request"),
        ('src="data:,"', 'src="data:," srcset="data:, 1w, //example.com/a 2w"', "outside_request"),
        ("url(data:,)", "url(//example.com/a)", "outside_request"),
        ("p{", "@import 'a.css';p{", "outside_request"),
        ("<main>", '<main><link rel="stylesheet" href="a.css">', "outside_request"),
        ("<main>", '<main><p style="background:url(a)"></p>', "outside_request"),
        ("<main>", "<main><script></script>", "runs_code"),
        ("<p>", "<p onclick=x>", "runs_code"),
        ('href="#x"', 'href="javascript:x"', "link_scheme"),
        ("Content-Security-Policy", "X", "no_policy"),
        ('alt="" ', "", "alt_missing"),
        ('width="1" ', "", "size_missing"),
        ("<h2 ", "<h4 ", "heading_order"),
        ("<h1>A</h1>", "", "h1_count"),
        ("<main>", "<main><h1>C</h1>", "h1_count"),
        (' lang="en"', ' lang=""', "no_language"),
        ("<title>A</title>", "<title> </title>", "no_title"),
        ("main>", "div>", "no_main"),
        ("<p>", '<p id="x">', "id_twice"),
        ('href="#x"', 'href="#y"', "fragment_missing"),
        ("<p>", '<p role="region">', "unnamed_region"),
        ("</p>", "", "unclosed_tag"),
    ],
)
def test_each_fault_is_found(old: str, new: str, code: str) -> None:
    assert old in SOUND
    assert code in codes(SOUND.replace(old, new))


def test_contrast_of_known_colours() -> None:
    assert contrast_ratio("#000000", "#ffffff") == pytest.approx(21)
    assert contrast_ratio("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast_ratio("#336699", "#336699") == 1


@pytest.mark.parametrize("name", themes())
def test_themes_keep_their_contrast(name: str) -> None:
    assert check_theme(load_theme(name)) == ()


def test_a_pale_theme_is_found_out() -> None:
    paper = load_theme("paper")
    pale = replace(paper, dark={**paper.dark, "soft": "#444444"})
    assert {n.code for n in check_theme(pale)} == {"contrast"}
    assert "dark: soft on paper" in check_theme(pale)[0].message


@pytest.mark.parametrize("name", themes())
def test_every_pair_of_text_and_ground_that_the_sheet_can_show_is_checked(name: str) -> None:
    theme = load_theme(name)
    pairs = {(p.text, p.ground) for p in theme.pairs}
    assert set(theme.light) == set(theme.dark)
    assert {(t, g) for t in ("ink", "soft", "accent") for g in ("paper", "tint")} <= pairs
