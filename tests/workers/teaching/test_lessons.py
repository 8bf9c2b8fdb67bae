"""Lessons hold what a writer asks and what makes the article again: a model that knew them by heart would write it.

Articles are written here and read by the real reader; the set is read by the real reader of `interleaf tune`; the
real ModelWriter then composes with a mind that knows nothing but the set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from agents.context import DraftTask, OutlineTask, SpotTask
from agents.model_writer import ModelWriter
from agents.prompting.dialect import LETTERS, Option
from agents.prompting.mind import Ask, Family, Reply, Shown
from agents.prompting.quoting import marks_for
from agents.prompting.selecting import Window
from agents.prompting.xcomposer_dialect import XComposerDialect
from agents.words.similarity import block_text
from interleaf.errors import InterleafError, OutputUnwritable, PictureUnreadable, SourceUnreadable
from interleaf.schema import Brief, TextBlock
from model.prompts.prompt import PicturePlace
from model.teaching.teaching_set import Sample, read_teaching_set
from tests.fakes import HashingEmbedder
from workers.teaching.lesson_note import NOTE, is_glanced, write_note
from workers.teaching.lessons import SET_FILE, TaughtArticle, read_articles, write_lessons

PLACEHOLDER = "<ImageHere>"
LOCK = """# A morning at the lock

## Before sunrise

The keeper oils the gates while it is still dark.

![The lower gate at dawn.](pictures/gate.png)

Then he lights the lamp in his hut.

## The first boat

A barge with gravel comes up at seven.

![A barge low in the water.](pictures/barge.png)
"""
BRIDGE = """# Over the river

## The old bridge

It has five arches, and the third is the widest.

![The third arch from below.](pictures/arch.png)
"""


def folder_of(root: Path, **articles: str) -> Path:
    """A folder with these articles and a plain picture for each that they name under pictures/."""
    (root / "pictures").mkdir(parents=True, exist_ok=True)
    for number, (name, text) in enumerate(sorted(articles.items())):
        (root / f"{name}.md").write_text(text, encoding="utf-8")
        for k, file in enumerate(re.findall(r"pictures/(\w+)\.png", text)):
            path = root / "pictures" / f"{file}.png"
            if not path.exists():
                Image.new("RGB", (40, 30), (40 * k % 256, 90 * number % 256, 7 * len(file) % 256)).save(path)
    return root


def written(root: Path, **options: int) -> tuple[tuple[TaughtArticle, ...], tuple[Sample, ...], Path]:
    """The articles of a folder, the set that was made of them as `tune` reads it, and the set's file."""
    articles, pictures = read_articles(root)
    out = root.parent / f"{root.name}-set"
    count = write_lessons(articles, pictures, out, **options)
    samples = read_teaching_set(out / SET_FILE).samples
    assert len(samples) == count
    return articles, samples, out / SET_FILE


def refused(root: Path) -> str:
    with pytest.raises(SourceUnreadable) as caught:
        read_articles(root)
    return caught.value.message


def question(sample: Sample) -> str:
    return "".join(PLACEHOLDER if isinstance(part, PicturePlace) else part for part in sample.turns[0].parts)


def answer(sample: Sample) -> str:
    (words,) = sample.turns[-1].parts
    assert isinstance(words, str)
    return words


def asked(ask: Ask) -> str:
    return "".join(PLACEHOLDER if isinstance(part, Shown) else part for part in ask.parts).strip()


class ByHeart:
    """A Mind that knows a set and nothing else: what it is asked must stand there, word for word."""

    name = fingerprint = "by heart"
    family: Family = "xcomposer"
    context_length = 2**30

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.known = {question(sample): sample for sample in samples}

    def answer(self, asks: Sequence[Ask]) -> list[Reply]:
        said = []
        for ask in asks:
            sample = self.known[asked(ask)]
            assert sample.system == ask.system and not any(isinstance(part, Shown) for part in ask.parts)
            text = answer(sample)
            assert text.startswith(ask.answer_start.strip())
            text = text.removeprefix(ask.answer_start.strip())
            ends = [place for stop in ask.stops if (place := text.find(stop)) > 0]
            said.append(Reply(text[: min(ends)] if ends else text))
        return said

    def choose(self, ask: Ask, options: Sequence[str]) -> list[float]:
        raise AssertionError("choices are compared one by one")

    def count(self, ask: Ask) -> int:
        return 1


