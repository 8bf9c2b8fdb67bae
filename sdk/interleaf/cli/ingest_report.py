"""Ingest report: what came of adding pictures, told to a person and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interleaf.cli.picture_table import ID_CHARS
from interleaf.cli.printing import say, say_some

if TYPE_CHECKING:
    from workers.run.shelf import IngestReport

__all__ = ["report_record", "tell_record", "tell_report"]


def report_record(report: IngestReport) -> dict[str, Any]:
    """The report as JSON has it."""
    return {
        "collection": report.collection,
        "added": list(report.added),
        "already_there": list(report.already_there),
        "described": list(report.described),
        "duplicates": [d._asdict() for d in report.duplicates],
        "refused": [r._asdict() for r in report.refused],
        "notes": [n._asdict() for n in report.notes],
        "ignored_files": report.ignored_files,
    }


def tell_report(report: IngestReport, in_collection: int) -> None:
    """The report as a person reads it, when the collection has so many pictures."""
    tell_record(report_record(report), in_collection)


def tell_record(record: dict[str, Any], in_collection: int) -> None:
    """The same from a record; `counts` in it go before the lengths of its lists, which a service cuts short."""
    for kind, style, lines in (
        ("refused", "red", [f"{one['name']}: {one['reason']}" for one in record["refused"]]),
        ("note", "yellow", [f"{one['name']}: {one['message']}" for one in record["notes"]]),
        (
            "duplicate",
            "dim",
            [f"{one['name']} shows the same as {one['of'][:ID_CHARS]}" for one in record["duplicates"]],
        ),
    ):
        say_some(lines, style, before=f"{kind}  ")
    told: dict[str, int] = record.get("counts") or {
        name: value if isinstance(value, int) else len(value) for name, value in record.items()
    }
    counts = [
        (told["added"], "added"),
        (told["already_there"], "already there"),
        (told["described"], "described anew"),
        (told["duplicates"], "duplicates left out"),
        (told["refused"], "refused"),
        (told["ignored_files"], "other files passed over"),
    ]
    said = " · ".join(f"{count:,} {what}" for count, what in counts if count) or "nothing to add was found"
    say(f"{said} · {record['collection']} has {in_collection:,} pictures")
