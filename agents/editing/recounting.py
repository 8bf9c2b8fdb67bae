"""Recounting: the report of a version that an edit made.

Words, the length score, pictures and repetition are counted in the new text. How many sentences rest on the sources is
counted, too, where the sources are at hand. Where they are not, the numbers of before are kept, less those of the
blocks that went or changed, plus those of the blocks as they are now: a sentence of these counts as resting on a span
when its block says so, which whoever made the block had held against the sources. What was told of the run
(`warnings`, `pictures_considered` but for pictures that an edit brought) stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.editing.changed import Written, changed
from agents.report import make_report, repeated_share, score_of, sentences_of
from interleaf.schema import Article, Picture, SourceText, TextBlock
from interleaf.schema.edit import Edit
from interleaf.text import count_words

__all__ = ["edited", "recounted"]


def edited(
    article: Article,
    edit: Edit,
    version: int,
    *,
    written: Written | None = None,
    picture: Picture | None = None,
    sources: Sequence[SourceText] | None = None,
) -> Article:
    """The version after `version`, whose content is `article`: the edit carried out, and the report counted anew.
    Errors and the other arguments as of `changed` and `recounted`."""
    new = changed(article, edit, salt=str(version + 1), written=written, picture=picture)
    return recounted(article, new, sources)


def recounted(old: Article, new: Article, sources: Sequence[SourceText] | None = None) -> Article:
    """`new`, which an edit made of `old`, with its own report. `sources`: what the piece was made from, if it is at
    hand."""
    blocks = new.text_blocks
    brought = {picture.id for picture in new.pictures} - {picture.id for picture in old.pictures}
    considered = old.report.pictures_considered + len(brought)
    if sources is not None:
        report = make_report(
            old.report.words_wanted,
            new.language,
            blocks,
            tuple(sources),
            len(new.figures),
            considered,
            old.report.warnings,
        )
        return new.model_copy(update={"report": report})
    words = sum(count_words(block.text) for block in blocks)
    was, now = _differing(old, new)
    sentences = old.report.sentences + _sentences(now, new.language) - _sentences(was, old.language)
    resting = old.report.sentences_with_span + _resting(now) - _resting(was)
    sentences = max(0, sentences)
    report = old.report.model_copy(
        update={
            "words": words,
            "length_score": score_of(words, old.report.words_wanted),
            "sentences": sentences,
            "sentences_with_span": min(sentences, max(0, resting)),
            "pictures_placed": len(new.figures),
            "pictures_considered": considered,
            "repeated_5grams_share": repeated_share(blocks),
        }
    )
    return new.model_copy(update={"report": report})


def _differing(old: Article, new: Article) -> tuple[list[TextBlock], list[TextBlock]]:
    """Text blocks of each that the other has not, or has otherwise."""
    before = {block.id: block for block in old.text_blocks}
    after = {block.id: block for block in new.text_blocks}
    was = [block for block in before.values() if after.get(block.id) != block]
    return was, [block for block in after.values() if before.get(block.id) != block]


def _sentences(blocks: Sequence[TextBlock], language: str) -> int:
    return sum(sentences_of(block, language) for block in blocks)


def _resting(blocks: Sequence[TextBlock]) -> int:
    return sum(len(block.provenance.supports) for block in blocks)
