"""App: the root command, its version, and the one place where errors become exit codes."""

from __future__ import annotations

import json
import sys

import typer
from rich.console import Console
from rich.text import Text

import interleaf
import interleaf.cli.chat as chat_command
import interleaf.cli.compose as compose_command
import interleaf.cli.lessons as lessons_command
import interleaf.cli.serve as serve_command
import interleaf.cli.tune as tune_command
import interleaf.cli.usage as usage_command
from interleaf.cli.adapters import app as adapters_app
from interleaf.cli.batches import app as batches_app
from interleaf.cli.edit import app as edit_app
from interleaf.cli.eval_ import app as eval_app
from interleaf.cli.jobs import app as jobs_app
from interleaf.cli.keys import app as keys_app
from interleaf.cli.library import app as library_app
from interleaf.cli.models import app as models_app
from interleaf.cli.runs import runs
from interleaf.cli.schedules import app as schedules_app
from interleaf.cli.schema import schema
from interleaf.cli.webhooks import app as webhooks_app
from interleaf.errors import InterleafError, error_to_record

__all__ = ["app", "main"]

EPILOG = """
Exit codes: 0 done · 1 unexpected · 2 the request must change · 3 output cannot be written · 4 the workflow gave up \
· 5 busy · 6 canceled · 7 waits for your answer · 130 interrupted.
"""

app = typer.Typer(
    name="interleaf",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="compose", epilog=compose_command.EPILOG)(compose_command.compose)
app.add_typer(edit_app, name="edit")
app.command(name="chat", epilog=chat_command.EPILOG)(chat_command.chat)
app.add_typer(library_app, name="library")
app.add_typer(models_app, name="models")
app.command(name="lessons", epilog=lessons_command.EPILOG)(lessons_command.lessons)
app.command(name="tune", epilog=tune_command.EPILOG)(tune_command.tune)
app.add_typer(adapters_app, name="adapters")
app.add_typer(eval_app, name="eval")
app.command(name="schema")(schema)
app.command(name="runs")(runs)
app.add_typer(jobs_app, name="jobs")
app.add_typer(schedules_app, name="schedules")
app.add_typer(batches_app, name="batches")
app.add_typer(webhooks_app, name="webhooks")
app.add_typer(keys_app, name="keys")
app.command(name="usage", epilog=usage_command.EPILOG)(usage_command.usage)
app.command(name="serve", epilog=serve_command.EPILOG)(serve_command.serve)
app.command(name="health", epilog=serve_command.HEALTH_EPILOG)(serve_command.health)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"interleaf {interleaf.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version."),
) -> None:
    """Compose illustrated articles from your notes and your own pictures, on your own machine.

    Start here: [bold]interleaf compose --instruction "How tides work" --notes notes/ --pictures photos/ --out out/[/]
    """


def main() -> None:
    """The `interleaf` program."""
    try:
        app(standalone_mode=True)
    except InterleafError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # before the command began; afterwards it ends with 130 by itself
        sys.exit(130)


def _tell(error: InterleafError) -> None:
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": error_to_record(error)}, ensure_ascii=False) + "\n")
        return
    # Text, not markup: a file name may hold square brackets.
    Console(stderr=True, highlight=False).print(Text("error: ", style="bold red") + Text(error.message), soft_wrap=True)
