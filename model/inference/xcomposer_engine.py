"""XComposer engine: the native network under the engine's contract."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

import torch

from interleaf.errors import OutOfMemory, PromptInvalid, Unsupported
from model.inference.beginnings import MAX_BYTES as MAX_BEGINNING_BYTES
from model.inference.beginnings import Beginnings
from model.inference.decoding import Growing, alike, decode
from model.inference.engine import Piece, Request
from model.inference.features import MAX_BYTES as MAX_FEATURE_BYTES
from model.inference.features import FeatureCache
from model.inference.grammar import GrammarCompiler, Matcher
from model.inference.memory import memory_translated
from model.inference.sampling import Chooser
from model.inference.streaming import Words
from model.inference.xcomposer_steps import EncodedPicture, PreparedPrompt, XComposerSteps
from model.network.config import ADAPTERS_OF_TASK
from model.network.xcomposer import XComposerForConditionalGeneration
from model.prompts.processor import XComposerProcessor
from model.prompts.prompt import Prompt, chat
from model.weights.loading import attach_task

__all__ = ["XComposerEngine"]

MAX_REQUESTS: Final = 256


class XComposerEngine:
    """See engine.Engine. `folder`: where task adapters come from when a request asks for them the first time.

    `feature_bytes` bound what is kept of pictures, `beginning_bytes` what is kept of prompts that have run."""

    def __init__(
        self,
        model: XComposerForConditionalGeneration,
        processor: XComposerProcessor,
        name: str,
        fingerprint: str = "",
        folder: Path | None = None,
        feature_bytes: int = MAX_FEATURE_BYTES,
        beginning_bytes: int = MAX_BEGINNING_BYTES,
    ) -> None:
        self._model, self._processor, self._folder = model, processor, folder
        self.name, self.fingerprint = name, fingerprint
        self._lock = threading.Lock()
        self.features = FeatureCache(lambda t, g: model.get_image_features(t, g).pooler_output, feature_bytes)  # type: ignore[arg-type,return-value]
        self.beginnings = Beginnings(beginning_bytes)
        tokenizer = processor.tokenizer
        ends = model.generation_config.eos_token_id if model.generation_config is not None else None
        listed = ends if isinstance(ends, list) else [ends]
        self._ends = frozenset({tokenizer.turn_end_id, tokenizer.eos_token_id, *(i for i in listed if i is not None)})

    @property
    def context_length(self) -> int:
        return int(self._model.config.context_length)

    def generate(self, requests: Sequence[Request], canceled: Callable[[], bool] = lambda: False) -> Iterator[Piece]:
        if not 1 <= len(requests) <= MAX_REQUESTS:
            raise PromptInvalid("requests", f"are {len(requests)}.", f"Give 1 to {MAX_REQUESTS} at a time.")
        prompts = [self._prompt(request) for request in requests]
        for request, prompt in zip(requests, prompts, strict=True):
            self._check(request, prompt)  # refused here, before anything runs
        matchers = [None if r.grammar is None else self._grammars.matcher(r.grammar) for r in requests]
        return self._pieces(list(requests), prompts, matchers, canceled)

    def choose(self, request: Request, options: Sequence[str]) -> list[float]:
        if len(options) < 2 or len(set(options)) < len(options) or not all(options):
            raise PromptInvalid("options", f"are {list(options)!r}.", "Give two or more different ones, none empty.")
        asked = self._prompt(request)
        whole = [self._prompt(replace(request, answer_start=request.answer_start + option)) for option in options]
        with self._running(), torch.no_grad():
            self._bring_tasks([request])
            base = self._prepared(request, asked)
            rows = [self._ids(request, prompt) for prompt in whole]
            shared = min(alike(base.ids, row) for row in rows)
            longest = max(map(len, rows))
            start = replace(base, ids=base.ids[:shared], planned=max(base.planned, longest))
            return XComposerSteps(self._model, [start], self.beginnings).scores_after([row[shared:] for row in rows])

    def count(self, request: Request) -> int:
        return self._processor.count(self._prompt(request), list(request.pictures), partition=request.partition)

    def close(self) -> None:
        self.features.clear()
        self.beginnings.clear()

    def weights_changed(self) -> None:
        """Forget all that was computed by weights which are others now, as after apply_adapter. Waits for the answer
        that is being made."""
        with self._lock:
            self.features.clear()
            self.beginnings.clear()

    # Inside

    @contextmanager
    def _running(self) -> Iterator[None]:
        """One at a time, with errors of ours. Where memory was too little, beginnings give back theirs for the next."""
        with self._lock:
            try:
                with memory_translated(self.name):
                    yield
            except OutOfMemory:
                self.beginnings.clear()
                raise

    def _pieces(
        self,
        requests: list[Request],
        prompts: list[Prompt],
        matchers: Sequence[Matcher | None],
        canceled: Callable[[], bool],
    ) -> Iterator[Piece]:
        with self._running():
            self._bring_tasks(requests)
            prepared = [self._prepared(r, p) for r, p in zip(requests, prompts, strict=True)]
            growing = [
                Growing(
                    i,
                    request,
                    Chooser(request.sampling, [t for t in one.ids if t != self._model.config.image_token_id]),
                    Words(self._decode, request.stops),
                    matchers[i],
                    self._ends,
                )
                for i, (request, one) in enumerate(zip(requests, prepared, strict=True))
            ]
            yield from decode(XComposerSteps(self._model, prepared, self.beginnings), growing, canceled)

    def _prompt(self, request: Request) -> Prompt:
        prompt = chat(request.turns, system=request.system, answer_start=request.answer_start)
        return prompt.with_pictures(len(request.pictures))

    def _check(self, request: Request, prompt: Prompt) -> None:
        """PromptTooLong when prompt and answer do not fit; Unsupported for an unknown task."""
        if request.task not in ADAPTERS_OF_TASK:
            raise Unsupported(
                "task", f"{request.task!r} is not known.", f"Choose one of {', '.join(ADAPTERS_OF_TASK)}."
            )
        self._processor.count(
            prompt,
            list(request.pictures),
            partition=request.partition,
            answer_tokens=request.sampling.max_new_tokens,
        )

    def _ids(self, request: Request, prompt: Prompt) -> tuple[int, ...]:
        return tuple(self._processor.ids(prompt, list(request.pictures), partition=request.partition))

    def _prepared(self, request: Request, prompt: Prompt) -> PreparedPrompt:
        inputs = self._processor(images=list(request.pictures), text=prompt, partition=request.partition, pixels=False)
        ids = tuple(int(i) for i in inputs["input_ids"][0])
        planned = len(ids) + request.sampling.max_new_tokens
        vectors = self.features.features(inputs.pictures)
        pictures = tuple(map(EncodedPicture, inputs.picture_keys, vectors))
        return PreparedPrompt(ids, pictures, request.task, planned)

    def _bring_tasks(self, requests: Sequence[Request]) -> None:
        for task in sorted({request.task for request in requests}):
            if self._folder is not None:
                attach_task(self._model, self._folder, task)

    def _decode(self, ids: list[int]) -> str:
        text: str = self._processor.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    @cached_property
    def _grammars(self) -> GrammarCompiler:
        return GrammarCompiler.of(self._processor.tokenizer, self._model.config.vocab_size, sorted(self._ends))
