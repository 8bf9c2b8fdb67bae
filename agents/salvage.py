"""Salvage: an article out of what a run had when it was stopped: whole sections, and pictures if they were chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langgraph.runtime import Runtime

from agents.assemble import assemble
from agents.context import Context
from agents.state import State, add_notices, merge_drafts
from interleaf.schema import Article, Notice
from interleaf.text import count_words

__all__ = ["salvage"]


def salvage(
    values: Mapping[str, Any], finished: Sequence[Mapping[str, Any]], context: Context, notice: Notice
) -> Article | None:
    """The article of a state that lacks its last steps, or None when it holds no text.

    `values`: the state as it was last checkpointed. `finished`: what tasks of the step that was stopped had given
    already. `notice` joins the report's warnings.
    """
    state = cast(State, dict(values))
    for update in finished:
        state["drafts"] = merge_drafts(state.get("drafts", {}), update.get("drafts", {}))
        state["notices"] = add_notices(state.get("notices", ()), update.get("notices", ()))
        for name, value in update.items():
            if name not in ("drafts", "notices"):
                cast(dict[str, Any], state)[name] = value
    if "outline" not in state or "language" not in state:
        return None
    if "blocks" not in state:
        # Sections that were sent back for another length are better than none.
        drafts = state.get("drafts", {})
        state["blocks"] = tuple(block for index in sorted(drafts) for block in drafts[index])
    if not any(count_words(block.text) for block in state["blocks"] if block.type != "heading"):
        return None
    if "choices" not in state:
        state["places"], state["choices"], state["found"] = (), (), {}
    state["notices"] = add_notices(state.get("notices", ()), (notice,))
    return assemble(state, Runtime(context=context))["article"]
