"""Orders: briefs that are composed in a moment, each with a title of its own."""

from __future__ import annotations

from typing import Any, Final

from tests.workers.job_service import NOTES

__all__ = ["SECTIONS", "order"]

SECTIONS: Final = 4
"""Sections of the piece that an order becomes."""


def order(title: str, **fields: Any) -> dict[str, Any]:
    """A brief with its notes in it, without pictures."""
    return {
        "instruction": "Explain the tides.",
        "title": title,
        "sources": [{"text": NOTES, "name": "tides.md"}],
        "formats": ["html", "md"],
        **fields,
    }
