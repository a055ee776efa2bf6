"""Workers are used once, started ahead, and replaced."""

from itertools import count

import anyio
import pytest

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.pool.pool import Pool, PoolStats
from tests.server.forge import NOTHING_LEFT, FakeWorker, Forge, borrowed
from tests.virtual import in_virtual_time, settled


@in_virtual_time
async def test_workers_stand_ready_before_anyone_asks() -> None:
    forge = Forge()
    pool = Pool(forge, warm=2)
    async with pool.open():
        await settled()
        assert pool.stats == PoolStats(size=2, warm=2, starting=0, leased=0)
    assert (pool.stats, forge.live) == (NOTHING_LEFT, set())


@in_virtual_time
async def test_a_ready_worker_is_leased_without_waiting() -> None:
    pool = Pool(Forge(takes=lambda: 1.0), warm=1)
    async with pool.open():
        await anyio.sleep(2)
        before = anyio.current_time()
        async with borrowed(pool) as worker:
            assert (worker.number, anyio.current_time()) == (1, before)


@in_virtual_time
async def test_a_worker_that_nobody_needs_rests_and_is_awake_when_it_is_taken() -> None:
    pool = Pool(Forge(), settle=3.0, warm=1)
    async with pool.open():
        await anyio.sleep(2.9)
        (worker,) = pool.workers
        assert not worker.resting
        await anyio.sleep(0.2)
        assert worker.resting
        async with borrowed(pool) as taken:
            assert taken is worker and not taken.resting
            await anyio.sleep(10)
            assert not taken.resting, "not while it is on loan"


@in_virtual_time
async def test_a_worker_serves_one_lease_and_is_replaced_while_it_serves() -> None:
    forge = Forge()
    pool = Pool(forge, refill_delay=0, warm=1)
    async with pool.open():
        await settled()
        async with borrowed(pool) as first:
            await settled()
            assert pool.stats == PoolStats(size=2, warm=1, starting=0, leased=1)
            async with borrowed(pool) as second:
                assert (first.number, second.number) == (1, 2)
        await settled()
        assert forge.live == {3}
        async with borrowed(pool) as third:
            assert third.number == 3
    assert (pool.stats, forge.live) == (NOTHING_LEFT, set())


@in_virtual_time
async def test_the_worker_that_was_ready_first_is_leased_first() -> None:
    pool = Pool(Forge(), warm=3)
    async with pool.open():
        await settled()
        async with borrowed(pool) as first, borrowed(pool) as second, borrowed(pool) as third:
            assert [first.number, second.number, third.number] == [1, 2, 3]


@pytest.mark.parametrize("warm", [0, 1, 3])
@in_virtual_time
async def test_who_waits_longest_gets_the_next_worker(warm: int) -> None:
    seconds = count(1)
    pool = Pool(Forge(takes=lambda: next(seconds)), warm=warm)
    served = list[int]()

    async def caller(number: int) -> None:
        async with borrowed(pool):
            served.append(number)

    async with pool.open(), anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(caller, number)
            await anyio.sleep(0.05)
    assert served == list(range(8))


@in_virtual_time
async def test_a_worker_is_closed_after_its_lease_even_when_the_lease_failed() -> None:
    forge = Forge()
    pool = Pool(forge, warm=0)
    error = KeyError("the caller's own")
    async with pool.open():
        with pytest.raises(KeyError) as caught:
            async with borrowed(pool):
                raise error
        await settled()
        assert (pool.stats, forge.live) == (NOTHING_LEFT, set())
    assert caught.value is error


async def refusal(pool: Pool[FakeWorker]) -> str:
    with pytest.raises(ServiceError) as caught:
        async with borrowed(pool):
            pytest.fail("a closed pool has no worker")
    return caught.value.code


@in_virtual_time
async def test_a_pool_that_is_not_open_refuses() -> None:
    pool = Pool(Forge(), warm=1)
    assert await refusal(pool) == "cancelled"
    async with pool.open():
        await settled()
    assert await refusal(pool) == "cancelled"