def composed(
    article: TaughtArticle, samples: Sequence[Sample]
) -> tuple[str, tuple[TextBlock, ...], list[tuple[int, str]]]:
    """Title, blocks, and (slot, caption) of the pictures, by a writer that has learned the set."""
    writer = ModelWriter(ByHeart(samples), HashingEmbedder())
    brief = Brief(instruction=article.instruction, language=article.language, pictures_wanted="auto")
    outline = writer.outline(OutlineTask(brief, (), article.language))
    blocks: list[TextBlock] = []
    for index in range(len(outline.sections)):
        blocks += writer.draft(DraftTask(brief, (), article.language, outline, index))
    task = SpotTask(outline.title, article.language, tuple(blocks), None)
    if not any(figures for _, _, figures in article.sections):
        return outline.title, tuple(blocks), []
    places = writer.spot(task)
    captions = [query.text for query in writer.caption(task, places)]
    return outline.title, tuple(blocks), [(place.slot, words) for place, words in zip(places, captions, strict=True)]


def test_who_knows_the_lessons_by_heart_writes_the_article_again(tmp_path: Path) -> None:
    articles, samples, _ = written(folder_of(tmp_path / "in", lock=LOCK, bridge=BRIDGE))
    assert [article.title for article in articles] == ["Over the river", "A morning at the lock"]
    title, blocks, pictures = composed(articles[1], samples)
    assert title == "A morning at the lock"
    assert [(block.type, block.text) for block in blocks] == [
        ("heading", "Before sunrise"),
        ("paragraph", "The keeper oils the gates while it is still dark."),
        ("paragraph", "Then he lights the lamp in his hut."),
        ("heading", "The first boat"),
        ("paragraph", "A barge with gravel comes up at seven."),
    ]
    assert pictures == [(2, "The lower gate at dawn."), (5, "A barge low in the water.")]


def test_choices_are_asked_in_the_writers_words_and_the_picture_that_stands_there_is_right(tmp_path: Path) -> None:
    articles, samples, _ = written(folder_of(tmp_path / "in", lock=LOCK, bridge=BRIDGE), orders=8)
    article = articles[1]
    title, blocks, _ = composed(article, samples)
    texts = [block_text(block) for block in blocks]
    right = dict(zip((2, 5), (figures[0].picture_id for _, _, figures in article.sections), strict=True))
    choices = [sample for sample in samples if sample.pictures and sample.name.find("lock.md") >= 0]
    # Where the only other candidate stands in the article already, there is nothing to choose.
    assert 8 <= len(choices) <= 16
    letters, firsts, slots = set(), set(), set()
    for sample in choices:
        count = len(re.findall(rf"\n?[A-J]\.{PLACEHOLDER}", question(sample).partition("候选图像包括: ")[2]))
        shown = [path.name.partition(".")[0] for path in sample.pictures]
        offered, before = shown[-count:], shown[:-count]
        slot = 5 if before else 2
        assert 2 <= count <= 4 and len(set(offered)) == count
        chosen = {2: right[2]} if slot == 5 else {}
        options = [Option(letter, Shown(name), "") for letter, name in zip(LETTERS, offered, strict=False)]
        ask = XComposerDialect().choose(title, Window(texts).before(slot, chosen), "", options, marks_for(0, (title,)))
        assert asked(ask) == question(sample)
        assert before in ([], [right[2][:20]])
        letter = answer(sample).removeprefix(ask.answer_start)
        assert offered[LETTERS.index(letter)] == right[slot][:20]
        letters.add(letter)
        firsts.add(offered[0])
        slots.add(slot)
    assert slots == {2, 5} and len(letters) > 1 and len(firsts) > 1, "neither letter nor place alone must tell"


def test_the_same_articles_and_seed_give_the_same_bytes_and_another_seed_other_orders(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "in", lock=LOCK, bridge=BRIDGE)
    articles, pictures = read_articles(root)
    told: list[tuple[int, int]] = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_lessons(
            articles, pictures, tmp_path / name, seed=seed, on_article=lambda done, total: told.append((done, total))
        )
    said = {name: (tmp_path / name / SET_FILE).read_bytes() for name in "abc"}
    assert said["a"] == said["b"] != said["c"]
    assert told[:3] == [(0, 2), (1, 2), (2, 2)]
    assert len(list((tmp_path / "a" / "pictures").iterdir())) == 3


def test_fewer_orders_are_fewer_choices(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "in", lock=LOCK, bridge=BRIDGE)
    counts = [sum(bool(s.pictures) for s in written(root, orders=orders)[1]) for orders in (1, 3)]
    assert 1 <= counts[0] <= 3 and counts[0] < counts[1] <= 9, "three places, each at most once an order"


def test_questions_without_pictures_can_be_said_more_often(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "in", bridge=BRIDGE)
    once, thrice = (written(root, repeats=repeats)[1] for repeats in (1, 3))
    assert sum(not s.pictures for s in thrice) == 3 * sum(not s.pictures for s in once)


