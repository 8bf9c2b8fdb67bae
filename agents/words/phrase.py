"""Phrase: a heading taken from the text itself: its most characteristic words, in their form and order.

A candidate stands between function words and punctuation, or joins two such groups by a link ("the bridges of
the valley"). It never begins or ends with a function word, so that no clause is cut off.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agents.notes.sentence import word_spans
from agents.words.function_words import CJK_FUNCTION_CHARS, KOREAN_ENDINGS, LINKS, NOUN_CUES, function_words
from interleaf.text import fold_space, is_cjk

__all__ = ["Phrase", "PhraseFinder", "find_phrase", "shortened"]

MAX_WORDS = 6
MAX_PART_WORDS = 3  # of words in a row without a link
MAX_CJK_CHARS = 14
MAX_READ_CHARS = 30_000  # of a section; its subject is named long before
MAX_BACKGROUND_CHARS = 400_000

_HIDDEN = re.compile(
    r"\]\([^()\n]{0,2000}\)|`[^`\n]{0,500}`|https?://\S{1,2000}|<[^<>\n]{1,500}>|\S{1,200}@\S{1,200}|\[\^[^\]\n]{1,100}\]"
)
_WORD = re.compile(r"[^\W_]+(?:['’\-‐·.][^\W\d_]+|[’'](?=\s))*")
_KANJI_OR_KATAKANA = re.compile(
    r"[々\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff]{2,12}(?:の[々\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff]{2,8})?"
)
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_LAST_WORD = re.compile(r"([^\W\d_]+)['’]?\s*$")


@dataclass(frozen=True)
class Phrase:
    """`text` as a heading; it stands in `texts[index][start:end]`, but for a capital at its beginning.
    `index` is -1 when the texts hold no usable phrase and the first words of the first text were taken."""

    text: str
    index: int
    start: int
    end: int


@dataclass(frozen=True)
class _Candidate:
    words: tuple[str, ...]  # folded words that mean something
    index: int
    start: int
    end: int
    whole: bool  # stands as a whole group of words, not as a part of a longer one
    cued: bool  # stands after a word that announces a noun ("the", "of")


class PhraseFinder:
    """Finds headings for the sections of one piece; `background` is all of its text, read once."""

    def __init__(self, background: Sequence[str], language: str) -> None:
        self._language = language
        self._background_texts = len(background)
        self._everywhere = Counter(
            word for c in _candidates(background, language, MAX_BACKGROUND_CHARS) if c.whole for word in c.words
        )

    def find(self, texts: Sequence[str], avoid: Iterable[str] = ()) -> Phrase:
        """The phrase that names what `texts` are about and the rest of the piece is not. Phrases whose words all
        stand in one of `avoid` (the title, the headings above) are passed over where another is left."""
        candidates = list(_candidates(texts, self._language, MAX_READ_CHARS))
        own = Counter(word for c in candidates for word in c.words if c.whole)
        repeats = Counter(c.words for c in candidates)
        cued = {c.words for c in candidates if c.cued}
        parts = _parts_of_longer(repeats)
        said = [words for words in (set(_folded_words(text)) for text in avoid) if words]
        best: tuple[float, int] | None = None
        for number, candidate in enumerate(candidates):
            words = candidate.words
            if words in parts or set(words) in said:
                continue
            score = _score(candidate, own, self._everywhere, repeats[words], self._background_texts, words in cued)
            if any(set(words) <= known for known in said):
                score *= 0.05
            elif any(known <= set(words) for known in said):
                score *= 0.5
            if best is None or score > best[0] * (1 + 1e-9):
                best = (score, number)
        if best is None:
            return _opening_words(texts)
        chosen = candidates[best[1]]
        written = fold_space(texts[chosen.index][chosen.start : chosen.end])
        return Phrase(written[:1].upper() + written[1:], chosen.index, chosen.start, chosen.end)

    def find_common(self, texts: Sequence[str]) -> Phrase:
        """The phrase that most of `texts` share: a title for all of them."""
        candidates = list(_candidates(texts, self._language, MAX_BACKGROUND_CHARS))
        cued = {c.words for c in candidates if c.cued}
        where: dict[tuple[str, ...], set[int]] = {}
        repeats = Counter(c.words for c in candidates)
        for candidate in candidates:
            where.setdefault(candidate.words, set()).add(candidate.index)
        best: tuple[float, int] | None = None
        for number, candidate in enumerate(candidates):
            words = candidate.words
            score = len(where[words]) ** 2 * math.log1p(repeats[words])
            score *= {1: 0.7, 2: 1.2, 3: 1.2}.get(len(words), 0.8) * (1.0 if words in cued else 0.5)
            if best is None or score > best[0] * (1 + 1e-9):
                best = (score, number)
        if best is None:
            return _opening_words(texts)
        chosen = candidates[best[1]]
        written = fold_space(texts[chosen.index][chosen.start : chosen.end])
        return Phrase(written[:1].upper() + written[1:], chosen.index, chosen.start, chosen.end)


def shortened(text: str, most_chars: int) -> str:
    """`text`, or as many of its first words as fit, with an ellipsis: a source may call anything its heading."""
    if len(text) <= most_chars:
        return text
    cut = text[: most_chars - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space else cut).rstrip() + "…"


def find_phrase(texts: Sequence[str], background: Sequence[str], language: str, avoid: Iterable[str] = ()) -> Phrase:
    """`PhraseFinder(background, language).find(texts, avoid)`, for a single heading."""
    return PhraseFinder(background, language).find(texts, avoid)


def _parts_of_longer(repeats: Counter[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Phrases that nearly always stand within a longer repeated one: "white blood" in "white blood cells"."""
    parts: set[tuple[str, ...]] = set()
    for words, count in repeats.items():
        if len(words) == 3 and count >= 2:
            parts |= {part for part in (words[:2], words[1:]) if count >= 0.6 * repeats[part]}
    return parts


