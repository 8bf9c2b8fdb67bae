"""Graph: the article workflow on one page.

    plan → [approve outline] → draft (sections side by side) → review ↺ bounded
         → spot → caption → retrieve → choose → [approve pictures] → assemble

Every node's update is checkpointed, so that a killed run goes on after the last finished node or section.
Review stands before the pictures: what it repairs is text, and a person approves pictures only once.
"""

from __future__ import annotations

from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send

import interleaf.schema as words
from agents.approve import approve_outline, approve_pictures
from agents.assemble import assemble
from agents.caption import caption
from agents.choose import choose
from agents.context import Choice, Context, Place, RunnerUp
from agents.draft import draft
from agents.plan import plan
from agents.retrieve import retrieve
from agents.review import review
from agents.spot import spot
from agents.state import DraftOrder, State

__all__ = ["MAX_CONCURRENCY", "article_graph", "checkpoint_serializer"]

# LangGraph saves a finished task's writes in the same thread pool as the tasks: with fewer threads than
# sections, finished sections would wait unsaved behind those not yet begun, and a kill would lose them.
# So every section of an outline (200 at most) gets a thread; Context.drafting bounds how many work at once.
MAX_CONCURRENCY = 256

ArticleGraph = CompiledStateGraph[State, Context, State, State]


def after_plan(state: State) -> Literal["approve_outline"] | list[Send]:
    return "approve_outline" if state["brief"].approvals.outline else send_sections(state)


def send_sections(state: State) -> list[Send]:
    """One drafting task for each section that is to be drafted; the fan-out."""
    return [
        Send(
            "draft",
            DraftOrder(brief=state["brief"], language=state["language"], outline=state["outline"], section_index=index),
        )
        for index in state["to_draft"]
    ]


def after_review(state: State) -> Literal["spot"] | list[Send]:
    return send_sections(state) if state["to_draft"] else "spot"


def after_choose(state: State) -> Literal["approve_pictures", "assemble"]:
    wanted = state["brief"].approvals.pictures and bool(state["choices"])
    return "approve_pictures" if wanted else "assemble"


def article_graph(checkpointer: BaseCheckpointSaver[Any] | None = None) -> ArticleGraph:
    """The compiled workflow. Run it with a `Context`; the thread id is the run id."""
    graph = StateGraph(State, context_schema=Context)
    graph.add_node("plan", plan)
    graph.add_node("approve_outline", approve_outline)
    graph.add_node("draft", draft, input_schema=DraftOrder)
    graph.add_node("review", review)
    graph.add_node("spot", spot)
    graph.add_node("caption", caption)
    graph.add_node("retrieve", retrieve)
    graph.add_node("choose", choose)
    graph.add_node("approve_pictures", approve_pictures)
    graph.add_node("assemble", assemble)

    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", after_plan, ["approve_outline", "draft"])
    graph.add_conditional_edges("approve_outline", send_sections, ["draft"])
    graph.add_edge("draft", "review")
    graph.add_conditional_edges("review", after_review, ["draft", "spot"])
    graph.add_edge("spot", "caption")
    graph.add_edge("caption", "retrieve")
    graph.add_edge("retrieve", "choose")
    graph.add_conditional_edges("choose", after_choose, ["approve_pictures", "assemble"])
    graph.add_edge("approve_pictures", "assemble")
    graph.add_edge("assemble", END)
    return graph.compile(checkpointer=checkpointer)


def checkpoint_serializer() -> JsonPlusSerializer:
    """Reads back only the values of this workflow; no pickle, nothing else is built from a checkpoint."""
    ours = [getattr(words, name) for name in words.__all__]
    kinds = [kind for kind in ours if isinstance(kind, type)] + [Place, Choice, RunnerUp]
    return JsonPlusSerializer(
        pickle_fallback=False, allowed_msgpack_modules=[(kind.__module__, kind.__qualname__) for kind in kinds]
    )
