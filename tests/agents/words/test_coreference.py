"""Coreference: sentences that cannot stand without the one before them are known in seven languages."""

from __future__ import annotations

import time

import pytest

from agents.words.coreference import introduces_next, leans_back, points_at_figure, points_elsewhere

LEANING = {
    "en": [
        "It was built in 1761.",
        "However, the clay leaked.",
        "This process takes days.",
        "They were paid in flour.",
        "For example, moles dig.",
        "In 1843 it was sold.",
        "“He left,” she said.",
        "**These** are rare.",
        "When she came back, the door was open.",
        "Most of them sank.",
        "Therefore it leaked.",
        "The former is cheaper.",
    ],
    "de": [
        "Sie wird oft überflutet.",
        "Das spart Kraft.",
        "Daher glitzern die Halme.",
        "Diese Pflanzen sind selten.",
        "Dies ist neu.",
        "Im Jahr 1843 er verkaufte.",
        "Allerdings regnete es.",
        "Seine Frau half.",
        "Als er kam, war es still.",
        "Zum Beispiel der Queller.",
    ],
    "fr": [
        "Elle garde la chaleur.",
        "Cela prend six heures.",
        "Cependant le four est froid.",
        "Ainsi personne ne se trompe.",
        "C'est pourquoi on attend.",
        "Ces pierres sont dures.",
        "Lorsqu'il arriva, tout était prêt.",
    ],
    "es": [
        "Esta difiere mucho.",
        "Sin embargo, llovió.",
        "Por eso la escuela visita la plaza.",
        "Su hija guardó la llave.",
        "Fue construido en 1789.",
        "Desde entonces adelanta.",
    ],
    "zh": [
        "它有四个木锤。",
        "因此水轮停了。",
        "但是没有人知道。",
        "这种木头不怕水。",
        "那是一个冬天。",
        "「然而，水大了。",
        "后来他们走了。",
    ],
    "ja": [
        "これは古い。",
        "しかし、詰めすぎると崩れる。",
        "そのため、線香番と呼ばれた。",
        "また、水も要る。",
        "彼は去った。",
        "この田は狭い。",
    ],
    "ko": [
        "그것은 마흔두 칸이다.",
        "그래서 염부는 깃발을 본다.",
        "하지만 비가 왔다.",
        "이 소금은 희다.",
        "그는 떠났다.",
        "또한 바람도 본다.",
    ],
}

STANDING = {
    "en": [
        "The mill was built in 1761.",
        "It is important that the dam stays wet.",
        "Italy has many mills.",
        "Thistles grow here.",
        "Both wheel and stones were oak.",
        "Sodium is a metal.",
        "Heather grows on the moor.",
        "Butter melts.",
        "Andrew came.",
        "When water boils, it becomes steam.",
        "That the sea rises is certain.",
        "There are three stones.",
    ],
    "de": [
        "Das alte Haus steht leer.",
        "Es gibt drei Zonen.",
        "Diesel ist teuer.",
        "Erde ist schwer.",
        "Der Weg ist lang.",
        "Sollen setzt sich ab.",
        "Dachse graben.",
    ],
    "fr": [
        "Il y a trois fours.",
        "Il faut attendre.",
        "Le four est chaud.",
        "Cette-ville est un mot."[11:],
        "Ilots et bras de mer.",
        "Il est possible que tout brûle.",
    ],
    "es": ["El reloj es viejo.", "Sus-penso es otra palabra."[4:], "Estamos en casa.", "La varilla apunta al norte."],
    "zh": ["其实水轮很大。", "也许明天下雨。", "水轮用樟木做成。", "还是老样子。"],
    "ja": ["石垣は冬に積み直す。", "またがる橋は長い。", "水は上から使う。"],
    "ko": ["이름은 중요하다.", "소금은 희다.", "그릇이 깨졌다.", "이틀을 말린다."],
}


@pytest.mark.parametrize(("language", "sentence"), [(k, s) for k, v in LEANING.items() for s in v])
def test_a_sentence_that_leans_is_known(language: str, sentence: str) -> None:
    assert leans_back(sentence, language)


@pytest.mark.parametrize(("language", "sentence"), [(k, s) for k, v in STANDING.items() for s in v])
def test_a_sentence_that_stands_by_itself_is_left_alone(language: str, sentence: str) -> None:
    assert not leans_back(sentence, language)


def test_an_unknown_language_has_no_rules() -> None:
    assert not leans_back("It was built.", "qq")


@pytest.mark.parametrize(
    "text",
    [
        "See Figure 3.",
        "(Fig. 2.1)",
        "the map below",
        "Abbildung 4 zeigt es.",
        "la figura 5",
        "la carte ci-dessous",
        "如图所示",
        "下図を見る",
        "아래 사진처럼",
        "the following diagram",
    ],
)
def test_pointing_at_a_picture(text: str) -> None:
    assert points_at_figure(text)


@pytest.mark.parametrize(
    "text",
    ["He cut a fine figure.", "The picture was sold.", "Das Bild hing schief.", "图书馆很大。", "A map of 1843."],
)
def test_a_picture_in_the_story_is_no_pointer(text: str) -> None:
    assert not points_at_figure(text)


@pytest.mark.parametrize(
    "text",
    [
        "as mentioned above",
        "In this chapter, you learn.",
        "see Table 2",
        "siehe oben",
        "in diesem Kapitel",
        "voir plus haut",
        "véase más abajo",
        "本章では",
        "如下表",
        "앞에서 말한",
    ],
)
def test_pointing_at_another_passage(text: str) -> None:
    assert points_elsewhere(text)
    assert not points_elsewhere("The table was laid for ten.")


def test_what_introduces_something() -> None:
    for text in ("Three things kill a dam:", "方法如下：", "**Note:**"):
        assert introduces_next(text, before_whole=False)
    for text in (
        "具体的には以下の通り。",
        "The steps are as follows.",
        "Es geht wie folgt.",
        "Voici les étapes suivantes.",
        "내용은 다음과 같다.",
    ):
        assert introduces_next(text, before_whole=True)
        assert not introduces_next(text, before_whole=False)
    assert not introduces_next("The dam is long.", before_whole=True)


def test_hostile_sentences_take_little_time() -> None:
    started = time.process_time()
    for text in ("in the " * 50_000, "see " * 50_000, "figure " * 50_000, "most of " * 50_000, "如" * 200_000):
        leans_back(text, "en")
        points_at_figure(text)
        points_elsewhere(text)
        introduces_next(text, before_whole=True)
    assert time.process_time() - started < 3
