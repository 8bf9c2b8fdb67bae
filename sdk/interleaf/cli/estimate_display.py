"""Estimate display: what a piece would take, for a person or for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from interleaf.cli.printing import console, say

if TYPE_CHECKING:
    from interleaf.service.service_records import EstimateRecord

__all__ = ["tell_estimate"]

_WHOSE: Final = {"own": "of yours", "service": "of this service"}


def tell_estimate(found: EstimateRecord, as_json: bool) -> None:
    """A row for each of seconds, tokens, pictures, and what it rests on."""
    if as_json:
        typer.echo(found.model_dump_json())
        return
    from rich.table import Table

    table = Table("", "likely", "low", "high", "past error")
    for name in ("seconds", "tokens", "pictures"):
        span = getattr(found, name)
        error = "unknown" if span.error is None else f"{span.error:.0%}"
        table.add_row(name, *(f"{value:,.0f}" for value in (span.likely, span.low, span.high)), error)
    console().print(table)
    jobs = "1 past job" if found.basis == 1 else f"{found.basis} past jobs"
    if found.basis:
        say(f"from {jobs} {_WHOSE.get(found.basis_of, '')} with the writer {found.writer}")
    else:
        say(f"a guess: there is no past job with the writer {found.writer} to go by")
