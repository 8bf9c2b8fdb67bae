"""Labels: the few words of the page that are not the author's, in the article's language."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Labels", "direction", "labels_for", "language_tag"]

_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "iw", "ps", "sd", "ug", "ur", "yi"})
_RIGHT_TO_LEFT_SCRIPTS = frozenset({"arab", "hebr", "syrc", "thaa", "nkoo", "adlm", "rohg"})


@dataclass(frozen=True)
class Labels:
    """`tag` is the language of these words, which may differ from the article's."""

    tag: str
    skip: str
    contents: str
    credits: str
    sources: str
    picture: str
    table: str
    code: str
    untitled: str
    licence_unknown: str
    source: str
    reading_time: str

    def minutes(self, count: int) -> str:
        return self.reading_time.replace("#", str(count))


_ROWS = (
    ("en", "Skip to the article", "Contents", "Picture credits", "Sources", "Picture", "Table", "Code", "Untitled",
     "licence not stated", "source", "# min read"),
    ("de", "Zum Artikel springen", "Inhalt", "Bildnachweise", "Quellen", "Bild", "Tabelle", "Code", "Ohne Titel",
     "Lizenz nicht angegeben", "Quelle", "# Min. Lesezeit"),
    ("fr", "Aller à l’article", "Sommaire", "Crédits des images", "Sources", "Image", "Tableau", "Code", "Sans titre",
     "licence non précisée", "source", "# min de lecture"),
    ("es", "Ir al artículo", "Contenido", "Créditos de las imágenes", "Fuentes", "Imagen", "Tabla", "Código",
     "Sin título", "licencia no indicada", "fuente", "# min de lectura"),
    ("it", "Vai all’articolo", "Indice", "Crediti delle immagini", "Fonti", "Immagine", "Tabella", "Codice",
     "Senza titolo", "licenza non indicata", "fonte", "# min di lettura"),
    ("pt", "Ir para o artigo", "Conteúdo", "Créditos das imagens", "Fontes", "Imagem", "Tabela", "Código",
     "Sem título", "licença não indicada", "fonte", "# min de leitura"),
    ("nl", "Naar het artikel", "Inhoud", "Beeldverantwoording", "Bronnen", "Afbeelding", "Tabel", "Code",
     "Zonder titel", "licentie niet vermeld", "bron", "# min lezen"),
    ("zh", "跳到正文", "目录", "图片来源", "资料来源", "图片", "表", "代码", "无标题", "未注明许可", "来源",
     "阅读约 # 分钟"),
    ("ja", "本文へ移動", "目次", "画像クレジット", "出典", "画像", "表", "コード", "無題",
     "ライセンス不明", "出典", "約#分で読めます"),
    ("ko", "본문으로 건너뛰기", "목차", "사진 출처", "출처", "사진", "표", "코드", "제목 없음",
     "라이선스 미표시", "출처", "읽는 시간 약 #분"),
    ("ar", "انتقل إلى المقال", "المحتويات", "مصادر الصور", "المصادر", "صورة", "جدول", "شيفرة", "بلا عنوان",
     "الترخيص غير مذكور", "المصدر", "مدة القراءة: # د"),
    ("he", "דילוג למאמר", "תוכן העניינים", "קרדיטים לתמונות", "מקורות", "תמונה", "טבלה", "קוד", "ללא כותרת",
     "הרישיון לא צוין", "מקור", "# דק׳ קריאה"),
)  # fmt: skip
_LABELS = {row[0]: Labels(*row) for row in _ROWS}


def language_tag(language: str) -> str:
    """A BCP 47 tag for `lang`; `und` (undetermined) for anything that is not one."""
    tag = language.replace("_", "-")
    return tag if _TAG.fullmatch(tag) and tag.lower() != "auto" else "und"


def direction(language: str) -> str:
    """`rtl` for languages that are written from right to left, else `ltr`. A script in the tag decides."""
    parts = language_tag(language).lower().split("-")
    scripts = [p for p in parts[1:] if len(p) == 4 and p.isalpha()]
    if scripts:
        return "rtl" if scripts[0] in _RIGHT_TO_LEFT_SCRIPTS else "ltr"
    return "rtl" if parts[0] in _RIGHT_TO_LEFT else "ltr"


def labels_for(language: str) -> Labels:
    """The labels in that language, English where we have none."""
    return _LABELS.get(language_tag(language).lower().split("-")[0], _LABELS["en"])
