"""`interleaf models serve`: a model for clients that speak OpenAI's chat completions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

from interleaf.cli.model_choice import MODELS, model_folder
from interleaf.cli.opened_engine import WeightsOption, opened_engine

__all__ = ["EPILOG", "serve"]

MAX_KEY_FILE_BYTES: Final = 4_096

EPILOG = """
Examples:

  interleaf models serve xc25                 then, in a client: base URL http://127.0.0.1:8000/v1, any key

  interleaf models serve xc25 --host 0.0.0.0 --api-key-file key.txt

Exit codes: 0 asked to end · 2 the address, the key or the model cannot be used.
"""


def serve(
    model: str = typer.Argument(..., metavar="NAME|DIR", help="A model of the list, or a model's folder."),
    host: str = typer.Option("127.0.0.1", help="Address to listen at; one beyond this machine needs a key."),
    port: int = typer.Option(8000, min=0, max=65_535, help="Port to listen at; 0: any free one."),
    api_key_file: Path | None = typer.Option(
        None, "--api-key-file", metavar="FILE", help="A file with the key that clients must send, 16 letters or more."
    ),
    queue: int = typer.Option(16, min=1, max=1_024, help="Requests answered or waiting at a time."),
    weights: WeightsOption = typer.Option(WeightsOption.kept, help="Numbers of the weights in memory."),
    device: str | None = typer.Option(None, help="Such as cpu or cuda:0 (default: the best there is)."),
    models: Path | None = MODELS,
) -> None:
    """Answer OpenAI-compatible clients: chat, streaming, pictures, JSON schemas. One model, this machine."""
    folder = model_folder(model, models)
    key = _key(api_key_file)
    from model import server

    with (
        server.bound_socket(host, port, has_key=key is not None) as listening,
        opened_engine(folder, weights, device) as engine,
    ):
        app = server.create_app(engine, model_name=folder.name, api_key=key, queue_places=queue)
        shown_host, real_port = listening.getsockname()[:2]
        shown_host = f"[{shown_host}]" if ":" in shown_host else shown_host
        typer.echo(f"{folder.name} at http://{shown_host}:{real_port}/v1 (Ctrl-C ends)", err=True)
        server.serve(app, listening)


def _key(file: Path | None) -> str | None:
    """The key in a file: its text without the blanks around it. SettingInvalid when it cannot be one."""
    from interleaf.errors import SettingInvalid

    if file is None:
        return None
    try:
        with file.open("rb") as opened:
            key = opened.read(MAX_KEY_FILE_BYTES + 1).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(str(file), f"cannot be read as a key ({type(error).__name__}).", "Use ASCII.") from error
    if not 16 <= len(key) <= MAX_KEY_FILE_BYTES or not key.isprintable() or " " in key:
        raise SettingInvalid(str(file), "holds no key.", "Write one line of 16 letters or more, such as random hex.")
    return key
