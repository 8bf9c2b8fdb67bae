"""Printing: how commands speak: lines of text as they are for a person, JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["clipped", "console", "json_line", "say", "say_some", "size_of"]

MAX_SHOWN: Final = 20


def console(*, error: bool = False) -> Console:
    """The terminal, on standard output or standard error, which colours nothing by itself."""
    from rich.console import Console

    return Console(highlight=False, stderr=error)


def say(line: str, style: str = "", *, error: bool = False) -> None:
    """A line of text as it is: a name may hold square brackets, which are no markup."""
    from rich.text import Text

    console(error=error).print(Text(line, style=style), soft_wrap=True)


def say_some(lines: Sequence[str], style: str = "", *, before: str = "") -> None:
    """The first MAX_SHOWN lines, each with `before` in front, and how many more there are."""
    for line in lines[:MAX_SHOWN]:
        say(f"{before}{line}", style)
    if len(lines) > MAX_SHOWN:
        say(f"{before}and {len(lines) - MAX_SHOWN:,} more (--json lists all)", style)


def clipped(text: str, chars: int = 200) -> str:
    """Its beginning, with a sign that there is more."""
    return text if len(text) <= chars else text[: chars - 1] + "…"


def json_line(value: Any) -> str:
    """A value as one line of JSON; what JSON does not know (paths, dates) as its text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def size_of(nbytes: int) -> str:
    """A number of bytes for a person: 15.32 GB, 40.5 MB, 43 kB."""
    if nbytes >= 10**9:
        return f"{nbytes / 10**9:.2f} GB"
    return f"{nbytes / 10**6:.1f} MB" if nbytes >= 10**6 else f"{nbytes / 10**3:.0f} kB"
