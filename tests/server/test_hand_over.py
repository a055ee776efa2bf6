"""No worker is lost in the tick of its hand-over."""

import asyncio

import anyio
import pytest

from claude_max_mcp.pool.pool import Pool
from tests.server.forge import NOTHING_LEFT, FakeWorker, Forge, borrowed
from tests.virtual import in_virtual_asyncio_time, settled


@pytest.mark.parametrize("cancelled_first", [True, False], ids=["before it", "after it"])
@in_virtual_asyncio_time
async def test_a_task_cancelled_in_the_tick_of_the_hand_over_passes_its_worker_on(cancelled_first: bool) -> None:
    handed_over, served = asyncio.Event(), list[int]()
    forge = Forge(takes=lambda: 1.0)

    class Watched(Pool[FakeWorker]):
        def _hand_over(self, slot: object) -> None:
            if cancelled_first and not handed_over.is_set():
                handed_over.set()
                cancelled.cancel()
            super()._hand_over(slot)  # pyright: ignore[reportArgumentType]
            if not handed_over.is_set():
                handed_over.set()
                cancelled.cancel()

    async def caller() -> None:
        async with borrowed(pool) as worker:
            served.append(worker.number)

    pool = Watched(forge, warm=0)
    async with pool.open():
        cancelled = asyncio.create_task(caller())
        await settled()
        next_one = asyncio.create_task(caller())
        await asyncio.wait([cancelled, next_one])
        assert cancelled.cancelled()
        assert served == [1], "the worker went to the next in line"
        await anyio.sleep(5)
        assert (pool.stats, forge.live) == (NOTHING_LEFT, set())
