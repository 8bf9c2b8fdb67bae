"""Service webhooks: addresses that a service tells of events, and the messages that it sends them; sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Literal

from interleaf.service import webhook_calls
from interleaf.service.call import ask
from interleaf.service.calls import Calls
from interleaf.service.job_steps import all_pages
from interleaf.service.service_records import (
    NewWebhook,
    NewWebhookSecret,
    Page,
    WebhookDelivery,
    WebhookDeliveryLine,
    WebhookRecord,
    WebhookSecret,
)
from interleaf.service.wire import AsyncWire, Wire

__all__ = ["AsyncWebhookDeliveries", "AsyncWebhooks", "GivenDelivery", "GivenWebhook", "WebhookDeliveries", "Webhooks"]

GivenWebhook = WebhookRecord | str
"""A webhook, or its id."""
GivenDelivery = WebhookDeliveryLine | str
"""A message, or its id."""
DeliveryState = Literal["pending", "delivered", "failed"]


def _id_of(given: WebhookRecord | WebhookDeliveryLine | WebhookSecret | str) -> str:
    return given if isinstance(given, str) else given.id


class Webhooks:
    """Addresses that are told of events. What arrives there is checked with `interleaf.webhooks.verify`."""

    def __init__(self, wire: Wire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    def create(self, url: str, events: Sequence[str] | None = None, description: str = "") -> NewWebhook:
        """Tell `url` of `events` from now on (how jobs end and that they wait, if not said). The record's `secret` is
        told this once. It is never made twice: when the answer is lost, ServiceAway says to look whether it is there.
        InvalidRequest when the address is one where no message may go."""
        return self._wire.run(ask(webhook_calls.create_webhook(url, events, description), self._retrying))

    def get(self, webhook: GivenWebhook) -> WebhookRecord:
        """It as it is now. ObjectUnknown."""
        return self._wire.run(ask(webhook_calls.get_webhook(_id_of(webhook)), self._retrying))

    def list(self, *, limit: int | None = None, after: str | None = None) -> Page[WebhookRecord]:
        """One page, newest first."""
        return self._wire.run(ask(webhook_calls.list_webhooks(limit=limit, after=after), self._retrying))

    def update(
        self,
        webhook: GivenWebhook,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> WebhookRecord:
        """Replace what is said. `enabled=False`: send nothing more; what waits counts as failed, and can be
        replayed."""
        said = {
            "url": url,
            "events": None if events is None else list(events),
            "description": description,
            "enabled": enabled,
        }
        changes = {name: value for name, value in said.items() if value is not None}
        return self._wire.run(ask(webhook_calls.change_webhook(_id_of(webhook), changes), self._retrying))

    def delete(self, webhook: GivenWebhook) -> None:
        """With its messages; those that wait are not sent any more."""
        self._wire.run(ask(webhook_calls.delete_webhook(_id_of(webhook)), self._retrying))

    def add_secret(self, webhook: GivenWebhook) -> NewWebhookSecret:
        """A further secret; messages are signed with all of them until they are removed. Its `secret` is told this
        once."""
        return self._wire.run(ask(webhook_calls.add_secret(_id_of(webhook)), self._retrying))

    def remove_secret(self, webhook: GivenWebhook, secret: WebhookSecret | str) -> WebhookRecord:
        """Sign with that one (a record, or its id) no more. InvalidRequest when it is the only one."""
        call = webhook_calls.remove_secret(_id_of(webhook), _id_of(secret), self._retrying)
        return self._wire.run(ask(call, self._retrying))

    def test(self, webhook: GivenWebhook) -> WebhookDelivery:
        """Send it a `ping`; `webhook_deliveries.get` says what became of that."""
        return self._wire.run(ask(webhook_calls.ping_webhook(_id_of(webhook)), self._retrying))


class WebhookDeliveries:
    """Messages to webhooks, and what became of them. The service keeps them for a while."""

    def __init__(self, wire: Wire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    def list(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
        webhook: GivenWebhook | None = None,
        state: DeliveryState | None = None,
    ) -> Page[WebhookDeliveryLine]:
        """One page, newest first."""
        webhook_id = None if webhook is None else _id_of(webhook)
        call = webhook_calls.list_deliveries(
            limit=limit, after=after, before=before, webhook_id=webhook_id, state=state
        )
        return self._wire.run(ask(call, self._retrying))

    def each(
        self, *, webhook: GivenWebhook | None = None, state: DeliveryState | None = None
    ) -> Iterator[WebhookDeliveryLine]:
        """All of them, page after page."""
        webhook_id = None if webhook is None else _id_of(webhook)

        def page(after: str | None) -> Any:
            return webhook_calls.list_deliveries(after=after, webhook_id=webhook_id, state=state)

        yield from self._wire.each(all_pages(self._calls, page))

    def get(self, delivery: GivenDelivery) -> WebhookDelivery:
        """What it says, and each attempt to deliver it. ObjectUnknown."""
        return self._wire.run(ask(webhook_calls.get_delivery(_id_of(delivery)), self._retrying))

    def replay(self, delivery: GivenDelivery) -> WebhookDelivery:
        """Send it again, now, with the same id and body, whether or not it was delivered. InvalidRequest when its
        webhook is off."""
        return self._wire.run(ask(webhook_calls.replay_delivery(_id_of(delivery)), self._retrying))


class AsyncWebhooks:
    """Addresses that are told of events. What arrives there is checked with `interleaf.webhooks.verify`."""

    def __init__(self, wire: AsyncWire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    async def create(self, url: str, events: Sequence[str] | None = None, description: str = "") -> NewWebhook:
        """Tell `url` of `events` from now on (how jobs end and that they wait, if not said). The record's `secret` is
        told this once. It is never made twice: when the answer is lost, ServiceAway says to look whether it is there.
        InvalidRequest when the address is one where no message may go."""
        return await self._wire.run(ask(webhook_calls.create_webhook(url, events, description), self._retrying))

    async def get(self, webhook: GivenWebhook) -> WebhookRecord:
        """It as it is now. ObjectUnknown."""
        return await self._wire.run(ask(webhook_calls.get_webhook(_id_of(webhook)), self._retrying))

    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[WebhookRecord]:
        """One page, newest first."""
        return await self._wire.run(ask(webhook_calls.list_webhooks(limit=limit, after=after), self._retrying))

    async def update(
        self,
        webhook: GivenWebhook,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> WebhookRecord:
        """Replace what is said. `enabled=False`: send nothing more; what waits counts as failed, and can be
        replayed."""
        said = {
            "url": url,
            "events": None if events is None else list(events),
            "description": description,
            "enabled": enabled,
        }
        changes = {name: value for name, value in said.items() if value is not None}
        return await self._wire.run(ask(webhook_calls.change_webhook(_id_of(webhook), changes), self._retrying))

    async def delete(self, webhook: GivenWebhook) -> None:
        """With its messages; those that wait are not sent any more."""
        await self._wire.run(ask(webhook_calls.delete_webhook(_id_of(webhook)), self._retrying))

    async def add_secret(self, webhook: GivenWebhook) -> NewWebhookSecret:
        """A further secret; messages are signed with all of them until they are removed. Its `secret` is told this
        once."""
        return await self._wire.run(ask(webhook_calls.add_secret(_id_of(webhook)), self._retrying))

    async def remove_secret(self, webhook: GivenWebhook, secret: WebhookSecret | str) -> WebhookRecord:
        """Sign with that one (a record, or its id) no more. InvalidRequest when it is the only one."""
        call = webhook_calls.remove_secret(_id_of(webhook), _id_of(secret), self._retrying)
        return await self._wire.run(ask(call, self._retrying))

    async def test(self, webhook: GivenWebhook) -> WebhookDelivery:
        """Send it a `ping`; `webhook_deliveries.get` says what became of that."""
        return await self._wire.run(ask(webhook_calls.ping_webhook(_id_of(webhook)), self._retrying))


class AsyncWebhookDeliveries:
    """Messages to webhooks, and what became of them. The service keeps them for a while."""

    def __init__(self, wire: AsyncWire, calls: Calls) -> None:
        self._wire = wire
        self._calls = calls
        self._retrying = calls.retrying

    async def list(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        before: str | None = None,
        webhook: GivenWebhook | None = None,
        state: DeliveryState | None = None,
    ) -> Page[WebhookDeliveryLine]:
        """One page, newest first."""
        webhook_id = None if webhook is None else _id_of(webhook)
        call = webhook_calls.list_deliveries(
            limit=limit, after=after, before=before, webhook_id=webhook_id, state=state
        )
        return await self._wire.run(ask(call, self._retrying))

    async def each(
        self, *, webhook: GivenWebhook | None = None, state: DeliveryState | None = None
    ) -> AsyncIterator[WebhookDeliveryLine]:
        """All of them, page after page."""
        webhook_id = None if webhook is None else _id_of(webhook)

        def page(after: str | None) -> Any:
            return webhook_calls.list_deliveries(after=after, webhook_id=webhook_id, state=state)

        async for record in self._wire.each(all_pages(self._calls, page)):
            yield record

    async def get(self, delivery: GivenDelivery) -> WebhookDelivery:
        """What it says, and each attempt to deliver it. ObjectUnknown."""
        return await self._wire.run(ask(webhook_calls.get_delivery(_id_of(delivery)), self._retrying))

    async def replay(self, delivery: GivenDelivery) -> WebhookDelivery:
        """Send it again, now, with the same id and body, whether or not it was delivered. InvalidRequest when its
        webhook is off."""
        return await self._wire.run(ask(webhook_calls.replay_delivery(_id_of(delivery)), self._retrying))
