"""Ingest report: what came of adding pictures, told to a person and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from interleaf.cli.picture_table import ID_CHARS
from interleaf.cli.printing import say, say_some

if TYPE_CHECKING:
    from workers.run.shelf import IngestReport

__all__ = ["report_record", "tell_report"]


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
    for kind, style, lines in (
        ("refused", "red", [f"{name}: {reason}" for name, reason in report.refused]),
        ("note", "yellow", [f"{name}: {message}" for name, message in report.notes]),
        ("duplicate", "dim", [f"{name} shows the same as {of[:ID_CHARS]}" for name, of, _ in report.duplicates]),
    ):
        say_some(lines, style, before=f"{kind}  ")
    counts = [
        (len(report.added), "added"),
        (len(report.already_there), "already there"),
        (len(report.described), "described anew"),
        (len(report.duplicates), "duplicates left out"),
        (len(report.refused), "refused"),
        (report.ignored_files, "other files passed over"),
    ]
    said = " · ".join(f"{count:,} {what}" for count, what in counts if count) or "nothing to add was found"
    say(f"{said} · {report.collection} has {in_collection:,} pictures")
