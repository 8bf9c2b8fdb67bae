"""Estimates: what an order will probably take, by what orders like it took; arithmetic alone.

Jobs are compared by their load, a number of words' worth of work, and what each part of it takes is learned from past
jobs (learned_rates.py); of a few jobs, the median of what they took for each unit. So one job that went wrong in any
way does not move it far. How wrong that has been is found by asking it for each past job from all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import Any, Final

from interleaf.schema import Brief
from workers.store.learned_rates import learn

__all__ = ["MIN_JUDGED", "Estimate", "GivenFile", "Order", "PastJob", "Span", "estimate"]

EXTRACTIVE: Final = "extractive"
DEFAULT_WORDS: Final = 800
"""Of a brief that leaves its length open, as the workflow has it."""

# What makes work, in words of the finished piece, as a first guess: past jobs say what each part of it really takes.
LOAD_OF_JOB: Final = 100.0
LOAD_OF_SOURCE_CHAR: Final = 0.02
LOAD_OF_PICTURE: Final = 20.0
LOAD_OF_FORMAT: Final = 20.0
ARCHIVED_PICTURE_BYTES: Final = 500_000
"""An archive is taken to hold a picture for each so many bytes: it is not opened for an estimate."""

WORDS_OF_PICTURE: Final = 60
"""About so many words stand for each picture where there are enough pictures."""

# Without a past. A writer that is a model is slower than sentences that are taken from notes.
DEFAULT_SECONDS: Final = {True: 0.01, False: 0.15}
DEFAULT_TOKENS: Final = {True: 0.0, False: 4.0}
DEFAULT_FACTOR: Final = 5.0
"""Low and high without a past: so many times less and more."""

MIN_JUDGED: Final = 3
"""With fewer past jobs no error is told: there is hardly anything to judge by."""
MIN_LEARNED: Final = 5
"""With fewer, one rate is learned for all parts of the work."""
TRIFLE: Final = 1e-9
"""Seconds, or tokens, for a word's worth of work: what is not even that much is nothing to learn from."""
MIN_SPREAD: Final = 9
FEW_FACTOR: Final = 2.0
"""With fewer than MIN_SPREAD jobs, low and high lie so many times below and above all of them; else a further job lies
below low, and above high, once in ten times."""
EDGE: Final = 0.1


@dataclass(frozen=True)
class GivenFile:
    """An upload that a brief names."""

    media_type: str
    bytes: int


@dataclass(frozen=True)
class Order:
    """What of a brief makes work. `most_pictures`: more cannot be placed; None when a library may have any number."""

    writer: str
    words: int
    source_chars: int
    pictures: int
    formats: int
    most_pictures: int | None
    wants_pictures: int | None = None
    """None: as many as fit."""

    @property
    def parts(self) -> tuple[float, float, float, float]:
        """Its work, in words: of any job, of the text, of the notes, of the pictures."""
        return (
            LOAD_OF_JOB + LOAD_OF_FORMAT * self.formats,
            float(self.words),
            LOAD_OF_SOURCE_CHAR * self.source_chars,
            LOAD_OF_PICTURE * self.pictures,
        )

    @property
    def room(self) -> float:
        """About how many pictures it can have: by its words, and by those there are."""
        by_words = self.words / WORDS_OF_PICTURE
        return by_words if self.most_pictures is None else min(by_words, self.most_pictures)

    @property
    def load(self) -> float:
        """All of it."""
        return sum(self.parts)

    @classmethod
    def of(cls, brief: Brief, files: Iterable[GivenFile], unsent_bytes: int = 0, unsent_pictures: int = 0) -> Order:
        """From a brief, the uploads that it names, and what is said of files beside it."""
        chars = unsent_bytes + sum(len(source.text or "") for source in brief.sources)
        pictures = unsent_pictures
        for file in files:
            if file.media_type.startswith("image/"):
                pictures += 1
            elif file.media_type.startswith("text/"):
                chars += file.bytes
            else:
                pictures += max(1, round(file.bytes / ARCHIVED_PICTURE_BYTES))
        wanted = brief.pictures_wanted
        return cls(
            writer=brief.writer,
            words=brief.length_words or _outlined(brief) or DEFAULT_WORDS,
            source_chars=chars,
            pictures=pictures,
            formats=len(set(brief.formats) - {"json"}),
            most_pictures=None if brief.libraries else pictures,
            wants_pictures=None if wanted == "auto" else wanted,
        )


@dataclass(frozen=True)
class PastJob:
    """What an order took that succeeded."""

    order: Order
    seconds: float
    tokens: int
    pictures_placed: int

    @classmethod
    def of(cls, result: Mapping[str, Any] | None, seconds: float, tokens: int) -> PastJob | None:
        """From the result that a job keeps (workers/store/results.py); None when it does not say enough."""
        told = (result or {}).get("report")
        if not isinstance(told, Mapping):
            return None
        names = ("words", "source_chars", "pictures_considered", "pictures_placed")
        counts = [told.get(name) for name in names]
        writer, files = told.get("writer"), (result or {}).get("artifacts")
        if not isinstance(writer, str) or not isinstance(files, list) or not isfinite(seconds) or seconds < 0:
            return None
        if any(not isinstance(count, int) or isinstance(count, bool) or count < 0 for count in counts) or tokens < 0:
            return None
        words, chars, considered, placed = (int(count or 0) for count in counts)
        wanted = told.get("words_wanted")
        order = Order(
            writer=writer,
            # The length that was asked for is what an order is known by beforehand.
            words=wanted if isinstance(wanted, int) and wanted > 0 else words,
            source_chars=chars,
            pictures=considered,
            formats=max(0, len(files) - 1),
            most_pictures=considered,
        )
        return cls(order, seconds, tokens, placed)