def _score(
    candidate: _Candidate, own: Counter[str], everywhere: Counter[str], repeats: int, background: int, cued: bool
) -> float:
    total = 0.0
    for word in candidate.words:
        inside, overall = own[word] or 1, max(everywhere[word], own[word] or 1)
        rarity = math.log((background + 2) / (min(overall, background) + 1)) + 0.3
        total += (inside / (overall + 0.5)) * math.log1p(inside) * rarity
    n = len(candidate.words)
    score = total / math.sqrt(n + 0.5) * (1 + math.log(repeats))
    score *= {1: 0.6, 2: 1.2, 3: 1.1}.get(n, 0.8)
    score *= 1.0 if cued else 0.5
    if repeats == 1 and not (candidate.whole and cued):
        score *= 0.3  # words that only happen to stand together
    # Texts name their subject early.
    return score * (1.3 if candidate.index == 0 else 1.0) * (1.15 if candidate.start < 200 else 1.0)


def _folded_words(text: str) -> list[str]:
    return [m.group().casefold() for m in _WORD.finditer(text)] if not is_cjk(text) else list(text)


def _candidates(texts: Sequence[str], language: str, left: int) -> Iterator[_Candidate]:
    for index, text in enumerate(texts):
        read = text[: max(0, left)]
        left -= len(read)
        shown = _HIDDEN.sub(lambda m: "|" * len(m.group()), read)
        if is_cjk(shown):
            yield from _cjk_candidates(shown, index, language)
        else:
            yield from _spaced_candidates(shown, index, language)
        if left <= 0:
            return


def _cjk_candidates(text: str, index: int, language: str) -> Iterator[_Candidate]:
    if language.startswith("ja") or re.search("[\u3041-\u3096]", text):
        for found in _KANJI_OR_KATAKANA.finditer(text):
            parts = tuple(found.group().split("の"))
            yield _Candidate(parts, index, found.start(), found.end(), whole=True, cued=True)
        return
    group: list[tuple[int, int]] = []
    for start, end in [*word_spans(text, language), (len(text), len(text))]:
        word = text[start:end]
        means = len(word) >= 2 and not (word[0] in CJK_FUNCTION_CHARS and word[-1] in CJK_FUNCTION_CHARS)
        joined = bool(group) and start == group[-1][1]
        if group and (not means or not joined or end - group[0][0] > MAX_CJK_CHARS):
            yield from _cjk_group(text, group, index)
            group = []
        if means and not word.isdigit() and start < end:
            group.append((start, end))


