"""Cue: words with which a text asks for a picture, numbers figures, and counts steps.

Languages: English, German, French, Spanish, Chinese, Japanese, Korean. All patterns are tried on every
text, because notes mix languages and a pattern of one language hardly ever matches in another.
Every pattern is a plain alternation over bounded pieces: linear in the text's length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from interleaf.text import fold_space

__all__ = [
    "Cue",
    "Sequence",
    "ends_with_colon",
    "figure_mentions",
    "find_cue",
    "number_parts",
    "sequence_of",
    "step_number",
]

# A block is read only so far from each end: who points at a picture does it near the place.
MAX_READ_CHARS = 4_000

_EN = (
    r"(?:figures?|fig\.|images?|pictures?|photos?|photographs?|diagrams?|charts?|graphs?|maps?|screenshots?|"
    r"illustrations?|drawings?|plots?|sketch(?:es)?)"
)
_DE = (
    r"(?:Abbildung(?:en)?|Abb\.|Bild(?:er)?|Fotos?|Grafik(?:en)?|Diagramm(?:e)?|Karte|Skizze|Zeichnung|"
    r"Screenshots?|Schaubild)"
)
_FR = r"(?:figures?|images?|photos?|sch[ée]mas?|graphiques?|cartes?|illustrations?|captures?|clich[ée]s?|dessins?)"
_ES = (
    r"(?:figuras?|im[áa]gen(?:es)?|fotos?|fotograf[íi]as?|gr[áa]ficos?|gr[áa]ficas?|diagramas?|mapas?|capturas?|"
    r"ilustraci[óo]n(?:es)?|dibujos?)"
)
_ZH = r"(?:图|圖|照片|图片|圖片|截图|示意图)"
_JA = r"(?:図|写真|画像|グラフ|地図|スクリーンショット|イラスト)"
_KO = r"(?:그림|사진|이미지|도표|그래프|지도|화면)"

_BELOW = re.compile(
    "|".join(
        (
            rf"\b{_EN}\s+(?:shown\s+)?(?:below|here|to the (?:right|left)|that follows?)\b",
            rf"\b(?:following|next|accompanying)\s+(?:\w+\s+)?{_EN}\b",
            r"\b(?:shown|seen|pictured|illustrated|depicted|plotted|displayed)\s+(?:just\s+)?(?:below|here)\b",
            r"\blooks?\s+(?:something\s+)?like\s+(?:this|these|so)\b",
            r"\b(?:like|as)\s+(?:this|so|follows)\s*[:：]",
            r"\bhere(?:'|’)?s\s+(?:what|how|the|a|an)\b|\bhere\s+(?:is|are)\s+(?:what|how|the|a|an|some)\b",
            rf"\b(?:folgende[nrsm]?|n[äa]chste[nrsm]?|untenstehende[nrsm]?|nebenstehende[nrsm]?)\s+{_DE}\b",
            rf"\b{_DE}\s+(?:unten|hier|rechts|links)\b",
            r"\b(?:unten|nachfolgend|hier)\s+(?:gezeigt|abgebildet|dargestellt|zu\s+sehen)\b",
            r"\bsieht\s+(?:dann\s+|das\s+|etwa\s+|so\s+)?so\s+aus\b|\bso\s+sieht\b",
            rf"\b{_FR}\s+(?:ci-dessous|ci-contre|ci-apr[èe]s|suivante?s?)\b",
            r"\bci-dessous\b|\bci-contre\b|\bressemble\s+[àa]\s+(?:ceci|cela|[çc]a)\b|\bvoici\b",
            rf"\b{_ES}\s+(?:de\s+abajo|inferior|a\s+continuaci[óo]n|siguientes?)\b|\bsiguientes?\s+{_ES}\b",
            r"\bse\s+(?:ve|muestra|ver[íi]a)\s+as[íi]\b|\ba\s+continuaci[óo]n\s+se\s+(?:muestra|ve)",
            rf"如\s*下?\s*{_ZH}|下\s*面?的?\s*{_ZH}|以下\s*{_ZH}|右{_ZH}|左{_ZH}|如下(?:所示)?\s*[：:]?|见\s*{_ZH}|見\s*{_ZH}",
            rf"(?:下|次|以下|右|左)の?{_JA}|こんな(?:感じ|ふう|風|具合|やつ)|このような感じ|こちら(?:です|が|になります)",
            rf"(?:아래|다음|오른쪽|왼쪽)의?\s*{_KO}|이렇게\s*(?:생겼|보|됩|나옵)",
        )
    ),
    re.IGNORECASE,
)
_ABOVE = re.compile(
    "|".join(
        (
            rf"\b{_EN}\s+(?:shown\s+)?above\b|\babove\s+{_EN}\b|\b(?:shown|seen|pictured|depicted)\s+above\b",
            rf"\b(?:this|that|these)\s+{_EN}\b",
            rf"\b{_DE}\s+oben\b|\bobige[nrsm]?\s+{_DE}\b|\boben\s+(?:gezeigt|abgebildet|dargestellt|zu\s+sehen)\b",
            rf"\b(?:diese[smr]?|auf\s+dem)\s+{_DE}\b",
            rf"\b{_FR}\s+(?:ci-dessus|pr[ée]c[ée]dente?s?)\b|\bci-dessus\b|\bcette\s+{_FR}\b|\bce\s+{_FR}\b",
            rf"\b{_ES}\s+(?:de\s+arriba|superior|anterior(?:es)?)\b|\besta\s+{_ES}\b|\beste\s+{_ES}\b",
            rf"上\s*面?的?\s*{_ZH}|以上\s*{_ZH}|这张\s*{_ZH}|這張\s*{_ZH}|{_ZH}\s*中",
            rf"(?:上|前|この|これらの)の?{_JA}",
            rf"(?:위|앞|이)의?\s*{_KO}",
        )
    ),
    re.IGNORECASE,
)
_MENTION = re.compile(
    "|".join(
        (
            rf"\b(?:as\s+)?(?:shown|seen|pictured|illustrated|depicted|plotted)\s+(?:in|on|by)\s+(?:the\s+)?{_EN}",
            rf"\bsee\s+(?:the\s+)?(?:\w+\s+)?{_EN}\b|\b(?:in|on)\s+the\s+{_EN}\b|\bthe\s+figure[a-h]?\b",
            rf"\bsiehe\s+(?:auch\s+)?(?:die\s+|das\s+)?{_DE}|\b(?:zeigt|zeigen)\s+(?:die|das|der)\s+{_DE}|\b(?:im|in\s+der)\s+{_DE}\b",
            rf"\bvoir\s+(?:la\s+|le\s+|l['’])?{_FR}|\bcomme\s+(?:le|la)\s+montre\b|\bsur\s+(?:la|le|cette)\s+{_FR}\b",
            rf"\b(?:v[ée]ase|ver)\s+(?:la\s+|el\s+)?{_ES}|\bcomo\s+se\s+(?:muestra|ve|observa|aprecia)\b|\ben\s+la\s+{_ES}\b",
            rf"{_ZH}\s*所示|{_JA}の(?:よう|通り|とおり)|{_KO}(?:과|와)\s*같이|{_KO}에서",
        )
    ),
    re.IGNORECASE,
)

_NUMBER = r"(\d{1,3}(?:[.\-–]\d{1,3}){0,2}[a-h]?)"
_LABEL = (
    r"(?:\b(?:figures?|figs?\.?|images?|pictures?|photos?|plates?|exhibits?|charts?|diagrams?|maps?|illustrations?|"
    r"abbildung(?:en)?|abb\.|bild|foto|grafik|karte|sch[ée]mas?|graphique|carte|figuras?|imagen|gr[áa]fico|mapa)"
    r"|图|圖|図|图片|圖片|写真|画像|그림|사진)"
)
_FIGURE_NUMBER = re.compile(rf"{_LABEL}\s{{0,2}}[(（#№]?\s?{_NUMBER}(?!\d)", re.IGNORECASE)
_STEP = re.compile(
    r"(?:\b(?:steps?|schritt|[ée]tape|paso|stage|part|teil|phase|day|tag|jour|d[íi]a)\s{0,2}|步骤\s?|步驟\s?|手順\s?|ステップ\s?|단계\s?|第\s?)(\d{1,3})"
    r"|(\d{1,3})\s?(?:단계|番目|日目)",
    re.IGNORECASE,
)
_LEADING_NUMBER = re.compile(r"^\W{0,3}(\d{1,3})(?:\s*[.)、．:：）]|\s+-)\s*(?=\D)")
_TRAILING_NUMBER = re.compile(r"^(?=.{1,60}$)(.*?\D)[\s(#（_\-]{0,3}(\d{1,3})[)）]?$", re.DOTALL)
_COLON_END = re.compile(r"[:：]\s*[*_\"'”’)\]]{0,3}\s*$")


@dataclass(frozen=True)
class Cue:
    """`words` as they stand in the text. `direction`: where the picture is, seen from the text."""

    words: str
    direction: str  # "below", "above" or "any"


@dataclass(frozen=True)
class Sequence:
    """A caption's place in a counted series: `kind` names the series ("figure", "step", a shared stem)."""

    kind: str
    number: tuple[int, ...]


