"""Lessons: a person's own illustrated articles become conversations from which a model learns to write like them.

Each article is gone through as the workflow would go through it, by the writer itself, with the article in place of
the model: every question that would be asked is put down with the answer that would have led to this article. So a
model is taught exactly the forms in which it is asked later.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from agents.context import Candidate, ChooseTask, DraftTask, OutlineTask, Place, SpotTask, Vectors
from agents.language import resolve_language
from agents.model_writer import ModelWriter
from agents.notes.block import SourceBlock
from agents.notes.document import read_document
from agents.notes.inline import plain_text
from agents.prompting.mind import Ask, Reply, Shown
from interleaf.errors import OutputUnwritable, SourceUnreadable
from interleaf.schema import Brief, Picture, Source, SourceText, TextBlock
from interleaf.text import clean_line, fold_space
from interleaf.whole_file import write_whole
from retrieval.pictures.decode import Decoded, decode
from workers.run.source_file import read_sources

__all__ = ["SET_FILE", "TaughtArticle", "TaughtFigure", "read_articles", "write_lessons"]

SET_FILE: Final = "set.json"
PICTURES: Final = "pictures"
# Times that each place is gone through with other candidates in another order, so that pictures are learned and not
# letters.
ORDERS: Final = 6
MAX_CANDIDATES: Final = 4
MAX_TOTAL_BYTES: Final = 64 * 2**20
DEFAULT_INSTRUCTION: Final = "Write an illustrated article: {title}"
_PLACEHOLDER: Final = "<ImageHere>"


@dataclass(frozen=True)
class TaughtFigure:
    """A picture of an article: after how many blocks of its section's text it stands, and its caption."""

    after: int
    picture_id: str
    caption: str


@dataclass(frozen=True)
class TaughtArticle:
    """An article to learn from. `sections`: heading, text in Markdown without pictures, figures."""

    name: str
    instruction: str
    title: str
    language: str
    sections: tuple[tuple[str, str, tuple[TaughtFigure, ...]], ...]


def read_articles(
    folder: Path, instruction: str = DEFAULT_INSTRUCTION
) -> tuple[tuple[TaughtArticle, ...], dict[str, Decoded]]:
    """The Markdown articles under `folder` and their pictures by id. `instruction` is what somebody would have said
    to get such an article; `{title}` in it stands for the title.

    SourceUnreadable: no article, one without a title or without sections, a picture that is not there.
    PictureUnreadable: one that is none."""
    read, _ = read_sources((Source(path=str(folder.absolute())),), Path("/"), MAX_TOTAL_BYTES)
    pictures: dict[str, Decoded] = {}
    articles = [
        _article(one.text, one.folder, folder, instruction, pictures)
        for one in read
        if one.folder and one.text.media_type == "text/markdown"
    ]
    if not articles:
        raise SourceUnreadable(str(folder), "holds no article.", "Put Markdown files with pictures there.")
    return tuple(articles), pictures


def write_lessons(
    articles: Sequence[TaughtArticle],
    pictures: dict[str, Decoded],
    out: Path,
    *,
    seed: int = 0,
    orders: int = ORDERS,
    repeats: int = 1,
    on_article: Callable[[int, int], object] = lambda done, total: None,
) -> int:
    """Write the set that `interleaf tune` reads: `out`/set.json and the pictures beside it. The number of lessons.

    `orders`: in how many orders the candidates of each place are shown; `repeats`: how often each question without
    pictures stands in the set, so that many orders do not crowd it out. OutputUnwritable."""
    lessons: list[dict[str, Any]] = []
    for number, article in enumerate(articles):
        on_article(number, len(articles))
        found = _lessons(article, pictures, seed, orders)
        lessons += [lesson for lesson in found for _ in range(1 if lesson["image"] else repeats)]
    on_article(len(articles), len(articles))
    try:
        (out / PICTURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})."
        raise OutputUnwritable(str(out), problem, "Name another folder.") from error
    for picture_id, decoded in sorted(pictures.items()):
        write_whole(out / _file_of(picture_id, decoded), decoded.stored)
    files = {picture_id: _file_of(picture_id, decoded) for picture_id, decoded in pictures.items()}
    said = [{**lesson, "image": [files[picture_id] for picture_id in lesson["image"]]} for lesson in lessons]
    text = json.dumps(said, ensure_ascii=False, indent=1)
    write_whole(out / SET_FILE, (text + "\n").encode())
    return len(lessons)


# Reading an article