def _cjk_group(text: str, group: list[tuple[int, int]], index: int) -> Iterator[_Candidate]:
    for size in {min(len(group), 1), min(len(group), 2), min(len(group), 3)}:
        for k in range(len(group) - size + 1):
            part = group[k : k + size]
            words = tuple(text[a:b] for a, b in part)
            if words[0][0] in CJK_FUNCTION_CHARS or words[-1][-1] in CJK_FUNCTION_CHARS:
                continue
            yield _Candidate(words, index, part[0][0], part[-1][1], whole=size == len(group), cued=True)


def _spaced_candidates(text: str, index: int, language: str) -> Iterator[_Candidate]:
    stops = function_words(language)
    english, german = language.startswith("en"), language.startswith("de")
    groups: list[tuple[list[re.Match[str]], bool]] = []  # words in a row; whether a link follows at once
    group: list[re.Match[str]] = []
    pending_link = False
    last_end = 0

    def close(link: bool) -> None:
        nonlocal group
        if group:
            groups.append((group, link))
            group = []
        elif groups and not link:
            groups[-1] = (groups[-1][0], False)

    for word in _WORD.finditer(text):
        between = text[last_end : word.start()]
        last_end = word.end()
        folded = word.group().casefold()
        breaks = between.strip() != "" or (not between and word.start() > 0)
        if breaks:
            close(link=False)
            pending_link = False
        if folded in stops or not any(c.isalpha() for c in folded):
            # "of", "the" in "bridges of the valley" keep the phrase open; any other function word ends it.
            is_link = folded in LINKS and (bool(group) or pending_link)
            close(link=is_link)
            pending_link = is_link
            continue
        if english and group and _verb_like(folded):
            close(link=False)
            pending_link = False
            continue
        group.append(word)
        pending_link = False
    close(link=False)
    for k, (words, linked) in enumerate(groups):
        yield from _from_group(text, words, index, german)
        if linked and k + 1 < len(groups):
            following = groups[k + 1][0]
            if len(words) <= MAX_PART_WORDS and len(following) <= MAX_PART_WORDS:
                both = [*words, *following]
                if both[-1].start() - both[0].start() < 80 and len(both) <= MAX_WORDS:
                    yield from _made(text, both, index, german, whole=True)


def _from_group(text: str, words: list[re.Match[str]], index: int, german: bool) -> Iterator[_Candidate]:
    if len(words) <= MAX_PART_WORDS:
        yield from _made(text, words, index, german, whole=True)
    for size in (1, 2, 3):
        # A part of a longer row counts when the text repeats it: "tight junctions" in "tight junctions form".
        for k in range(len(words) - size + 1 if size < len(words) <= 12 else 0):
            yield from _made(text, words[k : k + size], index, german, whole=False)


def _made(text: str, words: list[re.Match[str]], index: int, german: bool, whole: bool) -> Iterator[_Candidate]:
    start, end = words[0].start(), words[-1].end()
    last = words[-1].group()
    if german and not last[0].isupper():
        return  # a German noun is written with a capital
    if last.casefold().endswith("ly") or len(last) < 3 or (len(words) == 1 and len(last) < 4):
        return
    if _HANGUL.search(last):
        for ending in KOREAN_ENDINGS:
            if last.endswith(ending) and len(last) - len(ending) >= 2:
                end -= len(ending)
                break
    opener = _LAST_WORD.search(text, max(0, start - 24), start)
    cued = opener is not None and opener.group(1).casefold() in NOUN_CUES
    folded = tuple(w.group().casefold() for w in words)
    yield _Candidate(folded, index, start, end, whole=whole, cued=cued)


def _verb_like(word: str) -> bool:
    """English words that, after a noun, are almost always a verb or an adverb."""
    return len(word) > 4 and (word.endswith(("ed", "ly")) and not word.endswith(("eed", "family")))


def _opening_words(texts: Sequence[str]) -> Phrase:
    """When nothing else is left: the first words of the first text that has any."""
    for text in texts:
        words = fold_space(_HIDDEN.sub(" ", text)).strip("*_#>-• ")
        if words:
            cut = words[:60] if is_cjk(words) else " ".join(words.split()[:5])
            head = re.split(r"[.!?。！？,，;；:：]", cut)[0].strip()[: MAX_CJK_CHARS if is_cjk(words) else 60]
            return Phrase(head or cut, -1, 0, 0)
    return Phrase("", -1, 0, 0)
