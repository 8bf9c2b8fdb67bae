"""Batch table: batches of a service as rows, one in full, its items and its ranked results, for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from interleaf.cli.printing import clipped, console

if TYPE_CHECKING:
    from datetime import datetime

    from rich.text import Text

    from interleaf.service.batch_records import BatchItemRecord, BatchLine, BatchRecord, BatchResult

__all__ = ["batch_sheet", "batch_table", "item_table", "result_table"]

_STYLES: Final = {
    "succeeded": "green",
    "incomplete": "yellow",
    "awaiting_input": "yellow",
    "failed": "red",
    "expired": "red",
    "refused": "red",
    "running": "cyan",
}


def batch_table(batches: Sequence[BatchLine]) -> None:
    """One row each, as they come."""
    from rich.table import Column, Table
    from rich.text import Text

    # An id is for copying: it is never cut off.
    table = Table(Column("batch", no_wrap=True, min_width=30), "name", "items", "states", "created")
    for one in batches:
        table.add_row(
            one.id, Text(one.name), f"{one.item_count:,}", _counts(one.counts), f"{one.created_at:%Y-%m-%d %H:%M}"
        )
    console().print(table)


def batch_sheet(batch: BatchRecord) -> None:
    """Everything that the service tells of it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=batch.id, title_justify="left", show_header=False)
    rows = [
        ("name", batch.name),
        ("kind", batch.kind),
        ("items", f"{batch.item_count:,}"),
        ("ended", "no" if not batch.ended else _moment(batch.ended_at) or "yes"),
        ("canceled", _moment(batch.canceled_at)),
        ("created", _moment(batch.created_at)),
        ("instruction", clipped(str(batch.brief.get("instruction", "")))),
        *sorted(batch.metadata.items()),
    ]
    for name, said in rows:
        if said:
            table.add_row(Text(name), Text(said))
    table.add_row("states", _counts(batch.counts))
    console().print(table)


def item_table(items: Sequence[BatchItemRecord]) -> None:
    """One row each, as they come."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("item", "custom id", "state", Column("job", no_wrap=True, min_width=30), "error")
    for item in items:
        error = "" if item.error is None else item.error.detail
        table.add_row(item.id, Text(item.custom_id), _state(item.state), item.job_id or "", Text(error))
    console().print(table)


def result_table(results: Sequence[BatchResult]) -> None:
    """One row each with its score and the parts of it, as they come."""
    from rich.table import Column, Table
    from rich.text import Text

    parts = ("length", "grounding", "repetition", "pictures", "warnings")
    table = Table("custom id", "state", "score", *parts, Column("document", no_wrap=True, min_width=30))
    for one in results:
        told = [None if one.score is None else getattr(one.score, part) for part in parts]
        table.add_row(
            Text(one.custom_id),
            _state(one.state),
            "" if one.score is None else f"{one.score.total:.2f}",
            *("" if part is None else f"{part:.2f}" for part in told),
            one.document_id or "",
        )
    console().print(table)


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _counts(counts: Mapping[str, int]) -> Text:
    from rich.text import Text

    found = [Text(f"{count:,} {state}", style=_STYLES.get(state, "")) for state, count in sorted(counts.items())]
    return Text(", ").join(found)


def _state(state: str) -> Text:
    from rich.text import Text

    return Text(state, style=_STYLES.get(state, ""))
