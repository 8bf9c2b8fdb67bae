"""Webhooks through the client: made, changed, tried out, replayed; sync and async; lost answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import anyio
import pytest

from interleaf import AsyncClient, Client
from interleaf.errors import InvalidRequest, ObjectUnknown, RequestRefused, ServiceAway
from interleaf.webhooks import sign, verify
from tests.api.service import Service
from tests.sdk.faulty_transport import QUICK, Cut, Faulty
from workers.store.deliveries import ClaimedDelivery, Deliveries, Outcome

URL = "https://hooks.example.org/in"


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with service.served() as url:
        yield url


@pytest.fixture
def client(service: Service, address: str) -> Iterator[Client]:
    with Client(address, service.alice, retrying=QUICK) as opened:
        yield opened


def sent(service: Service, status: int = 200) -> ClaimedDelivery:
    """What the courier does: send what is due."""
    deliveries = Deliveries(service.database)
    claimed = deliveries.claim(60)
    assert claimed is not None
    deliveries.record(claimed, Outcome(datetime.now(UTC), 0.1, status, "" if status == 200 else f"answered {status}."))
    return claimed


def test_a_webhook_from_its_making_to_its_end(service: Service, client: Client) -> None:
    made = client.webhooks.create(URL, ["job.canceled"], "to the newsroom")
    assert made.secret not in repr(made)
    there = client.webhooks.get(made)
    assert there.model_dump() == {name: value for name, value in made.model_dump().items() if name != "secret"}
    assert client.webhooks.list().data == (there,)
    ping = client.webhooks.test(made)
    claimed = sent(service)
    assert claimed.id == ping.id
    headers = {"webhook-id": claimed.id, "webhook-timestamp": "7"}
    headers["webhook-signature"] = sign(claimed.secrets[0], claimed.id, 7, claimed.body)
    assert verify(claimed.body, headers, made.secret, now_s=7).data == {"id": made.id} == ping.message["data"]
    after = client.webhook_deliveries.get(ping)
    assert (after.state, [one.status for one in after.attempts]) == ("delivered", [200])
    again = client.webhook_deliveries.replay(after)
    assert (again.id, again.state) == (ping.id, "pending")
    sent(service, 410)
    off = client.webhooks.get(made.id)
    assert off.disabled_at is not None and "410" in off.disabled_why
    with pytest.raises(InvalidRequest, match="off"):
        client.webhooks.test(off)
    on = client.webhooks.update(off, enabled=True, url=f"{URL}/2", events=["job.failed"], description="x")
    assert (on.disabled_at, on.url, on.events, on.description) == (None, f"{URL}/2", ("job.failed",), "x")
    client.webhooks.delete(on)
    with pytest.raises(ObjectUnknown):
        client.webhooks.get(on)


def test_secrets_are_replaced(service: Service, client: Client) -> None:
    made = client.webhooks.create(URL)
    new = client.webhooks.add_secret(made)
    assert new.secret not in repr(new)
    client.webhooks.test(made)
    assert sent(service).secrets == (new.secret, made.secret)
    left = client.webhooks.remove_secret(made, made.secrets[0])
    assert [one.id for one in left.secrets] == [new.id]
    with pytest.raises(InvalidRequest):
        client.webhooks.remove_secret(made, new.id)


def test_messages_are_listed_page_after_page(client: Client, service: Service) -> None:
    made, other = client.webhooks.create(URL), client.webhooks.create(URL)
    ids = [client.webhooks.test(made).id for _ in range(3)]
    assert len(client.webhook_deliveries.list(limit=2).data) == 2
    assert {one.id for one in client.webhook_deliveries.each(webhook=made)} == set(ids)
    assert list(client.webhook_deliveries.each(webhook=other)) == []
    delivered = sent(service).id
    assert [one.id for one in client.webhook_deliveries.list(state="delivered").data] == [delivered]


def test_where_no_message_may_go(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="private network") as refused:
        client.webhooks.create("https://10.0.0.7/")
    assert "url" in refused.value.thing
    with pytest.raises(RequestRefused, match="events"):
        client.webhooks.create(URL, ["job.exploded"])
    assert client.webhooks.list().data == ()


def test_the_same_without_blocking(service: Service, address: str) -> None:
    async def all_of_it() -> None:
        async with AsyncClient(address, service.alice, retrying=QUICK) as client:
            made = await client.webhooks.create(URL)
            ping = await client.webhooks.test(made)
            assert [one.id async for one in client.webhook_deliveries.each(webhook=made)] == [ping.id]
            assert (await client.webhook_deliveries.get(ping.id)).message["type"] == "ping"
            assert (await client.webhook_deliveries.list()).data[0].id == ping.id
            new = await client.webhooks.add_secret(made)
            assert len((await client.webhooks.remove_secret(made, new)).secrets) == 1
            assert (await client.webhooks.update(made, enabled=False)).disabled_at is not None
            await client.webhooks.delete(made)
            assert (await client.webhooks.list()).data == ()

    anyio.run(all_of_it)


def test_what_tells_a_secret_is_never_done_twice(service: Service, address: str) -> None:
    faulty = Faulty(Cut(None), concerns="/v1/webhooks")
    with Client(address, service.alice, retrying=QUICK, transport=faulty) as client:
        with pytest.raises(ServiceAway):
            client.webhooks.create(URL)
        (made,) = client.webhooks.list().data
        for call in (client.webhooks.add_secret, client.webhooks.test):
            faulty.faults = [Cut(None)]
            with pytest.raises(ServiceAway):
                call(made)
        assert len(client.webhooks.get(made).secrets) == 2
        assert len(client.webhook_deliveries.list().data) == 1


def test_a_removal_whose_answer_was_lost_is_done(service: Service, address: str) -> None:
    faulty = Faulty(concerns="DELETE")
    with Client(address, service.alice, retrying=QUICK, transport=faulty) as client:
        made = client.webhooks.create(URL)
        new = client.webhooks.add_secret(made)
        faulty.faults = [Cut(None)]
        assert [one.id for one in client.webhooks.remove_secret(made, made.secrets[0]).secrets] == [new.id]
        faulty.faults = [Cut(None)]
        client.webhooks.delete(made)
        assert [request.method for request in faulty.seen].count("DELETE") == 4
        assert client.webhooks.list().data == ()
