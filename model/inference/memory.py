"""Memory: what torch says when something fails in a model, as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from interleaf.errors import ModelError, OutOfMemory

__all__ = ["is_out_of_memory", "memory_translated"]


@contextmanager
def memory_translated(name: str) -> Iterator[None]:
    """torch's errors as ours; too little memory is told apart, for it may do with fewer requests."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            problem, remedy = "has too little memory for this.", "Ask fewer at a time, shorter, or with fewer pictures."
            raise OutOfMemory(name, problem, remedy) from error
        reason = str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
        raise ModelError(name, f"failed while it answered ({reason}).", "Try again; if it stays, report it.") from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch means by it that there is too little memory, on whichever device."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in said or "can't allocate memory" in said
