"""Piece score: one number for how well a piece came out, by its report alone, so that variants can be ranked.

docs/quality.md says what the parts mean and why they weigh what they weigh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

__all__ = ["WEIGHTS", "WORDS_PER_PICTURE", "PieceScore", "ranked", "score"]

WEIGHTS: Final[Mapping[str, float]] = {
    "length": 0.3,
    "grounding": 0.3,
    "repetition": 0.2,
    "pictures": 0.1,
    "warnings": 0.1,
}
WORDS_PER_PICTURE: Final = 250
"""A piece with a picture for so many words has enough of them."""


@dataclass(frozen=True)
class PieceScore:
    """A piece's score, 0..100, and its parts, 0..1 each; None: it cannot be told, and does not count."""

    total: float
    length: float | None
    """How well the length that was asked for is kept."""
    grounding: float | None
    """The share of sentences that rest on the notes."""
    repetition: float
    """1 without any group of five words that is there twice."""
    pictures: float | None
    """Pictures that were placed, of as many as there is room for; None when there were none to choose from."""
    warnings: float
    """1 without any; a half with one, a third with two."""


def score(report: Mapping[str, Any]) -> PieceScore:
    """The score of a piece by its report, as the job that made it tells it: `warnings` is their number there, or the
    list of them. What a report lacks, or says in another way than a number, is taken as not told."""
    sentences, words = _number(report, "sentences"), _number(report, "words")
    length = _number(report, "length_score")
    considered, placed = _number(report, "pictures_considered") or 0.0, _number(report, "pictures_placed") or 0.0
    warnings = report.get("warnings")
    warned = float(len(warnings)) if isinstance(warnings, list | tuple) else _number(report, "warnings") or 0.0
    parts: dict[str, float | None] = {
        "length": None if length is None else _share(length / 100),
        "grounding": _share((_number(report, "sentences_with_span") or 0.0) / sentences) if sentences else None,
        "repetition": _share(1 - (_number(report, "repeated_5grams_share") or 0.0)),
        "pictures": _share(placed / max(1.0, (words or 0.0) / WORDS_PER_PICTURE)) if considered or placed else None,
        "warnings": 1 / (1 + warned),
    }
    told = {name: part for name, part in parts.items() if part is not None}
    total = 100 * sum(WEIGHTS[name] * part for name, part in told.items()) / sum(WEIGHTS[name] for name in told)
    return PieceScore(total=round(min(100.0, total), 2), **parts)  # type: ignore[arg-type] # two are never None


def ranked(reports: Mapping[int, Mapping[str, Any] | None]) -> list[tuple[int, PieceScore | None]]:
    """The numbers of the pieces with their scores, best first; of equals the first number first; without a report
    last."""
    scored = [(number, None if report is None else score(report)) for number, report in reports.items()]
    return sorted(scored, key=lambda one: (one[1] is None, -one[1].total if one[1] else 0.0, one[0]))


def _number(report: Mapping[str, Any], name: str) -> float | None:
    """What the report says of it: a finite number from 0 on; None for anything else."""
    found = report.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        value = float(found)
    except OverflowError:
        return None
    return value if isfinite(value) and value >= 0 else None


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
