"""Memory: what torch says when something fails in a model, as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from interleaf.errors import ModelError, OutOfMemory

__all__ = ["memory_translated"]


@contextmanager
def memory_translated(name: str) -> Iterator[None]:
    """torch's errors as ours; too little memory is told apart, for it may do with fewer requests."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(name) from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise _out_of_memory(name) from error
        reason = str(error).strip().split("\n", 1)[0][:300] or type(error).__name__
        raise ModelError(name, f"failed while it answered ({reason}).", "Try again; if it stays, report it.") from error


def _out_of_memory(name: str) -> OutOfMemory:
    return OutOfMemory(name, "has too little memory for this.", "Ask fewer at a time, shorter, or with fewer pictures.")
