"""A set is read as published, and everything that is wrong is refused with sample, value and remedy."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import model.teaching.teaching_set as teaching_set
from interleaf.errors import SourceUnreadable
from model.prompts.prompt import PICTURE
from model.teaching.teaching_set import is_video, read_teaching_set
from tests.model.teaching_material import conversation, set_file

TALK = conversation("What?", "That.")


def test_the_published_form_is_read(tmp_path: Path) -> None:
    several = "Image1 <ImageHere>; Image2 <ImageHere>; which?"
    samples = [
        {"id": 7, "image": "pictures/red.png", "conversations": conversation("  What?\n", " Red. ")},
        {"image": ["pictures/red.png", "pictures/blue.png"], "conversations": conversation(several, "The first.")},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        {"conversations": [{"from": "system", "value": "Be short."}, {"from": "user", "value": "a"}]},
    ]
    samples[3]["conversations"] += [{"from": "bot", "value": "b"}, *conversation("c", "d")]  # type: ignore[operator]
    found = read_teaching_set(set_file(tmp_path, samples)).samples
    assert found[0].turns[0].parts == (PICTURE, "What?") and found[0].turns[1].parts == ("Red.",)
    assert "sample 1 (7)" in found[0].name and found[0].pictures[0].name == "red.png"
    assert found[1].turns[0].parts == ("Image1 ", PICTURE, "; Image2 ", PICTURE, "; which?")
    assert [p.name for p in found[1].pictures] == ["red.png", "blue.png"]
    assert [turn.role for turn in found[2].turns] == ["user", "assistant"] and found[2].pictures == ()
    assert found[3].system == "Be short." and len(found[3].turns) == 4
    assert is_video(Path("a.MP4")) and not is_video(Path("a.png"))


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ({"image": "pictures/pink.png", "conversations": TALK}, ("pink.png", "image 1", "there is no file")),
        ({"image": "../outside.png", "conversations": TALK}, ("../outside.png", "leads out")),
        ({"image": "/etc/passwd", "conversations": TALK}, ("/etc/passwd", "leads out")),
        ({"image": "pictures/link.png", "conversations": TALK}, ("link.png", "leads out")),
        ({"image": "pictures", "conversations": TALK}, ("there is no file", "pictures")),
        ({"image": 5, "conversations": TALK}, ("names the image", "5")),
        ({"image": "a\0b", "conversations": TALK}, ("names the image",)),
        ({"image": ["pictures/red.png"] * 201, "conversations": TALK}, ("201", "at most 200")),
        ({"conversations": conversation("<ImageHere> what?", "x")}, ("0 pictures", "1 times <ImageHere>")),
        (
            {"image": ["pictures/red.png", "pictures/blue.png"], "conversations": TALK},
            ("2 pictures", "0 times", "Image1 <ImageHere>"),
        ),
        ({"conversations": [{"from": "robot", "value": "x"}, *TALK]}, ("turn 1", "'robot'", "assistant")),
        ({"conversations": [*TALK, *reversed(TALK)]}, ("turn 3", "'assistant'", "user is due", "alternate")),
        ({"conversations": [*TALK, {"from": "system", "value": "x"}]}, ("turn 3", "'system'", "user is due")),
        ({"conversations": TALK[:1]}, ("does not end with an answer",)),
        ({"conversations": [*TALK, TALK[0]]}, ("does not end with an answer",)),
        ({"conversations": [{"from": "system", "value": "x"}]}, ("does not end with an answer",)),
        ({"conversations": conversation("x", " \n")}, ("turn 2", "Give every turn words")),
        ({"conversations": [{"from": "user"}, TALK[1]]}, ("turn 1", "None")),
        ({"conversations": ["x"]}, ("turn 1", "'x'")),
        ({"conversations": []}, ("has no conversations",)),
        ({"conversations": conversation("x", "see <ImageHere>")}, ("turn 2", "cannot say a picture")),
        ({}, ("has no conversations",)),
        ("x", ("is a str",)),
    ],
)
def test_a_bad_sample_is_named(tmp_path: Path, sample: Any, said: tuple[str, ...]) -> None:
    (tmp_path / "outside.png").write_bytes(b"x")
    data = set_file(tmp_path / "set", [{"conversations": TALK}, sample])
    (tmp_path / "set" / "pictures" / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(SourceUnreadable) as refused:
        read_teaching_set(data)
    assert all(part in refused.value.message for part in ("set.json sample 2", *said)), refused.value.message
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"{", "is no JSON"), (b"{}", "holds a dict"), (b"[]", "an empty list"), (b"[" * 99_999, "is no JSON")],
)
def test_a_bad_list_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "set.json").write_bytes(data)
    with pytest.raises(SourceUnreadable, match=said):
        read_teaching_set(tmp_path / "set.json")
    with pytest.raises(SourceUnreadable, match=r"none\.json: cannot be read"):
        read_teaching_set(tmp_path / "none.json")


def test_files_that_are_too_large_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = set_file(tmp_path)
    monkeypatch.setattr(teaching_set, "MAX_FILE_BYTES", 10)
    with pytest.raises(SourceUnreadable, match=r"sample 1 \(red\), image 1: 'pictures/red.png' has .* at most"):
        read_teaching_set(data)
    monkeypatch.setattr(teaching_set, "MAX_LIST_BYTES", 20)
    with pytest.raises(SourceUnreadable, match="larger than"):
        read_teaching_set(data)


def test_lists_with_their_shares_of_an_epoch(tmp_path: Path) -> None:
    few, many = [{"conversations": TALK}] * 3, [{"conversations": TALK}] * 10
    set_file(tmp_path, few, "few.json")
    set_file(tmp_path, many, "many of them.json")
    (tmp_path / "data.txt").write_text("# lists\nfew.json 0.007\n\nmany of them.json 0.004\n")
    found = read_teaching_set(tmp_path / "data.txt")
    assert found.epoch_length == 11
    first, again, second = found.order(0, seed=1), found.order(0, seed=1), found.order(1, seed=1)
    assert first == again != second and first != found.order(0, seed=2)
    for order in (first, second):
        counted = Counter(order)
        assert sorted(counted[i] for i in range(3)) == [2, 2, 3]  # gone through twice, and one more
        assert sum(counted[i] for i in range(3, 13)) == 4 and max(counted[i] for i in range(3, 13)) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [("few.json", "line 1"), ("few.json x", "'few.json x'"), ("few.json -1", "thousands"), ("few.json nan", "line 1"),
     ("../few.json 1", "leads out"), ("none.json 1", "there is no file"), ("", "names no list")],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    set_file(tmp_path, [{"conversations": TALK}], "few.json")
    (tmp_path / "data.txt").write_text(line)
    with pytest.raises(SourceUnreadable, match=said):
        read_teaching_set(tmp_path / "data.txt")


def test_the_fingerprint_knows_words_and_pictures(tmp_path: Path) -> None:
    data = set_file(tmp_path)
    before = read_teaching_set(data).fingerprint
    assert read_teaching_set(data).fingerprint == before
    with (tmp_path / "pictures" / "red.png").open("ab") as file:
        file.write(b"x")
    changed = read_teaching_set(data).fingerprint
    data.write_text(data.read_text() + " ")
    assert len({before, changed, read_teaching_set(data).fingerprint}) == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["user", "gpt", "<ImageHere>"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "image", "conversations", "from", "value"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=st.lists(JSON, min_size=1, max_size=3))
def test_whatever_a_list_holds_it_is_read_or_refused(tmp_path: Path, samples: list[Any]) -> None:
    path = tmp_path / "drawn.json"
    path.write_text(json.dumps(samples))
    try:
        found = read_teaching_set(path)
    except SourceUnreadable as refused:
        assert refused.remedy
    else:
        assert all(sample.turns[-1].role == "assistant" for sample in found.samples)
