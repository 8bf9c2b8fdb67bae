"""A lesson: which tokens are learned, one by one, and that the question is what the model is given when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interleaf.errors import PictureUnreadable, PromptTooLong
from model.prompts.processor import XComposerProcessor
from model.prompts.prompt import PICTURE, Turn, chat
from model.teaching.teaching_lesson import IGNORED, Lesson, Teacher, lessons_of
from model.teaching.teaching_set import Sample, read_teaching_set
from tests.model.teaching_material import conversation, set_file, tiny_folder

VECTORS = 2 * 4 + 1 + 2 * 2  # of a picture of one tile: overview and tile of 2 × 2, and the ends of rows


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> XComposerProcessor:
    return XComposerProcessor.from_folder(tiny_folder(tmp_path_factory.mktemp("lesson")))


def lesson(processor: XComposerProcessor, root: Path, sample: dict[str, Any], **options: Any) -> Lesson:
    (read,) = read_teaching_set(set_file(root, [sample])).samples
    return Teacher(processor, **{"max_length": 2_000, **options}).lesson(read)


def test_every_token_of_two_turns_with_pictures(processor: XComposerProcessor, tmp_path: Path) -> None:
    talk = conversation("Image1 <ImageHere>; Image2 <ImageHere>; which?", "The first.", "Why?", "It is red.")
    made = lesson(processor, tmp_path, {"image": ["pictures/red.png", "pictures/blue.png"], "conversations": talk})
    cut, control = processor.tokenizer.encode_untrusted, processor.tokenizer.control_pieces
    start, end = control["[UNUSED_TOKEN_146]"], control["[UNUSED_TOKEN_145]"]
    seen = [processor.image_token_id] * VECTORS
    expected = [  # (ids, learned)
        ([1, start, *cut("user\nImage1 "), *seen, *cut("; Image2 "), *seen, *cut("; which?"), end], False),
        ([*cut("\n"), start, *cut("assistant\n")], False),
        ([*cut("The first."), end], True),
        ([*cut("\n"), start, *cut("user\nWhy?"), end, *cut("\n"), start, *cut("assistant\n")], False),
        ([*cut("It is red."), end], True),
        (cut("\n"), False),
        ([2], True),
    ]
    assert list(made.ids) == [i for ids, _ in expected for i in ids]
    assert list(made.labels) == [i if learned else IGNORED for ids, learned in expected for i in ids]
    assert made.learned == len(cut("The first.")) + len(cut("It is red.")) + 3


def test_a_learned_token_is_foretold_from_the_one_before(processor: XComposerProcessor, tmp_path: Path) -> None:
    made = lesson(processor, tmp_path, {"conversations": conversation("a", "b")})
    ids, places, wanted = made.tensors(torch.device("cpu"))
    assert ids[0, places + 1].tolist() == wanted.tolist() and len(wanted) == made.learned


WORDS = st.text(st.sampled_from("ab c\nI<>[]_U.145浦é"), max_size=20) | st.sampled_from(
    ["[UNUSED_TOKEN_145]", "</s>", "<|im_end|>"]
)
SAID = WORDS.map(str.strip).filter(bool)


@settings(max_examples=60, deadline=None)
@given(system=SAID | st.just(""), questions=st.lists(st.tuples(SAID, SAID), min_size=1, max_size=3), seen=st.booleans())
def test_the_question_is_what_the_model_is_asked(
    processor: XComposerProcessor, system: str, questions: list[tuple[str, str]], seen: bool, red: Path
) -> None:
    turns = [turn for q, a in questions for turn in (Turn("user", (q,)), Turn("assistant", (a,)))]
    if seen:
        turns[0] = Turn("user", (PICTURE, questions[0][0]))
    made = Teacher(processor, max_length=2_000).lesson(Sample("drawn", tuple(turns), (red,) if seen else (), system))
    asked = processor(text=chat(turns[:-1], system=system), images=[red] if seen else None)["input_ids"][0].tolist()
    answer = [*processor.tokenizer.encode_untrusted(questions[-1][1]), processor.tokenizer.turn_end_id]
    behind = [*processor.tokenizer.encode_untrusted("\n"), 2]
    assert list(made.ids) == [*asked, *answer, *behind]
    assert list(made.labels[len(asked) :]) == [*answer, *[IGNORED] * (len(behind) - 1), 2]
    # Whatever people write, the only end-of-turn tokens are ours, and only those of answers are learned.
    assert made.ids.count(processor.tokenizer.turn_end_id) == len(turns) + bool(system)
    assert made.labels.count(processor.tokenizer.turn_end_id) == len(questions)
    assert made.labels.count(processor.image_token_id) == 0 and made.labels.count(2) == 1


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    set_file(folder := tmp_path_factory.mktemp("red"))
    return folder / "pictures" / "red.png"


def test_long_samples_are_refused_or_left_out(processor: XComposerProcessor, tmp_path: Path) -> None:
    talk = conversation("What?", "red " * 50)
    data = set_file(tmp_path, [{"id": "long", "image": "pictures/red.png", "conversations": talk}])
    samples = read_teaching_set(data).samples
    teacher = Teacher(processor, max_length=30)
    with pytest.raises(PromptTooLong, match=rf"\(long\): has \d+ tokens, {VECTORS} of them for 1 pictures; 30 fit"):
        teacher.lesson(samples[0])
    told: list[tuple[int, int]] = []
    lessons, skipped = lessons_of(teacher, samples, skip_long=True, on_sample=lambda *step: told.append(step))
    assert lessons == [None] and len(skipped) == 1 and "30 fit" in skipped[0]
    assert told == [(0, 1), (1, 1)], "a bar ends full"


def test_a_broken_picture_is_named_with_its_sample(processor: XComposerProcessor, tmp_path: Path) -> None:
    data = set_file(tmp_path)
    (tmp_path / "pictures" / "green.png").write_bytes(b"no picture")
    with pytest.raises(PictureUnreadable, match=r"sample 2 \(green\), image 1 \(green.png\)"):
        lessons_of(Teacher(processor, max_length=99), read_teaching_set(data).samples, skip_long=True)


def test_a_video_stands_for_a_picture(processor: XComposerProcessor, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    set_file(tmp_path)
    with av.open(str(tmp_path / "clip.mp4"), "w") as out:
        stream = out.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(2):
            for packet in stream.encode(av.VideoFrame(64, 48, "yuv420p")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    made = lesson(processor, tmp_path, {"image": "clip.mp4", "conversations": conversation("a", "b")}, max_length=9_999)
    (picture,) = Teacher(processor, max_length=9_999).pictures(made)
    rows, columns = picture.grid
    assert made.ids.count(processor.image_token_id) == (rows * columns + 1) * 4 + 1 + (rows + 1) * 2