def _article(
    source: SourceText, folder: Path, root: Path, instruction: str, pictures: dict[str, Decoded]
) -> TaughtArticle:
    document = read_document(source)
    if not document.title:
        raise SourceUnreadable(source.name, "has no title.", "Begin it with a line: # Title")
    sections: list[tuple[str, list[str], list[TaughtFigure]]] = []
    for block in document.blocks:
        if block.kind == "heading":
            if block.level >= 2:
                sections.append((fold_space(plain_text(block.text)), [], []))
            continue
        if not sections:
            sections.append(("", [], []))
        _, texts, figures = sections[-1]
        if block.kind != "image":
            texts.append(_markdown(block))
        for place in block.images:
            image = document.images[place]
            decoded = _shown(image.path, folder, root, source.name)
            pictures.setdefault(decoded.id, decoded)
            words = clean_line(image.caption or image.alt)
            figures.append(TaughtFigure(len(texts), decoded.id, words))
    told = _with_headings(document.title, sections)
    if not told:
        raise SourceUnreadable(source.name, "has no text.", "Give articles with sections of text.")
    said = instruction.replace("{title}", document.title)
    language = resolve_language(Brief(instruction=said), (source,))
    return TaughtArticle(source.name, said, document.title, language, tuple(told))


def _with_headings(
    title: str, sections: Sequence[tuple[str, list[str], list[TaughtFigure]]]
) -> list[tuple[str, str, tuple[TaughtFigure, ...]]]:
    """Sections with text, each under a heading, as outlines have them. What stands before the first heading opens the
    first section; pictures of a section without text stand at the end of the one before."""
    told: list[tuple[str, list[str], list[TaughtFigure]]] = []
    opening: tuple[list[str], list[TaughtFigure]] = ([], [])
    for heading, texts, figures in sections:
        if not texts and told:
            last = told[-1]
            last[2].extend(replace(figure, after=len(last[1])) for figure in figures)
        elif not texts or not heading:
            opening[0].extend(texts)
            opening[1].extend(figures)
        else:
            moved = [replace(figure, after=figure.after + len(opening[0])) for figure in figures]
            told.append((heading, [*opening[0], *texts], [*opening[1], *moved]))
            opening = ([], [])
    if opening[0]:
        told.append((title, *opening))
    return [(heading, "\n\n".join(texts), tuple(figures)) for heading, texts, figures in told]


def _markdown(block: SourceBlock) -> str:
    if block.kind == "list":
        return "\n".join(
            f"{'  ' * item.depth}{f'{item.number}.' if item.ordered else '-'} {fold_space(item.text)}"
            for item in block.items
        )
    if block.kind == "quote":
        return "\n".join(f"> {line}" for line in block.text.splitlines())
    if block.kind == "code":
        return f"```{block.language}\n{block.text}\n```"
    if block.kind == "table":
        rows = [
            [fold_space(cell.text) for cell in row] for row in ((block.header,) if block.header else ()) + block.rows
        ]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
    return fold_space(block.text)


def _shown(path: str, folder: Path, root: Path, name: str) -> Decoded:
    file = (folder / path).resolve()
    if "://" in path or not file.is_relative_to(root.resolve()) or not file.is_file():
        raise SourceUnreadable(
            name, f"shows {clean_line(path)[:200]!r}, which is no file under {root.name}.", "Put its pictures there."
        )
    return decode(file.read_bytes(), path)


# Putting down what would be asked


@dataclass
class _Recorder:
    """A Mind that answers what it is told to, and puts down what it was asked."""

    article: str
    name: str = "lessons"
    fingerprint: str = "lessons"
    family: Any = "xcomposer"
    context_length: int = 2**30
    answers: list[str] = field(default_factory=list)
    rights: list[str] = field(default_factory=list)
    put_down: list[tuple[Ask, str]] = field(default_factory=list)

    def answer(self, asks: Sequence[Ask]) -> list[Reply]:
        if unread := next((ask.misread[-1] for ask in asks if ask.misread), None):
            problem = f"cannot be taught as it is: {unread.problem}."
            raise SourceUnreadable(self.article, problem, "Change its headings or its text there.")
        said = [self.answers.pop(0) for _ in asks]
        self.put_down += zip(asks, said, strict=True)
        # A model's answer ends where a stop begins.
        return [Reply(_until_stop(text, ask.stops)) for ask, text in zip(asks, said, strict=True)]

    def choose(self, ask: Ask, options: Sequence[str]) -> list[float]:
        shown = [part.picture_id for part in ask.parts if isinstance(part, Shown)][-len(options) :]
        # Pictures of earlier places stand there already and are no candidates: the first that is one is this place's.
        wanted = next(picture_id for picture_id in self.rights if picture_id in shown)
        right = options[shown.index(wanted)]
        self.put_down.append((ask, right))
        return [0.0 if option == right else -30.0 for option in options]

    def count(self, ask: Ask) -> int:
        return 1