@in_virtual_time
async def test_closing_the_pool_refuses_everyone_who_waits() -> None:
    forge = Forge(takes=lambda: 60.0)
    pool, codes = Pool(forge, warm=0), list[str]()

    async def caller() -> None:
        codes.append(await refusal(pool))

    async with anyio.create_task_group() as tasks:
        async with pool.open():
            for _ in range(3):
                tasks.start_soon(caller)
            await settled()
        assert anyio.current_time() < 1, "it did not wait for workers that nobody will use"
    assert codes == ["cancelled"] * 3
    assert (pool.stats, forge.live) == (NOTHING_LEFT, set())


@in_virtual_time
async def test_closing_the_pool_closes_the_workers_that_are_still_leased() -> None:
    forge, leaving = Forge(), anyio.Event()
    pool = Pool(forge, refill_delay=0, warm=2)

    async def caller() -> None:
        async with borrowed(pool):
            await leaving.wait()

    async with anyio.create_task_group() as tasks:
        async with pool.open():
            tasks.start_soon(caller)
            await settled()
            assert len(forge.live) == 3
        assert forge.live == set()
        leaving.set()
    assert pool.stats == NOTHING_LEFT


@in_virtual_time
async def test_renewing_replaces_the_workers_that_stand_ready_and_leaves_the_leased_ones() -> None:
    forge = Forge()
    pool = Pool(forge, refill_delay=0, warm=2)
    async with pool.open():
        await settled()
        async with borrowed(pool) as taken:
            await settled()
            assert forge.live == {1, 2, 3}
            pool.renew()
            await settled()
            assert forge.live == {taken.number, 4, 5}
            assert (pool.history.started, pool.history.replaced, pool.history.failed) == (5, 2, 0)
            assert taken.alive


@in_virtual_time
async def test_a_closed_pool_can_be_renewed_to_no_effect() -> None:
    forge = Forge()
    Pool(forge, warm=2).renew()
    await settled()
    assert forge.started == 0


@in_virtual_time
async def test_a_worker_that_nobody_took_is_replaced_when_it_is_old() -> None:
    forge = Forge()
    pool = Pool(forge, warm=1, max_age=100)
    async with pool.open():
        await anyio.sleep(99)
        assert forge.live == {1}
        await anyio.sleep(2)
        assert forge.live == {2}
        assert pool.stats == PoolStats(size=1, warm=1, starting=0, leased=0)
        await anyio.sleep(100)
        assert (forge.live, pool.history.replaced) == ({3}, 2)


@in_virtual_time
async def test_a_leased_worker_does_not_grow_too_old() -> None:
    forge = Forge()
    pool = Pool(forge, warm=0, max_age=100)
    async with pool.open():
        async with borrowed(pool) as worker:
            await anyio.sleep(1000)
            assert forge.live == {worker.number}
        await settled()
        assert forge.live == set()


@in_virtual_time
async def test_a_worker_that_is_ready_too_late_stands_by_for_the_next() -> None:
    forge = Forge(takes=lambda: 1.0)
    pool = Pool(forge, warm=1)
    async with pool.open():
        with anyio.move_on_after(0.5):
            async with borrowed(pool):
                pytest.fail("no worker was ready")
        await anyio.sleep(1)
        assert (pool.stats, forge.started) == (PoolStats(size=1, warm=1, starting=0, leased=0), 2)


@in_virtual_time
async def test_the_start_of_a_replacement_waits_while_the_request_is_young() -> None:
    forge = Forge()
    pool = Pool(forge, warm=1, refill_delay=0.25)
    async with pool.open():
        await settled()
        async with borrowed(pool):
            await anyio.sleep(0.2)
            assert forge.live == {1}
            await anyio.sleep(0.1)
            assert forge.live == {1, 2}
