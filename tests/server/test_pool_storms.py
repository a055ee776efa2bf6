"""No worker is lost, whoever is cancelled whenever: in the tick of the hand-over, and in storms of hundreds."""

import asyncio
from random import Random

import anyio
import pytest

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.pool.pool import Pool, PoolStats
from tests.server.forge import NOTHING_LEFT, FakeWorker, Forge, borrowed
from tests.virtual import in_virtual_asyncio_time, in_virtual_time, settled


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


@pytest.mark.parametrize("seed", range(8))
@in_virtual_time
async def test_a_storm_of_cancelled_callers_loses_no_worker(seed: int) -> None:
    random = Random(seed)
    forge = Forge(takes=lambda: random.random() * 0.002)
    pool = Pool(forge, warm=2, max_age=0.05, settle=0.0005, retry_delay=0)
    leased, served = set[int](), list[int]()

    async def caller() -> None:
        with anyio.move_on_after(random.random() * 0.01):
            async with borrowed(pool) as worker:
                assert worker.number not in served, "a worker serves once"
                assert not worker.resting
                leased.add(worker.number)
                served.append(worker.number)
                try:
                    await anyio.sleep(random.random() * 0.004)
                    worker.alive = random.random() > 0.1
                finally:
                    leased.remove(worker.number)

    async with pool.open():
        async with anyio.create_task_group() as tasks:
            for _ in range(400):
                tasks.start_soon(caller)
                if random.random() < 0.3:
                    await anyio.sleep(random.random() * 0.001)
        await anyio.sleep(0.01)
        assert pool.stats == PoolStats(size=2, warm=2, starting=0, leased=0)
        assert (len(forge.live), leased) == (2, set())
        async with borrowed(pool) as worker:
            assert worker.alive
    assert len(served) > 100, "hundreds were served, or this is no storm"
    assert (pool.stats, forge.live) == (NOTHING_LEFT, set())


@pytest.mark.parametrize("seed", range(8))
@in_virtual_asyncio_time
async def test_a_storm_of_cancelled_tasks_loses_no_worker(seed: int) -> None:
    random = Random(seed)
    forge = Forge(takes=lambda: random.random() * 0.001)
    pool = Pool(forge, warm=1)

    async def caller() -> None:
        async with borrowed(pool):
            await asyncio.sleep(random.random() * 0.002)

    async with pool.open():
        callers = [asyncio.create_task(caller()) for _ in range(300)]
        for task in random.sample(callers, len(callers)):
            if random.random() < 0.2:
                await asyncio.sleep(random.random() * 0.0005)
            if random.random() < 0.7:
                task.cancel()
        await asyncio.wait(callers)
        assert {type(task.exception()) for task in callers if not task.cancelled()} == {type(None)}
        assert any(task.cancelled() for task in callers)
        await anyio.sleep(0.01)
        assert pool.stats == PoolStats(size=1, warm=1, starting=0, leased=0)
    assert (pool.stats, forge.live) == (NOTHING_LEFT, set())


@pytest.mark.parametrize("seed", range(4))
@in_virtual_time
async def test_a_pool_closed_in_the_midst_of_a_storm_leaves_nothing_alive(seed: int) -> None:
    random = Random(seed)
    forge = Forge(takes=lambda: random.random() * 0.002, fails=seed)
    pool, outcomes = Pool(forge, warm=2, retry_delay=0), list[str]()

    async def caller() -> None:
        try:
            async with borrowed(pool):
                await anyio.sleep(random.random() * 0.004)
                outcomes.append("served")
        except (ServiceError, OSError) as error:
            outcomes.append(type(error).__name__)

    async with anyio.create_task_group() as tasks:
        async with pool.open():
            for _ in range(200):
                tasks.start_soon(caller)
            await anyio.sleep(0.001)
        assert forge.live == set()
        assert pool.stats.starting == 0
    assert len(outcomes) == 200 and set(outcomes) >= {"served", "ServiceError"}
    assert pool.stats == NOTHING_LEFT
