"""Teaching lesson: a sample as ids and labels, with the roles known by construction.

Each part of a turn is cut for itself and either asked (label -100) or to be learned: the answer, the token that ends
it, and the end of text behind the last one. Everything before an answer is exactly what the model is given when it
is asked, so that what was taught is what is used. Letters: L tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from interleaf.errors import PromptTooLong
from model.prompts.partition import Layout
from model.prompts.picture import PreparedPicture
from model.prompts.processor import XComposerProcessor
from model.prompts.prompt import PicturePlace, Plumbing, Prompt, chat
from model.prompts.video import VideoComposite, watch
from model.teaching.teaching_set import Sample, is_video

__all__ = ["IGNORED", "Lesson", "Teacher", "lessons_of"]

IGNORED: Final = -100


@dataclass(frozen=True)
class Lesson:
    """`ids` and `labels` (L each, IGNORED where nothing is learned), and how each picture is cut."""

    name: str
    ids: tuple[int, ...]
    labels: tuple[int, ...]
    pictures: tuple[Path, ...]
    layouts: tuple[Layout, ...]

    @property
    def learned(self) -> int:
        """How many tokens are learned."""
        return sum(label != IGNORED for label in self.labels)

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """`input_ids` (1, L), the positions (n,) from which a learned token is foretold, and these tokens (n,)."""
        labels = torch.tensor(self.labels)
        behind = (labels != IGNORED).nonzero().squeeze(-1)  # never 0: a sequence begins with BOS
        ids = torch.tensor([self.ids])
        return ids.to(device), (behind - 1).to(device), labels[behind].to(device)


class Teacher:
    """Makes lessons for one model: its tokenizer, its pictures, its longest lesson."""

    def __init__(self, processor: XComposerProcessor, *, max_length: int, partition: str | None = None) -> None:
        self.processor, self.partition = processor, partition
        self.max_length = min(max_length, processor.context_length)

    def lesson(self, sample: Sample) -> Lesson:
        """A sample's ids and labels; of its pictures only sizes are read.

        PromptTooLong names the lengths; PictureUnreadable names sample and picture."""
        images = self.processor.image_processor
        layouts = []
        for number, path in enumerate(sample.pictures, 1):
            name = f"{sample.name}, image {number} ({path.name})"
            source = self._opened(path, name)
            layouts.append(images.layout(source, len(sample.pictures), self.partition, name))
        ids, labels = self._written(sample, layouts)
        if len(ids) > self.max_length:
            of_pictures = ids.count(self.processor.image_token_id)
            raise PromptTooLong(
                sample.name,
                f"has {len(ids):,} tokens, {of_pictures:,} of them for {len(layouts)} pictures; "
                f"{self.max_length:,} fit.",
                "Shorten it, give pictures a smaller budget of tiles, or leave such samples out: --skip-long.",
            )
        return Lesson(sample.name, tuple(ids), tuple(labels), sample.pictures, tuple(layouts))

    def pictures(self, lesson: Lesson) -> list[PreparedPicture]:
        """The pixels of a lesson's pictures. PictureUnreadable names sample and picture."""
        found = []
        for number, (path, layout) in enumerate(zip(lesson.pictures, lesson.layouts, strict=True), 1):
            name = f"{lesson.name}, image {number} ({path.name})"
            found.append(self.processor.image_processor.prepare(self._opened(path, name), layout, name))
        return found

    def _opened(self, path: Path, name: str) -> Path | VideoComposite:
        return watch(path, name=name) if is_video(path) else path

    def _written(self, sample: Sample, layouts: Sequence[Layout]) -> tuple[list[int], list[int]]:
        tokenizer = self.processor.tokenizer
        vectors = iter([self.processor.image_processor.vectors(layout) for layout in layouts])
        ids, labels = [tokenizer.bos_token_id], [IGNORED]
        for number in range(0, len(sample.turns), 2):
            question = chat([sample.turns[number]], system="" if number else sample.system)
            # The line break behind an answer is plumbing of the next question: nobody waits for it.
            asked = self._asked(Prompt((Plumbing("\n"), *question.parts)) if number else question, vectors)
            answer = "".join(part for part in sample.turns[number + 1].parts if isinstance(part, str))
            learned = [*tokenizer.encode_untrusted(answer), tokenizer.turn_end_id]
            ids += [*asked, *learned]
            labels += [IGNORED] * len(asked) + learned
        ends = [tokenizer.eos_token_id]
        newline = self._asked(Prompt((Plumbing("\n"),)), vectors)
        return ids + newline + ends, labels + [IGNORED] * len(newline) + ends

    def _asked(self, prompt: Prompt, vectors: Iterator[int]) -> list[int]:
        """Ids of what is not learned; text between pictures is cut as one, as the processor does."""
        tokenizer = self.processor.tokenizer
        ids: list[int] = []
        segment: list[int | str] = []
        for part in prompt.parts:
            if isinstance(part, PicturePlace):
                ids += tokenizer.encode_parts(segment)
                ids += [self.processor.image_token_id] * next(vectors)
                segment = []
            else:
                segment += tokenizer.split_plumbing(part.text) if isinstance(part, Plumbing) else [part]
        ids += tokenizer.encode_parts(segment)
        return ids


def lessons_of(
    teacher: Teacher,
    samples: Sequence[Sample],
    *,
    skip_long: bool,
    on_sample: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[list[Lesson | None], list[str]]:
    """A lesson for each sample, so that nothing is found wrong in the fifth hour; with `skip_long` None for those
    that are too long, and what is said of each. `on_sample` is told (done, of how many)."""
    lessons: list[Lesson | None] = []
    skipped: list[str] = []
    for number, sample in enumerate(samples):
        on_sample(number, len(samples))
        try:
            lessons.append(teacher.lesson(sample))
        except PromptTooLong as error:
            if not skip_long:
                raise
            lessons.append(None)
            skipped.append(f"{error.thing}: {error.problem}")
    on_sample(len(samples), len(samples))
    return lessons, skipped
