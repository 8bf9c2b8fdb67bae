"""Transformers engine: any chat model with eyes that transformers loads, under the engine's contract.

Each family prepares pictures and positions in its own way, so the model's own processor and `generate` do that work;
which token is taken, and when an answer ends, is decided here, as for the native network.
"""

from __future__ import annotations

import inspect
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList

from interleaf.errors import PromptInvalid, PromptTooLong, Unsupported
from model.inference.decoding import Growing, alike, choose_tokens
from model.inference.engine import Piece, Request, Seen
from model.inference.foreign_prompts import ForeignPrompts
from model.inference.grammar import GrammarCompiler
from model.inference.memory import memory_translated
from model.inference.sampling import Chooser
from model.inference.streaming import Words
from model.prompts.prompt import chat

__all__ = ["TransformersEngine"]

MAX_REQUESTS: Final = 256
# More pictures than these in a request are looked at one by one first, so that too many of them never are in memory.
_FEW_PICTURES: Final = 16


class TransformersEngine:
    """See engine.Engine. `model` and `processor` as AutoModelForImageTextToText and foreign_processor give them; both
    belong to the engine from now on."""

    def __init__(self, model: Any, processor: Any, name: str, fingerprint: str = "") -> None:
        self._model, self._processor = model, processor
        self.name, self.fingerprint = name, fingerprint
        self._lock = threading.Lock()
        self._prompts = ForeignPrompts(processor, name)
        self._tokenizer = self._prompts.tokenizer
        published = model.generation_config
        listed = published.eos_token_id
        ends = listed if isinstance(listed, list) else [listed]
        self._ends = frozenset(i for i in (*ends, self._tokenizer.eos_token_id) if i is not None)
        if not self._ends:
            raise Unsupported(name, "has no token that ends an answer.", "Set eos_token_id in its generation config.")
        # What a model must never say stays. Its publisher's taste (a repetition penalty, beams) would fill whatever a
        # call to `generate` leaves open; here the request alone decides.
        model.generation_config = GenerationConfig(
            eos_token_id=sorted(self._ends),
            pad_token_id=self._tokenizer.pad_token_id,
            bad_words_ids=published.bad_words_ids,
            suppress_tokens=published.suppress_tokens,
        )
        self._keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters

    @property
    def context_length(self) -> int:
        text = self._model.config.get_text_config()
        return int(getattr(text, "max_position_embeddings", 0) or 2**20)

    def generate(self, requests: Sequence[Request], canceled: Callable[[], bool] = lambda: False) -> Iterator[Piece]:
        if not 1 <= len(requests) <= MAX_REQUESTS:
            raise PromptInvalid("requests", f"are {len(requests)}.", f"Give 1 to {MAX_REQUESTS} at a time.")
        for request in requests:
            self._check(request)
        inputs = self._inputs(requests)
        for row, request in zip(self._rows(inputs), requests, strict=True):
            self._refuse_too_long(row, request.sampling.max_new_tokens)
        return self._pieces(list(requests), inputs, canceled)

    def choose(self, request: Request, options: Sequence[str]) -> list[float]:
        if len(options) < 2 or len(set(options)) < len(options) or not all(options):
            raise PromptInvalid("options", f"are {list(options)!r}.", "Give two or more different ones, none empty.")
        self._check(request)
        prompt = self._inputs([request])
        (base,) = self._rows(prompt)
        single = self._prompts.single_tokens(request, options, base)
        if single is not None:  # letters: the prompt alone says how likely each is
            self._refuse_too_long(base, 1)
            scores: list[float] = self._log_probabilities(prompt, 1)[0, -1, single].tolist()
            return scores
        whole = self._inputs([replace(request, answer_start=request.answer_start + option) for option in options])
        rows = self._rows(whole)
        self._refuse_too_long(max(rows, key=len), 0)
        shared = min(alike(base, row) for row in rows)
        tails = [row[shared:] for row in rows]
        last = max(len(tail) for tail in tails) + 1
        said = self._log_probabilities(whole, last)  # padded on the left: all end together
        return [
            sum(float(said[number, last - len(tail) + i - 1, token]) for i, token in enumerate(tail))
            for number, tail in enumerate(tails)
        ]

    def count(self, request: Request) -> int:
        self._check(request)
        return len(self._rows(self._inputs([request]))[0])

    def close(self) -> None:
        """Nothing is held but the model."""

    # Inside

    def _pieces(self, requests: list[Request], inputs: Any, canceled: Callable[[], bool]) -> Iterator[Piece]:
        with self._lock, memory_translated(self.name):
            growing = [
                Growing(
                    i,
                    request,
                    Chooser(request.sampling, row),
                    Words(self._prompts.decode, request.stops),
                    None if request.grammar is None else self._grammars.matcher(request.grammar),
                    self._ends,
                )
                for i, (request, row) in enumerate(zip(requests, self._rows(inputs), strict=True))
            ]
            given_up = threading.Event()
            deciding = _Deciding(growing, min(self._ends), lambda: given_up.is_set() or canceled())
            worker = threading.Thread(target=self._run, args=(inputs, requests, deciding), daemon=True)
            worker.start()
            try:
                while (piece := deciding.made.get()) is not None:
                    if isinstance(piece, BaseException):
                        raise piece
                    yield piece
            finally:
                given_up.set()  # who stops listening stops the model
                worker.join()

    def _run(self, inputs: Any, requests: list[Request], deciding: _Deciding) -> None:
        settings = GenerationConfig(
            max_new_tokens=max(r.sampling.max_new_tokens for r in requests) + 1,
            do_sample=False,
        )
        try:
            with torch.no_grad():
                self._model.generate(
                    **inputs, generation_config=settings, logits_processor=LogitsProcessorList([deciding])
                )
            deciding.made.put(None)
        except Exception as error:  # noqa: BLE001 (raised again in the thread of the caller)
            deciding.made.put(error)

    def _check(self, request: Request) -> None:
        if request.task != "base":
            raise Unsupported("task", f"{request.task!r} is not known to {self.name}.", "Use the task 'base'.")
        chat(request.turns, system=request.system, answer_start=request.answer_start).with_pictures(
            len(request.pictures)
        )

    def _refuse_too_long(self, row: Sequence[int], kept: int) -> None:
        if len(row) + kept > self.context_length:
            raise PromptTooLong(
                "prompt",
                f"has {len(row):,} tokens and {kept:,} are kept for the answer; {self.context_length:,} fit in all.",
                "Give fewer pictures, less text, or ask for a shorter answer.",
            )

    def _log_probabilities(self, inputs: Any, last: int) -> Tensor:
        """(B, last, V) float32: of each token to come after the last so many places."""
        kept = {"logits_to_keep": last} if self._keeps_logits else {}
        with self._lock, memory_translated(self.name), torch.no_grad():
            logits: Tensor = self._model(**inputs, **kept, use_cache=False).logits
            return logits[:, -last:].float().log_softmax(-1)

    def _inputs(self, requests: Sequence[Request]) -> Any:
        for request in requests:
            if len(request.pictures) > _FEW_PICTURES:
                self._refuse_too_many(request.pictures)
        with memory_translated(self.name):
            return self._prompts.inputs(requests).to(self._model.device)

    def _refuse_too_many(self, pictures: Sequence[Seen]) -> None:
        plain = self.count(Request.ask("?"))
        total = 0
        for number, picture in enumerate(pictures, 1):
            total += self.count(Request.ask("?", [picture])) - plain
            if total > self.context_length:
                taken = f"of {len(pictures)} pictures {number} take {total:,} tokens"
                raise PromptTooLong("prompt", f"{taken}; {self.context_length:,} fit in all.", "Give fewer pictures.")

    def _rows(self, inputs: Any) -> list[list[int]]:
        """The ids of each row, without padding."""
        return [
            row[mask.bool()].tolist() for row, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        ]

    @cached_property
    def _grammars(self) -> GrammarCompiler:
        size = self._model.get_output_embeddings().weight.shape[0]
        return GrammarCompiler.of(self._tokenizer, size, sorted(self._ends))


class _Deciding:
    """Sits where transformers asks for changes to the scores, and decides: all but the chosen token are ruled out.
    Pieces go into `made`; rows that have ended are given an end, which transformers then repeats."""

    def __init__(self, growing: Sequence[Growing], end: int, canceled: Callable[[], bool]) -> None:
        self._running: list[Growing | None] = list(growing)
        self._end, self._canceled = end, canceled
        self.made: queue.SimpleQueue[Piece | BaseException | None] = queue.SimpleQueue()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self._canceled():
            for i, one in enumerate(self._running):
                if one is not None:
                    self.made.put(one.cut_off())
                    self._running[i] = None
        rows = [i for i, one in enumerate(self._running) if one is not None]
        chosen = dict.fromkeys(range(len(self._running)), self._end)
        going = [one for one in self._running if one is not None]
        for i, one, token in zip(rows, going, choose_tokens(scores[rows].float(), going), strict=True):
            piece = one.take(token)
            chosen[i] = token
            if piece.finish is not None:
                chosen[i], self._running[i] = self._end, None
            self.made.put(piece)
        decided = torch.full_like(scores, -torch.inf)
        for i, token in chosen.items():
            decided[i, token] = 0.0
        return decided
