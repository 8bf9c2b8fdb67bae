"""Boundary: what decides whether a sentence ends here, where the sentence library is wrong.

All rules look at bounded text on either side, so that a hostile text costs linear time.
"""

from __future__ import annotations

import re

from agents.notes.abbreviation import BEFORE_NUMBER, MAY_END, TITLES, never_last, starters

__all__ = ["closing_end", "extra_breaks", "mask", "no_break"]

# --- what is hidden from the rules: dots in code and addresses say nothing about sentences ---------------
_OPAQUE = re.compile(
    r"(`{1,3})(?!`)[^`\n]{1,400}\1(?!`)"
    r"|(?<=\])\([^()\s]{0,1000}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?(?:\s\"[^\"\n]{0,200}\")?\)"
    r"|<(?:https?://|mailto:)[^<>\s]{1,1000}>"
    r"|\bhttps?://[^\s<>()\[\]]{0,1000}[^\s<>()\[\].,;:!?'\"”’»。、，！？]"
)
# Upper case: code or an address may begin a sentence.
_SHIELD = "X"
# Emphasis and link text in which a break would leave half of the markup behind.
_WHOLE = re.compile(
    r"(\*\*|__)(?=\S)[^*_\n]{1,300}?(?<=\S)\1"
    r"|(?<![\w*])\*(?=[^\s*])[^*\n]{1,300}?(?<=[^\s*])\*(?!\*)"
    r"|\[[^\[\]\n]{1,300}\](?=\(|X)"
)
_TERMINATOR = ".!?…。！？｡．"
_INNER_BREAK = re.compile(r"[.!?…。！？](?=.)")

_CLOSERS = re.compile(r"(?:[\"'”’»›)\]）」』】》〉〕］｣*_~]|\[\^[^\[\]\s]{1,40}\]|\[\d{1,3}\])+")


def mask(text: str) -> str:
    """`text`, as long as before, with code, addresses and ends inside emphasis made unbreakable."""
    if "`" in text or "](" in text or "://" in text or "mailto:" in text:
        text = _OPAQUE.sub(lambda found: _SHIELD * len(found.group()), text)
    if "*" in text or "_" in text or "[" in text:
        text = _WHOLE.sub(_hide_inner_ends, text)
    return text


def _hide_inner_ends(found: re.Match[str]) -> str:
    """The same markup with every sentence end but the last hidden: `**One. Two.**` stays one sentence."""
    whole = found.group()
    body = whole.rstrip("*_]")
    tail = whole[len(body) :]
    if not body:
        return whole
    return _INNER_BREAK.sub(",", body[:-1]) + body[-1] + tail


def closing_end(masked: str, at: int) -> int:
    """`at` moved behind the closing quotes, brackets, emphasis and note marks that belong to its sentence."""
    if not 0 < at < len(masked) or masked[at - 1].isspace():
        return at
    found = _CLOSERS.match(masked, at)
    if found is None:
        return at
    # A quote or emphasis mark with a letter behind it opens something, unless it closes what stands open.
    end = found.end()
    if end < len(masked) and masked[end].isalnum() and found.group()[-1] in "\"'*_~" and masked[end].isascii():
        return at
    return end


# --- breaks that the library does not see -----------------------------------------------------------------
_AFTER_CLOSERS = re.compile(
    r"(?<=\w)[.!?…]{1,3}(?:[*_~]{1,3}|\[\^[^\[\]\s]{1,40}\]|\[\d{1,3}\]){1,4}\s+(?=[\"'“„«‘(\[¿¡*_]{0,3}[^\W\d_])"
)
_BRACKET_END = re.compile(r"[.!?。！？][\"”’」』*_]{0,3}([)）\]])(?:\s+|(?<=[）]))(?=\S)")


def extra_breaks(masked: str) -> set[int]:
    """Breaks after a note mark or emphasis, and after a bracket that holds a whole sentence."""
    breaks: set[int] = set()
    for found in _AFTER_CLOSERS.finditer(masked):
        if _starts_upper(masked[found.end() : found.end() + 8]):
            breaks.add(found.end())
    for found in _BRACKET_END.finditer(masked):
        opener = {")": "(", "）": "（", "]": "["}[found.group(1)]
        begin = masked.rfind(opener, max(0, found.start() - 400), found.start())
        before = masked[:begin].rstrip()[-3:] if begin >= 0 else "x"
        if not before or before.rstrip("\"'”’»*_）)」』")[-1:] in _TERMINATOR:
            breaks.add(found.end())
    return breaks


