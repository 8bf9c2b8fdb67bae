"""Fire: every part of a service gets `kill -9` every few seconds, and Redis is emptied a few times."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

from tests.chaos.service import REDIS, ChaosService
from tests.chaos.verdict import Verdict

__all__ = ["Fire"]

FLUSHES = 2


class Fire:
    """`every_s`: mean time between two kills. What is killed is left to chance, and chance to the seed."""

    def __init__(self, service: ChaosService, *, seed: int, every_s: float) -> None:
        self.seconds = 0.0
        """How long it has burnt."""
        self._service = service
        self._chance = random.Random(seed)
        self._every_s = every_s
        self._kills = Counter[str]()
        self._flushed = 0

    def burn(self, most_s: float, done: Callable[[], bool], share: Callable[[], float]) -> None:
        """Until it is done and each part had its turn, at most so long. `share`: how much is done, 0 to 1."""
        begun = time.monotonic()
        while (burnt_s := time.monotonic() - begun) < most_s:
            time.sleep(self._chance.uniform(0.5, 1.5) * self._every_s)
            if done() and sum(self._kills.values()) >= len(self._service.names):
                break
            self._kill_one()
            if self._flushed < FLUSHES and max(share(), burnt_s / most_s) >= (self._flushed + 1) / (FLUSHES + 1):
                self._flushed += self._service.flush_redis()
        self.seconds = time.monotonic() - begun

    def tell(self, verdict: Verdict) -> None:
        """What was done, as lines of a verdict."""
        verdict.tell("kills", ", ".join(f"{name} {self._kills[name]}" for name in self._service.names))
        verdict.equal("Redis emptied", self._flushed, FLUSHES)
        # That Redis can't be begun at once, its port still being held, is what comes of killing it.
        others = [one for one in self._service.troubles if not one.startswith(REDIS)]
        verdict.none("troubles of this program", others)

    def _kill_one(self) -> None:
        # Each part gets its turn, in an order that changes. One in five is killed while it still starts; the others
        # are let come up first, or on a slow machine nothing would ever be done between two kills.
        service = self._service
        up = [name for name in service.names if service.is_up(name) or self._chance.random() < 0.2]
        least = min((self._kills[name] for name in up), default=0)
        victims = [name for name in up if self._kills[name] == least]
        if victims:
            victim = self._chance.choice(victims)
            self._kills[victim] += service.kill(victim)
