"""Adversarial: strings that make a badly written pattern slow, made from the pattern itself: what it repeats, repeated
without an end, after what it wants before it, and with an end that it does not want."""

from __future__ import annotations

import re
import re._constants as constants
import re._parser as parser
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["METHODS", "is_slow", "pumped"]

METHODS = ("match", "fullmatch", "search", "sub", "split", "findall", "finditer")
# A repetition that may go on for so long counts as one without an end.
MANY = 1_000
ENDS = ("", "\x00", "!")
MAX_PUMPS = 24
# Characters that stand for their kind: the first ones are tried first where a set allows several.
KINDS = [
    *"a 1-_\n.,漢A",
    *(chr(code) for code in range(33, 127)),
    "\t",
    "\r",
    "\u00a0",
    "é",
    "あ",
    "한",
    "٣",
    "\u200b",
    "。",
]
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def is_slow(pattern: re.Pattern[str], methods: Sequence[str], length: int, budget_s: float) -> str:
    """The hostile string's beginning when `pattern` needs more than `budget_s` seconds of this process' own time for
    all its strings of `length` characters; empty when it does not."""
    at = ""
    try:
        with _own_seconds(budget_s):
            for before, pump in pumped(pattern):
                for end in ENDS:
                    text = before + (pump * (length // len(pump) + 1))[: length - len(before)] + end
                    at = f"{before[:20]!r} {pump[:20]!r} {end!r}"
                    for method in methods:
                        _use(pattern, method, text)
    except TimeoutError:
        return at
    return ""


def pumped(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """(what comes before, what is repeated), each once."""
    found = dict.fromkeys(_pumps(parser.parse(pattern.pattern, pattern.flags), ""))
    return list(found)[:MAX_PUMPS]


def _use(pattern: re.Pattern[str], method: str, text: str) -> None:
    if method == "sub":
        pattern.sub("", text)
    elif method == "finditer":
        for _ in pattern.finditer(text):
            pass
    else:
        getattr(pattern, method)(text)


@contextmanager
def _own_seconds(budget_s: float) -> Iterator[None]:
    """TimeoutError after so many seconds of computing, however busy the machine is."""

    def over(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, budget_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _pumps(tree: Any, before: str) -> Iterator[tuple[str, str]]:
    items = list(tree)
    for k, (operation, detail) in enumerate(items):
        ahead = before + _examples(items[:k])[0]
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _, most, body = detail
            if most == constants.MAXREPEAT or most >= MANY:
                yield from ((ahead, example) for example in _examples(body) if example)
            yield from _pumps(body, ahead)
        elif name == "BRANCH":
            for branch in detail[1]:
                yield from _pumps(branch, ahead)
        elif name == "SUBPATTERN":
            yield from _pumps(detail[3], ahead)
        elif name == "ATOMIC_GROUP":
            yield from _pumps(detail, ahead)
        elif name in ("ASSERT", "ASSERT_NOT"):
            yield from _pumps(detail[1], ahead)


def _examples(tree: Any) -> list[str]:
    """A few strings that a piece of a pattern takes; at least one, be it empty."""
    found = [""]
    for operation, detail in tree:
        found = [
            text + more for text in found[:6] for more in _of_one(str(operation), detail)[: 12 if len(found) < 3 else 3]
        ]
        found = found[:24] or [""]
    return found


def _of_one(name: str, detail: Any) -> list[str]:
    if name == "LITERAL":
        return [chr(detail)]
    if name == "NOT_LITERAL":
        return [kind for kind in KINDS if ord(kind) != detail][:2]
    if name == "ANY":
        return ["a", " "]
    if name == "IN":
        return [kind for kind in KINDS if _is_in(kind, detail)][:3] or [_first_of(detail)]
    if name == "BRANCH":
        return [example for branch in detail[1][:40] for example in _examples(branch)[:2]]
    if name == "SUBPATTERN":
        return _examples(detail[3])
    if name == "ATOMIC_GROUP":
        return _examples(detail)
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, _, body = detail
        return [example * max(least, 1) for example in _examples(body)][:3] + ([""] if least == 0 else [])
    return [""]  # what stands for a place: anchors, groups again, looks ahead and behind


def _is_in(character: str, members: Any) -> bool:
    negated = hit = False
    for operation, detail in members:
        name = str(operation)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            hit |= ord(character) == detail
        elif name == "RANGE":
            hit |= detail[0] <= ord(character) <= detail[1]
        else:
            hit |= re.match(_CATEGORIES[str(detail)], character) is not None
    return hit != negated


def _first_of(members: Any) -> str:
    operation, detail = members[0]
    return chr(detail if str(operation) == "LITERAL" else detail[0])
