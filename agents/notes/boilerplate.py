"""Boilerplate: what stands in notes and pages and is never part of a piece: references, navigation, licences."""

from __future__ import annotations

import re

from agents.notes.block import SourceBlock
from agents.notes.inline import plain_text
from interleaf.text import count_words

__all__ = ["is_back_matter", "is_boilerplate"]

MAX_LICENCE_CHARS = 500
MAX_MENU_CHARS = 2_000

_BACK_MATTER = frozenset(
    name
    for line in (
        "references|reference|bibliography|works cited|citations|notes and references|footnotes|endnotes|sources",
        "see also|further reading|external links|related articles|related posts|related|links|useful links",
        "licence|license|copyright|legal|imprint|acknowledgements|acknowledgments|credits|image credits",
        "photo credits|table of contents|contents|toc|navigation|menu|changelog|about the author|comments|share",
        "literatur|einzelnachweise|weblinks|siehe auch|quellen|quellenverzeichnis|fußnoten|lizenz|impressum|inhalt",
        "inhaltsverzeichnis|literaturverzeichnis|danksagung|bildnachweis|bildnachweise",
        "références|voir aussi|liens externes|bibliographie|notes et références|licence d’utilisation|sommaire",
        "remerciements|crédits|mentions légales",
        "referencias|véase también|enlaces externos|bibliografía|notas y referencias|licencia|índice|créditos",
        "参考文献|参考资料|參考資料|参考|注释|註釋|脚注|参见|參見|外部链接|外部連結|相关条目|相关链接|许可证|版权|目录|目錄",
        "関連項目|外部リンク|参考資料|出典|目次|ライセンス|謝辞|参考図書",
        "참고 문헌|참고문헌|각주|같이 보기|외부 링크|라이선스|목차|출처",
    )
    for name in line.split("|")
)
_LEADING_NUMBER = re.compile(r"^[\d.)\s]{1,12}")
_LICENCE = re.compile(
    r"©|\(c\)\s*\d{4}|copyright\s+\d{4}|all rights reserved|licen[sc]ed under|creative\s*commons|\bCC[ -]BY\b|"
    r"public domain mark|alle rechte vorbehalten|tous droits réservés|todos los derechos reservados|"
    r"版权所有|著作权|知识共享|無断転載|저작권",
    re.I,
)
# Words of which one stands in every licence line: looked for first, because most paragraphs have none.
_LICENCE_SIGNS = (
    "©", "(c)", "copyright", "rights reserved", "licensed under", "licenced under", "commons", "cc by", "cc-by",
    "public domain", "vorbehalten", "réservés", "reservados", "版权", "著作权", "知识共享", "転載", "저작권",
)  # fmt: skip
_LINK_ONLY = re.compile(r"\W*(?:!?\[[^\[\]]{0,300}\](?:\([^()]{0,1000}\)|\[[^\[\]]{0,200}\])|https?://\S{1,1000})\W*")
_PIECE_OF_MENU = re.compile(r"\s*[|·•»›>/]\s*")


def is_back_matter(heading: str) -> bool:
    """Whether a heading opens a part that is no text of the piece: references, links, licence, contents."""
    return _LEADING_NUMBER.sub("", plain_text(heading)).strip(" :：.").casefold() in _BACK_MATTER


def is_boilerplate(block: SourceBlock) -> bool:
    """Whether a block is a menu, a list of bare links or a licence line."""
    text = block.text
    if block.kind == "list":
        bare = sum(1 for item in block.items if len(item.text) <= MAX_MENU_CHARS and _LINK_ONLY.fullmatch(item.text))
        return bare >= 3 and bare >= 0.8 * len(block.items)
    if block.kind != "paragraph":
        return False
    if len(text) <= MAX_LICENCE_CHARS and _is_licence(text):
        return True
    if len(text) > MAX_MENU_CHARS or not ("](" in text or "://" in text):
        return False
    return all(_LINK_ONLY.fullmatch(part) for part in _PIECE_OF_MENU.split(text))


def _is_licence(text: str) -> bool:
    low = text.casefold()
    return any(sign in low for sign in _LICENCE_SIGNS) and bool(_LICENCE.search(text)) and count_words(text) <= 60
