"""Abbreviation: words whose dot does not end a sentence, and words with which sentences begin.

The sentence library has lists of its own; these hold what it gets wrong in the languages that we promise.
Another language gets the English lists.
"""

from __future__ import annotations

__all__ = ["BEFORE_NUMBER", "MAY_END", "TITLES", "never_last", "starters"]

# Titles and connectives that never end a sentence. `z. B.` is written `z.B`.
_NEVER_LAST = {
    "en": "Mr Mrs Ms Messrs Dr Prof Gen Col Maj Capt Lt Sgt Rev Hon Gov Sen Rep Pres vs e.g i.e viz cf approx",
    "de": "Hr Hrn Fr Frl Dr Prof Dipl z.B d.h u.a v.a z.T i.d.R s.o s.u m.E u.U o.g sog bzw ca vgl Mio Mrd St evtl "
    "ggf inkl exkl Hrsg mind max min zzgl bspw i.A z.Zt a.d v d.i Ing med rer nat phil geb gest",
    "fr": "M MM Mme Mmes Mlle Mlles Mgr Dr Pr St Ste Me p.ex c.-à-d cf av apr env ap J.-C boul chap coll dir éd",
    "es": "Sr Sra Srta Sres Dr Dra D Dña Ud Uds Vd Vds Prof Gral Cnel Ing Lic Arq Fco Sto Sta p.ej a.C d.C EE aprox cf "
    "S.A",
    "it": "Sig Sigg Dott Prof Avv Ing Geom On es cfr p.es",
    "pt": "Sr Sra Dr Dra Prof Exmo Eng p.ex cf aprox",
    "nl": "Dhr Mevr Mw Dr Drs Ir Mr Prof bijv d.w.z o.a m.b.t t.a.v ca nl",
}
_BEFORE_NUMBER = (
    "no nos nr nrn fig figs figg abb tab tabl kap abs abschn art bd vol vols ch chap chaps sec secs sect eq eqs "
    "app pt pl p pp s ss pág págs pag pagg núm núms num n nº cap caps t aufl ver v § tel ext ex bild ill illus "
    "ca approx c circa jan feb mar apr jun jul aug sep sept oct nov dec okt dez janv févr avr juil déc "
    "ene abr ago dic mt st rte zeile z rn rdnr anm"
)
_TITLES = "St Mt Ft Pt Jr Sr Bros"
_MAY_END = "c d v a.c d.c j.-c s.a ap min max nat med ex me dir éd es nl on mr"
# After an initial or an ordinal these say that a new sentence begins.
_STARTERS = {
    "en": "The A An It He She They We I You This That These Those There In On At By For But And So If When While As "
    "After Before Then However Its His Her Their My Our Not No Yes Here From With Now What Why How Who Where All "
    "Some Most Many Both Each Once Another Instead Later Today",
    "de": "Der Die Das Den Dem Des Er Sie Es Wir Ich Ihr Du Ein Eine Einen Einem Eines Dann Da Dort Hier Dies Diese "
    "Dieser Dieses Damit Dabei Danach Doch Aber Und Oder Auch Als Wenn Weil Wie Was Wer Wo Im In Am An Auf Aus Bei "
    "Mit Nach Von Vor Zu Zum Zur Um Für Über Unter Seit Bis Man Nun Noch Nur So Sein Seine Ihre Alle Heute Später "
    "Jede Jeder Jedes Manche Viele Kein Keine Nicht Ab Durch Ohne Gegen Trotz Während Obwohl",
    "fr": "Le La Les L' L’ Un Une Des Il Elle Ils Elles On Nous Vous Je J' J’ Ce C' C’ Cela Ces Cette Cet Mais Et Ou "
    "Donc Puis Dans En Au Aux À Sur Sous Par Pour Avec Sans Si Quand Comme Alors Ensuite Aujourd'hui Son Sa Ses Leur "
    "Leurs Après Avant Depuis D' D’ Du De Qui Que Quel Où Tout Toute Tous",
    "es": "El La Los Las Lo Un Una Unos Unas Él Ella Ellos Ellas Yo Tú Esto Eso Este Esta Estos Estas Ese Esa Pero Y O "
    "En Al A Con De Del Por Para Si Cuando Como Luego Después Antes Entonces Hoy Su Sus Se No Sí Hay Es Desde "
    "Hasta Sobre Sin También Todo Todos Cada Muchos",
}
_NEVER = {tag: frozenset(words.casefold().split()) for tag, words in _NEVER_LAST.items()}
_STARTS = {tag: frozenset(words.split()) for tag, words in _STARTERS.items()}

BEFORE_NUMBER = frozenset(_BEFORE_NUMBER.split())
"""References and counts, case-folded: "No." answers a question, "No. 5" does not."""

TITLES = frozenset(_TITLES.split())
"""Parts of names, as written, which end a sentence only before a usual first word."""

MAY_END = frozenset(_MAY_END.split())
"""Those of `never_last` that do end a sentence before a usual first word."""


def never_last(language: str) -> frozenset[str]:
    """Abbreviations, case-folded, after which a sentence goes on, for a primary tag."""
    return _NEVER.get(language, _NEVER["en"])


def starters(language: str) -> frozenset[str]:
    """Usual first words of sentences, as written, for a primary tag."""
    return _STARTS.get(language, _STARTS["en"])
