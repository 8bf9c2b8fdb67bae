"""`interleaf tune`: a model learns from conversations about pictures, from the command line."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from interleaf.cli.model_choice import DEVICE, MODELS, device_of, model_folder, torch_dtype
from interleaf.cli.printing import json_line, say, say_some
from interleaf.cli.progress_bar import progress_bar

if TYPE_CHECKING:
    from model.teaching.teaching import Taught

__all__ = ["EPILOG", "tune"]

CANCELED: Final = 130

EPILOG = """
Examples:

  interleaf tune xc25 lessons/set.json --name house-style

  interleaf tune xc25 lessons/set.json --name house-style --resume     go on

  interleaf tune xc25 data.txt --out adapters/web --task web --epochs 3 --gradient-checkpointing

With --name the adapter is kept in the data folder, and a brief names it: writer: xc25+house-style. With --out it is \
yours to keep. A set of your own articles is made by: interleaf lessons ARTICLES --out DIR.

The set is a JSON list of {"id": …, "image": "photo.jpg" or a list, "conversations": [{"from": "user", "value": …}, \
{"from": "assistant", "value": …}, …]}. One picture stands in front; several are written \
`Image1 <ImageHere>; Image2 <ImageHere>; …`. Paths are as seen from the list's folder and stay under it; videos may \
stand for pictures. A data.txt names lists, a line each: list.json K, where K thousand samples are an epoch's share.

Only low-rank pairs beside the decoder's linears learn (LoRA); the loss counts answers alone. The folder then holds \
the adapter (safetensors, as PEFT reads it), loss.jsonl and loss.png. Every --checkpoint-steps the state is kept; \
killed, the same command with --resume makes the same weights as if it had not been.

Exit codes: 0 done · 2 the set, the model or an option is wrong, with what · 3 the disk is full or read-only, the last \
checkpoint stays · 5 another process teaches into that folder · 1 the memory is too small, or the loss is no number.
"""


class TaskOption(StrEnum):
    base = "base"
    write = "write"
    web = "web"


class DtypeOption(StrEnum):
    kept = "kept"
    bf16 = "bf16"
    fp32 = "fp32"


def tune(
    model: str = typer.Argument(..., metavar="MODEL", help="A model's name (interleaf models list), or its folder."),
    data: Path = typer.Argument(..., metavar="DATA", help="A JSON list of samples, or a data.txt that names lists."),
    name: str | None = typer.Option(
        None, "--name", "-n", metavar="NAME", help="What a brief calls the adapter: writer: MODEL+NAME."
    ),
    out: Path | None = typer.Option(None, "--out", "-o", metavar="DIR", help="Instead: a folder of your own for it."),
    resume: bool = typer.Option(False, "--resume", help="Go on with the run that is there; where none is, begin."),
    rank: int = typer.Option(64, help="Rank of the pairs: what the adapter can hold, and how large it is."),
    alpha: int | None = typer.Option(None, help="Pairs count alpha / rank times (default: as the rank)."),
    dropout: float = typer.Option(0.05, help="Of the pairs' inputs, while learning."),
    epochs: int = typer.Option(1, help="How often each sample is seen."),
    learning_rate: float = typer.Option(5e-5, "--lr", help="The highest rate: rises over 1 %, falls as a cosine."),
    accumulation: int = typer.Option(8, help="Samples of a step, one forward each."),
    max_length: int = typer.Option(16_384, metavar="TOKENS", help="Longest sample, its pictures included."),
    skip_long: bool = typer.Option(False, "--skip-long", help="Leave longer samples out and name them."),
    partition: str | None = typer.Option(
        None,
        metavar="NAME",
        help="Budget of tiles, such as finetune (default: that with which the model is asked; for a set of `lessons` "
        "that with which a writer looks at pictures).",
    ),
    task: TaskOption = typer.Option(TaskOption.base, help="Whose own adapters act meanwhile."),
    dtype: DtypeOption = typer.Option(DtypeOption.kept, help="Of the base; the pairs are always fp32."),
    device: str | None = DEVICE,
    seed: int = typer.Option(0, help="Of the pairs' beginning, the order of samples and dropout."),
    checkpoint_steps: int = typer.Option(50, help="Keep the state each so many steps."),
    gradient_checkpointing: bool = typer.Option(
        False, "--gradient-checkpointing", help="Less memory, more time; the same weights come out."
    ),
    models: Path | None = MODELS,
    as_json: bool = typer.Option(False, "--json", help="One JSON object on standard output, for machines."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress bar."),
) -> None:
    """Teach a model your own articles, pages or house style by LoRA."""
    from interleaf import approot

    approot.enter()
    from model.teaching.teaching_set import read_teaching_set

    target = _target(name, out)
    read_teaching_set(data)  # refused before a model of many gigabytes is loaded
    folder = model_folder(model, models)
    family, placed = _family(folder), device_of(device)
    from interleaf.foreign_logs import hush_progress
    from model.prompts.processor import XComposerProcessor
    from model.teaching.teaching import Teaching, teach
    from model.weights.loading import load_model

    settings = Teaching(
        rank=rank,
        alpha=rank if alpha is None else alpha,
        dropout=dropout,
        learning_rate=learning_rate,
        epochs=epochs,
        accumulation=accumulation,
        max_length=max_length,
        partition=_partition(partition, data, family),
        task=task.value,
        seed=seed,
        skip_long=skip_long,
        checkpoint_steps=checkpoint_steps,
        gradient_checkpointing=gradient_checkpointing,
    )
    hush_progress()
    processor = XComposerProcessor.from_folder(folder)
    network = load_model(folder, tasks=(settings.task,), dtype=torch_dtype(dtype.value), device=placed)
    try:
        with progress_bar(quiet, counted=True) as show:
            taught = teach(
                network, processor, data, target, settings, resume=resume, base=folder.name, on_progress=show
            )
    except KeyboardInterrupt:
        say("interrupted; the same command with --resume goes on from the last checkpoint", "yellow", error=True)
        raise typer.Exit(CANCELED) from None
    writer = f"{folder.name}+{name}" if name is not None else None
    if as_json:
        typer.echo(json_line({**_record(taught), "writer": writer}))
        return
    _tell(taught)
    if writer is not None:
        _tell_writer(writer, folder)


# Inside


def _target(name: str | None, out: Path | None) -> Path:
    """The adapter's folder: of that name in the data folder, or the one given."""
    from interleaf.errors import InvalidBrief
    from model.weights.adapter_shelf import AdapterShelf
    from workers.settings import settings

    if (name is None) == (out is None):
        problem = "is missing, and --out too." if name is None else "and --out contradict each other."
        raise InvalidBrief(
            "--name", problem, "Give --name NAME to use it as a writer, or --out DIR to keep it yourself."
        )
    if name is not None:
        return AdapterShelf(settings().adapters_dir).place(name)
    assert out is not None
    return out.absolute()


