"""Coreference: sentences that lean on one before them, and sentences that point at what may not be there.

Nothing is resolved or rewritten: the draft takes the sentence before along, or leaves the sentence out.
Word lists for English, German, French, Spanish, Chinese, Japanese and Korean; another language has none.
"""

from __future__ import annotations

import re
from functools import lru_cache

from agents.words.pronoun import OPENERS

__all__ = ["introduces_next", "leans_back", "points_at_figure", "points_elsewhere"]

MAX_HEAD_CHARS = 160
_MARKS = re.compile(r"^[\s\"'“„«‘「『（(\[*_>¿¡—–\-…]+")
_SPACE = re.compile(r"\s+")

# It is possible that …: an `it` that stands for nothing.
_EXPLETIVE = {
    "en": re.compile(
        r"it (?:is|was|has been|may be|might be|can be|will be|would be|seems|appears|turns out|takes|took|rains|rained"
        r"|snowed)\b(?=.{0,120}\b(?:that|to|when|because|who|how|why|whether|if|not until)\b|[^,;]{0,30}\brain)"
        r"|it (?:is|was) (?:already |only |late |early |\w+ o'clock|(?:in )?\d{4}\b){0,2}"
        r"(?:spring|summer|autumn|winter|morning|evening|night)?[.,]"
        r"|(?:that|this) is (?:why|how) (?=\w+ing\b)"
        r"|(?:both|another|such|one) (?:\w+ ){1,3}and\b"
        r"|so[- ]called\b|so (?:far|long as)\b|still (?:life|water|air)\b|(?:then|now) and\b"
        r"|(?:also|again) known\b|first (?:aid|world)\b|next to\b|here (?:is|are)\b|finally free\b",
        re.I,
    ),
    "de": re.compile(
        r"es (?:gibt|gab|handelt sich|regnet|regnete|schneit|war einmal|geht um|fehlt|lohnt sich|dauert|kommt|heißt)\b"
        r"|es (?:ist|war|wird|scheint|gilt|bleibt)\b(?=.{0,120}\b(?:dass|zu|ob|wenn|wie)\b)"
        r"|so genannt|auch wenn\b|und so\b",
        re.I,
    ),
    "fr": re.compile(
        r"il (?:y a|y avait|faut|fallait|fallut|existe|existait|s['’]agit"
        r"|pleut|pleuvait|neige|convient|reste|suffit|arrive)\b"
        r"|il (?:est|était|sera|fut|semble|paraît)\b(?=.{0,120}\b(?:que|de|d['’])\b)|aussi bien\b",
        re.I,
    ),
    "es": re.compile(r"(?:es|era|fue) (?:\w+ ){0,2}(?:que|\w+r)\b|así como\b|y/o\b", re.I),
}
# In 1843 it was …: the pronoun after a short opening that holds no name.
_DELAYED = {
    "en": re.compile(
        r"(?:in|by|after|since|during|from|at|on|around|until|before) (?:\w+ ){0,2}?"
        r"(?:\d{1,4}s?|that \w+|this \w+|the same \w+|his \w+|her \w+|their \w+|its \w+),? "
        r"(?:he|she|it|they|his|her|their|its)\b"
        r"|(?:when|while|after|before|although|though|because|since|if|once|as) (?:he|she|they|it)\b"
        r"|(?:today|later|now|soon|often|sometimes|usually|eventually|originally|initially|unfortunately|there),? "
        r"(?:he|she|it|they)\b"
        r"|(?:most|some|many|all|both|each|one|none|two|three|several|few) of "
        r"(?:them|these|those|this|it|its|their|his|her)\b",
        re.I,
    ),
    "de": re.compile(
        r"(?:im|in|seit|nach|ab|bis|um|am|von) (?:\w+ ){0,2}?\d{1,4}\.? (?:\w+ )?(?:er|sie|es)\b"
        r"|(?:als|wenn|nachdem|bevor|obwohl|weil|da|während) (?:er|sie|es)\b"
        r"|(?:heute|später|bald|oft|manchmal|meist|schließlich|ursprünglich) \w+ (?:er|sie|es)\b",
        re.I,
    ),
    "fr": re.compile(
        r"(?:en|dès|depuis|vers|après|avant) (?:\w+ )?\d{1,4},? (?:il|elle|ils|elles)\b"
        r"|(?:lorsqu|quand|après qu|puisqu|bien qu|comme|si|s|tandis qu)['’ ]+(?:il|elle|ils|elles)\b"
        r"|(?:aujourd['’]hui|plus tard|bientôt|souvent|parfois|finalement),? (?:il|elle|ils|elles)\b",
        re.I,
    ),
    "es": re.compile(
        r"(?:cuando|mientras|aunque|porque|si|después de que) (?:él|ella|ellos|ellas|lo|la|los|las)\b", re.I
    ),
}
# Noun phrases that begin like a pronoun but name their own thing: "Das alte Haus", "That the sea rises is…".
_GERMAN_ARTICLE = re.compile(r"(?:das|der|die|dem|den)\s+(\w+)", re.I)
_GERMAN_VERBS = frozenset(
    [
        "ist",
        "war",
        "sind",
        "waren",
        "hat",
        "hatte",
        "haben",
        "hatten",
        "wird",
        "wurde",
        "werden",
        "wurden",
        "macht",
        "machte",
        "machen",
        "kann",
        "konnte",
        "soll",
        "sollte",
        "führt",
        "führte",
        "bedeutet",
        "bedeutete",
        "heißt",
        "hieß",
        "gilt",
        "galt",
        "liegt",
        "lag",
        "zeigt",
        "zeigte",
        "geht",
        "ging",
        "muss",
        "musste",
        "darf",
        "klingt",
        "gelingt",
        "gelang",
        "hilft",
        "half",
        "gefällt",
        "reicht",
        "genügt",
        "bleibt",
        "blieb",
        "kommt",
        "kam",
        "steht",
        "stand",
        "erklärt",
        "erlaubt",
        "spart",
        "funktioniert",
        "kostet",
        "dauert",
        "gibt",
        "gab",
        "sorgt",
        "sorgte",
        "verhindert",
        "ermöglicht",
        "alles",
        "alleine",
        "allein",
    ]
)


