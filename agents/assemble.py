"""Assemble: text and figures become the finished article with its report and its run record."""

from __future__ import annotations

import hashlib

from langgraph.runtime import Runtime

from agents.choose import candidates_of
from agents.context import Context
from agents.figure import make_figure
from agents.progress import tell
from agents.report import make_report
from agents.state import State
from interleaf.schema import Article, Block, Picture, Run, SourceRecord
from interleaf.text import clean_line

__all__ = ["assemble"]


def assemble(state: State, runtime: Runtime[Context]) -> State:
    """The article. Nothing in it depends on the clock or on the run's id."""
    context, brief = runtime.context, state["brief"]
    candidates = {c.picture.id: c for c in candidates_of(state, context)} if state["places"] else {}
    by_slot: dict[int, list[Block]] = {}
    pictures: dict[str, Picture] = {}
    for choice in state["choices"]:
        figure = make_figure(choice, candidates[choice.picture_id], candidates)
        by_slot.setdefault(choice.slot, []).append(figure)
        for picture_id in (choice.picture_id, *(other.picture_id for other in choice.alternatives)):
            if picture_id in candidates:
                pictures[picture_id] = candidates[picture_id].picture
    blocks: list[Block] = []
    for slot in range(len(state["blocks"]) + 1):
        blocks += by_slot.get(slot, [])
        if slot < len(state["blocks"]):
            blocks.append(state["blocks"][slot])
    notices = (*context.notices, *state.get("notices", ()))
    article = Article(
        title=clean_line(brief.title or state["outline"].title) or "Untitled",
        language=state["language"],
        blocks=tuple(blocks),
        pictures=tuple(pictures[picture_id] for picture_id in sorted(pictures)),
        sources=tuple(
            SourceRecord(
                id=source.id,
                name=source.name,
                sha256=hashlib.sha256(source.text.encode()).hexdigest(),
                length_chars=len(source.text),
            )
            for source in context.sources
        ),
        report=make_report(
            brief.length_words,
            state["language"],
            tuple(state["blocks"]),
            context.sources,
            len(state["choices"]),
            len(candidates),
            notices,
        ),
        run=Run(
            interleaf_version=context.interleaf_version,
            writer=context.writer.name,
            writer_version=context.writer.version,
            encoder=context.encoder_name,
            encoder_sha256=context.encoder_sha256,
            picture_encoder=context.picture_encoder_name,
            seed=brief.seed,
            brief_sha256=context.brief_sha256,
            libraries=dict(state.get("libraries", {})),
        ),
    )
    tell(runtime, "assemble", 1.0, article.title)
    return {"article": article}
