"""The client with an event loop: the same service, the same steps; many jobs at a time."""

from __future__ import annotations

import anyio
import pytest

from interleaf import AsyncClient
from interleaf.errors import JobFinal, KeyRefused, NeedsInput
from tests.api.service import BRIEF, Service
from tests.sdk.faulty_transport import QUICK, Cut, Faulty, busy
from tests.sdk.service.test_client import asking


def test_many_jobs_at_a_time(service: Service) -> None:
    ended: list[str] = []

    async def use(url: str) -> None:
        async with AsyncClient(url, service.alice, retrying=QUICK) as client:

            async def one(number: int) -> None:
                job = await client.jobs.create(BRIEF, external_id=str(number))
                await anyio.to_thread.run_sync(service.finish, job.id)
                ended.append((await job.wait(20)).state)

            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(one, number)
            assert len([job async for job in client.jobs.each(limit=3)]) == 8

    with service.served() as url:
        anyio.run(use, url)
    assert ended == ["succeeded"] * 8


def test_lost_and_busy_and_refused(service: Service) -> None:
    async def use(url: str) -> None:
        faulty = Faulty(busy(), Cut(None), Cut(9), concerns="POST /v1/jobs")
        async with AsyncClient(url, service.alice, retrying=QUICK, transport=faulty) as client:
            job = await client.jobs.create(BRIEF)
            assert [one.id async for one in client.jobs.each()] == [job.id]
            await job.cancel()
            with pytest.raises(JobFinal):
                await job.cancel()
        async with AsyncClient(url, "ilk_wrong", retrying=QUICK) as stranger:
            with pytest.raises(KeyRefused):
                await stranger.uploads.list()

    with service.served() as url:
        anyio.run(use, url)


def test_a_person_is_asked_and_answers(service: Service) -> None:
    service.deliver = lambda job_id: asking(service, job_id)  # type: ignore[assignment, method-assign, return-value]

    async def use(url: str) -> None:
        async with AsyncClient(url, service.alice, retrying=QUICK) as client:
            with pytest.raises(NeedsInput) as caught:
                await client.compose(BRIEF, timeout_s=20)
            job = await client.jobs.get(caught.value.run_id)
            assert (await job.question()).asks == "outline"
            assert (await job.respond("cancel")).state == "canceled"

    with service.served() as url:
        anyio.run(use, url)


def test_giving_up_a_wait_leaves_the_job(service: Service) -> None:
    async def use(url: str) -> None:
        async with AsyncClient(url, service.alice, retrying=QUICK) as client:
            job = await client.jobs.create(BRIEF)
            with anyio.move_on_after(0.5) as scope:
                await job.wait()
            assert scope.cancelled_caught
            assert (await job.refresh()).state == "queued"

    with service.served() as url:
        anyio.run(use, url)
