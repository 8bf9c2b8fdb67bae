"""Place query: what a picture for a place of a finished piece is looked for by: the words around it."""

from __future__ import annotations

from interleaf.errors import BlockUnknown
from interleaf.schema import Article, Figure, Heading, PictureQuery

__all__ = ["MAX_SIDE_CHARS", "place_query"]

MAX_SIDE_CHARS = 2_000


def place_query(article: Article, block_id: str, text: str = "") -> PictureQuery:
    """The query for the place of a block: what stands before and after it, the heading above, the title; and a person's
    own words, if there are any. BlockUnknown."""
    at = next((at for at, block in enumerate(article.blocks) if block.id == block_id), None)
    if at is None:
        raise BlockUnknown(block_id, "is no block of this version.", "Read the document again: it may have changed.")
    here = article.blocks[at]
    before = [block for block in article.blocks[:at] if not isinstance(block, Figure | Heading)]
    after = [block for block in article.blocks[at + 1 :] if not isinstance(block, Figure | Heading)]
    above = [block.text for block in article.blocks[: at + 1] if isinstance(block, Heading)]
    # A block of text is itself what a picture beside it should fit.
    own = not isinstance(here, Figure | Heading)
    first = here.text if own and not isinstance(here, Figure) else before[-1].text if before else ""
    return PictureQuery(
        text=text,
        before=first[-MAX_SIDE_CHARS:],
        after=after[0].text[:MAX_SIDE_CHARS] if after else "",
        heading=above[-1] if above else "",
        title=article.title,
    )
