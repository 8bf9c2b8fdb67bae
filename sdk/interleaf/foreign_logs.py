"""Foreign logs: what libraries say by themselves that helps nobody."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["hush", "hush_progress"]

# torchao looks for CUDA kernels of other Pythons and warns of each that does not load; while it is imported, which
# transformers does by itself, torch warns of how torchao registers its enumerations. Neither is about the user's work.
_TOO_LOUD: Final = ("torchao", "torch.utils._pytree")


def hush() -> None:
    """Let these libraries report errors only; call it before transformers is imported."""
    for name in _TOO_LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)


def hush_progress() -> None:
    """No progress bars of transformers, which it draws into files and pipes as well. Imports transformers."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
