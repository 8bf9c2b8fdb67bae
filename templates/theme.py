"""Theme: how a page looks: its style sheets and its colours, checked for contrast in light and dark."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from interleaf.errors import Unsupported, shown

__all__ = ["ContrastPair", "Theme", "load_theme", "themes"]

_FOLDER = Path(__file__).resolve().parent / "themes"
_SHEETS = ("page.css", "blocks.css", "print.css")


@dataclass(frozen=True)
class ContrastPair:
    """Two colours that meet on the page; `minimum` is the WCAG ratio they must keep."""

    text: str
    ground: str
    minimum: float


@dataclass(frozen=True)
class Theme:
    """Colours are `#rrggbb` by name; the same names in both modes."""

    name: str
    light: dict[str, str]
    dark: dict[str, str]
    pairs: tuple[ContrastPair, ...]
    sheet: str

    @property
    def css(self) -> str:
        """The whole style sheet, colours first."""
        light = "".join(f"--{name}:{value};" for name, value in self.light.items())
        dark = "".join(f"--{name}:{value};" for name, value in self.dark.items())
        return (
            f":root{{color-scheme:light dark;{light}}}\n"
            f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{self.sheet}"
        )


def themes() -> tuple[str, ...]:
    """The names that a brief's `theme` may have."""
    return tuple(sorted(p.parent.name for p in _FOLDER.glob("*/theme.toml")))


@cache
def load_theme(name: str) -> Theme:
    """The theme of that name; Unsupported names those there are. A name is looked up, never joined to a path."""
    if name not in themes():
        raise Unsupported("theme", f"there is no theme {shown(name)!r}.", f"Choose one of: {', '.join(themes())}.")
    folder = _FOLDER / name
    table = tomllib.loads((folder / "theme.toml").read_text(encoding="utf-8"))
    sheet = "\n".join((folder / part).read_text(encoding="utf-8") for part in _SHEETS)
    pairs = tuple(ContrastPair(p["text"], p["ground"], float(p["minimum"])) for p in table["contrast"])
    return Theme(name, dict(table["light"]), dict(table["dark"]), pairs, sheet)
