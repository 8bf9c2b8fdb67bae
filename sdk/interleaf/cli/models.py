"""`interleaf models`: the language models of this machine from the command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

import interleaf.cli.model_serve as serve_command
from interleaf.cli.model_choice import MODELS, torch_dtype
from interleaf.cli.model_table import described, model_record, model_table
from interleaf.cli.printing import json_line, say, say_some, size_of
from interleaf.cli.progress_bar import Sum, progress_bar

if TYPE_CHECKING:
    from model.weights.shelf import ModelShelf

__all__ = ["app"]


app = typer.Typer(
    no_args_is_help=True,
    help="Language models: add, list, verify, convert, remove, serve.",
    epilog="Start here: interleaf models add internlm-xcomposer2d5-7b/     then: interleaf models list",
)

_JSON = typer.Option(False, "--json", help="One JSON object on standard output, for machines.")
_QUIET = typer.Option(False, "--quiet", "-q", help="No progress bar.")


class MergeOption(StrEnum):
    base = "base"
    write = "write"
    web = "web"


class DtypeOption(StrEnum):
    kept = "kept"
    bf16 = "bf16"
    fp16 = "fp16"
    fp32 = "fp32"


_MERGE = typer.Option(
    MergeOption.base,
    help="base: task adapters stay in files of their own, chosen per request; write, web: that task's adapters are "
    "added into the weights, which then do that task only.",
)
_DTYPE = typer.Option(DtypeOption.kept, help="Kind of numbers of the weights; kept: as in the checkpoint.")
_REPLACE = typer.Option(False, "--replace", help="Take the place of what is there under this name.")


@app.command(
    epilog="""
Examples:

  interleaf models add ~/Downloads/internlm-xcomposer2d5-7b

  interleaf models add internlm/internlm-xcomposer2d5-7b --download --name xc25

  interleaf models add internlm-xcomposer2-4khd-7b/ --dtype fp16

  interleaf models add Qwen/Qwen2.5-VL-7B-Instruct --download --name qwen

Converted are InternLM-XComposer-2.5, 2-4KHD, 2-VL and 2, in safetensors or .bin shards. A chat model with eyes that \
transformers knows by its model_type is opened for a look and copied as it is: safetensors, tokenizer, processor, chat \
template. What you give is read and never changed; no program in it is run. Either kind can be a writer: interleaf \
compose brief.yaml --writer NAME. Killed in the middle, the same command starts over, and a download goes on. With \
HF_HUB_OFFLINE=1 nothing is asked of the hub; what its cache holds can still be added.

Exit codes: 0 done · 2 not a checkpoint that can be used, with what is wrong · 3 the disk is full or read-only · \
5 another process works on this model · 1 the hub could not be reached.
"""
)
def add(
    source: str = typer.Argument(..., metavar="DIR|HUB_ID", help="The checkpoint's folder, or owner/name on the hub."),
    name: str | None = typer.Option(None, "--name", "-n", help="What to call it (default: after the source)."),
    merge: MergeOption = _MERGE,
    dtype: DtypeOption = _DTYPE,
    download: bool = typer.Option(False, "--download", help="Fetch it from the hub, if it is not here."),
    revision: str | None = typer.Option(None, help="A branch, tag or commit of the hub."),
    replace: bool = _REPLACE,
    models: Path | None = MODELS,
    as_json: bool = _JSON,
    quiet: bool = _QUIET,
) -> None:
    """Check a checkpoint, convert it to safetensors and keep it; chat models of other families are kept as they are."""
    with progress_bar(quiet) as show:
        shelf, downloads = _shelf(models)
        added = shelf.add(
            source,
            name,
            merge=merge.value,
            dtype=torch_dtype(dtype.value),
            replace=replace,
            download=download or downloads,
            revision=revision,
            on_progress=show,
        )
    if as_json:
        typer.echo(json_line(model_record(added)))
        return
    say(f"{added.name}: {described(added)}")
    say(str(added.folder), "dim")


@app.command("list", epilog="Example: interleaf models list --json")
def list_(models: Path | None = MODELS, as_json: bool = _JSON) -> None:
    """List the models: converted XComposers, and chat models of other families as transformers reads them."""
    found = _shelf(models)[0].list()
    if as_json:
        typer.echo(json_line({"models": [model_record(model) for model in found]}))
    elif found:
        model_table(found)
    else:
        say("no models yet; add one: interleaf models add DIR")


@app.command(
    epilog="""
