"""Rewriting: what a writer makes of one block: a model in its own words, the extractive writer by other sentences of
the sources, each with its span."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.context import Context, Editor, EditTask, Embedder
from agents.editing.changed import Written
from agents.excerpting.drafting import choose_units
from agents.excerpting.paragraphs import joined
from agents.excerpting.unit import Unit, outline_units
from agents.prompting.attribution import attributed
from interleaf.errors import BlockUnknown, EditRefused, NothingToSay
from interleaf.schema import (
    Article,
    Block,
    Figure,
    Heading,
    Outline,
    OutlineSection,
    Paragraph,
    Provenance,
    Quote,
    SourceSpan,
    SourceText,
    Support,
)
from interleaf.schema.edit import Expand, Insert, Rewrite, Shorten
from interleaf.text import count_words

__all__ = ["written"]

EXPANDED_BY = 0.6
SHORTENED_TO = 0.5
INSERTED_WORDS = 60
LEAST_WORDS = 12

WriterEdit = Rewrite | Expand | Shorten | Insert


def written(article: Article, edit: WriterEdit, context: Context, embedder: Embedder, seed: int = 0) -> Written:
    """The block's new text. `context` has the writer, and the sources that the piece was made from.

    EditRefused when the block is none that a writer changes; NothingToSay when the sources hold nothing more to say;
    WriterMisspoke when a model's answer cannot be read.
    """
    block, before, after = _around(article.blocks, edit)
    if isinstance(context.writer, Editor):
        return _by_model(article, edit, block, before, after, context.writer, context.sources, seed)
    if not context.sources:
        raise NothingToSay(
            "sources",
            "this piece has no notes left to take sentences from.",
            "Type the text (op: set_text), or edit with a model as the writer.",
        )
    return _by_excerpts(article, edit, block, before, after, context.sources, embedder)


def _around(blocks: Sequence[Block], edit: WriterEdit) -> tuple[Paragraph | Quote | None, str, str]:
    """The block to change (None: a new one), and the texts before and after it."""
    named = edit.block_id if not isinstance(edit, Insert) else edit.place.before or edit.place.after
    at = next((at for at, one in enumerate(blocks) if one.id == named), None)
    if at is None:
        raise BlockUnknown(str(named), "is no block of this version.", "Read the document again: it may have changed.")
    if isinstance(edit, Insert):
        slot = at if edit.place.before is not None else at + 1
        return None, _text_of(blocks[:slot][::-1]), _text_of(blocks[slot:])
    block = blocks[at]
    if not isinstance(block, Paragraph | Quote):
        raise EditRefused(
            "block_id", f"a {block.type} is not written anew by a writer.", "Name a paragraph, or use op: set_text."
        )
    return block, _text_of(blocks[:at][::-1]), _text_of(blocks[at + 1 :])


def _text_of(blocks: Sequence[Block]) -> str:
    return next((one.text for one in blocks if isinstance(one, Paragraph | Quote)), "")


def _by_model(
    article: Article,
    edit: WriterEdit,
    block: Paragraph | Quote | None,
    before: str,
    after: str,
    editor: Editor,
    sources: Sequence[SourceText],
    seed: int,
) -> Written:
    text = editor.edit(
        EditTask(
            operation=edit.op,
            language=article.language,
            text="" if block is None else block.text,
            before=before,
            after=after,
            wish=edit.wish or "",
            seed=seed,
        )
    )
    return Written(text, Provenance(origin="model", supports=attributed(text, sources, article.language)))


def _by_excerpts(
    article: Article,
    edit: WriterEdit,
    block: Paragraph | Quote | None,
    before: str,
    after: str,
    sources: Sequence[SourceText],
    embedder: Embedder,
) -> Written:
    """Sentences of the sources. Those of other blocks of the piece are left alone, so that nothing is said twice."""
    is_markdown = block.markup == "markdown" if block is not None else _mostly_markdown(article)
    units = _units(sources, article.language)
    others = _spans(one for one in article.blocks if block is None or one.id != block.id)
    own = _spans([] if block is None else [block])
    is_free = [_is_sentence(unit, is_markdown) and not _meets(unit, others) for unit in units]
    is_own = [free and _meets(unit, own) for free, unit in zip(is_free, units, strict=True)]
    words = 0 if block is None else count_words(block.text)
    heading = _heading_over(article.blocks, block)
    query = [edit.wish or "", "" if block is None else block.text, heading or f"{before}\n{after}"]
    if isinstance(edit, Insert):
        usable, wanted, query = is_free, INSERTED_WORDS, [edit.wish or "", heading]
    elif isinstance(edit, Shorten):
        if words <= LEAST_WORDS or sum(is_own) < 2:
            raise EditRefused("block_id", "is a single sentence, or short already.", "Delete it, or type it shorter.")
        usable, wanted, query = is_own, max(LEAST_WORDS, round(words * SHORTENED_TO)), [edit.wish or "", heading]
    elif isinstance(edit, Expand):
        usable = [free and not mine for free, mine in zip(is_free, is_own, strict=True)]
        wanted = max(LEAST_WORDS, round(words * EXPANDED_BY))
    else:
        usable, wanted = (
            [free and not mine for free, mine in zip(is_free, is_own, strict=True)],
            max(LEAST_WORDS, words),
        )
    chosen = [
        units[k] for k in choose_units(units, usable, [one for one in query if one], wanted, embedder, article.language)
    ]
    if not chosen:
        raise NothingToSay(
            "sources", "hold no other sentence for this place.", "Type the text, or give more notes and compose again."
        )
    text, supports = joined(chosen)
    if isinstance(edit, Expand):
        assert block is not None
        text, supports = _behind(block, text, supports)
    return Written(text, Provenance(origin="source", supports=supports), "markdown" if is_markdown else "plain")


def _behind(block: Paragraph | Quote, text: str, supports: tuple[Support, ...]) -> tuple[str, tuple[Support, ...]]:
    """The block's own text, and the new sentences behind it."""
    said = f"{block.text.rstrip()} {text}"
    by = len(said) - len(text)
    moved = [one.model_copy(update={"start": one.start + by, "end": one.end + by}) for one in supports]
    return said, (*block.provenance.supports, *moved)