class _NoWords:
    """An encoder for lists of candidates that are short enough to be shown whole: it is asked for nothing."""

    name, sha256, dimension = "none", "", 1

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.zeros((len(texts), 1), np.float32)


def _lessons(article: TaughtArticle, pictures: dict[str, Decoded], seed: int, orders: int) -> list[dict[str, Any]]:
    mind = _Recorder(article.name)
    writer = ModelWriter(mind, _NoWords())
    brief = Brief(instruction=article.instruction, language=article.language, pictures_wanted="auto")
    mind.answers = [" " + article.title + "\n" + "\n".join(f"## {heading}" for heading, _, _ in article.sections)]
    outline = writer.outline(OutlineTask(brief, (), article.language))
    blocks: list[TextBlock] = []
    slots: list[tuple[int, TaughtFigure]] = []
    seen: set[str] = set()
    for index, (_, text, figures) in enumerate(article.sections):
        mind.answers = [text]
        drafted = writer.draft(DraftTask(brief, (), article.language, outline, index))
        first = len(blocks) + sum(block.type == "heading" for block in drafted[:1])
        # A picture stands after a block, and not between a heading and its text.
        last = len(blocks) + len(drafted)
        for figure in figures:
            if figure.picture_id not in seen:
                slots.append((max(first + 1, min(first + figure.after, last)), figure))
            seen.add(figure.picture_id)
        blocks += drafted
    placed = dict(reversed(slots))  # where two stand at one place, the first
    places = tuple(Place(slot, 1.0) for slot in sorted(placed))
    if places:
        task = SpotTask(outline.title, article.language, tuple(blocks), None)
        mind.answers = ["，".join(f"<Seg{place.slot}>" for place in places)]
        writer.spot(task)
        mind.answers = [placed[place.slot].caption + '"' for place in places]
        writer.caption(task, places)
        mind.rights = [placed[place.slot].picture_id for place in places]
        for order in range(orders):
            candidates = _candidates(placed, pictures, f"{seed}:{article.name}:{order}")
            writer.choose(ChooseTask(task.title, task.language, task.blocks, places, candidates, None))
    return [_conversation(f"{article.name} {number}", ask, said) for number, (ask, said) in enumerate(mind.put_down, 1)]


def _candidates(placed: dict[int, TaughtFigure], pictures: dict[str, Decoded], seed: str) -> tuple[Candidate, ...]:
    """For each place its picture among one to three others, in an order drawn from `seed`. They are called the
    library's, so that each is looked at where it is offered and nowhere else."""
    chance = random.Random(seed)
    offered: dict[str, dict[int, float]] = {}
    for slot, figure in sorted(placed.items()):
        others = sorted(set(pictures) - {figure.picture_id})
        most = min(len(others), MAX_CANDIDATES - 1)
        # Mostly as many as are looked at together when there are enough.
        beside = max(min(1, most), most - chance.choice((0, 0, 1, 2)))
        for picture_id in (figure.picture_id, *chance.sample(others, beside)):
            offered.setdefault(picture_id, {})[slot] = 1.0
    chosen = sorted(offered)
    chance.shuffle(chosen)
    return tuple(
        Candidate(_picture(picture_id, pictures[picture_id]), origin="library", library_scores=offered[picture_id])
        for picture_id in chosen
    )


def _picture(picture_id: str, decoded: Decoded) -> Picture:
    return Picture(
        id=picture_id,
        media_type=decoded.media_type,
        width_px=decoded.width_px,
        height_px=decoded.height_px,
        size_bytes=len(decoded.stored),
    )


def _conversation(name: str, ask: Ask, said: str) -> dict[str, Any]:
    """One question and its answer in the published form of a set."""
    words = "".join(_PLACEHOLDER if isinstance(part, Shown) else _plain(part) for part in ask.parts)
    turns = [{"from": "system", "value": ask.system}] if ask.system else []
    turns += [{"from": "user", "value": words}, {"from": "assistant", "value": _plain(ask.answer_start + said)}]
    return {
        "id": name,
        "image": [part.picture_id for part in ask.parts if isinstance(part, Shown)],
        "conversations": turns,
    }


def _plain(words: str) -> str:
    """Words in which nothing looks like a picture's place."""
    return words.replace(_PLACEHOLDER[:-1], f"< {_PLACEHOLDER[1:-1]}")


def _until_stop(text: str, stops: Sequence[str]) -> str:
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def _file_of(picture_id: str, decoded: Decoded) -> str:
    return f"{PICTURES}/{picture_id[:20]}.{decoded.media_type.split('/')[-1]}"