Examples:

  interleaf models verify xc25

  interleaf models verify               all of them

Exit codes: 0 nothing is wrong · 1 something is wrong · 2 no model of that name.
"""
)
def verify(
    names: list[str] = typer.Argument(None, metavar="[NAME]...", help="Models (default: all)."),
    models: Path | None = MODELS,
    as_json: bool = _JSON,
    quiet: bool = _QUIET,
) -> None:
    """Read every file of a model: sha256, every tensor's name, shape and kind, every value a finite number. Of a chat
    model of another family: whether it opens."""
    from interleaf.errors import InterleafError

    shelf = _shelf(models)[0]
    wrong: dict[str, list[dict[str, str]]] = {}
    there = shelf.list()
    for name in names or [model.name for model in there]:
        folder = shelf.path(name)
        with progress_bar(quiet) as show:
            total = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
            done = Sum(show, f"verifying {name}", total)
            try:
                wrong[name] = [{"file": p.file, "what": p.what} for p in shelf.verify(name, done.add)]
            except InterleafError as error:
                wrong[name] = [{"file": "", "what": error.message}]
    bad = any(wrong.values())
    if as_json:
        typer.echo(json_line({"models": wrong, "ok": not bad}))
    else:
        _tell_problems(wrong, {model.name for model in there if model.foreign})
    if bad:
        raise typer.Exit(1)


@app.command(
    epilog="""
Examples:

  interleaf models convert internlm-xcomposer2d5-7b/ /models/xc25

  interleaf models convert internlm-xcomposer2d5-7b/ /models/xc25-write --merge write

Exit codes: as for add.
"""
)
def convert(
    source: Path = typer.Argument(..., metavar="DIR", help="The checkpoint's folder."),
    target: Path = typer.Argument(..., metavar="OUT", help="The folder to make."),
    merge: MergeOption = _MERGE,
    dtype: DtypeOption = _DTYPE,
    replace: bool = _REPLACE,
    as_json: bool = _JSON,
    quiet: bool = _QUIET,
) -> None:
    """Convert a checkpoint into a folder of your own; `add` does the same into the folder of models."""
    with progress_bar(quiet) as show:
        _enter()
        from model.weights.conversion import convert as make
        from model.weights.shelf import ShelvedModel

        made = make(
            source, target, merge=merge.value, dtype=torch_dtype(dtype.value), replace=replace, on_progress=show
        )
    if as_json:
        typer.echo(json_line({"folder": str(target), **made.model_dump(mode="json")}))
    else:
        say(f"{target}: {described(ShelvedModel(target.name, target, made))}")


@app.command(epilog="Example: interleaf models remove xc25 --yes")
def remove(
    names: list[str] = typer.Argument(..., metavar="NAME..."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    models: Path | None = MODELS,
    as_json: bool = _JSON,
) -> None:
    """Remove models, and what interrupted downloads of them left. The checkpoints they were made of stay."""
    shelf = _shelf(models)[0]
    if not yes:
        typer.confirm(f"Remove {', '.join(names)}?", abort=True, err=True)
    freed = {name: shelf.remove(name) for name in dict.fromkeys(names)}
    if as_json:
        typer.echo(json_line({"removed": list(freed), "freed_bytes": sum(freed.values())}))
    else:
        say(f"{', '.join(freed)} removed · {size_of(sum(freed.values()))} freed")


app.command(name="serve", epilog=serve_command.EPILOG)(serve_command.serve)


# Inside


def _enter() -> None:
    from interleaf import approot

    approot.enter()


def _shelf(folder: Path | None) -> tuple[ModelShelf, bool]:
    """The folder of models, and whether the settings allow downloads."""
    _enter()
    from model.weights.shelf import ModelShelf
    from workers.settings import settings

    return ModelShelf(folder.absolute() if folder else settings().models_dir), settings().downloads


def _tell_problems(wrong: dict[str, list[dict[str, str]]], only_opened: set[str]) -> None:
    if not wrong:
        say("no models yet; add one: interleaf models add DIR")
    for name, problems in wrong.items():
        lines = [f"{problem['file']}{': ' if problem['file'] else ''}{problem['what']}" for problem in problems]
        say_some(lines, "yellow", before=f"{name}: ")
        fine = "it opens; there is nothing to hold its weights against" if name in only_opened else "nothing is wrong"
        say(f"{name}: {f'{len(problems):,} problems' if problems else fine}")