def _family(folder: Path) -> str:
    """The family of a model that can be taught. Unsupported for one of another, WeightsUnusable for none."""
    from interleaf.errors import Unsupported
    from model.weights.foreign_folder import foreign_model
    from model.weights.manifest import read_manifest

    if (other := foreign_model(folder)) is not None:
        problem = f"is a {other.model_type}: only InternLM-XComposers are taught here."
        raise Unsupported(folder.name, problem, "Take one of these for MODEL; a set fits them all.")
    return read_manifest(folder).family


def _partition(option: str | None, data: Path, family: str) -> str | None:
    """The budget of tiles: as was said, or as a writer will look at the pictures of such a set."""
    from workers.run.minds import glance_of
    from workers.teaching.lesson_note import is_glanced

    if option is None and is_glanced(data):
        return glance_of(family)
    return option


def _record(taught: Taught) -> dict[str, Any]:
    from model.teaching.loss_curve import CURVE_LINES, CURVE_PICTURE

    return {
        "adapter": str(taught.folder),
        "steps": taught.steps,
        "first_loss": taught.losses[0],
        "last_loss": taught.losses[1],
        "skipped": list(taught.skipped),
        "curve": {"lines": str(taught.folder / CURVE_LINES), "picture": str(taught.folder / CURVE_PICTURE)},
        "record": taught.record.model_dump(mode="json"),
    }


def _tell(taught: Taught) -> None:
    from model.teaching.loss_curve import CURVE_PICTURE

    say_some(taught.skipped, "yellow", before="left out: ")
    first, last = taught.losses
    samples = "sample" if len(taught.skipped) == 1 else "samples"
    left_out = f" · {len(taught.skipped):,} {samples} left out" if taught.skipped else ""
    steps = f"{taught.steps:,} step{'' if taught.steps == 1 else 's'}"
    say(f"{steps} · loss {first:.4f} at first, {last:.4f} at last{left_out}")
    say(f"adapter: {taught.folder}")
    say(str(taught.folder / CURVE_PICTURE), "dim")


def _tell_writer(writer: str, folder: Path) -> None:
    """How the adapter is used; by a brief only when the model lies where briefs find it."""
    from workers.settings import settings

    if folder.parent.resolve() == settings().models_dir.resolve():
        say(f"use it: interleaf compose brief.yaml --writer {writer}, or writer: {writer} in the brief")
    else:
        say(f"a brief finds models by name only; add this one, then it is writer: {writer}", "yellow")
        say(f"interleaf models add {shlex.quote(str(folder))} --name {folder.name}", "dim")
