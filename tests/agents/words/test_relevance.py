"""Relevance: the subject of an instruction is found, and passages about it come first."""

from __future__ import annotations

import numpy as np
import pytest

from agents.words.lexicon import build_lexicon
from agents.words.relevance import named_subject, relevance, subject_of, subject_terms
from tests.fakes import HashingEmbedder


@pytest.mark.parametrize(
    ("instruction", "subject"),
    [
        ("Write an illustrated article about the bridge's history from these notes", "bridge's history"),
        ("an article from these notes", ""),
        ("Please write a 900 word piece using the attached sources.", ""),
        ("Schreibe einen Artikel über die Geschichte der Brücke aus diesen Notizen", "Geschichte der Brücke"),
        ("Écris un article sur le moulin à marée", "moulin à marée"),
        ("Escribe un artículo sobre el puente de piedra", "puente de piedra"),
        ("请根据这些笔记写一篇关于苏格兰蛋的文章", "苏格兰蛋"),
        ("これらのメモから熊野大社についての記事を書いてください", "熊野大社"),
        ("이 노트를 바탕으로 다리의 역사에 대한 글을 작성해 주세요", "다리의 역사"),
    ],
)
def test_words_of_command_are_taken_off(instruction: str, subject: str) -> None:
    assert subject in subject_of(instruction)
    assert bool(subject_of(instruction)) == bool(subject)


@pytest.mark.parametrize(
    ("instruction", "title"),
    [
        ("Write an article about the bridge's history from these notes", "The bridge's history"),
        ("Schreibe einen Artikel über die Mühle aus diesen Notizen", "Die Mühle"),
        ("Life on the shore between the tide marks", "Life on the shore between the tide marks"),
        ("an article from these notes", ""),
        ("请根据这些笔记写一篇关于苏格兰蛋的文章", "苏格兰蛋"),
    ],
)
def test_a_subject_named_by_the_person_can_be_a_title(instruction: str, title: str) -> None:
    assert named_subject(instruction) == title


def test_an_instruction_without_subject_means_everything() -> None:
    assert relevance("an article from these notes", ["bread", "bees"], HashingEmbedder()).tolist() == [1.0, 1.0]
    assert relevance("about bees", [], HashingEmbedder()).shape == (0,)


def test_passages_about_the_subject_come_first() -> None:
    texts = ["Bread is baked in ovens.", "The history of the dam goes back to 1761.", "Bees make honey."]
    found = relevance("Write about the history of the dam", texts, HashingEmbedder())
    assert int(found.argmax()) == 1 and (found >= 0).all() and (found <= 1).all()


def test_inflected_words_count_and_common_words_do_not_decide() -> None:
    texts = ["The tide and the mill.", "A tide comes.", "Tides and bells.", "The tide goes and predictions come."]
    lexicon = build_lexicon(texts)
    held = lexicon.coverage(subject_terms("about tides and prediction"))
    assert int(held.argmax()) == 3
    assert np.ptp(lexicon.coverage(["tides"])) < 0.1
    assert lexicon.coverage(["elephant"]).tolist() == [0.0] * 4
