"""Text as interleaf counts, cleans and matches it: no language models, no dependencies.

Cleaning keeps every offset: one code point in, one code point out, so that a source span
(`start`, `end` in code points) means the same in the file a person wrote and in what we keep.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["clean", "clean_line", "count_words", "fold_space", "is_cjk", "terms"]

# Han, Hiragana, Katakana (full and half width), Bopomofo, Hangul syllables are handled apart: Korean
# separates words by spaces, so Hangul counts by word; the others count one word per character.
_CJK_RANGES = (
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3040-\u30ff\u3100-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_CJK = re.compile(f"[{_CJK_RANGES}]")
_CJK_RUN = re.compile(f"[{_CJK_RANGES}]+")
# A word: letters and digits with inner apostrophes, hyphens, dots and commas (3.14, don't, e.g).
_WORD = re.compile(r"[^\W_]+(?:['’\-.,·][^\W_]+)*")
# Never shown and never meant: C0/C1 controls but tab and newline, bidirectional marks and overrides, tag characters,
# invisible operators, fillers, what is deprecated or not assigned among the invisible.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u17b4\u17b5\u200e\u200f\u202a-\u202e\u2061-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
# Without a width of their own, but meant where one stands alone: joiners of Persian, Indic scripts and emoji, breaks of
# Thai and Khmer, soft hyphens, selectors of variants. A run of them is a message that no reader sees; so is a selector
# of an ideograph's variant after anything else.
_WIDTHLESS = "\u00ad\u034f\u115f\u1160\u180b-\u180f\u200b-\u200d\u2060\ufe00-\ufe0f\U000e0100-\U000e01ef"
_HIDDEN_RUN = re.compile(f"[{_WIDTHLESS}]{{3,}}|(?<![{_CJK_RANGES}])[\U000e0100-\U000e01ef]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """`text` with control, override and tag characters and runs of characters without a width as spaces, lone
    surrogates as U+FFFD and carriage returns as line ends. The length in code points never changes."""
    text = text.replace("\r\n", " \n").replace("\r", "\n")
    text = _SURROGATE.sub("\ufffd", text)
    text = _HIDDEN.sub(" ", text)
    return _HIDDEN_RUN.sub(lambda run: " " * len(run[0]), text)


def clean_line(text: str) -> str:
    """`clean`, folded to one line without outer space: for titles, captions, names. May shorten."""
    return fold_space(clean(text))


def fold_space(text: str) -> str:
    """Runs of white space as one space, none at the ends."""
    return _SPACE.sub(" ", text).strip()


def is_cjk(text: str) -> bool:
    """Whether at least half of the words of `text` are Chinese or Japanese characters."""
    cjk = len(_CJK.findall(text))
    return cjk > 0 and cjk * 2 >= count_words(text)


def count_words(text: str) -> int:
    """Words as LongBench-Write counts them: space-separated words, and one for each CJK character."""
    rest, cjk = _CJK.subn(" ", text)
    return cjk + len(_WORD.findall(rest))


def terms(text: str) -> list[str]:
    """Index terms for lexical matching: case-folded words, and bigrams of each CJK run
    (a run of one character gives that character)."""
    text = unicodedata.normalize("NFKC", text).casefold()
    found: list[str] = []
    for run in _CJK_RUN.findall(text):
        found += [run[i : i + 2] for i in range(len(run) - 1)] if len(run) > 1 else [run]
    return found + _WORD.findall(_CJK_RUN.sub(" ", text))
