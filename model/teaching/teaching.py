"""Teaching: low-rank pairs beside the decoder's linears learn a set of conversations; everything else stands still.

1 read the set and cut every sample, before anything runs   2 put the pairs in   3 go on from the last checkpoint
4 step by step: samples of the step, their loss, one move of the optimiser   5 write the adapter and the loss curve
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from filelock import FileLock, Timeout
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutputWithPooling

from interleaf.errors import InvalidBrief, ModelBusy, ModelError, OutOfMemory, OutputUnwritable, SourceUnreadable
from model.inference.features import FeatureCache
from model.network.xcomposer import XComposerForConditionalGeneration
from model.prompts.processor import XComposerProcessor
from model.teaching.loss_curve import LossCurve, Step
from model.teaching.teaching_lesson import Lesson, Teacher, lessons_of
from model.teaching.teaching_set import read_teaching_set
from model.teaching.teaching_settings import Teaching
from model.teaching.teaching_state import STATE, TeachingState
from model.weights.teaching_adapter import (
    RECORD,
    AdapterRecord,
    base_fingerprint,
    insert_pairs,
    read_record,
    trained_tensors,
    write_adapter,
)
from model.weights.whole_folder import need_room

__all__ = ["OnProgress", "Taught", "Teaching", "teach"]

OnProgress = Callable[[str, int, int], object]

BETA1: Final = 0.9
EPSILON: Final = 1e-8


@dataclass(frozen=True)
class Taught:
    """What came of it. `losses`: of the first and the last step (mean loss of a learned token); `skipped`: samples
    that were left out and why."""

    folder: Path
    record: AdapterRecord
    steps: int
    losses: tuple[float, float]
    skipped: tuple[str, ...]


def teach(
    model: XComposerForConditionalGeneration,
    processor: XComposerProcessor,
    data: Path,
    out: Path,
    settings: Teaching | None = None,
    *,
    resume: bool = False,
    base: str = "",
    on_progress: OnProgress = lambda stage, done, total: None,
) -> Taught:
    """Teach `model` the set in `data`; the adapter, its loss curve and meanwhile the state lie in `out`. The model
    has the pairs afterwards.

    `resume`: go on with the run in `out`; where none is, begin. `base`: the model's name for the record. The global
    random state stays as it was.
    SourceUnreadable, PictureUnreadable, PromptTooLong: the set. InvalidBrief: `out` holds a run and `resume` was not
    said, or the run there was another. OutputUnwritable: a full disk; the last good checkpoint stays. OutOfMemory.
    ModelBusy: another process teaches into `out`."""
    settings = settings or Teaching()
    with _locked(out):
        return _Run(model, processor, data, out, settings, base, on_progress).result(resume)


class _Run:
    def __init__(
        self,
        model: XComposerForConditionalGeneration,
        processor: XComposerProcessor,
        data: Path,
        out: Path,
        settings: Teaching,
        base: str,
        on_progress: OnProgress,
    ) -> None:
        self.model, self.out, self.settings, self.base = model, out, settings, base
        self.on_progress = on_progress
        self.set = read_teaching_set(data)
        self.teacher = Teacher(processor, max_length=settings.max_length, partition=settings.partition)
        self.fingerprint = base_fingerprint(model)
        encode: Any = lambda tiles, grids: model.get_image_features(tiles, grids).pooler_output  # noqa: E731
        self.features = FeatureCache(encode)

    def result(self, resume: bool) -> Taught:
        settings, out = self.settings, self.out
        told = settings.deciding()
        state = TeachingState(
            out, told | {"base_fingerprint": self.fingerprint, "set_fingerprint": self.set.fingerprint}
        )
        finished = (out / RECORD).is_file()
        if not resume and (finished or state.exists()):
            what = "a finished adapter" if finished else "a run that is not finished"
            raise InvalidBrief(str(out), f"holds {what}.", "Say --resume to go on with it, or name another folder.")
        if finished:
            return self._finished(told)
        if state.exists():
            state.check()
        lessons, skipped = lessons_of(
            self.teacher,
            self.set.samples,
            skip_long=settings.skip_long,
            on_sample=lambda done, total: self.on_progress("reading samples", done, total),
        )
        order = [i for e in range(settings.epochs) for i in self.set.order(e, settings.seed) if lessons[i] is not None]
        if not order:
            raise SourceUnreadable("the set", "has no sample that is short enough.", "Shorten some, or --max-length.")
        kept = [lesson for i in order if (lesson := lessons[i]) is not None]
        insert_pairs(self.model, settings.rank, settings.alpha, settings.dropout, settings.seed)
        pairs = trained_tensors(self.model)
        # The adapter, and two states (the new one beside the old) of three times its size.
        need_room(out, 7 * sum(p.numel() * p.element_size() for p in pairs.values()))
        optimizer = torch.optim.AdamW(
            list(pairs.values()),
            lr=settings.learning_rate,
            betas=(BETA1, settings.beta2),
            eps=EPSILON,
            weight_decay=settings.weight_decay,
        )
        done = state.load(pairs, optimizer) if state.exists() else 0
        curve = LossCurve(out, done)
        with self._learning():
            for step in self._steps(kept, done, optimizer):
                curve.add(step)
                if step.step % settings.checkpoint_steps == 0:
                    state.save(step.step, pairs, optimizer)
        curve.draw()
        record = AdapterRecord(
            base=self.base,
            base_fingerprint=self.fingerprint,
            set_fingerprint=self.set.fingerprint,
            task=settings.task,
            rank=settings.rank,
            alpha=settings.alpha,
            steps=len(curve.steps),
            settings=told,
            weights_sha256="0" * 64,  # known when the weights are written
        )
        record = write_adapter(out, self.model, record, settings.dropout)
        shutil.rmtree(out / STATE, ignore_errors=True)
        losses = (curve.steps[0].loss, curve.steps[-1].loss)
        return Taught(out, record, len(curve.steps), losses, tuple(skipped))

    def _finished(self, told: dict[str, Any]) -> Taught:
        record = read_record(self.out)
        found = (record.base_fingerprint, record.set_fingerprint, record.settings)
        if found != (self.fingerprint, self.set.fingerprint, told):
            problem = "holds an adapter of another model or set, or one that was taught otherwise."
            raise InvalidBrief(str(self.out), problem, "Name another folder.")
        shutil.rmtree(self.out / STATE, ignore_errors=True)  # killed after the adapter was whole
        curve = LossCurve(self.out, record.steps)
        return Taught(self.out, record, record.steps, (curve.steps[0].loss, curve.steps[-1].loss), ())

    def _steps(self, lessons: Sequence[Lesson], done: int, optimizer: torch.optim.Optimizer) -> Iterator[Step]:
        """Moves the pairs; gives each step once it is made, the first is number `done` + 1."""
        settings, size = self.settings, self.settings.accumulation
        total = math.ceil(len(lessons) / size)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for number in range(done, total):
            self.on_progress("teaching", number, total)
            group = lessons[number * size : (number + 1) * size]
            learned = sum(lesson.learned for lesson in group)
            rate = settings.rate(number, total)
            for options in optimizer.param_groups:
                options["lr"] = rate
            optimizer.zero_grad()
            loss = 0.0
            with self._chance(number), _memory():
                for lesson in group:
                    part = self._loss(lesson) / learned
                    part.backward()
                    loss += part.item()
                if not math.isfinite(loss):
                    raise ModelError("loss", f"is {loss} at step {number + 1}.", "Lower --lr, or use --dtype fp32.")
                torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
                optimizer.step()
            yield Step(number + 1, (number + 1) * size * settings.epochs / len(lessons), loss, rate, learned)
        self.on_progress("teaching", total, total)

    def _loss(self, lesson: Lesson) -> torch.Tensor:
        """The sum of the losses of a lesson's learned tokens; only their logits are made."""
        ids, places, wanted = lesson.tensors(self.model.get_input_embeddings().weight.device)  # type: ignore[arg-type]
        seen = None
        if lesson.pictures:
            vectors: Any = self.features.features(self.teacher.pictures(lesson))
            seen = {"image": BaseModelOutputWithPooling(pooler_output=vectors)}
        logits = self.model(
            input_ids=ids,
            mm_encoder_outputs=seen,
            task=self.settings.task,
            logits_to_keep=places,
            use_cache=False,
        ).logits[0]  # (n, V)
        return functional.cross_entropy(logits, wanted.to(logits.device), reduction="sum")

    @contextmanager
    def _learning(self) -> Iterator[None]:
        """The decoder in training mode, tower and projector not; afterwards all as before."""
        was_training = self.model.training
        self.model.train(True)
        self.model.vit.train(False)
        if self.settings.gradient_checkpointing:
            self.model.activation_checkpointing_enable({"use_reentrant": False})
        try:
            yield
        finally:
            if self.settings.gradient_checkpointing:
                self.model.activation_checkpointing_disable()  # type: ignore[no-untyped-call]
            self.model.train(was_training)

    @contextmanager
    def _chance(self, step: int) -> Iterator[None]:
        """Dropout of a step follows from the seed and its number alone; the global state stays as it was."""
        seed = int.from_bytes(hashlib.sha256(f"{self.settings.seed}:{step}".encode()).digest()[:7])
        devices = sorted({p.device.index or 0 for p in self.model.parameters() if p.device.type == "cuda"})
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            yield


@contextmanager
def _memory() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        remedy = "Use --gradient-checkpointing, a smaller --max-length or a smaller --partition, then --resume."
        raise OutOfMemory("teaching", "a sample does not fit into the device's memory.", remedy) from error


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    lock = FileLock(out / ".tune.lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ModelBusy(str(out), "another process teaches into this folder.", "Wait, or name another.") from error
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})."
        raise OutputUnwritable(str(out), problem, "Name another folder, or make room in this one.") from error
    try:
        yield
    finally:
        lock.release()