def _units(sources: Sequence[SourceText], language: str) -> tuple[Unit, ...]:
    """Every sentence of the sources, in their order."""
    whole = tuple(SourceSpan(source_id=one.id, start=0, end=len(one.text)) for one in sources)
    return outline_units(sources, Outline(sections=(OutlineSection(material=whole),)), language)[0]


def _is_sentence(unit: Unit, is_markdown: bool) -> bool:
    return not unit.is_whole and not unit.points_away and unit.is_markdown == is_markdown


def _spans(blocks: Iterable[Block]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for block in blocks:
        for support in block.provenance.supports:
            for span in support.spans:
                found.setdefault(span.source_id, []).append((span.start, span.end))
    return found


def _meets(unit: Unit, spans: dict[str, list[tuple[int, int]]]) -> bool:
    """Whether one of the unit's sentences shares characters with one of the spans."""
    taken = spans.get(unit.block.span.source_id, ())
    return any(
        start < span.end and span.start < end
        for part in unit.parts
        for span in unit.block.spans(*part)
        for start, end in taken
    )


def _heading_over(blocks: Sequence[Block], block: Block | None) -> str:
    heading = ""
    for one in blocks:
        if block is not None and one.id == block.id:
            return heading
        if isinstance(one, Heading):
            heading = one.text
    return heading if block is not None else ""


def _mostly_markdown(article: Article) -> bool:
    texts = [one for one in article.blocks if not isinstance(one, Figure) and one.type == "paragraph"]
    return sum(one.markup == "markdown" for one in texts) * 2 > len(texts)
