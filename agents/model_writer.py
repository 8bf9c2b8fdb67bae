"""ModelWriter: the workflow's Writer on a language model with eyes.

The model is asked in its family's own words (dialect); what it answers is read into values or, after a bounded number
of repairs, refused with the raw text kept. It only ever picks among what it was given: ids stay on this side.

    outline  one question, with the material   draft  one section; sections asked side by side share their beginning
    spot     numbers of paragraphs             caption  all places side by side
    choose   place by place: one look over the candidates, with the pictures chosen before in their places
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from agents.context import (
    Candidate,
    Choice,
    ChooseTask,
    DraftTask,
    EditTask,
    Embedder,
    Finding,
    OutlineTask,
    Place,
    RunnerUp,
    SpotTask,
)
from agents.notes.sentence import split_sentences
from agents.outlining.allotment import allot
from agents.placing.placement import caption_queries
from agents.prompting.answered import answered_blocks, whole_sentences
from agents.prompting.chat_dialect import ChatDialect
from agents.prompting.dialect import LETTERS, Dialect, Option, Order, Segment, Unreadable
from agents.prompting.digest import digest
from agents.prompting.mind import Ask, Mind, Misread, Reply, Shown
from agents.prompting.quoting import Marks, marks_for
from agents.prompting.selecting import Shortlist, Window, groups
from agents.prompting.xcomposer_dialect import XComposerDialect
from agents.reviewing import review_draft
from agents.words.redundancy import near_duplicates, shingles
from agents.words.relevance import named_subject
from agents.words.similarity import block_text
from interleaf.errors import InvalidBrief, WriterMisspoke
from interleaf.schema import Brief, Outline, OutlineSection, PictureQuery, TextBlock
from interleaf.text import clean_line, count_words, fold_space

__all__ = ["MAX_REPAIRS", "ModelWriter"]

T = TypeVar("T")

# How often a question is asked again when its answer cannot be read.
MAX_REPAIRS = 2
# What a section may have when nobody said how long it should be.
SECTION_WORDS = 350
# An answer may be this much longer than asked for before it is ended.
LENGTH_SLACK = 2.0
SLACK_TOKENS = 64
MIN_TOKENS_PER_WORD, MAX_TOKENS_PER_WORD = 1.0, 10.0
SAMPLE_CHARS = 2_000
MIN_DIGEST_CHARS = 400
MAX_FITTINGS = 12
MAX_SEGMENT_CHARS = 4_000
MAX_OPTION_CHARS = 400
ALTERNATIVES = 3
# One candidate, and no answer that says "none": taken, without the model's word for it.
ALONE_SCORE = 0.5
LENGTH_TOLERANCE = 0.1
# Review's findings that mean something for words that no source holds.
_HEARD_FINDINGS = frozenset({"empty_section", "long_paragraph", "repeated_heading"})


class ModelWriter:
    """See agents.context.Writer and Editor. Threads may use it at the same time."""

    def __init__(self, mind: Mind, embedder: Embedder) -> None:
        self._mind, self._embedder = mind, embedder
        self._dialect: Dialect = XComposerDialect() if mind.family == "xcomposer" else ChatDialect()
        self._ordering = threading.Lock()
        self._ordered: tuple[object, Order] | None = None

    @property
    def name(self) -> str:
        return self._mind.name

    @property
    def version(self) -> str:
        return f"{self._dialect.version} {self._mind.fingerprint[:12]}"

    # Planning

    def outline(self, task: OutlineTask) -> Outline:
        brief, given = task.brief, task.brief.outline
        if given is not None and given.sections:
            title = brief.title or given.title or named_subject(brief.instruction) or given.sections[0].heading
            return _with_lengths(given.model_copy(update={"title": title}), brief.length_words)
        title = brief.title or (given.title if given else "")
        order = self._fitted(task, title, brief.instruction, self._dialect.outline)
        ask = replace(self._dialect.outline(order), seed=brief.seed)

        def read(reply: Reply) -> Outline:
            planned = self._dialect.read_outline(reply.text, order)
            headings = [heading.casefold() for heading, _ in planned.sections]
            if len(set(headings)) < len(headings):
                raise Unreadable("two sections have the same heading")
            sections = tuple(OutlineSection(heading=heading, points=points) for heading, points in planned.sections)
            return Outline(title=planned.title or named_subject(brief.instruction), sections=sections)

        return _with_lengths(self._read("outline", [ask], [read])[0], brief.length_words)

    # Drafting

    def draft(self, task: DraftTask) -> tuple[TextBlock, ...]:
        order = self._order_of(task)
        section = task.outline.sections[task.section_index]
        tokens = self._tokens(section.length_words, order)
        ask = self._dialect.draft(order, task.outline, task.section_index)
        # Each section draws by chance of its own; the same brief draws the same.
        ask = replace(ask, max_tokens=tokens, seed=task.brief.seed * 1_009 + task.section_index)

        def read(reply: Reply) -> tuple[TextBlock, ...]:
            text = whole_sentences(reply.text, task.language) if reply.is_cut else reply.text
            return answered_blocks(text, task)

        return self._read(f"section {task.section_index + 1}", [ask], [read])[0]

    def _order_of(self, task: DraftTask) -> Order:
        """The same for all sections of an outline, so that their questions begin alike; worked out once."""
        headings = tuple(section.heading for section in task.outline.sections)
        key = (task.brief, tuple(source.id for source in task.sources), task.outline.title, headings)
        with self._ordering:
            if self._ordered is None or self._ordered[0] != key:
                lengths = [section.length_words or SECTION_WORDS for section in task.outline.sections]
                longest = max(range(len(lengths)), key=lambda k: (lengths[k], -k))

                def build(order: Order) -> Ask:
                    ask = self._dialect.draft(order, task.outline, longest)
                    return replace(ask, max_tokens=self._tokens(lengths[longest], order))

                subject = "\n".join((task.brief.instruction, task.outline.title, *headings))
                asked = OutlineTask(task.brief, task.sources, task.language)
                self._ordered = (key, self._fitted(asked, task.outline.title, subject, build))
            return self._ordered[1]

    def _fitted(self, task: OutlineTask, title: str, subject: str, build: Callable[[Order], Ask]) -> Order:
        """An order with as much of the sources as the model's context has room for. When even the least is too much,
        the model refuses the question itself."""
        budget = sum(len(source.text) for source in task.sources)
        order = self._order(task, title, subject, budget)
        for _ in range(MAX_FITTINGS):
            ask = build(order)
            needed = self._mind.count(ask) + ask.max_tokens
            if needed <= self._mind.context_length or budget <= MIN_DIGEST_CHARS:
                break
            shown = sum(len(excerpt.text) for excerpt in order.excerpts)
            over = needed - self._mind.context_length
            per_char = max(0.2, self._mind.count(ask) / max(1, len(str(ask.parts))))
            budget = max(MIN_DIGEST_CHARS, min(round(shown * 0.95), shown - math.ceil(over / per_char)))
            order = self._order(task, title, subject, budget)
        return order

    def _order(self, task: OutlineTask, title: str, subject: str, budget_chars: int) -> Order:
        brief = task.brief
        excerpts = digest(task.sources, subject, budget_chars, self._embedder)
        return Order(
            instruction=brief.instruction,
            title=title,
            language=task.language,
            style=brief.style,
            guidelines=brief.guidelines,
            length_words=brief.length_words,
            excerpts=excerpts,
            marks=marks_for(brief.seed, [excerpt.text for excerpt in excerpts]),
        )

    def _tokens(self, words: int | None, order: Order) -> int:
        """Most tokens of a section, measured by how the model cuts this material."""
        sample = " ".join((order.instruction, *(excerpt.text for excerpt in order.excerpts)))[:SAMPLE_CHARS]
        ratio = self._mind.count(Ask((sample,), 1)) / max(1, count_words(sample))
        ratio = min(MAX_TOKENS_PER_WORD, max(MIN_TOKENS_PER_WORD, ratio))
        tokens = SLACK_TOKENS + math.ceil((words or SECTION_WORDS) * ratio * LENGTH_SLACK)
        return min(tokens, max(1, self._mind.context_length // 2))

    # Pictures

    def spot(self, task: SpotTask) -> tuple[Place, ...]:
        segments = _segments(task.blocks)
        if task.pictures_wanted == 0 or not any(segment.is_open for segment in segments):
            return ()
        ask = self._dialect.spot(task.title, segments, task.pictures_wanted)
        numbers = self._read("spotting", [ask], [lambda reply: self._dialect.read_spots(reply.text, segments)])[0]
        if task.pictures_wanted is not None:
            numbers = numbers[: task.pictures_wanted]
        return tuple(Place(slot=number, desire=1.0) for number in sorted(numbers))

    def caption(self, task: SpotTask, places: Sequence[Place]) -> tuple[PictureQuery, ...]:
        if not places:
            return ()
        segments = _segments(task.blocks)
        asks = [self._dialect.caption(task.title, segments, place.slot) for place in places]
        said = self._read("captioning", asks, [lambda reply: self._dialect.read_caption(reply.text)] * len(asks))
        # Where nothing was said, the words around the place are the query.
        queries = caption_queries(task, places)
        return tuple(
            query.model_copy(update={"text": text[:MAX_SEGMENT_CHARS]})
            for query, text in zip(queries, said, strict=True)
        )

    def choose(self, task: ChooseTask) -> tuple[Choice, ...]:
        if not task.candidates or task.pictures_wanted == 0:
            return ()
        texts = [block_text(block) for block in task.blocks]
        marks = marks_for(task.seed, (task.title, *texts, *(_words_of(candidate) for candidate in task.candidates)))
        shortlist, window = Shortlist(task, self._embedder), Window(texts)
        chosen: dict[int, Choice] = {}
        for place in sorted(task.places, key=lambda place: place.slot):
            shown = {slot: choice.picture_id for slot, choice in chosen.items()}
            candidates = shortlist.of(place.slot, shown.values())
            if not candidates:
                continue

            def ask(options: Sequence[Option], slot: int = place.slot, shown: dict[int, str] = shown) -> Ask:
                return self._choice_ask(task.title, texts, slot, window, shown, options, marks)

            if (choice := self._chosen(place, candidates, ask)) is not None:
                chosen[place.slot] = choice
        kept = sorted(chosen.values(), key=lambda choice: (-choice.score, choice.slot))[: task.pictures_wanted]
        placed = {choice.picture_id for choice in kept}
        return tuple(
            replace(choice, alternatives=tuple(o for o in choice.alternatives if o.picture_id not in placed))
            for choice in sorted(kept, key=lambda choice: choice.slot)
        )

    def _choice_ask(
        self,
        title: str,
        texts: Sequence[str],
        slot: int,
        window: Window,
        shown: dict[int, str],
        options: Sequence[Option],
        marks: Marks,
    ) -> Ask:
        """The question with as much of what stands before the place as the model's context has room for."""
        after = texts[slot] if slot < len(texts) else ""
        ask = self._dialect.choose(title, window.before(slot, shown), after, options, marks)
        while self._mind.count(ask) + ask.max_tokens > self._mind.context_length and window.shorten(slot):
            ask = self._dialect.choose(title, window.before(slot, shown), after, options, marks)
        return ask

    def _chosen(
        self,
        place: Place,
        candidates: Sequence[Candidate],
        ask: Callable[[Sequence[Option]], Ask],
    ) -> Choice | None:
        """The model's choice for one place; None when it says that none fits. More than four candidates meet in
        groups, and the best of each group meet again: a share is the product of those on the way."""
        shares = dict.fromkeys(range(len(candidates)), 1.0)
        left = list(shares)
        was_asked = False
        while True:
            rounds = [[left[k] for k in group] for group in groups(len(left))]
            best: list[int] = []
            for group in rounds:
                options = [
                    Option(letter, Shown(candidates[k].picture.id), _words_of(candidates[k]))
                    for letter, k in zip(LETTERS, group, strict=False)
                ]
                answers = self._dialect.answers(options)
                if len(answers) == 1:
                    best.append(group[0])
                    continue
                was_asked = True
                said = _shares(self._mind.choose(ask(options), answers))
                for k, share in zip(group, said, strict=False):
                    shares[k] *= share
                if (first := said.index(max(said))) < len(group):
                    best.append(group[first])
            left = best
            if len(rounds) == 1 or not left:
                break
        if not left:
            return None
        chosen = left[0]
        score = round(shares[chosen], 4) if was_asked else ALONE_SCORE
        others = sorted((k for k in shares if k != chosen), key=lambda k: (-shares[k], k))[:ALTERNATIVES]
        seen = f"among {len(candidates)} candidates by looking at them ({score:.0%})"
        return Choice(
            slot=place.slot,
            picture_id=candidates[chosen].picture.id,
            score=score,
            reason=f"{self.name} chose it {seen}." if was_asked else "The only candidate that was left.",
            alternatives=tuple(RunnerUp(candidates[k].picture.id, round(shares[k], 4)) for k in others),
        )

    # Reviewing and editing

    def review(self, brief: Brief, title: str, blocks: Sequence[TextBlock]) -> tuple[Finding, ...]:
        found = [f for f in review_draft(brief, title, blocks) if f.code in _HEARD_FINDINGS]
        found += _repeated(blocks)
        dropped = {f.block_id for f in found if f.remedy == "drop"}
        kept = [block for block in blocks if block.id not in dropped]
        wanted, words = brief.length_words, sum(count_words(block.text) for block in kept)
        if wanted is not None and abs(words - wanted) > LENGTH_TOLERANCE * wanted:
            found.append(
                Finding("length_off_target", f"{words} words instead of {wanted}: the model would not keep to it")
            )
        if brief.sources:
            found += _unfounded(kept)
        else:
            found.append(Finding("no_sources", "no notes were given: the model wrote from what it was trained on"))
        return tuple(found)

    def edit(self, task: EditTask) -> str:
        if task.operation == "insert":
            if not task.wish.strip():
                raise InvalidBrief("wish", "is empty.", "Say what the new paragraph should be about.")
        elif not task.text.strip():
            raise InvalidBrief("text", "is empty.", "Name the paragraph that is to be changed.")
        marks = marks_for(task.seed, (task.text, task.before, task.after))

        def read(reply: Reply) -> str:
            text = clean_line(whole_sentences(reply.text, task.language) if reply.is_cut else reply.text)
            if not text:
                raise Unreadable("it holds no text")
            return text

        return self._read(task.operation, [self._dialect.edit(task, marks)], [read])[0]

    # Asking

    def _read(self, thing: str, asks: Sequence[Ask], readers: Sequence[Callable[[Reply], T]]) -> list[T]:
        """All answers as values. WriterMisspoke keeps the raw text of an answer that could still not be read."""
        found: dict[int, T] = {}
        open_ = dict(enumerate(asks))
        for attempt in range(1 + MAX_REPAIRS):
            numbers = list(open_)
            for number, reply in zip(numbers, self._mind.answer([open_[n] for n in numbers]), strict=True):
                try:
                    found[number] = readers[number](reply)
                    del open_[number]
                except Unreadable as error:
                    problem = "it was cut off before its end" if reply.is_cut else str(error)
                    if attempt == MAX_REPAIRS:
                        raise WriterMisspoke(
                            thing,
                            f"{self.name} was asked {1 + MAX_REPAIRS} times and answered nothing that can be read: "
                            f"{problem}.",
                            "Run it again with another seed, or choose another model.",
                            reply.text,
                        ) from error
                    ask = open_[number]
                    open_[number] = replace(
                        ask,
                        misread=(*ask.misread, Misread(ask.answer_start + reply.text, problem)),
                        seed=ask.seed + 1,
                        freely=True,
                    )
            if not open_:
                break
        return [found[number] for number in range(len(asks))]


