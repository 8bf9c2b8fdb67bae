"""Relevance: how much passages have to do with what a person asked for.

Words and sense are joined: the share of the subject's words that a passage holds, and the cosine of sentence
vectors. The instruction's own words of command ("write an article about … from these notes") say nothing
about the subject and are taken off first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.context import Embedder
from agents.notes.block import SourceBlock
from agents.notes.inline import plain_text
from agents.words.function_words import function_words
from agents.words.lexicon import Lexicon, build_lexicon, content_terms
from interleaf.text import fold_space, is_cjk

__all__ = ["block_text", "lexical_relevance", "named_subject", "relevance", "subject_of", "subject_terms"]

Table = NDArray[np.float64]

MAX_TEXT_CHARS = 2_000
MAX_SUBJECT_CHARS = 600
# A cosine of MiniLM below the first has nothing to do with the subject, above the second it is about it.
SENSE_FLOOR, SENSE_CEILING = 0.10, 0.65

_COMMANDS = """
write writing written compose create make produce draft prepare generate give tell explain describe summarise summarize
please article articles piece text texts essay post blog page webpage report overview summary introduction guide note
notes source sources material document documents file files folder picture pictures photo photos image images
illustrated illustrate illustrations short long brief detailed clear readable words word length everything interesting
about from using based following attached given provided topic subject entitled titled called reader readers general
public style tone
schreibe schreib schreiben verfasse verfassen erstelle erstellen artikel text beitrag bericht aufsatz notizen quellen
unterlagen material bilder bildern fotos bebilderten bebilderter illustrierten bitte kurz kurzen langen wörter wörtern
écris écrivez écrire rédige rédigez rédiger article texte récit notes sources documents images photos illustré illustrée
court long mots sujet veuillez
escribe escriba escribir redacta redacte redactar artículo texto notas fuentes documentos imágenes fotos ilustrado
ilustrada breve largo palabras tema
"""
_COMMAND_WORDS = frozenset(_COMMANDS.split())
MAX_TITLE_WORDS = 12
_ABOUT = re.compile(r"\b(?:about|on the subject of|über|sur|sobre|acerca de)\s+([^.;:!?\n]{3,200})", re.I)
_TRAILER = re.compile(
    r"\s+(?:from|using|out of|based on|in (?:about )?\d+|with (?:the )?(?:pictures|photos|images)|for (?:my|our|a|the)|"
    r"aus (?:diesen|meinen)|anhand|mit (?:Bildern|Fotos)|in \d+|à partir|d'après|avec (?:des )?(?:photos|images)|"
    r"a partir|con (?:fotos|imágenes)|en \d+)\b|[.;:!?]\s",
    re.I,
)
_POSSESSIVE = re.compile(r"['’]s\b")
_CJK_COMMANDS = re.compile(
    "请|請|帮我|幫我|给我|給我|撰写|编写|写作|写成|写出|[写寫]|一[篇份]|图文并茂|圖文並茂|有插图|带图|关于|關於|有关|介绍|介紹|根据|根據|基于|"
    "这些|這些|笔记|筆記|资料|資料|材料|素材|文章|短文|图片|圖片|照片|的内容|字左右|字|"
    "について|に関する|関する|記事|文章|作成して|作成|書いて|書け|まとめて|ください|下さい|これらの|この|メモ|ノート|資料|写真|画像|付き|もとに|基づいて|から|"
    "에\\s?대한|에\\s?관한|대해|기사를?|글을?|작성해|써\\s?주세요|써\\s?줘|주세요|노트|메모|자료|사진|(?:을|를)?\\s?바탕으로|이\\s"
)


def block_text(block: SourceBlock) -> str:
    """A block's words as they are encoded and matched: one line without mark-up, at most 2,000 characters.
    Every step of planning asks for the same string, so that each text is encoded once."""
    return plain_text(block.text)[:MAX_TEXT_CHARS]


def subject_of(instruction: str) -> str:
    """The instruction without its words of command; empty when it names no subject of its own."""
    text = fold_space(_CJK_COMMANDS.sub(" ", instruction[:MAX_SUBJECT_CHARS]))
    stops = function_words("")
    kept = [word for word in text.split() if _bare(word) not in _COMMAND_WORDS and not _is_number(word)]
    while kept and _bare(kept[0]) in stops:
        kept.pop(0)
    while kept and _bare(kept[-1]) in stops:
        kept.pop()
    subject = " ".join(kept).strip(" .,;:!?。、，；：！？のをはがにで的")
    return subject if any(_bare(word) not in stops for word in subject.split()) else ""


def named_subject(instruction: str) -> str:
    """What the instruction says the piece is about, as it is written there, fit to be a title ("about … from
    these notes" gives the dots); empty when it does not say so in at most twelve words."""
    text = fold_space(instruction[:MAX_SUBJECT_CHARS])
    found = _ABOUT.search(text)
    if found is not None:
        subject = _TRAILER.split(found.group(1))[0]
    elif is_cjk(text) or len(subject_of(text).split()) >= len(text.split()) - 1:
        subject = subject_of(text) if is_cjk(text) else _TRAILER.split(text)[0]
    else:
        return ""
    subject = subject.strip(" .,;:!?\"“”„'。、，；：！？のをはがに")
    if not subject or len(subject.split()) > MAX_TITLE_WORDS or not subject_of(subject):
        return ""
    return subject[0].upper() + subject[1:]


def subject_terms(instruction: str) -> tuple[str, ...]:
    """The index terms of the subject, each once, without function words."""
    stops = function_words("")
    subject = _POSSESSIVE.sub("", subject_of(instruction))
    return tuple(dict.fromkeys(t for t in content_terms(subject) if t not in stops))


def lexical_relevance(terms: Sequence[str], lexicon: Lexicon) -> Table:
    """(N,) share 0..1 of the subject's weight that each text of the lexicon holds; zeros when none has any."""
    return lexicon.coverage(terms)


def relevance(instruction: str, texts: Sequence[str], embedder: Embedder, lexicon: Lexicon | None = None) -> Table:
    """(N,) relevance 0..1 of each text (Markdown allowed) to an instruction. All ones when the instruction
    names no subject: then everything is meant. `lexicon` is that of `texts`, when the caller has it."""
    subject = subject_of(instruction)
    if not subject or not texts:
        return np.ones(len(texts))
    read = [plain_text(text)[:MAX_TEXT_CHARS] for text in texts]
    terms = subject_terms(instruction)
    words = lexical_relevance(terms, lexicon or build_lexicon(read))
    vectors = np.asarray(embedder.encode([subject, *read]), dtype=np.float64)
    sense = vectors[1:] @ vectors[0]
    sense = np.clip((sense - SENSE_FLOOR) / (SENSE_CEILING - SENSE_FLOOR), 0.0, 1.0)
    joined: Table = 0.5 * words + 0.5 * sense
    return joined


def _bare(word: str) -> str:
    return word.strip(".,;:!?\"'“”‘’„«»()[]*_`").casefold()


def _is_number(word: str) -> bool:
    return _bare(word).replace(".", "").replace(",", "").isdigit()