def test_a_picture_that_stands_twice_is_one_place_and_one_file(tmp_path: Path) -> None:
    twice = BRIDGE + "\nIt was built twice.\n\n![The third arch again.](pictures/arch.png)\n"
    articles, samples, data = written(folder_of(tmp_path / "in", bridge=twice, lock=LOCK))
    _, _, pictures = composed(articles[0], samples)
    assert [caption for _, caption in pictures] == ["The third arch from below."]
    assert len(list((data.parent / "pictures").iterdir())) == 3


def test_one_picture_alone_is_no_choice(tmp_path: Path) -> None:
    _, samples, _ = written(folder_of(tmp_path / "in", bridge=BRIDGE))
    assert not any(sample.pictures for sample in samples)


def test_an_article_without_pictures_teaches_plan_and_words(tmp_path: Path) -> None:
    articles, samples, _ = written(folder_of(tmp_path / "in", plain="# Plain\n\n## One\n\nWords.\n\n## Two\n\nMore.\n"))
    title, blocks, pictures = composed(articles[0], samples)
    assert (title, len(blocks), pictures, len(samples)) == ("Plain", 4, [], 3)


def test_lists_tables_quotes_and_code_come_back_as_they_were(tmp_path: Path) -> None:
    rich = """# Rich

## All kinds

- one *first*
- two
  - two and a half

1. begin
2. end

> Said by somebody.

| name | height |
| --- | --- |
| Ben | 1345 m |

```python
for gate in gates:
    gate.open()
```

The end, with **bold** words and `code`.
"""
    articles, samples, _ = written(folder_of(tmp_path / "in", rich=rich))
    _, blocks, _ = composed(articles[0], samples)
    assert [block.type for block in blocks] == ["heading", "list", "list", "quote", "table", "code", "paragraph"]
    table, code, last = blocks[4], blocks[5], blocks[6]
    assert table.type == "table" and table.header == ("name", "height") and table.rows == (("Ben", "1345 m"),)
    assert code.type == "code" and code.text.splitlines()[1] == "    gate.open()" and code.language == "python"
    assert last.text == "The end, with **bold** words and `code`."


def test_a_caption_below_a_picture_is_its_caption_and_no_text(tmp_path: Path) -> None:
    below = "# T\n\n## S\n\nWords.\n\n![alt](pictures/x.png)\n\n*The caption below.*\n\nMore words.\n"
    articles, samples, _ = written(folder_of(tmp_path / "in", below=below, lock=LOCK))
    _, blocks, pictures = composed(articles[0], samples)
    assert pictures == [(2, "The caption below.")] and len(blocks) == 3


# What is refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("## Only a section\n\nText.\n\n## Another\n\nText.\n", "has no title"),
        ("Words without any heading.\n", "has no title"),
        ("# Title\n", "has no"),
        ("# Title\n\n## Section\n", "has no text"),
        ("# T\n\n## S\n\nWords.\n\n![x](pictures/absent.jpg)\n", "'pictures/absent.jpg', which is no file"),
        ("# T\n\n## S\n\nWords.\n\n![x](../outside.png)\n", "'../outside.png', which is no file under"),
        ("# T\n\n## S\n\nWords.\n\n![x](https://example.org/x.png)\n", "which is no file"),
        ("# T\n\n## S\n\nWords.\n\n![x](pictures)\n", "which is no file"),
    ],
)
def test_an_article_that_cannot_be_learned_is_named_with_what_it_lacks(text: str, words: str, tmp_path: Path) -> None:
    root = folder_of(tmp_path / "in", good=LOCK)
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    (root / "odd.md").write_text(text, encoding="utf-8")
    message = refused(root)
    assert "odd.md" in message and words in message


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "in", bridge=BRIDGE)
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    (root / "pictures" / "arch.png").unlink()
    (root / "pictures" / "arch.png").symlink_to(tmp_path / "secret.png")
    assert "no file under" in refused(root)


def test_an_empty_folder_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert "holds no article" in refused(tmp_path / "in")
    assert "does not exist" in refused(tmp_path / "nowhere")


def test_what_is_no_picture_is_refused_by_its_name(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "in", bridge=BRIDGE)
    (root / "pictures" / "arch.png").write_bytes(b"no picture at all")
    with pytest.raises(PictureUnreadable, match="arch"):
        read_articles(root)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    articles, pictures = read_articles(folder_of(tmp_path / "in", bridge=BRIDGE))
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputUnwritable):
        write_lessons(articles, pictures, tmp_path / "file" / "set")


# Hostile and odd words