def _with_lengths(outline: Outline, length_words: int | None) -> Outline:
    """The outline whose sections' lengths sum to the piece's; those that a person gave stay."""
    if length_words is None:
        return outline
    given = sum(section.length_words or 0 for section in outline.sections)
    bare = [k for k, section in enumerate(outline.sections) if section.length_words is None]
    if not bare:
        return outline
    left = max(len(bare), length_words - given)
    lengths = dict(zip(bare, allot(left, [1.0] * len(bare), [left] * len(bare)), strict=True))
    sections = tuple(
        section.model_copy(update={"length_words": lengths[k]}) if k in lengths else section
        for k, section in enumerate(outline.sections)
    )
    return outline.model_copy(update={"sections": sections})


def _segments(blocks: Sequence[TextBlock]) -> tuple[Segment, ...]:
    """Block k as segment k + 1: a picture after it stands in slot k + 1. None stands between a heading and its text."""
    return tuple(
        Segment(number, block_text(block)[:MAX_SEGMENT_CHARS], block.type != "heading")
        for number, block in enumerate(blocks, 1)
    )


def _words_of(candidate: Candidate) -> str:
    """What is said of a picture, as a model is shown it."""
    return fold_space(candidate.picture.words)[:MAX_OPTION_CHARS]


def _shares(scores: Sequence[float]) -> list[float]:
    """Log-probabilities as shares that sum to one."""
    highest = max(scores)
    raised = [math.exp(score - highest) for score in scores]
    return [value / sum(raised) for value in raised]


def _repeated(blocks: Sequence[TextBlock]) -> list[Finding]:
    """Paragraphs that say again what an earlier one has said: the way in which models fail most."""
    text = [block for block in blocks if block.type in ("paragraph", "list", "quote")]
    again = {j: i for i, j in reversed(near_duplicates([shingles(block.text) for block in text]))}
    return [
        Finding("repeated_paragraph", f"said before: “{fold_space(text[j].text)[:60]}”", text[j].id, "drop")
        for j in sorted(again)
    ]


def _unfounded(blocks: Sequence[TextBlock]) -> list[Finding]:
    sentences = founded = 0
    for block in blocks:
        if block.type in ("paragraph", "list", "quote"):
            sentences += len(split_sentences(block.text, "en"))
            founded += len(block.provenance.supports)
    if founded >= sentences:
        return []
    message = (
        f"{sentences - founded} of {sentences} sentences rest on nothing that the notes say in these words: check them"
    )
    return [Finding("unfounded_sentences", message)]
