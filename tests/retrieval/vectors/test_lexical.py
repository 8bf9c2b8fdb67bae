"""The lexical index finds by words in any script, weighs common words less, and is the same after a restart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrieval.vectors.lexical import LexicalIndex, WeighedTexts, index_terms

CAPTIONS = {
    3: "A grey heron at the harbour wall",
    5: "The harbour at low tide, with the old lighthouse",
    8: "Der Leuchtturm im Abendlicht",
    13: "起锅烧油，放入葱姜",
    21: "松江城の天守閣",
    34: "Diagram of a diesel engine",
}


def filled() -> LexicalIndex:
    index = LexicalIndex()
    index.add(list(CAPTIONS), list(CAPTIONS.values()))
    return index


def asked(*texts: str) -> WeighedTexts:
    return WeighedTexts(tuple((text, 1.0) for text in texts))


def best(index: LexicalIndex, text: str) -> int:
    scores = index.scores([asked(text)])[0]
    return int(index.numbers()[scores.argmax()])


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("herons were seen", 3),
        ("a lighthouse", 5),
        ("Leuchttürme", 8),
        ("LEUCHTTURMS", 8),
        ("先烧油", 13),
        ("松江城へ行く", 21),
        ("engines", 34),
    ],
)
def test_words_inflections_and_scripts_are_met(query: str, number: int) -> None:
    assert best(filled(), query) == number


def test_terms_are_words_their_beginnings_bigrams_and_han_characters() -> None:
    assert index_terms("Engines run") == ["engines", "run", "engin*"]
    assert index_terms("天守閣") == ["天守", "守閣", "天", "守", "閣"]
    assert index_terms("コーヒー牛乳") == ["コー", "ーヒ", "ヒー", "ー牛", "牛乳", "牛", "乳"]


def test_scores_lie_between_zero_and_one_and_the_caption_itself_is_near_one() -> None:
    index = filled()
    for column, text in enumerate(CAPTIONS.values()):
        scores = index.scores([asked(text)])[0]
        assert scores.argmax() == column
        assert 0.85 < scores[column] <= 1 and scores.min() >= 0
    assert (index.scores([asked("", "   "), asked("xylophone")]) == 0).all()


def test_function_words_weigh_less_than_rare_words() -> None:
    index = filled()
    scores = index.scores([asked("the at a with of the harbour")])[0]
    assert set(index.numbers()[np.argsort(-scores)[:2]]) == {3, 5}
    only = index.scores([asked("with the of a")])[0]
    assert only.max() < scores.max()


def test_words_that_are_common_in_the_piece_itself_count_less() -> None:
    index = filled()
    piece = [asked("harbour news", "heron"), asked("harbour prices"), asked("harbour ships"), asked("harbour weather")]
    together, alone = index.scores(piece)[0], index.scores(piece[:1])[0]
    heron, tide = index.columns(np.array([3, 5]))
    assert together[tide] / together[heron] < alone[tide] / alone[heron]


def test_a_field_with_more_weight_pulls_more() -> None:
    index = filled()
    towards = [WeighedTexts((("heron", w), ("lighthouse", 1.0))) for w in (0.2, 5.0)]
    heron, tide = index.columns(np.array([3, 5]))
    weak, strong = index.scores(towards)
    assert weak[tide] > weak[heron] and strong[heron] > strong[tide]


def test_adding_removing_and_changing_words() -> None:
    index = filled()
    index.remove([5, 99])
    assert index.numbers().tolist() == [3, 8, 13, 21, 34]
    assert best(index, "harbour") == 3
    index.add([34, 1], ["Harbour crane", "A lighthouse"])
    assert index.numbers().tolist() == [1, 3, 8, 13, 21, 34]
    assert best(index, "crane") == 34 and best(index, "lighthouse") == 1
    assert (index.scores([asked("diesel")]) == 0).all()


def test_likeness_is_symmetric_and_highest_with_itself() -> None:
    index = filled()
    table = index.likeness(np.arange(len(CAPTIONS)))
    assert np.allclose(table, table.T, atol=1e-5)
    assert np.allclose(np.diag(table), 1, atol=1e-5)
    heron, tide, engine = index.columns(np.array([3, 5, 34]))
    assert table[heron, tide] > table[heron, engine]


def test_a_saved_index_gives_the_same_scores(tmp_path: Path) -> None:
    index, path = filled(), tmp_path / "words.npz"
    index.save(path)
    again = LexicalIndex.open(path)
    assert again is not None
    assert again.numbers().tolist() == index.numbers().tolist()
    assert (again.scores([asked("harbour", "油")]) == index.scores([asked("harbour", "油")])).all()
    assert [p.name for p in tmp_path.iterdir()] == ["words.npz"]
    LexicalIndex().save(path)
    empty = LexicalIndex.open(path)
    assert empty is not None and len(empty) == 0
    assert empty.scores([asked("harbour")]).shape == (1, 0)


def test_a_damaged_or_foreign_file_is_counted_anew(tmp_path: Path) -> None:
    path = tmp_path / "words.npz"
    assert LexicalIndex.open(path) is None
    filled().save(path)
    whole = path.read_bytes()
    for wrong in (b"", b"PK", whole[:-40], whole[: len(whole) // 2], whole.replace(b"indices", b"indexes")):
        path.write_bytes(wrong)
        assert LexicalIndex.open(path) is None
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    path.write_bytes(flipped)
    assert LexicalIndex.open(path) is None
    np.savez(path, format=1, numbers=np.array([{"a": 1}], dtype=object))
    assert LexicalIndex.open(path) is None


def test_twenty_thousand_captions_are_searched_quickly_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    import retrieval.vectors.lexical as module

    index = LexicalIndex()
    index.add(np.arange(3_000), [f"picture of thing{i % 700} near place{i % 31}" for i in range(3_000)])
    queries = [asked(f"thing{i} place{i % 31}") for i in range(40)]
    whole = index.scores(queries)
    monkeypatch.setattr(module, "_BLOCK_SCORES", 3_000 * 7)
    assert (index.scores(queries) == whole).all()