@dataclass(frozen=True)
class Span:
    """A number that is not known yet: `low` ≤ `likely` ≤ `high`. `error`: the median of how far such estimates were
    off, as a share of what it came to; None where nothing is known of that."""

    low: float
    likely: float
    high: float
    error: float | None


@dataclass(frozen=True)
class Estimate:
    """What an order will probably take. `basis`: of how many past jobs this is known; 0 is a guess."""

    seconds: Span
    tokens: Span
    pictures: Span
    basis: int


def estimate(order: Order, past: Sequence[PastJob]) -> Estimate:
    """By the past jobs, which are those of the same writer; without any, by defaults."""
    extractive = order.writer == EXTRACTIVE
    seconds = _span_of_work(order, DEFAULT_SECONDS[extractive], past, [job.seconds for job in past])
    tokens = _span_of_work(order, DEFAULT_TOKENS[extractive], past, [float(job.tokens) for job in past])
    # Where there were none to place, nothing is learned of how many are placed.
    shown = [n for n, job in enumerate(past) if job.order.pictures]
    pictures = _span(
        order.room,
        1.0,
        [past[n].order.room for n in shown],
        [float(past[n].pictures_placed) for n in shown],
        cap=lambda n, value: min(value, past[shown[n]].order.pictures),
    )
    return Estimate(seconds, tokens, _possible(order, pictures), len(past))


# Inside


def _span_of_work(order: Order, default_rate: float, past: Sequence[PastJob], took: Sequence[float]) -> Span:
    """For an order, by what each part of past jobs' work took."""
    loads = [job.order.load for job in past]
    rates = [one / each for one, each in zip(took, loads, strict=True)]
    if len(past) < MIN_LEARNED or median(rates) < TRIFLE:
        return _span(order.load, default_rate, loads, took)
    parts = [job.order.parts for job in past]
    learned, by_others = learn(parts, took)
    likely = learned.foretold(order.parts)
    said = [others.foretold(one) for others, one in zip(by_others, parts, strict=True)]
    low, high = _edges(sorted(truth / one for truth, one in zip(took, said, strict=True)))
    error = median(abs(one - truth) / max(truth, 1.0) for one, truth in zip(said, took, strict=True))
    return Span(min(low, 1.0) * likely, likely, max(high, 1.0) * likely, error)


def _span(
    load: float,
    default_rate: float,
    loads: Sequence[float],
    took: Sequence[float],
    cap: Callable[[int, float], float] = lambda _, value: value,
) -> Span:
    """For a load, by what others took for theirs. `cap(n, value)`: what of a value was possible for the n-th."""
    rates = [one / max(each, 1.0) for one, each in zip(took, loads, strict=True)]
    if not rates:
        likely = default_rate * load
        return Span(likely / DEFAULT_FACTOR, likely, likely * DEFAULT_FACTOR, None)
    ordered = sorted(rates)
    low, high = _edges(ordered)
    error = None
    if len(rates) >= MIN_JUDGED:
        error = median(
            abs(cap(n, _median_without(ordered, rate) * loads[n]) - took[n]) / max(took[n], 1.0)
            for n, rate in enumerate(rates)
        )
    middle = median(ordered)
    return Span(min(low, middle) * load, middle * load, max(high, middle) * load, error)


def _edges(ordered: Sequence[float]) -> tuple[float, float]:
    """Between which a further value lies, four times in five."""
    if len(ordered) < MIN_SPREAD:
        return ordered[0] / FEW_FACTOR, ordered[-1] * FEW_FACTOR
    edge = int((len(ordered) + 1) * EDGE) - 1
    return ordered[edge], ordered[-1 - edge]


def _median_without(ordered: Sequence[float], value: float) -> float:
    """The median of all but one that has that value."""
    rest = list(ordered)
    rest.remove(value)
    return median(rest)


def _possible(order: Order, pictures: Span) -> Span:
    """Not more pictures than there are, nor than are wanted."""
    most = [float(one) for one in (order.most_pictures, order.wants_pictures) if one is not None]
    cap = min(most, default=pictures.high)
    likely = pictures.likely if order.wants_pictures is None else cap
    return Span(min(pictures.low, cap), min(likely, cap), min(max(pictures.high, likely), cap), pictures.error)


def _outlined(brief: Brief) -> int:
    """Words of an outline that names a length for each of its sections; 0 otherwise."""
    lengths = [section.length_words for section in brief.outline.sections] if brief.outline else []
    return sum(length or 0 for length in lengths) if all(lengths) else 0