def ends_with_colon(text: str) -> bool:
    """Whether the text ends with a colon: something is to follow."""
    return _COLON_END.search(text[-40:]) is not None


def find_cue(text: str) -> Cue | None:
    """The strongest pointing phrase of a text: one that points below first, then above, then anywhere."""
    # Folded: a paragraph of blanks would be tried from each of them.
    read = fold_space(text)
    if len(read) > MAX_READ_CHARS:
        read = read[: MAX_READ_CHARS // 2] + "\n" + read[-MAX_READ_CHARS // 2 :]
    for pattern, direction in ((_BELOW, "below"), (_ABOVE, "above"), (_MENTION, "any")):
        if found := pattern.search(read):
            return Cue(fold_space(found.group()), direction)
    return None


def figure_mentions(text: str) -> tuple[str, ...]:
    """Numbers of the figures that a text names ("Figure 3", "图 2.1"), in order, without repeats."""
    return tuple(dict.fromkeys(found.group(1).lower() for found in _FIGURE_NUMBER.finditer(text)))


def step_number(text: str) -> int | None:
    """The number with which a text begins as an item ("3. Knead …") or that it names as a step ("Step 3")."""
    head = text[:80]
    if found := _LEADING_NUMBER.match(head):
        return int(found.group(1))
    if found := _STEP.search(head):
        return int(found.group(1) or found.group(2))
    return None


def sequence_of(caption: str) -> Sequence | None:
    """The series and number that a caption carries: a figure label at its head, a step, or a number at its end."""
    text = fold_space(caption)
    if not text:
        return None
    if (found := _FIGURE_NUMBER.search(text[:60])) and found.start() <= 2:
        return Sequence("figure", number_parts(found.group(1)))
    if (found := _STEP.search(text[:60])) and found.start() <= 12:
        return Sequence("step", (int(found.group(1) or found.group(2)),))
    if found := _LEADING_NUMBER.match(text):
        return Sequence("item", (int(found.group(1)),))
    if found := _TRAILING_NUMBER.match(text):
        return Sequence("stem " + found.group(1).strip().casefold(), (int(found.group(2)),))
    return None


def number_parts(number: str) -> tuple[int, ...]:
    """A written number as it sorts: "3.2b" is (3, 2, 1)."""
    digits = re.findall(r"\d+", number)
    letter = re.search(r"[a-h]$", number.lower())
    return (*map(int, digits), *((ord(letter.group()) - ord("a"),) if letter else ()))