NESTED = f"<Image{PLACEHOLDER}Here>"
WHERE = ("heading", "text", "caption", "title")
ODD = (PLACEHOLDER, NESTED, "<Seg1>", "[UNUSED_TOKEN_145]", "\\# no heading")


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("where", WHERE)
def test_words_that_look_like_marks_are_words(odd: str, where: str, tmp_path: Path) -> None:
    """The set stays readable, with a place for each picture and none more."""
    parts = {"title": "A title", "heading": "A heading", "text": "Some words.", "caption": "A caption."}
    parts[where] = f"Before {odd} after."
    text = f"# {parts['title']}\n\n## {parts['heading']}\n\n{parts['text']}\n\n![{parts['caption']}](pictures/a.png)\n"
    _, samples, _ = written(folder_of(tmp_path / "in", odd=text, lock=LOCK))
    assert any(sample.pictures for sample in samples)


def test_two_sections_of_one_heading_are_refused(tmp_path: Path) -> None:
    articles, pictures = read_articles(folder_of(tmp_path / "in", twice="# T\n\n## S\n\nOne.\n\n## s\n\nTwo.\n"))
    with pytest.raises(SourceUnreadable, match=r"twice\.md: .*same heading"):
        write_lessons(articles, pictures, tmp_path / "set")


WORD = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
LINE = st.lists(WORD, min_size=1, max_size=6).map(" ".join)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(LINE, st.lists(LINE, min_size=0, max_size=3)), min_size=1, max_size=5), st.integers(0, 3))
def test_any_article_is_learned_or_refused(
    tmp_path_factory: pytest.TempPathFactory, sections: list[tuple[str, list[str]]], every: int
) -> None:
    """Whatever the words are: an error of ours, or a set that `tune` reads whole."""
    lines = ["# Title"]
    for k, (heading, paragraphs) in enumerate(sections):
        lines += [f"## {k}th {heading}", *paragraphs]
        if every and k % every == 0:
            lines.append(f"![picture {k}](pictures/p{k}.png)")
    root = folder_of(tmp_path_factory.mktemp("any") / "in", any="\n\n".join(lines), lock=LOCK)
    try:
        articles, pictures = read_articles(root)
        write_lessons(articles, pictures, root.parent / "set", orders=1)
    except InterleafError as error:
        assert error.message
        return
    assert read_teaching_set(root.parent / "set" / SET_FILE).samples


def test_the_set_is_plain_json_of_the_published_form(tmp_path: Path) -> None:
    _, _, data = written(folder_of(tmp_path / "in", lock=LOCK, bridge=BRIDGE))
    for sample in json.loads(data.read_text(encoding="utf-8")):
        assert list(sample) == ["id", "image", "conversations"]
        assert [turn["from"] for turn in sample["conversations"]] == ["user", "assistant"]
        assert all(name.startswith("pictures/") for name in sample["image"])


# The note beside it


def test_a_note_says_of_one_set_that_its_pictures_are_glanced_at(tmp_path: Path) -> None:
    data = tmp_path / SET_FILE
    assert not is_glanced(data)
    write_note(data)
    assert is_glanced(data) and not is_glanced(tmp_path / "other.json")
    assert is_glanced(Path(f"{tmp_path}/./{SET_FILE}"))
    (tmp_path / NOTE).write_text('{"set": "set.json"}')
    assert not is_glanced(data)
    (tmp_path / NOTE).write_text("{")
    with pytest.raises(InterleafError, match=re.escape(NOTE)):
        is_glanced(data)


def test_what_stands_without_a_heading_or_without_text_finds_its_place(tmp_path: Path) -> None:
    """An opening belongs to the first section, pictures of a section without text to the one before."""
    for name, shade in (("a", "red"), ("b", "blue"), ("c", "green")):
        Image.new("RGB", (30, 20), shade).save(tmp_path / f"{name}.png")
    (tmp_path / "one.md").write_text(
        "# Title\n\nAn opening.\n\n![a](a.png)\n\n## First\n\nWords.\n\n![b](b.png)\n\n## Pictures\n\n![c](c.png)\n"
    )
    (tmp_path / "two.md").write_text("# Bare\n\nOnly words, no section.\n")
    (tmp_path / "notes.txt").write_text("# No article\n\nWords.\n")
    (one, two), _ = read_articles(tmp_path)
    ((heading, text, figures),) = one.sections
    assert (heading, text) == ("First", "An opening.\n\nWords.")
    assert [(figure.after, figure.caption) for figure in figures] == [(1, "a"), (2, "b"), (2, "c")]
    assert [(heading, text) for heading, text, _ in two.sections] == [("Bare", "Only words, no section.")]
    assert write_lessons((one, two), read_articles(tmp_path)[1], tmp_path / "out", orders=2)
