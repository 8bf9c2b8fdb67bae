"""Review: looks at the whole draft, drops what must go, and sends sections back at most twice."""

from __future__ import annotations

from langgraph.runtime import Runtime

from agents.context import Context
from agents.length import fit_lengths
from agents.progress import tell
from agents.state import State
from interleaf.errors import NothingToSay
from interleaf.schema import Notice, TextBlock
from interleaf.text import count_words

__all__ = ["MAX_REVIEW_ROUNDS", "review"]

MAX_REVIEW_ROUNDS = 2
# A piece this close to its length is left alone.
LENGTH_TOLERANCE = 0.03


def words_of(blocks: tuple[TextBlock, ...]) -> int:
    return sum(count_words(block.text) for block in blocks)


def review(state: State, runtime: Runtime[Context]) -> State:
    """Either names sections `to_draft` again (with new lengths in the outline) or settles `blocks`."""
    brief, outline, drafts = state["brief"], state["outline"], state["drafts"]
    order = sorted(drafts)
    round_ = state["review_round"]
    wanted = brief.length_words
    if wanted is not None and round_ < MAX_REVIEW_ROUNDS:
        words = {index: words_of(drafts[index]) for index in order}
        if abs(sum(words.values()) - wanted) > wanted * LENGTH_TOLERANCE:
            fitted, again = fit_lengths(outline, words, wanted)
            if again:
                tell(runtime, "review", 0.5, f"{sum(words.values())} of {wanted} words: {len(again)} sections again")
                return {"outline": fitted, "to_draft": again, "review_round": round_ + 1}

    blocks = tuple(block for index in order for block in drafts[index])
    findings = runtime.context.writer.review(brief, outline.title, blocks)
    dropped = {f.block_id for f in findings if f.remedy == "drop"}
    kept = tuple(block for block in blocks if block.id not in dropped)
    if not any(count_words(block.text) for block in kept if block.type != "heading"):
        raise NothingToSay(
            "sources",
            "hold nothing that answers the instruction.",
            "Give notes about the subject, or widen the instruction.",
        )
    notices = [Notice(code=f.code, message=f.message) for f in findings if f.remedy == "note"]
    for index in order:
        if not drafts[index]:
            heading = outline.sections[index].heading or f"section {index + 1}"
            notices.append(Notice(code="section_left_out", message=f"{heading}: the sources say nothing about it"))
    tell(runtime, "review", 1.0, f"{words_of(kept)} words")
    return {"blocks": kept, "to_draft": (), "notices": tuple(notices)}
