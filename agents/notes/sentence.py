"""Sentence: where the sentences and words of a text begin and end, in code points.

sentencex finds candidates; `agents/notes/boundary.py` then takes away the breaks that are none (abbreviations,
initials, ordinals) and adds those that it misses. The library's time grows with the square of a paragraph's
length, so it sees windows of bounded length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from icu4py.breakers import WordBreaker
from sentencex import segment

from agents.notes.boundary import closing_end, extra_breaks, mask, no_break
from agents.notes.detection import detect_language

__all__ = ["detect_language", "split_sentences", "word_spans"]

MAX_WINDOW_CHARS = 1_500
# What `no_break` may look at on either side of a candidate break.
MAX_LEFT_CHARS = 240
MAX_RIGHT_CHARS = 80
DEFAULT_LANGUAGE = "en"

_SURROGATE = re.compile("[\ud800-\udfff]")
# Sentences end with a paragraph, before a list item or a heading, and after a heading.
_HARD_BREAK = re.compile(
    r"\n[^\S\n]*\n\s*"
    r"|\n(?=[^\S\n]{0,12}(?:[-*+•‣]|1[.)]|#{1,6})[^\S\n])"
    r"|(?<=[.!?:;。！？：；])[^\S\n]*\n(?=[^\S\n]{0,12}\d{1,3}[.)][^\S\n])"
    r"|(?m:(?<=\n)|^)#{1,6}[^\S\n][^\n]*\n|\u2029"
)
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


def split_sentences(text: str, language: str) -> list[tuple[int, int]]:
    """(start, end) of every sentence of `text`, in order, without outer white space.

    Together they cover everything that is not white space. `language` is a BCP 47 tag; an unknown one gets
    the rules of English. A line end inside a paragraph is no sentence end. A sentence has at least one
    letter or digit, unless the whole paragraph has none.
    """
    text = _SURROGATE.sub("\ufffd", text)
    tag = language.replace("_", "-").split("-")[0].lower()
    found: list[tuple[int, int]] = []
    for start, end in _paragraphs(text):
        found += _split_paragraph(text, start, end, tag)
    return found


def word_spans(text: str, language: str) -> list[tuple[int, int]]:
    """(start, end) of every word that has a letter or digit; Chinese, Japanese, Thai by dictionary."""
    spans: list[tuple[int, int]] = []
    at = 0
    for word in WordBreaker(_SURROGATE.sub("\ufffd", text), language or DEFAULT_LANGUAGE):
        if _LETTER_OR_DIGIT.search(word):
            spans.append((at, at + len(word)))
        at += len(word)
    return spans


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of the parts of `text` over whose borders no sentence reaches."""
    at = 0
    for found in _HARD_BREAK.finditer(text):
        is_heading = "#" in found.group()
        if found.start() > at:
            yield at, found.start()
        if is_heading:
            yield found.start(), found.end()
        at = found.end()
    if at < len(text):
        yield at, len(text)


def _split_paragraph(text: str, start: int, end: int, language: str) -> list[tuple[int, int]]:
    start, end = _strip(text, start, end)
    if start == end:
        return []
    masked = mask(text[start:end])
    breaks = _library_breaks(masked, language)
    breaks |= extra_breaks(masked)
    found: list[tuple[int, int]] = []
    begin = 0
    length = len(masked)
    for at in [*sorted(breaks), length]:
        at = min(closing_end(masked, at), length)
        if at <= begin:
            continue
        if at < length and not _is_break(masked, begin, at, language):
            continue
        low, high = _strip(masked, begin, at)
        if low < high:
            found.append((low, high))
        begin = at
    return [(start + low, start + high) for low, high in _without_bare_marks(masked, found)]


def _is_break(masked: str, begin: int, at: int, language: str) -> bool:
    left = masked[max(begin, at - MAX_LEFT_CHARS) : at]
    right = masked[at : at + MAX_RIGHT_CHARS]
    return not no_break(left, right, language, starts_here=at - begin <= MAX_LEFT_CHARS)


def _library_breaks(masked: str, language: str) -> set[int]:
    """Candidate breaks of a paragraph. The last piece of a window is looked at again in the next one."""
    breaks: set[int] = set()
    at = 0
    while at < len(masked):
        window = masked[at : at + MAX_WINDOW_CHARS]
        ends: list[int] = []
        done = at
        for piece in segment(language, window):
            done += len(piece)
            ends.append(done)
        is_last = at + len(window) >= len(masked)
        if is_last:
            breaks.update(ends)
            break
        breaks.update(ends[:-1])
        # A sentence longer than a window goes on in the next one, cut at a space where there is one.
        at = ends[-2] if len(ends) > 1 else at + max(window.rfind(" ") + 1, MAX_WINDOW_CHARS // 2)
    return breaks


def _without_bare_marks(masked: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """A sentence of punctuation only goes with the one before it, the first with the one after it."""
    kept: list[tuple[int, int]] = []
    waiting: int | None = None
    for low, high in spans:
        if not _LETTER_OR_DIGIT.search(masked, low, high):
            if kept:
                kept[-1] = (kept[-1][0], high)
            elif waiting is None:
                waiting = low
            continue
        kept.append((low if waiting is None else waiting, high))
        waiting = None
    if waiting is not None:
        kept.append((waiting, spans[-1][1]))
    return kept


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