def leans_back(sentence: str, language: str) -> bool:
    """Whether the sentence needs the one before it: it begins with a pronoun or a connective.

    `language` is a primary tag. The sentence may carry inline mark-up.
    """
    openers = _openers(language)
    if openers is None:
        return False
    head = _SPACE.sub(" ", _MARKS.sub("", sentence[:MAX_HEAD_CHARS]))
    if (expletive := _EXPLETIVE.get(language)) is not None and expletive.match(head):
        return False
    if openers.match(head):
        return True
    if (delayed := _DELAYED.get(language)) is not None and delayed.match(head):
        return True
    if language == "de" and (found := _GERMAN_ARTICLE.match(head)):
        return found.group(1) in _GERMAN_VERBS
    return False


@lru_cache(maxsize=16)
def _openers(language: str) -> re.Pattern[str] | None:
    openers = OPENERS.get(language)
    if openers is None:
        return None
    # Longest first, so that "for example" is seen before "for". A space at an end is part of the opener.
    parts = sorted({word.lstrip() for word in openers.words.split(",") if word.strip()}, key=lambda w: (-len(w), w))
    body = "|".join(re.escape(part) for part in parts)
    end = r"(?!\w)" if openers.spaced else ""
    unless = f"(?!{openers.unless})" if openers.unless else ""
    return re.compile(f"{unless}(?:{body}){end}", re.I)


