"""Starts that fail, workers that die, and workers that are started for one who asks."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count

import anyio
import pytest
from anyio.lowlevel import checkpoint

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.pool.pool import Pool, PoolStats
from tests.server.forge import NOTHING_LEFT, FakeWorker, Forge, borrowed
from tests.virtual import in_virtual_time, settled


@in_virtual_time
async def test_a_failed_start_reaches_the_one_who_waits_at_once_and_the_next_is_served() -> None:
    pool = Pool(Forge(fails=1), warm=0, retry_delay=30)
    async with pool.open():
        with pytest.raises(OSError, match="cannot start"):
            async with borrowed(pool):
                pytest.fail("there was no worker")
        assert anyio.current_time() == 0
        async with borrowed(pool) as worker:
            assert worker.number == 2


@in_virtual_time
async def test_a_failed_start_reaches_one_waiter_and_not_the_others() -> None:
    pool = Pool(Forge(takes=lambda: 1.0, fails=1), warm=0)
    outcomes = list[str]()

    async def caller() -> None:
        try:
            async with borrowed(pool):
                outcomes.append("served")
        except OSError as error:
            outcomes.append(str(error))

    async with pool.open(), anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(caller)
    assert sorted(outcomes) == ["cannot start", "served", "served"]


@in_virtual_time
async def test_a_start_that_failed_with_nobody_waiting_is_tried_again_after_a_while() -> None:
    forge = Forge(fails=3)
    pool = Pool(forge, warm=1, retry_delay=10)
    async with pool.open():
        await anyio.sleep(29)
        assert (forge.started, pool.stats.warm) == (3, 0)
        await anyio.sleep(2)
        assert (forge.started, pool.stats.warm) == (4, 1)


@in_virtual_time
async def test_the_same_failure_is_logged_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    pool = Pool(Forge(fails=5), warm=1, retry_delay=10)
    async with pool.open():
        await anyio.sleep(100)
    assert [record.getMessage() for record in caplog.records] == ["a worker failed: cannot start"]
    assert (pool.history.failed, pool.history.started) == (5, 1)


@pytest.mark.parametrize("error", [ServiceError("cli_missing", "There is no CLI."), OSError("cannot start")])
@in_virtual_time
async def test_only_a_failure_that_is_a_defect_is_logged_with_its_place(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def start() -> AsyncGenerator[FakeWorker]:
        raise error
        yield

    pool = Pool(start, warm=1)
    async with pool.open():
        await settled()
    (record,) = caplog.records
    assert bool(record.exc_info) is isinstance(error, OSError)


@in_virtual_time
async def test_closing_the_pool_refuses_who_waits_for_a_worker_of_its_own() -> None:
    pool, codes = Pool(Forge(), warm=1), list[str]()

    async def caller() -> None:
        with pytest.raises(ServiceError) as caught:
            await pool.take(Forge(takes=lambda: 60.0))
        codes.append(caught.value.code)

    async with anyio.create_task_group() as tasks:
        async with pool.open():
            tasks.start_soon(caller)
            await settled()
        assert anyio.current_time() < 1
    assert codes == ["cancelled"]
    assert pool.stats == NOTHING_LEFT


@in_virtual_time
async def test_a_ready_worker_that_died_is_passed_over_and_replaced() -> None:
    forge = Forge()
    pool = Pool(forge, warm=2)
    async with pool.open():
        await settled()
        ready = [slot.worker for slot in pool._idle]  # pyright: ignore[reportPrivateUsage]
        ready[0].alive = False
        async with borrowed(pool) as worker:
            assert worker.number == 2
            await settled()
            assert pool.stats == PoolStats(size=3, warm=2, starting=0, leased=1)
            assert (pool.history.started, pool.history.replaced) == (4, 1)
        await settled()
        assert forge.live == {3, 4}


@in_virtual_time
async def test_when_all_ready_workers_died_a_new_one_is_started() -> None:
    forge = Forge()
    pool = Pool(forge, warm=2)
    async with pool.open():
        await settled()
        for slot in pool._idle:  # pyright: ignore[reportPrivateUsage]
            slot.worker.alive = False
        async with borrowed(pool) as worker:
            assert (worker.number, pool.history.replaced) == (3, 2)


@in_virtual_time
async def test_a_worker_that_died_while_it_started_is_lent_to_nobody() -> None:
    started = count(1)

    @asynccontextmanager
    async def start() -> AsyncGenerator[FakeWorker]:
        yield FakeWorker(number := next(started), alive=number > 1)

    pool = Pool(start, warm=0)
    async with pool.open(), borrowed(pool) as worker:
        assert worker.number == 2


@in_virtual_time
async def test_a_ready_worker_whose_keeper_failed_is_replaced_and_never_leased() -> None:
    breaking, started = anyio.Event(), list[FakeWorker]()

    @asynccontextmanager
    async def start() -> AsyncGenerator[FakeWorker]:
        started.append(FakeWorker(len(started) + 1))
        async with anyio.create_task_group() as tasks:
            if len(started) == 1:
                tasks.start_soon(break_down)
            yield started[-1]

    async def break_down() -> None:
        await breaking.wait()
        raise OSError("the process broke down")

    pool = Pool(start, warm=1, retry_delay=1)
    async with pool.open():
        await settled()
        breaking.set()
        await anyio.sleep(2)
        assert pool.stats == PoolStats(size=1, warm=1, starting=0, leased=0)
        async with borrowed(pool) as worker:
            assert worker.number == 2


@in_virtual_time
async def test_a_worker_started_for_one_who_asks_is_lent_to_nobody_else_and_is_known_while_it_lives() -> None:
    ready, special = Forge(), Forge(takes=lambda: 1.0)
    pool = Pool(ready, warm=1)
    async with pool.open():
        await settled()
        loan = await pool.take(special)
        assert (special.live, loan.worker in pool.workers) == ({1}, True)
        assert pool.stats == PoolStats(size=2, warm=1, starting=0, leased=1)
        loan.end()
        await settled()
        assert (special.live, loan.worker in pool.workers) == (set(), False)
        assert pool.stats == PoolStats(size=1, warm=1, starting=0, leased=0)


@in_virtual_time
async def test_a_failed_start_reaches_the_one_it_was_for_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    pool = Pool(Forge(), warm=0)
    async with pool.open():
        with pytest.raises(OSError, match="cannot start"):
            await pool.take(Forge(fails=1))
        assert pool.stats == NOTHING_LEFT
    assert [record.getMessage() for record in caplog.records] == ["a worker failed: cannot start"]


@in_virtual_time
async def test_a_worker_started_for_one_who_gives_up_in_whatever_tick_is_lent_to_nobody() -> None:
    for ticks in range(8):
        await give_up_after(ticks)


async def give_up_after(ticks: int) -> None:
    may_start, scope = anyio.Event(), anyio.CancelScope()

    @asynccontextmanager
    async def start() -> AsyncGenerator[FakeWorker]:
        await may_start.wait()
        yield FakeWorker(0)

    async def take() -> None:
        with scope:
            (await pool.take(start)).end()

    pool = Pool(Forge(takes=lambda: 60.0), warm=1)
    async with pool.open(), anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await settled()
        may_start.set()
        for _ in range(ticks):
            await checkpoint()
        scope.cancel()
        await settled()
        assert pool.stats == PoolStats(size=1, warm=0, starting=1, leased=0)
