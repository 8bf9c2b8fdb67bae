"""Sentences and words: seven languages split rightly, the rest without breaking, and no text crashes."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.notes.sentence import detect_language, split_sentences, word_spans

# Each list is a text given sentence by sentence; joined by its joint it must come apart at the same places.
RIGHT: list[tuple[str, str, list[str]]] = [
    (
        "en",
        " ",
        ["Dr. Smith met J. R. R. Tolkien.", "See Fig. 3 and No. 5 on p. 12.", "It cost $3.14 in the U.S. today."],
    ),
    ("en", " ", ["He said “It works.”", "Then he left... and came back.", "(Really.)", "Is it?", "Yes!"]),
    ("en", " ", ["No.", "That is wrong.", "I take vitamin C.", "The rest is fine.", "Mr. X. Young was there."]),
    ("en", " ", ["**Bold.**", "Next one.", "More *stuff.*", "**One. Two.**", "Three."]),
    ("en", " ", ["See [the page. Really](https://a.example/b.html?x=1).", "Then go."]),
    ("en", " ", ["Call `a.b. C()` first.", "`x.y` is next.", "Use it e.g. here, i.e. there."]),
    ("en", " ", ["A note.[^1]", "Another.[3]", "A third one."]),
    ("en", " ", ["He died in\n1939.", "A sentence across\na hard wrap is one.", "Second."]),
    ("en", " ", ['"Go!" she said.', '"What?"', "He ran.", "iPhones sell.", "pH 7 is neutral."]),
    ("en", "\n", ["Steps to take:", "- first a. b", "- then c", "# Heading", "Text here."]),
    ("en", "\n", ["1. First item.", "2. Second item.", "3. Third"]),
    (
        "de",
        " ",
        ["Das ist z. B. gut.", "Am 3. Mai 2020 kam Hr. Dr. Müller u. a. mit Frau Prof. Meier.", "Er sagte: „Es geht.“"],
    ),
    (
        "de",
        " ",
        ["Im 19. Jahrhundert war das so.", "Der 2. Weltkrieg kam.", "Siehe Abb. 4 und Nr. 5.", "Es sind ca. 30 km."],
    ),
    (
        "de",
        " ",
        [
            "Die Fläche beträgt 3,5 km².",
            "Es gibt z.B. Äpfel, d. h. Obst.",
            "Er wurde 19.",
            "Dann ging er.",
            "Im Jahr 1843.",
        ],
    ),
    (
        "fr",
        " ",
        ["M. Dupont est là.", "Mme. Curie aussi.", "« C'est bon. »", "Il partit.", "Voir fig. 3, p. ex. ceci."],
    ),
    ("fr", " ", ["Il a dit : « Non ! » puis sortit.", "En 50 av. J.-C. Rome crût.", "Le n° 5.", "J. Dupont vint."]),
    ("es", " ", ["El Sr. López vino.", "¿Qué tal?", "¡Bien!", "Véase la fig. 3.", "EE. UU. es grande."]),
    ("es", " ", ["Dijo: «Hola.»", "Luego se fue.", "D. Juan vino.", "Véase pág. 5.", "En 50 a. C. Roma creció."]),
    (
        "zh",
        "",
        [
            "他说：“你好。”",
            "然后走了。",
            "真的吗？",
            "是的！",
            "如图1.5所示。",
            "（见下文。）",
            "他喊“快跑！”的时候，天黑了。",
        ],
    ),
    (
        "ja",
        "",
        [
            "「そうです。」と彼は言った。",
            "次の文。",
            "本当に？！",
            "はい。",
            "Ver. 1.2です。",
            "彼は「行く。」という。",
        ],
    ),
    (
        "ko",
        " ",
        [
            "안녕하세요.",
            "저는 학생입니다.",
            "3.5미터입니다.",
            '"좋아요."',
            "그가 말했다.",
            "정말?",
            '그는 "가자."라고 말했다.',
        ],
    ),
    ("ar", " ", ["مرحبا.", "كيف حالك؟", "أنا بخير."]),
    ("ru", " ", ["А. С. Пушкин родился в Москве.", "Он жил в XIX в. и писал.", "Да?"]),
    ("hi", " ", ["यह है।", "वह गया।"]),
    ("th", "", ["สวัสดีครับ ผมชื่อสมชาย คุณสบายดีไหม"]),
    ("qq-unknown", " ", ["Hello there.", "A world."]),
]


@pytest.mark.parametrize(("language", "joint", "sentences"), RIGHT)
def test_sentences_come_apart_where_they_end(language: str, joint: str, sentences: list[str]) -> None:
    text = joint.join(sentences)
    assert [text[a:b] for a, b in split_sentences(text, language)] == sentences


def test_blank_lines_end_a_sentence_and_single_line_ends_do_not() -> None:
    text = "no full stop\n\nnext paragraph\ngoes on"
    assert [text[a:b] for a, b in split_sentences(text, "en")] == ["no full stop", "next paragraph\ngoes on"]


PIECES = st.sampled_from(
    [
        "Dr. ",
        "z. B. ",
        "He ran. ",
        "「はい。」",
        "と。",
        "“",
        "”",
        "(",
        ")",
        "\n",
        "\n\n",
        "- ",
        "1. ",
        "`a. b`",
        "**",
        "*",
        "。",
        "！",
        "...",
        "…",
        "\ud800",
        "\U0001f600",
        "\u202f",
        "א. ",
        "한다. ",
        "](http://x.y/z)",
        "# ",
        "A. ",
        "3. ",
        "M. ",
        "http://a.b?c. ",
        " ",
        "\r",
        "\u2028",
        "\x85",
    ]
)


@settings(max_examples=250, deadline=None)
@given(
    st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map("".join)),
    st.sampled_from(["en", "de", "fr", "es", "zh", "ja", "ko", "th", "xx"]),
)
def test_any_text_is_covered_by_ordered_sentences(text: str, language: str) -> None:
    spans = split_sentences(text, language)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert not text[at:start].strip(), "something between two sentences belongs to none"
        assert not text[start].isspace() and not text[end - 1].isspace()
        at = end
    assert not text[at:].strip()
    words = word_spans(text, language)
    assert all(a < b for a, b in words) and all(b <= c for (_, b), (c, _) in pairwise(words))
    assert all(any(char.isalnum() for char in text[a:b].replace("\ud800", "\ufffd")) for a, b in words)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_no_sentence_is_punctuation_only_beside_others(text: str) -> None:
    for paragraph in text.replace("\u2029", "\n\n").split("\n"):
        spans = split_sentences(paragraph, "en")
        if len(spans) > 1:
            assert all(any(c.isalnum() for c in paragraph[a:b]) for a, b in spans)


def test_words_of_chinese_and_japanese_come_from_a_dictionary() -> None:
    text = "😀 机器学习很有趣。"
    assert [text[a:b] for a, b in word_spans(text, "zh")] == ["机器", "学习", "很", "有趣"]
    text = "水車小屋は古い。"
    assert "水車" in [text[a:b] for a, b in word_spans(text, "ja")]
    text = "Don't stop 3.14 km."
    assert [text[a:b] for a, b in word_spans(text, "en")] == ["Don't", "stop", "3.14", "km"]


@pytest.mark.parametrize(
    "hostile",
    [
        "(\"'" * 100_000,
        "." * 300_000,
        "a. " * 100_000,
        "« " * 150_000,
        "**a. " * 60_000,
        "[a. " * 75_000,
        "(A.) " * 60_000,
        "` " * 150_000,
        "。" * 300_000,
        "http://" * 43_000,
        "](" * 150_000,
        "<" * 300_000,
        "你好。" * 100_000,
    ],
    ids=lambda text: repr(text[:5]),
)
def test_hostile_text_takes_linear_time(hostile: str) -> None:
    started = time.process_time()
    split_sentences(hostile, "en")
    assert time.process_time() - started < 4, "a third of a megabyte may not take seconds"


@pytest.mark.slow
def test_ten_megabytes_of_notes_take_seconds() -> None:
    paragraph = (
        "The mill was built in 1843 by Mr. A. Brown, who had come from York. It ground wheat, barley and, in bad "
        "years, acorns (see Fig. 2). “Nobody starves here,” he used to say. In 1901 the wheel broke.\n\n"
    )
    text = paragraph * (10_000_000 // len(paragraph))
    started = time.process_time()
    found = split_sentences(text, "en")
    assert len(found) == 4 * (10_000_000 // len(paragraph))
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Lichen on old walls"),
        ("en", "The mill was built in 1843 and still grinds."),
        ("en", "GPU throughput vs. batch size"),
        ("de", "Flechten auf alten Mauern"),
        ("de", "Das Wasser zehn Minuten kochen."),
        ("fr", "Lichens sur les vieux murs"),
        ("fr", "Ajouter 200 g de farine, 3 œufs, sel."),
        ("es", "Líquenes en los muros viejos"),
        ("es", "Hervir el agua durante diez minutos."),
        ("it", "Il mulino fu costruito nel 1843 e funziona ancora."),
        ("nl", "De molen werd in 1843 gebouwd en maalt nog steeds."),
        ("pt", "O moinho foi construído em 1843 e ainda funciona."),
        ("ru", "Мельница была построена в 1843 году."),
        ("ar", "بنيت الطاحونة عام 1843 وما زالت تعمل."),
        ("zh", "磨坊建于1843年，至今仍在运转。"),
        ("ja", "水車小屋は1843年に建てられた。"),
        ("ko", "방앗간은 1843년에 지어졌다."),
        ("th", "สวัสดีครับ"),
        ("el", "Ο μύλος χτίστηκε το 1843."),
        ("und", "1843 — 1901 …"),
        ("ja", "iPhone 15 Pro Max のカメラ"),
        ("zh", "使用 Visual Studio Code 编写程序"),
    ],
)
def test_language_of_a_short_note(language: str, text: str) -> None:
    assert detect_language(text) == language
    assert detect_language(text) == detect_language(text)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=120))
def test_any_text_has_a_language_tag(text: str) -> None:
    tag = detect_language(text)
    assert 2 <= len(tag) <= 3 and tag.isascii() and tag.islower()