# --- pointing ------------------------------------------------------------------------------------------------
_FIGURE_WORDS = (
    r"\b(?:figures?|figs?\.|photos?|photographs?|pictures?|images?|illustrations?|diagrams?|plates?|maps?|charts?"
    r"|abbildung(?:en)?|abb\.|bild(?:er)?|foto|fotos|skizze|karte|figuras?|imagen|imágenes|fotografías?|ilustración|gráfico"
    r"|schéma|carte|photographies?)"
)
_POINTING = (
    r"\s*(?:\(?\d{1,3}(?:[.\-]\d{1,3})?|above|below|at (?:the )?(?:left|right)|on (?:the )?(?:left|right)|opposite"
    r"|oben|unten|links|rechts|ci-dessus|ci-dessous|ci-contre|suivante?|de (?:arriba|abajo)|siguiente|anterior)"
)
_FIGURE = re.compile(
    _FIGURE_WORDS
    + _POINTING
    + r"|\b(?:obigen?|folgenden?|nebenstehenden?|following|above|below|preceding|accompanying)\s"
    + _FIGURE_WORDS
    + r"|如?[下上右左][图圖]|如[图圖]|[图圖]\s?\d|下図|上図|右図|左図|図\s?\d|図の(?:よう|通り|とおり)"
    r"|[下上右左以次]の?(?:写真|画像|図|絵|イラスト)|(?:写真|画像)の(?:よう|通り|とおり)"
    r"|그림\s?\d|(?:아래|위|다음)의?\s(?:그림|사진|도표)",
    re.I,
)
_ELSEWHERE = re.compile(
    r"\b(?:tables?|box|sections?|chapters?|appendix|equations?|eqs?\.|exercises?|listing|footnotes?|pages?|part|unit|lesson"
    r"|tabellen?|kapitel|abschnitt|seite|anhang|gleichung|tableau|chapitre|annexe|équation|tabla|capítulo|sección|página)"
    r"\s(?:\d{1,3}|[ivxIVX]{1,5}\b|[A-Z]\b)"
    r"|\b(?:table|list|equation|example|code|section|chapter|paragraph|discussion)s?\s(?:above|below)\b"
    r"|\b(?:as )?(?:mentioned|described|discussed|noted|shown|stated|seen|explained|listed)"
    r"\s(?:above|below|earlier|previously|later)\b"
    r"|\b(?:see|click) (?:above|below|here|the (?:link|section|chapter|table|box))\b"
    r"|\b(?:in|of) (?:this|the (?:next|previous|last|following|preceding)) "
    r"(?:chapter|section|article|post|lesson|module|unit|page|book)\b"
    r"|\bthis (?:chapter|section|article|post|lesson|module|unit|page|appendix)\b"
    r"|\b(?:siehe|wie|s\.)\s(?:oben|unten)\b|\b(?:oben|unten) (?:genannt|beschrieben|gezeigt|erwähnt)"
    r"|\bin diese[mr] (?:kapitel|abschnitt|artikel|beitrag)"
    r"|\b(?:voir|comme) (?:ci-dessus|ci-dessous|plus haut|plus bas)"
    r"|\bci-(?:dessus|dessous|après|avant)\b|\bdans ce(?:t)? (?:chapitre|article)"
    r"|\b(?:véase|como se) (?:arriba|abajo|más (?:arriba|abajo|adelante))"
    r"|\ben est[ea] (?:capítulo|artículo|sección)"
    r"|[下上]表|如下表|表\s?\d|见[下上]文|見[下上]文|本章|本节|本節|上一?[节節章]|下一?[节節章]|上述|如上所|如前所"
    r"|以下の表|前述|後述|上記|下記|本章|この章|この記事|今回の記事|前回|次回"
    r"|표\s?\d|위에서|앞에서|아래에서|이 장에서|다음 장|이 글에서",
    re.I,
)


def points_at_figure(sentence: str) -> bool:
    """Whether the sentence points at a picture: "see Figure 3", "the map below", "如图"."""
    return bool(_FIGURE.search(sentence))


def points_elsewhere(sentence: str) -> bool:
    """Whether it points at a table, page, chapter or passage that a new piece may not have."""
    return bool(_ELSEWHERE.search(sentence))


# --- introducing ---------------------------------------------------------------------------------------------
_COLON_END = re.compile(r"[:：][\s*_\"'”’)\]]*$")
_AS_FOLLOWS = re.compile(
    r"\b(?:as follows|the following(?: \w+){0,3}|(?:shown|listed|given) below|looks? like this|like this|like so)"
    r"|\b(?:wie folgt|folgendermaßen|folgende[smnr]?(?: \w+){0,3}|so aus)"
    r"|\b(?:comme suit|suivante?s?|ci-dessous|que voici)"
    r"|\b(?:siguientes?|como sigue|a continuación|así)"
    r"|如下(?:所示)?|以下(?:几|幾)?|下面|下列|以下|下記|次の(?:よう|とおり|通り|コード|コマンド|手順|表)|こんな(?:感じ|具合|風)"
    r"|このように|(?:다음과 같|다음의?|아래와 같|아래의?)",
    re.I,
)
MAX_TAIL_CHARS = 60


def introduces_next(sentence: str, *, before_whole: bool) -> bool:
    """Whether the sentence has no sense without what follows it: it ends with a colon, or, before a list, table,
    quotation, code or picture (`before_whole`), its end says that something follows."""
    if _COLON_END.search(sentence):
        return True
    return before_whole and bool(_AS_FOLLOWS.search(sentence[-MAX_TAIL_CHARS:]))
