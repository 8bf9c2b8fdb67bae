"""`interleaf models serve`: a model for clients that speak OpenAI's chat completions."""

from __future__ import annotations

from pathlib import Path

import typer

from interleaf.cli.key_file import key_in
from interleaf.cli.model_choice import DEVICE, MODELS, model_folder
from interleaf.cli.opened_engine import WeightsOption, opened_engine

__all__ = ["EPILOG", "serve"]

EPILOG = """
Examples:

  interleaf models serve xc25

  interleaf models serve xc25 --host 0.0.0.0 --api-key-file key.txt

In a client: base URL http://127.0.0.1:8000/v1, the model's name, any key where the server has none. In Python: \
OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="any").chat.completions.create(model="xc25", messages=…)

Exit codes: 0 asked to end · 2 the address, the key, the device or the model's name cannot be used · 1 the model's \
files are damaged.
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
    device: str | None = DEVICE,
    models: Path | None = MODELS,
) -> None:
    """Answer OpenAI-compatible clients: chat, streaming, pictures, JSON schemas. One model, this machine."""
    folder = model_folder(model, models)
    key = None if api_key_file is None else key_in(api_key_file)
    from model.serving import server

    with (
        server.bound_socket(host, port, has_key=key is not None) as listening,
        opened_engine(folder, weights, device) as engine,
    ):
        app = server.create_app(engine, model_name=folder.name, api_key=key, queue_places=queue)
        listening.listen()  # who reads the line may connect at once
        shown_host, real_port = listening.getsockname()[:2]
        shown_host = f"[{shown_host}]" if ":" in shown_host else shown_host
        typer.echo(f"{folder.name} at http://{shown_host}:{real_port}/v1 (Ctrl-C ends)", err=True)
        server.serve(app, listening)
