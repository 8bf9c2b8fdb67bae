"""Queue look: however often anybody asks, the queue is asked once in a second."""

from __future__ import annotations

import anyio

from api.queue_look import FRESH_S, QueueLook


def test_many_who_ask_cost_one_look() -> None:
    now, looks = [100.0], [True, False]
    asked = 0

    def answers() -> bool:
        nonlocal asked
        asked += 1
        return looks[asked - 1]

    async def ask() -> None:
        look = QueueLook(answers, time_s=lambda: now[0])
        said: list[bool] = []

        async def one() -> None:
            said.append(await look.answers())

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
        assert said == [True] * 20
        now[0] += FRESH_S / 2
        assert await look.answers()
        now[0] += FRESH_S / 2
        assert not await look.answers()

    anyio.run(ask)
    assert asked == 2


def test_where_nobody_can_be_asked_it_is_taken_to_be_there() -> None:
    async def ask() -> bool:
        return await QueueLook(None).answers()

    assert anyio.run(ask)
