"""Who may run, who waits, who is turned away; and no place is ever lost."""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

import anyio
import pytest

from claude_max_mcp.admission import RETRY_AFTER, Admission
from claude_max_mcp.errors import ServiceError
from tests.virtual import in_virtual_asyncio_time, in_virtual_time, settled


async def stay(admission: Admission, until: anyio.Event, entered: Callable[[], None] = lambda: None) -> None:
    async with admission.place():
        entered()
        await until.wait()


@in_virtual_time
async def test_no_more_run_at_once_than_there_are_places() -> None:
    admission, leave = Admission(running=3, queue=10), anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(stay, admission, leave)
        await settled()
        assert (admission.in_flight, admission.queued) == (3, 5)
        leave.set()
    assert (admission.in_flight, admission.queued) == (0, 0)


@in_virtual_time
async def test_who_came_first_is_served_first() -> None:
    admission, served = Admission(running=1, queue=10), list[int]()
    leave = [anyio.Event() for _ in range(6)]
    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(stay, admission, leave[number], partial(served.append, number))
            await settled()
        for number in range(6):
            assert served == list(range(number + 1))
            leave[number].set()
            await settled()


@in_virtual_time
async def test_a_newcomer_does_not_overtake_who_waits() -> None:
    admission, served = Admission(running=1, queue=10), list[str]()
    first, rest = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stay, admission, first)
        await settled()
        tasks.start_soon(stay, admission, rest, partial(served.append, "waiter"))
        await settled()
        first.set()
        tasks.start_soon(stay, admission, rest, partial(served.append, "newcomer"))
        rest.set()
    assert served == ["waiter", "newcomer"]


@in_virtual_time
async def test_beyond_the_queue_a_caller_is_told_busy_at_once_and_when_to_come_back() -> None:
    admission, leave = Admission(running=2, queue=1), anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(stay, admission, leave)
        await settled()
        before = anyio.current_time()
        with pytest.raises(ServiceError, match="2 requests are running and 1 are waiting") as caught:
            async with admission.place():
                pytest.fail("there was no place")
        assert anyio.current_time() == before
        assert (caught.value.code, caught.value.status, caught.value.retryable) == ("busy", 503, True)
        assert caught.value.retry_after == RETRY_AFTER
        assert (admission.in_flight, admission.queued) == (2, 1)
        leave.set()


@in_virtual_time
async def test_without_a_queue_nobody_waits() -> None:
    admission = Admission(running=1, queue=0)
    async with admission.place():
        with pytest.raises(ServiceError, match="are waiting"):
            await stay(admission, anyio.Event())
    async with admission.place():
        assert admission.in_flight == 1


@in_virtual_time
async def test_a_place_is_free_again_after_an_error_which_comes_out_as_it_is() -> None:
    admission = Admission(running=1, queue=0)
    error = KeyError("the caller's own")
    with pytest.raises(KeyError) as caught:
        async with admission.place():
            raise error
    assert caught.value is error
    assert admission.in_flight == 0


@in_virtual_time
async def test_who_gives_up_waiting_leaves_the_queue_and_the_order_of_the_others() -> None:
    admission, served = Admission(running=1, queue=2), list[str]()
    first, rest = anyio.Event(), anyio.Event()
    rest.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stay, admission, first)
        await settled()
        with anyio.CancelScope() as impatient:
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(stay, admission, rest, partial(served.append, "impatient"))
                await settled()
                tasks.start_soon(stay, admission, rest, partial(served.append, "patient"))
                await settled()
                impatient.cancel()
        assert admission.queued == 1
        first.set()
    assert served == ["patient"]
    assert (admission.in_flight, admission.queued) == (0, 0)


@pytest.mark.parametrize("cancelled_first", [True, False], ids=["before it", "after it"])
@in_virtual_time
async def test_a_scope_cancelled_in_the_tick_of_the_hand_over_loses_no_place(cancelled_first: bool) -> None:
    admission, leave = Admission(running=1, queue=1), anyio.Event()
    leave.set()
    holding = admission.place()
    await holding.__aenter__()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stay, admission, leave)
        await settled()
        if cancelled_first:
            tasks.cancel_scope.cancel()
        await holding.__aexit__(None, None, None)  # hands over without a pause
        tasks.cancel_scope.cancel()
    assert (admission.in_flight, admission.queued) == (0, 0)


@pytest.mark.parametrize("cancelled_first", [True, False], ids=["before it", "after it"])
@in_virtual_asyncio_time
async def test_a_task_cancelled_in_the_tick_of_the_hand_over_passes_its_place_on(cancelled_first: bool) -> None:
    admission, leave, entered = Admission(running=1, queue=2), anyio.Event(), list[str]()
    leave.set()
    async with admission.place():
        cancelled = asyncio.create_task(stay(admission, leave, partial(entered.append, "cancelled")))
        await settled()
        next_one = asyncio.create_task(stay(admission, leave, partial(entered.append, "next")))
        await settled()
        if cancelled_first:
            cancelled.cancel()
    cancelled.cancel()
    await asyncio.wait([cancelled, next_one])
    assert cancelled.cancelled()
    assert entered == ["next"]
    assert (admission.in_flight, admission.queued) == (0, 0)


@pytest.mark.parametrize("seed", range(8))
@in_virtual_time
async def test_a_storm_of_cancelled_callers_loses_no_place(seed: int) -> None:
    random, admission, served = Random(seed), Admission(running=4, queue=1000), list[int]()

    async def caller(number: int) -> None:
        with anyio.move_on_after(random.random() * 0.05):
            async with admission.place():
                assert admission.in_flight <= 4
                await anyio.sleep(random.random() * 0.004)
                served.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(400):
            tasks.start_soon(caller, number)
            if random.random() < 0.3:
                await anyio.sleep(random.random() * 0.002)
    assert (admission.in_flight, admission.queued) == (0, 0)
    assert 0 < len(served) < 400, "some were served and some cancelled, or this is no storm"


@pytest.mark.parametrize("seed", range(8))
@in_virtual_asyncio_time
async def test_a_storm_of_cancelled_tasks_loses_no_place(seed: int) -> None:
    random, admission = Random(seed), Admission(running=3, queue=1000)

    async def caller() -> None:
        async with admission.place():
            assert admission.in_flight <= 3
            await asyncio.sleep(random.random() * 0.002)

    callers = [asyncio.create_task(caller()) for _ in range(300)]
    for task in random.sample(callers, len(callers)):
        if random.random() < 0.5:
            await asyncio.sleep(random.random() * 0.0005)
        if random.random() < 0.7:
            task.cancel()
    await asyncio.wait(callers)
    assert {type(task.exception()) for task in callers if not task.cancelled()} == {type(None)}
    assert any(task.cancelled() for task in callers)
    assert (admission.in_flight, admission.queued) == (0, 0)
