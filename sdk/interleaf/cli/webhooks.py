"""`interleaf webhooks`: addresses that a service tells of events, and the messages that it sends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import typer

from interleaf.cli.printing import json_line, say
from interleaf.cli.server_option import KeyFileOption, ServerOption, opened_client
from interleaf.cli.webhook_table import delivery_sheet, delivery_table, webhook_sheet, webhook_table

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Addresses that a service tells of events: create, list, show, change, test, secrets, deliveries, replay.",
    epilog="""
Where the service is and your key stand in INTERLEAF_SERVER and INTERLEAF_API_KEY, or --server and --api-key-file.

Start here: interleaf webhooks create https://hooks.example.org/interleaf

What arrives there is checked with `interleaf.webhooks.verify`, or any library of Standard Webhooks.
""",
)

_WEBHOOK: Final = typer.Argument(..., metavar="WEBHOOK", help="A webhook's id, as it was printed.")
_MESSAGE: Final = typer.Argument(..., metavar="MESSAGE", help="A message's id, as it was printed.")
_EVENT: Final = typer.Option(
    [],
    "--event",
    metavar="EVENT",
    help="Tell it of this: job.succeeded, batch.ended, document.published, …. Repeatable.",
)
_JSON: Final = typer.Option(False, "--json", help="JSON on standard output, for machines.")


@app.command(
    epilog="""
Examples:

  interleaf webhooks create https://hooks.example.org/interleaf

  interleaf webhooks create https://hooks.example.org/in --event job.succeeded --event job.failed --json | jq -r .secret
"""
)
def create(
    url: str = typer.Argument(..., help="Where messages are posted to: an https address in the internet."),
    events: list[str] = _EVENT,
    description: str = typer.Option("", "--description", help="A label for people."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Make a webhook: by default it is told how jobs and batches end, and that jobs wait. Prints its id, and its
    secret this once."""
    with opened_client(server, api_key_file) as client:
        made = client.webhooks.create(url, events or None, description)
    if as_json:
        typer.echo(made.model_dump_json())
        return
    typer.echo(made.id)
    say(f"its secret, told this once: {made.secret}", error=True)


@app.command("list", epilog="Example: interleaf webhooks list --json | jq -r '.webhooks[].id'")
def list_(
    limit: int = typer.Option(20, min=1, max=100, help="At most this many."),
    after: str | None = typer.Option(None, metavar="WEBHOOK", help="Go on after this one: older ones."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List your webhooks, newest first."""
    with opened_client(server, api_key_file) as client:
        page = client.webhooks.list(limit=limit, after=after)
    if as_json:
        lines = [line.model_dump(mode="json") for line in page.data]
        typer.echo(json_line({"webhooks": lines, "next": page.last_id if page.has_more else None}))
        return
    if not page.data:
        say("no webhooks")
        return
    webhook_table(page.data)
    if page.has_more:
        say(f"older ones: --after {page.last_id}", "dim")


@app.command(epilog="Example: interleaf webhooks show WEBHOOK")
def show(
    webhook: str = _WEBHOOK,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Show a webhook, without its secrets."""
    with opened_client(server, api_key_file) as client:
        found = client.webhooks.get(webhook)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        webhook_sheet(found)


@app.command(epilog="Example: interleaf webhooks change WEBHOOK --enable")
def change(
    webhook: str = _WEBHOOK,
    url: str | None = typer.Option(None, "--url", help="Post messages there, also those that wait."),
    events: list[str] = _EVENT,
    description: str | None = typer.Option(None, "--description", help="A label for people."),
    enabled: bool | None = typer.Option(None, "--enable/--disable", help="Switch it on or off."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Change what is said. Switched off, what waits counts as failed; it can be replayed."""
    changes: dict[str, Any] = {"url": url, "events": events or None, "description": description, "enabled": enabled}
    with opened_client(server, api_key_file) as client:
        changed = client.webhooks.update(webhook, **changes)
    if as_json:
        typer.echo(changed.model_dump_json())
    else:
        webhook_sheet(changed)


@app.command(epilog="Example: interleaf webhooks delete WEBHOOK")
def delete(
    webhook: str = _WEBHOOK,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
) -> None:
    """Delete a webhook with its messages."""
    with opened_client(server, api_key_file) as client:
        client.webhooks.delete(webhook)


@app.command(epilog="Example: interleaf webhooks test WEBHOOK")
def test(
    webhook: str = _WEBHOOK,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Send a webhook a `ping`. Prints the message's id; `delivery` tells what became of it."""
    with opened_client(server, api_key_file) as client:
        sent = client.webhooks.test(webhook)
    typer.echo(sent.model_dump_json() if as_json else sent.id)


@app.command("add-secret", epilog="Example: interleaf webhooks add-secret WEBHOOK")
def add_secret(
    webhook: str = _WEBHOOK,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Add a secret: messages are signed with it and with those before it. Prints its id, and itself this once."""
    with opened_client(server, api_key_file) as client:
        made = client.webhooks.add_secret(webhook)
    if as_json:
        typer.echo(made.model_dump_json())
        return
    typer.echo(made.id)
    say(f"the secret, told this once: {made.secret}", error=True)


@app.command("remove-secret", epilog="Example: interleaf webhooks remove-secret WEBHOOK SECRET")
def remove_secret(
    webhook: str = _WEBHOOK,
    secret: str = typer.Argument(..., metavar="SECRET", help="A secret's id, as `show` tells it."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
) -> None:
    """Sign with that secret no more."""
    with opened_client(server, api_key_file) as client:
        client.webhooks.remove_secret(webhook, secret)


@app.command(epilog="Example: interleaf webhooks deliveries --webhook WEBHOOK --state failed")
def deliveries(
    webhook: str | None = typer.Option(None, "--webhook", metavar="WEBHOOK", help="To this one only."),
    state: str | None = typer.Option(None, "--state", help="pending, delivered or failed only."),
    limit: int = typer.Option(20, min=1, max=100, help="At most this many."),
    after: str | None = typer.Option(None, metavar="MESSAGE", help="Go on after this one: older ones."),
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """List messages to your webhooks, newest first."""
    wanted: Any = {"webhook": webhook, "state": state}
    with opened_client(server, api_key_file) as client:
        page = client.webhook_deliveries.list(limit=limit, after=after, **wanted)
    if as_json:
        lines = [line.model_dump(mode="json") for line in page.data]
        typer.echo(json_line({"deliveries": lines, "next": page.last_id if page.has_more else None}))
        return
    if not page.data:
        say("no messages")
        return
    delivery_table(page.data)
    if page.has_more:
        say(f"older ones: --after {page.last_id}", "dim")


@app.command(epilog="Example: interleaf webhooks delivery MESSAGE")
def delivery(
    message: str = _MESSAGE,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Show a message: what it says, and each attempt to deliver it."""
    with opened_client(server, api_key_file) as client:
        found = client.webhook_deliveries.get(message)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        delivery_sheet(found)


@app.command(epilog="Example: interleaf webhooks replay MESSAGE")
def replay(
    message: str = _MESSAGE,
    server: str | None = ServerOption,
    api_key_file: Path | None = KeyFileOption,
    as_json: bool = _JSON,
) -> None:
    """Send a message again, now, with the same id and body."""
    with opened_client(server, api_key_file) as client:
        again = client.webhook_deliveries.replay(message)
    typer.echo(again.model_dump_json() if as_json else f"{again.id} is {again.state}")
