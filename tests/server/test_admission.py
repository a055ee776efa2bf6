"""Who may run, who waits, who is turned away; `tests/properties` has what holds in any order of all that."""

import asyncio
from collections.abc import Callable
from functools import partial

import anyio
import pytest

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.pool.admission import RETRY_AFTER, Admission
from tests.virtual import in_virtual_asyncio_time, in_virtual_time, settled


async def stay(
    admission: Admission, until: anyio.Event, entered: Callable[[], None] = lambda: None, caller: str | None = None
) -> None:
    async with admission.place(caller):
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
async def test_callers_take_turns_and_each_ones_requests_keep_their_order() -> None:
    admission, served = Admission(running=1, queue=20), list[str]()
    first, rest = anyio.Event(), anyio.Event()
    rest.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stay, admission, first, lambda: None, "a")
        await settled()
        for name in ("a1", "a2", "a3", "a4", "b1", "b2", "c1"):
            tasks.start_soon(stay, admission, rest, partial(served.append, name), name[0])
            await settled()
        first.set()
    assert served == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
    assert (admission.in_flight, admission.queued) == (0, 0)


async def outcome(admission: Admission, until: anyio.Event, told: dict[str, str], name: str) -> None:
    """Ask for a place as the caller that the name begins with, and note what came of it."""
    try:
        async with admission.place(name[0]):
            told[name] = "served"
            await until.wait()
    except ServiceError as error:
        told[name] = error.code


async def crowd(names: list[str], queue: int) -> dict[str, str]:
    """What becomes of requests that come one after the other, while one place is taken by `a` for a time."""
    admission, told = Admission(running=1, queue=queue), dict[str, str]()
    first, rest = anyio.Event(), anyio.Event()
    rest.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, admission, first, told, "a0")
        await settled()
        for name in names:
            tasks.start_soon(outcome, admission, rest, told, name)
            await settled()
        assert admission.queued <= queue
        first.set()
    assert (admission.in_flight, admission.queued) == (0, 0)
    del told["a0"]
    return told


@in_virtual_time
async def test_who_floods_a_full_queue_loses_the_latest_request_to_another_caller() -> None:
    told = await crowd(["a1", "a2", "a3", "a4", "a5", "b1", "c1"], queue=4)
    assert told == {
        "a5": "busy",  # as it came
        "a4": "busy",  # for b
        "a3": "busy",  # for c
        "a1": "served",
        "b1": "served",
        "c1": "served",
        "a2": "served",
    }


@in_virtual_time
async def test_a_caller_gets_no_more_of_a_full_queue_than_who_has_most() -> None:
    told = await crowd(["a1", "a2", "b1", "b2", "b3", "a3"], queue=4)
    assert {name for name, what in told.items() if what == "busy"} == {"b3", "a3"}
    told = await crowd(["a1", "b1", "c1"], queue=2)
    assert told["c1"] == "busy", "each of those who wait has but one request"


@in_virtual_time
async def test_who_is_turned_away_and_cancelled_in_one_tick_changes_nothing_more() -> None:
    admission, leave, entered = Admission(running=1, queue=2), anyio.Event(), list[str]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stay, admission, leave, lambda: None, "a")
        await settled()
        async with anyio.create_task_group() as flood:
            flood.start_soon(stay, admission, leave, lambda: None, "a")
            flood.start_soon(stay, admission, leave, lambda: None, "a")
            await settled()
            tasks.start_soon(stay, admission, leave, partial(entered.append, "b"), "b")  # turns the latest of them away
            flood.cancel_scope.cancel()
        await settled()
        assert (admission.in_flight, admission.queued) == (1, 1)
        leave.set()
    assert entered == ["b"]
    assert (admission.in_flight, admission.queued) == (0, 0)


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
