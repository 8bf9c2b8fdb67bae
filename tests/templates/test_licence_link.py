"""Licence link: every Creative Commons licence leads to its own deed, and nothing else leads anywhere."""

import pytest

from templates.licence_link import licence_title, licence_url


@pytest.mark.parametrize(
    ("name", "title", "url"),
    [
        ("CC-BY-4.0", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
        ("cc by-sa 3.0", "CC BY-SA 3.0", "https://creativecommons.org/licenses/by-sa/3.0/"),
        ("CC-BY-SA-NC-2.5", "CC BY-NC-SA 2.5", "https://creativecommons.org/licenses/by-nc-sa/2.5/"),
        ("CC0", "CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("public domain", "Public Domain Mark 1.0", "https://creativecommons.org/publicdomain/mark/1.0/"),
        ("CC-BY", "CC-BY", None),  # without a version there is no one deed
        ("CC-BY-9.9", "CC-BY-9.9", None),
        ("MIT", "MIT", None),
        ("javascript:alert(1)", "javascript:alert(1)", None),
        (None, "", None),
    ],
)
def test_title_and_address(name: str | None, title: str, url: str | None) -> None:
    assert (licence_title(name), licence_url(name)) == (title, url)
