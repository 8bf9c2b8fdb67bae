"""Progress: how nodes tell what they are doing; the one form of what streams out of the graph."""

from __future__ import annotations

from langgraph.runtime import Runtime

from agents.context import Context
from interleaf.schema import Stage

__all__ = ["tell"]


def tell(runtime: Runtime[Context], stage: Stage, share_done: float, message: str = "") -> None:
    """Stream one progress note: `share_done` in 0..1 within the stage."""
    runtime.stream_writer({"stage": stage, "share_done": share_done, "message": message})
