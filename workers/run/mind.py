"""Mind: an engine of `model/` as the workflow's Mind.

Threads that ask at the same time are answered as one batch, so that the sections of an article share the work of
their common beginning. Each gets its answer as soon as it is whole; when memory is too small for a batch, it is
halved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from agents.prompting.mind import Ask, Family, Reply, Shown
from interleaf.errors import InterleafError, ModelBusy, OutOfMemory, PromptTooLong, RunCanceled
from model.inference.engine import Engine, Grammar, Piece, Request, Sampling
from model.network.config import Task
from model.prompts.prompt import PICTURE, PicturePlace, Turn

__all__ = ["EngineMind"]

# Questions answered at once. Keys and values of a 7B take 131 KB a token: sixteen sections of 2,000 tokens, 4 GB.
BATCH: Final = 16
# How long a batch waits for others that are being put into words: nothing beside a forward of any model.
LINGER_S: Final = 0.05
MAX_LINGERS: Final = 20
# How the published composition draws its words; greedy text of a model tends to circle.
TOP_P: Final = 0.8
TOP_K: Final = 40
MAX_SEED: Final = 2**63 - 1


class _Waiting:
    """One question on its way: its answer, piece by piece, and who waits for it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.texts: list[str] = []
        self.done: Future[Reply] = Future()

    def add(self, piece: Piece) -> None:
        self.texts.append(piece.text)
        if piece.finish == "canceled":
            self.done.set_exception(RunCanceled("run", "was canceled while the model was writing."))
        elif piece.finish is not None:
            self.done.set_result(Reply("".join(self.texts), is_cut=piece.finish == "length"))


class EngineMind:
    """See agents.prompting.mind.Mind. It does not own the engine, which several runs may share.

    `pixels`: the file of a picture that the run was given. `tasks`: what an XComposer's adapters do for writing and
    for judging. `glance`: the budget of tiles with which candidates are looked at. `canceled`: asked before each
    token. `spent`: told how many tokens were written, as they are."""

    def __init__(
        self,
        engine: Engine,
        pixels: Callable[[str], Path],
        *,
        name: str | None = None,
        family: Family = "chat",
        tasks: tuple[Task, Task] = ("base", "base"),
        glance: str | None = None,
        canceled: Callable[[], bool] = lambda: False,
        spent: Callable[[int], None] = lambda tokens: None,
        batch: int = BATCH,
        linger_s: float = LINGER_S,
    ) -> None:
        self.name = name or engine.name
        self.fingerprint = engine.fingerprint
        self.family: Family = family
        self.context_length = engine.context_length
        self._engine, self._pixels, self._canceled = engine, pixels, canceled
        self._spent = spent
        self._tasks, self._glance = tasks, glance
        self._batch, self._linger_s = batch, linger_s
        self._door = threading.Condition()
        self._queue: list[_Waiting] = []
        self._at_work = False
        self._closed = False

    def answer(self, asks: Sequence[Ask]) -> list[Reply]:
        waiting = [_Waiting(self._request(ask)) for ask in asks]
        with self._door:
            if self._closed:
                raise ModelBusy(self.name, "is being closed.", "Run it again.")
            self._queue += waiting
            starts = bool(self._queue) and not self._at_work
            self._at_work = self._at_work or starts
            self._door.notify_all()
        if starts:
            threading.Thread(target=self._work, name="mind", daemon=True).start()
        return [one.done.result() for one in waiting]

    def choose(self, ask: Ask, options: Sequence[str]) -> list[float]:
        if self._canceled():
            raise RunCanceled("run", "was canceled while the model was choosing.")
        return self._engine.choose(self._request(ask), options)

    def count(self, ask: Ask) -> int:
        return self._engine.count(self._request(ask))

    def close(self) -> None:
        """Refuse further questions; those that are being answered stop before their next token."""
        with self._door:
            self._closed = True

    # Inside

    def _request(self, ask: Ask) -> Request:
        words: list[str | PicturePlace] = []
        pictures: list[Path] = []
        for part in ask.parts:
            if isinstance(part, Shown):
                pictures.append(self._pixels(part.picture_id))
                words.append(PICTURE)
            else:
                words.append(part)
        turns = [Turn("user", tuple(words))]
        for one in ask.misread:
            turns.append(Turn("assistant", (one.answer or "…",)))
            turns.append(Turn("user", (f"This cannot be read: {one.problem}. Answer again, in the form asked for.",)))
        grammar = None
        if ask.json_schema is not None or ask.ebnf is not None:
            grammar = Grammar(json_schema=ask.json_schema, ebnf=ask.ebnf)
        sampling = Sampling(
            max_new_tokens=max(1, ask.max_tokens),
            do_sample=ask.freely,
            top_p=TOP_P if ask.freely else 1.0,
            top_k=TOP_K if ask.freely else 0,
            seed=ask.seed % MAX_SEED,
        )
        return Request(
            turns=tuple(turns),
            pictures=tuple(pictures),
            system=ask.system,
            answer_start=ask.answer_start,
            sampling=sampling,
            stops=ask.stops,
            grammar=grammar,
            task=self._tasks[0 if ask.work == "write" else 1],
            partition=self._glance if pictures else None,
        )

    def _work(self) -> None:
        """Answer batch after batch until nobody waits."""
        while True:
            with self._door:
                self._gather()
                batch, self._queue = self._queue[: self._batch], self._queue[self._batch :]
                if not batch:
                    self._at_work = False
                    return
            self._answered(batch)

    def _gather(self) -> None:
        """Wait while others come, one shortly after another."""
        for _ in range(MAX_LINGERS):
            if len(self._queue) >= self._batch or not self._door.wait(self._linger_s):
                return

    def _is_over(self) -> bool:
        return self._closed or self._canceled()

    def _answered(self, batch: Sequence[_Waiting]) -> None:
        try:
            for piece in self._engine.generate(
                [one.request for one in batch], lambda: self._closed or self._canceled()
            ):
                self._spent(piece.tokens)
                batch[piece.request].add(piece)
        except (OutOfMemory, PromptTooLong) as error:
            open_ = [one for one in batch if not one.done.done()]
            if len(open_) <= 1:
                _fail(open_, error)
                return
            # Too much at once, or one of them alone: what has not ended is asked again, half at a time.
            for one in open_:
                one.texts.clear()
            self._answered(open_[: len(open_) // 2])
            self._answered(open_[len(open_) // 2 :])
        except InterleafError as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 (raised again in the threads that wait)
            _fail(batch, error)


def _fail(waiting: Sequence[_Waiting], error: Exception) -> None:
    for one in waiting:
        if not one.done.done():
            one.done.set_exception(error)
