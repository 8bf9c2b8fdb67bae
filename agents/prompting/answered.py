"""Answered: a model's text as the blocks of a section. It is read as a stranger's Markdown would be.

Raw HTML, pictures and link definitions are left out; what rests on the sources is found by attribution.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from agents.context import DraftTask
from agents.notes.document import read_document, to_block
from agents.notes.inline import plain_text
from agents.notes.sentence import split_sentences
from agents.prompting.attribution import attributed
from agents.prompting.dialect import Unreadable
from interleaf.schema import Heading, Provenance, SourceText, TextBlock
from interleaf.text import clean, fold_space

__all__ = ["answered_blocks", "whole_sentences"]

ID_HEX_DIGITS = 16
_ENDS = frozenset('.!?…。！？；;:："”’»」』)）]】*_`')


def answered_blocks(answer: str, task: DraftTask) -> tuple[TextBlock, ...]:
    """The section's blocks, its heading first when it has one. Unreadable when the answer says nothing."""
    text = clean(answer)
    section = task.outline.sections[task.section_index]
    maker = _Ids(task.section_index)
    source = SourceText(id="s-" + hashlib.sha256(text.encode()).hexdigest()[:ID_HEX_DIGITS], name="answer", text=text)
    blocks: list[TextBlock] = []
    for read in read_document(source).blocks:
        words = fold_space(plain_text(read.text))
        if read.kind == "image" or not words:
            continue
        if read.kind == "heading":
            if words.casefold() != section.heading.casefold():
                blocks.append(
                    Heading(
                        id=maker.next("heading", words),
                        provenance=Provenance(origin="model"),
                        level=min(6, section.level + 1),
                        text=words,
                    )
                )
            continue
        block = to_block(read, maker.next(read.kind, read.text))
        rests = () if block.type in ("code", "table") else attributed(block.text, task.sources, task.language)
        blocks.append(block.model_copy(update={"provenance": Provenance(origin="model", supports=rests)}))
    while blocks and blocks[-1].type == "heading":
        blocks.pop()  # cut off before anything stood under it
    if not blocks:
        raise Unreadable("it holds no text")
    if section.heading:
        asked = task.brief.outline.sections if task.brief.outline is not None else ()
        is_person = any(one.heading == section.heading for one in asked)
        blocks.insert(
            0,
            Heading(
                id=maker.next("heading", section.heading),
                provenance=Provenance(origin="person" if is_person else "model"),
                level=section.level,
                text=section.heading,
            ),
        )
    return tuple(blocks)


def whole_sentences(text: str, language: str) -> str:
    """`text` up to its last whole sentence; all of it when it holds not one."""
    found: Sequence[tuple[int, int]] = split_sentences(text, language)
    while found and text[found[-1][1] - 1] not in _ENDS:
        found = found[:-1]
    return text[: found[-1][1]] if found else text


class _Ids:
    """Block ids that depend on the section, the order, the kind and the words, on nothing else."""

    def __init__(self, section_index: int) -> None:
        self._section, self._ordinal = section_index, 0

    def next(self, kind: str, text: str) -> str:
        key = f"{self._section}\0{self._ordinal}\0{kind}\0{text}"
        self._ordinal += 1
        return "b-" + hashlib.sha256(key.encode()).hexdigest()[:ID_HEX_DIGITS]