# --- breaks that are none ---------------------------------------------------------------------------------
_ORDINAL_LANGUAGES = frozenset({"de", "lb", "da", "nb", "nn", "no", "cs", "sk", "hu", "sl", "hr", "et", "fi"})
_WORD_AND_DOT = re.compile(r"([^\W\d_]{1,12}|§|nº)\.$")
_INITIAL = re.compile(r"(?:^|[\s.(\[“„«\"'\-*_])[A-ZÀ-ÖØ-ÞА-Я]\.$")
_ORDINAL = re.compile(r"(?:^|[\s(\-–/])\d{1,3}\.$")
_ENUMERATOR = re.compile(r"[(（]?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)）]$")
_NUMBER_NEXT = re.compile(r"[(\[]?(?:\d|[IVXLC]{1,6}\b|[#§])")
_FIRST_WORD = re.compile(r"[\"'“„«‘(\[¿¡*_]{0,4}([^\W\d_]+[’']?)")
_OPENING = "\"'“„«‘([¿¡*_~ \u00a0\u202f"
_MARK = r"[\"'”’»›)\]）」』】》〉〕］｣*_~\s]"
# It begins at the beginning of a run only: from within a long one, every place would be tried.
_MARKS_END = re.compile(rf"(?<!{_MARK}){_MARK}+$")
_CLOSED = tuple('」』”’"》）)】')
# After a closing quote these go on with the sentence that holds it.
_GOES_ON_JA = re.compile(
    r"と(?!ても|ころ|にかく|りあえず|き)|って|など|という|の(?!ち|ど)|は、|が、|を|に(?!わ)|も、"
    r"|で(?=す|あ|は、)|だ(?=と|っ)|[、,・…。]"
)
_GOES_ON_ZH = re.compile(
    r"[的地等，、；：,;:—]|之(?:类|類|说|說)|这(?:样|句|个|種|种)|這(?:樣|句|個|種)|一(?:词|詞|语|語|句)"
)


def no_break(left: str, right: str, language: str, *, starts_here: bool) -> bool:
    """Whether the candidate break between `left` and `right` is none.

    `left` ends at the break and begins with the sentence when `starts_here`; `right` is what follows.
    """
    body = left.rstrip()
    spaced = len(body) < len(left)
    next_text = right.lstrip()
    spaced = spaced or len(next_text) < len(right)
    if not next_text:
        return False
    if starts_here and _ENUMERATOR.fullmatch(body.lstrip()):
        return True
    if language in ("ja", "zh", "yue") or _is_wide(next_text[0]):
        return _no_break_wide(body, next_text, language, spaced=spaced)
    if not spaced:
        # An end inside a word: J.-C., node.js, 3.5, 「가자.」라고.
        return True
    first = next_text.lstrip(_OPENING)[:1]
    if first.islower() and not _is_camel(next_text.lstrip(_OPENING)):
        return True
    bare = _MARKS_END.sub("", body)
    if not bare.endswith("."):
        return False
    if bare != body and body[-1] not in "*_~":
        # The dot stands inside a closed quote or bracket: an end, not an abbreviation.
        return False
    return _is_abbreviation(bare, next_text, language)


def _is_abbreviation(bare: str, next_text: str, language: str) -> bool:
    usual = starters(language)
    found = _FIRST_WORD.match(next_text)
    first_word = found.group(1) if found else ""
    begins = first_word in usual or first_word[:2] in usual
    never = never_last(language)
    for token in _tokens(bare):
        if token.casefold() in never and not (begins and token.casefold() in MAY_END):
            return True
    word = _WORD_AND_DOT.search(bare)
    if word is not None:
        if word.group(1).casefold() in BEFORE_NUMBER and _NUMBER_NEXT.match(next_text):
            # "No." answers a question; "No. 5" does not.
            return True
        if word.group(1) in TITLES and not begins:
            return True
    if _INITIAL.search(bare) and first_word[:1].isupper() and not begins:
        return True
    return language in _ORDINAL_LANGUAGES and bool(_ORDINAL.search(bare)) and first_word != "" and not begins


def _tokens(bare: str) -> list[str]:
    """The abbreviation that ends `bare` (which ends with a dot): its last word, and `z. B.` as `z.B`."""
    tail = bare[-32:]
    spellings: list[str] = []
    last = _WORD_AND_DOT.search(tail)
    if last is not None:
        start = last.start()
        word_before = tail[start - 1 : start]
        if not word_before or not (word_before.isalnum() or word_before == "."):
            spellings.append(last.group(1))
    parts = re.findall(r"[^\W\d_]{1,6}(?=\.)|-", tail[-20:])
    joined = re.sub(r"[\s\u00a0\u202f]+", "", tail).rstrip(".")
    for length in (4, 3, 2):
        if len(parts) >= length:
            candidate = ".".join(parts[-length:]).replace(".-.", ".-").replace("-.", "-")
            if joined.endswith(candidate) and _free_before(joined, candidate):
                spellings.append(candidate)
    return spellings


def _free_before(joined: str, candidate: str) -> bool:
    # White space was taken out: the candidate's first part must be short, or stand at the start.
    return len(candidate.split(".")[0]) <= 3 or joined == candidate


def _no_break_wide(body: str, next_text: str, language: str, *, spaced: bool) -> bool:
    if body.endswith("."):
        word = _WORD_AND_DOT.search(body)
        if word is not None and word.group(1).isascii() and next_text[:1].isdigit():
            return True
        if not spaced:
            return next_text[:1].isascii() or _is_hangul(next_text[0])
    if spaced or not body.endswith(_CLOSED):
        # A break inside a word of Latin letters (node.js) was handled above; 「。」 and 「！」 end sentences.
        return False
    if language == "ja" or "\u3040" <= next_text[0] <= "\u30ff":
        return bool(_GOES_ON_JA.match(next_text))
    if _is_hangul(next_text[0]):
        return True
    return bool(_GOES_ON_ZH.match(next_text))


def _is_wide(char: str) -> bool:
    return "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff"


def _is_hangul(char: str) -> bool:
    return "\uac00" <= char <= "\ud7af"


def _is_camel(word: str) -> bool:
    """iPhone, eBay, pH: a lower-case first letter that begins a name."""
    return len(word) > 1 and word[0].islower() and word[1].isupper()


def _starts_upper(text: str) -> bool:
    first = text.lstrip(_OPENING)[:1]
    return first.isalpha() and not first.islower()
