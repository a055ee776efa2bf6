"""No place is lost, whoever comes, leaves and gives up in whatever order and tick; and callers take turns."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.lowlevel import checkpoint
from hypothesis import event, given
from hypothesis import strategies as st

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.pool.admission import Admission
from tests.properties.crowds import Begin, in_scopes, in_tasks
from tests.virtual import in_virtual_asyncio_time, in_virtual_time, settled


@dataclass(eq=False)
class Visitor:
    """One request: whose it is, and what has become of it."""

    caller: str
    state: str = "coming"
    may_leave: anyio.Event = field(default_factory=anyio.Event)
    give_up: Callable[[], object] = lambda: None

    async def visit(self, admission: Admission) -> None:
        self.state = "waiting"
        try:
            async with admission.place(self.caller):
                self.state = "inside"
                await self.may_leave.wait()
            self.state = "served"
        except ServiceError:
            self.state = "turned away"
        finally:
            if self.state in ("waiting", "inside"):
                self.state = "gone"


class Hall:
    """An admission and its visitors."""

    def __init__(self, running: int, queue: int, begin: Begin) -> None:
        self.running, self.queue = running, queue
        self.admission = Admission(running=running, queue=queue)
        self.visitors: list[Visitor] = []
        self._begin = begin

    def those(self, *states: str) -> list[Visitor]:
        """The visitors in any of these states, in the order in which they came."""
        return [visitor for visitor in self.visitors if visitor.state in states]

    def come(self, caller: str) -> Visitor:
        self.visitors.append(visitor := Visitor(caller))
        visitor.give_up = self._begin(partial(visitor.visit, self.admission))
        return visitor

    async def act(self, action: str, number: int) -> None:
        """Do one thing; `number` chooses who does it, or whose it is."""
        match action:
            case "come":
                self.come("abc"[number % 3])
            case "leave" if inside := self.those("inside"):
                inside[number % len(inside)].may_leave.set()
            case "give up" if present := self.those("coming", "waiting", "inside"):
                present[number % len(present)].give_up()
            case "tick":
                await checkpoint()
            case "settle":
                await settled()
            case _:
                pass

    def check_bounds(self) -> None:
        assert self.admission.in_flight <= self.running
        assert self.admission.queued <= self.queue

    def check_at_rest(self) -> None:
        self.check_bounds()
        assert self.admission.in_flight == len(self.those("inside"))
        assert self.admission.queued == len(self.those("waiting"))
        assert not self.admission.queued or self.admission.in_flight == self.running, "a place is free"

    async def empty(self) -> None:
        for visitor in self.visitors:
            visitor.may_leave.set()
        await settled()
        assert (self.admission.in_flight, self.admission.queued) == (0, 0)
        assert self.those("waiting", "inside") == []


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "leave", "leave", "give up", "tick", "settle"]), st.integers(0, 20)
    ),
    min_size=20,
    max_size=100,
)
LIMITS = st.tuples(st.integers(1, 3), st.integers(0, 5))


async def storm(
    limits: tuple[int, int], actions: list[tuple[str, int]], crowd: AbstractAsyncContextManager[Begin]
) -> None:
    """Do everything, without a rest in between but where `settle` asks for one, and see that nothing is lost."""
    async with crowd as begin:
        hall = Hall(*limits, begin)
        for action, number in actions:
            await hall.act(action, number)
            if action == "settle":
                hall.check_at_rest()
            hall.check_bounds()
        await settled()
        hall.check_at_rest()
        await hall.empty()
    event(f"{len({visitor.state for visitor in hall.visitors})} kinds of ends")


@given(limits=LIMITS, actions=ACTIONS)
@in_virtual_time
async def test_whoever_gives_up_in_whatever_tick_no_place_is_lost(
    limits: tuple[int, int], actions: list[tuple[str, int]]
) -> None:
    await storm(limits, actions, in_scopes())


@given(limits=LIMITS, actions=ACTIONS)
@in_virtual_asyncio_time
async def test_whatever_task_is_cancelled_in_whatever_tick_no_place_is_lost(
    limits: tuple[int, int], actions: list[tuple[str, int]]
) -> None:
    await storm(limits, actions, in_tasks())


CALM = st.lists(
    st.tuples(st.sampled_from(["come", "come", "come", "leave", "give up"]), st.integers(0, 20)),
    min_size=10,
    max_size=50,
)
"""One thing after the other, so that it is known what follows from what."""


@dataclass(frozen=True)
class Step:
    """What one action has changed."""

    hall: Hall
    newcomer: Visitor | None
    waited: list[Visitor]
    """Who waited before."""
    taken: int
    """The places that were taken before."""

    def find(self, state: str) -> list[Visitor]:
        """Who waited before, and is in this state now."""
        return [visitor for visitor in self.waited if visitor.state == state]


async def step_through(limits: tuple[int, int], actions: list[tuple[str, int]]) -> AsyncGenerator[Step]:
    async with in_scopes() as begin:
        hall = Hall(*limits, begin)
        for action, number in actions:
            waited, taken, known = hall.those("waiting"), hall.admission.in_flight, len(hall.visitors)
            await hall.act(action, number)
            await settled()
            hall.check_at_rest()
            yield Step(hall, next(iter(hall.visitors[known:]), None), waited, taken)
        await hall.empty()


@given(limits=LIMITS, actions=CALM)
@in_virtual_time
async def test_nobody_is_served_twice_while_another_caller_waits(
    limits: tuple[int, int], actions: list[tuple[str, int]]
) -> None:
    served_meanwhile = dict[str, set[str]]()  # by the caller that waits
    async for step in step_through(limits, actions):
        for visitor in step.find("inside"):
            assert visitor is next(other for other in step.waited if other.caller == visitor.caller), "in their order"
            assert not any(visitor.caller in others for others in served_meanwhile.values())
            for others in served_meanwhile.values():
                others.add(visitor.caller)
            served_meanwhile[visitor.caller] = set()
        waiting = {visitor.caller for visitor in step.hall.those("waiting")}
        served_meanwhile = {caller: served_meanwhile.get(caller, set()) for caller in waiting}


@given(limits=LIMITS, actions=CALM)
@in_virtual_time
async def test_a_full_queue_has_room_for_whoever_has_less_in_it(
    limits: tuple[int, int], actions: list[tuple[str, int]]
) -> None:
    turns: list[str] = []  # the callers that wait, in the order in which they will be served
    async for step in step_through(limits, actions):
        if step.newcomer is not None:
            expected, loser = expect(step, turns)
            assert step.newcomer.state == expected
            assert step.find("turned away") == ([] if loser is None else [loser])
        else:
            assert step.find("turned away") == []
        served = [visitor.caller for visitor in step.find("inside")]
        waiting = [visitor.caller for visitor in step.hall.those("waiting")]
        order = [*(caller for caller in turns if caller not in served), *waiting]
        turns = list(dict.fromkeys(caller for caller in order if caller in waiting))


def expect(step: Step, turns: list[str]) -> tuple[str, Visitor | None]:
    """What must become of the newcomer, and who loses a place in the queue to it."""
    assert step.newcomer is not None
    if step.taken < step.hall.running:
        return "inside", None
    if len(step.waited) < step.hall.queue:
        return "waiting", None
    counts = Counter(visitor.caller for visitor in step.waited)
    most = max(counts.values(), default=0)
    if most <= counts[step.newcomer.caller] + 1:
        return "turned away", None
    caller = next(caller for caller in reversed(turns) if counts[caller] == most)
    return "waiting", [visitor for visitor in step.waited if visitor.caller == caller][-1]
