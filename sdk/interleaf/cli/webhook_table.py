"""Webhook table: webhooks of a service and their messages as rows, and one of them in full, for a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from interleaf.cli.printing import console

if TYPE_CHECKING:
    from interleaf.service.service_records import WebhookDelivery, WebhookDeliveryLine, WebhookRecord

__all__ = ["delivery_sheet", "delivery_table", "webhook_sheet", "webhook_table"]

_STYLES: Final = {"delivered": "green", "pending": "cyan", "failed": "red"}


def webhook_table(webhooks: Sequence[WebhookRecord]) -> None:
    """One row each, as they come."""
    from rich.table import Table
    from rich.text import Text

    table = Table("webhook", "address", "events", "state")
    for one in webhooks:
        table.add_row(one.id, Text(one.url), Text(", ".join(one.events)), Text(_state(one)))
    console().print(table)


def webhook_sheet(webhook: WebhookRecord) -> None:
    """Everything that the service tells of it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=webhook.id, title_justify="left", show_header=False)
    for name, said in (
        ("address", webhook.url),
        ("description", webhook.description),
        ("events", "\n".join(webhook.events)),
        ("state", _state(webhook)),
        ("made", _moment(webhook.created_at)),
        ("secrets", "\n".join(f"{one.id} of {_moment(one.created_at)}" for one in webhook.secrets)),
    ):
        if said:
            table.add_row(Text(name), Text(said))
    console().print(table)


def delivery_table(deliveries: Sequence[WebhookDeliveryLine]) -> None:
    """One row each, as they come."""
    from rich.table import Table
    from rich.text import Text

    table = Table("message", "made", "event", "state", "attempts", "next")
    for one in deliveries:
        state = Text(one.state, style=_STYLES.get(one.state, ""))
        table.add_row(
            one.id, _moment(one.created_at), Text(one.event), state, str(one.attempt_count), _moment(one.next_at)
        )
    console().print(table)


def delivery_sheet(delivery: WebhookDelivery) -> None:
    """What it says, and each attempt."""
    from rich.table import Table
    from rich.text import Text

    delivery_table([delivery])
    console().print_json(data=delivery.message)
    if delivery.attempts:
        table = Table("attempt", "at", "seconds", "answer", "problem")
        for one in delivery.attempts:
            answer = "" if one.status is None else str(one.status)
            table.add_row(str(one.number), _moment(one.at), f"{one.seconds:.2f}", answer, Text(one.error))
        console().print(table)


def _state(webhook: WebhookRecord) -> str:
    if webhook.disabled_at is None:
        return "on"
    return f"off since {_moment(webhook.disabled_at)}: {webhook.disabled_why}"


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
