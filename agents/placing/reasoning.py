"""Reasoning: one sentence for a person that says why a picture stands where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from agents.placing.cue import Cue

__all__ = ["reason_for"]

MAX_QUOTE_CHARS = 60


def reason_for(
    shared_before: Sequence[str],
    shared_after: Sequence[str],
    cue: Cue | None,
    anchored: bool,
    heading: str,
    likeness: float,
    has_words: bool,
) -> str:
    """The strongest evidence in words. `shared_*`: rare terms that caption and block share, rarest first;
    `likeness`: similarity in meaning with the block before, 0..1."""
    said: list[str] = []
    if anchored:
        said.append("The source document shows it beside this text")
    if len(shared_before) >= len(shared_after) and shared_before:
        said.append(f"Its caption shares {_quoted(shared_before)} with the text before")
    elif shared_after:
        said.append(f"Its caption shares {_quoted(shared_after)} with the text after")
    elif likeness >= 0.3:
        said.append("Its caption means much the same as the text before")
    if cue is not None:
        said.append(f"the text {'after' if cue.direction == 'above' else 'there'} says {_quoted([cue.words])}")
    if not said and heading:
        said.append(f"It fits best among the pictures at hand under the heading {_quoted([heading])}")
    if not said:
        said.append(
            "Its caption says little about any one place; this is where pictures are usually put"
            if has_words
            else "It has no caption; this is where pictures are usually put"
        )
    return "; ".join([said[0], *(_lower_first(s) for s in said[1:])]) + "."


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"“{w if len(w) <= MAX_QUOTE_CHARS else w[: MAX_QUOTE_CHARS - 1] + '…'}”" for w in words)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
