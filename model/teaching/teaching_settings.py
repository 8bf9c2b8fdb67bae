"""Teaching settings: how is taught, with the published values as defaults, each held against its range."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from interleaf.errors import InvalidBrief
from model.network.config import ADAPTERS_OF_TASK, Task

__all__ = ["Teaching"]

# What may change when a run goes on: it decides no weight.
_FREE: Final = ("checkpoint_steps", "gradient_checkpointing")


@dataclass(frozen=True)
class Teaching:
    """How is taught. The defaults are the published ones.

    `accumulation`: samples of a step, one forward each. `warmup`: share of all steps in which the rate rises; then it
    falls as a cosine. `max_length`: most tokens of a sample. `partition`: budget of tiles by name, None for the one
    with which the model is asked. `task`: whose adapters act meanwhile. `clip_norm`: longest gradient.
    `checkpoint_steps`: a checkpoint each so many steps. `skip_long`: leave out samples that are too long."""

    rank: int = 64
    alpha: int = 64
    dropout: float = 0.05
    learning_rate: float = 5e-5
    warmup: float = 0.01
    weight_decay: float = 0.1
    beta2: float = 0.95
    clip_norm: float = 1.0
    epochs: int = 1
    accumulation: int = 8
    max_length: int = 16_384
    partition: str | None = None
    task: Task = "base"
    seed: int = 0
    skip_long: bool = False
    checkpoint_steps: int = 50
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        checks = (
            ("rank", 1 <= self.rank <= 4_096, "1 to 4096"),
            ("alpha", 1 <= self.alpha <= 65_536, "1 to 65536"),
            ("dropout", 0 <= self.dropout < 1, "0 or more, below 1"),
            ("learning_rate", 0 < self.learning_rate <= 1, "above 0, at most 1"),
            ("warmup", 0 <= self.warmup < 1, "0 or more, below 1"),
            ("weight_decay", 0 <= self.weight_decay <= 10, "0 to 10"),
            ("beta2", 0 <= self.beta2 < 1, "0 or more, below 1"),
            ("clip_norm", 0 < self.clip_norm < math.inf, "above 0"),
            ("epochs", 1 <= self.epochs <= 100_000, "1 to 100000"),
            ("accumulation", 1 <= self.accumulation <= 100_000, "1 to 100000"),
            ("max_length", self.max_length >= 2, "2 or more"),
            ("seed", 0 <= self.seed < 2**63, "0 to 2^63 - 1"),
            ("checkpoint_steps", self.checkpoint_steps >= 1, "1 or more"),
            ("task", self.task in ADAPTERS_OF_TASK, f"one of {', '.join(ADAPTERS_OF_TASK)}"),
        )
        for name, fits, remedy in checks:
            if not fits:
                raise InvalidBrief(name, f"is {getattr(self, name)!r}.", f"Give {remedy}.")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step number `step`, counted from 0, of `steps`."""
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    def deciding(self) -> dict[str, Any]:
        """Those that decide what weights come out, by name."""
        return {key: value for key, value in asdict(self).items() if key not in _FREE}
