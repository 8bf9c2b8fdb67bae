"""Job transitions: the states of a job and the moves between them, as data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

__all__ = ["FINAL", "STAMPS", "STATES", "TRANSITIONS", "JobState", "sources_of"]

JobState = Literal[
    "queued",  # waits for a worker
    "running",  # a worker holds its lease
    "awaiting_input",  # waits for a person's answer, or has it and waits for a worker
    "canceling",  # somebody asked to stop; the worker has not stopped yet
    "succeeded",
    "incomplete",  # stopped by a limit; the result is usable
    "failed",
    "canceled",
    "expired",  # did not begin in time, or nobody answered in time
]

STATES: Final[tuple[JobState, ...]] = get_args(JobState)

TRANSITIONS: Final[Mapping[JobState, frozenset[JobState]]] = MappingProxyType(
    {
        "queued": frozenset({"running", "canceled", "expired"}),
        # Back to queued: its worker died, or stopped cleanly.
        "running": frozenset({"queued", "awaiting_input", "canceling", "succeeded", "incomplete", "failed"}),
        "awaiting_input": frozenset({"running", "canceling", "expired"}),
        # Succeeded: the piece was done before the wish to stop was seen.
        "canceling": frozenset({"canceled", "succeeded", "failed"}),
        "succeeded": frozenset(),
        "incomplete": frozenset(),
        "failed": frozenset(),
        "canceled": frozenset(),
        "expired": frozenset(),
    }
)
"""From each state, the states that may follow."""

FINAL: Final[frozenset[JobState]] = frozenset(state for state in STATES if not TRANSITIONS[state])
"""States that never change."""

STAMPS: Final[Mapping[JobState, str]] = MappingProxyType(
    {
        "queued": "queued_at",
        "running": "started_at",
        "awaiting_input": "awaiting_at",
        "canceling": "canceling_at",
        **dict.fromkeys(sorted(FINAL), "finished_at"),
    }
)
"""The time that is written when a state is entered. `started_at` keeps the first time, the others the last."""


def sources_of(state: JobState) -> tuple[JobState, ...]:
    """The states from which `state` may be entered."""
    return tuple(source for source in STATES if state in TRANSITIONS[source])
