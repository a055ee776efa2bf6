"""No worker is lost or lent twice, whoever takes, ends, breaks and gives up in whatever order and tick."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.lowlevel import checkpoint
from hypothesis import event, given
from hypothesis import strategies as st

from claude_max_mcp.background import beside
from claude_max_mcp.errors import ServiceError
from claude_max_mcp.pool.pool import Pool, PoolStats
from tests.properties.crowds import Begin, in_scopes, in_tasks
from tests.server.forge import NOTHING_LEFT, FakeWorker
from tests.virtual import in_virtual_asyncio_time, in_virtual_time, settled


class Smithy:
    """Starts workers as it is told: each start takes a while, and may fail; each worker may break down later."""

    def __init__(self, starts: list[tuple[float, bool]]) -> None:
        self._starts = iter(starts)
        self._breaking: dict[FakeWorker, anyio.Event] = {}
        self.failures: list[ServiceError] = []

    @property
    def live(self) -> list[FakeWorker]:
        """The workers that are not closed yet, the oldest first."""
        return list(self._breaking)

    @asynccontextmanager
    async def __call__(self, borrower: int = 0) -> AsyncGenerator[FakeWorker]:
        """Start a worker for anybody, or for the one borrower of that number."""
        seconds, fails = next(self._starts, (0.0, False))
        await anyio.sleep(seconds)
        if fails:
            self.failures.append(error := ServiceError("cli_failed", f"Start {len(self.failures)} failed."))
            raise error
        worker = FakeWorker(borrower)
        breaking = self._breaking[worker] = anyio.Event()
        try:
            async with beside(partial(fail_after, breaking)):
                yield worker
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()  # closing one takes a while, and is not interrupted
            del self._breaking[worker]

    def break_down(self, worker: FakeWorker) -> None:
        worker.alive = False
        self._breaking[worker].set()


async def fail_after(breaking: anyio.Event) -> None:
    await breaking.wait()
    raise ServiceError("cli_failed", "The process broke down.")


@dataclass(eq=False)
class Borrower:
    """One request for a worker, and what has become of it."""

    number: int
    """Whose worker has this number, too; or 0, for a worker that anybody may have."""
    state: str = "coming"
    worker: FakeWorker | None = None
    error: Exception | None = None
    may_end: anyio.Event = field(default_factory=anyio.Event)
    give_up: Callable[[], object] = lambda: None

    async def borrow(self, pool: Pool[FakeWorker], start: Smithy) -> None:
        self.state = "waiting"
        try:
            loan = await pool.take(partial(start, self.number) if self.number else None)
        except Exception as error:
            self.state, self.error = "refused", error
            return
        finally:
            if self.state == "waiting":
                self.state = "gone"
        self.state, self.worker = "lent", loan.worker
        try:
            await self.may_end.wait()
        finally:
            loan.end()
            self.state = "done"


class Shop:
    """A pool, its borrowers, and how its workers start."""

    def __init__(self, warm: int, starts: list[tuple[float, bool]], begin: Begin) -> None:
        self.warm = warm
        self.smithy = Smithy(starts)
        self.pool = Pool(self.smithy, warm=warm, max_age=20.0, settle=0.5)
        self.borrowers: list[Borrower] = []
        self._begin = begin

    def those(self, *states: str) -> list[Borrower]:
        """The borrowers in any of these states, in the order in which they came."""
        return [borrower for borrower in self.borrowers if borrower.state in states]

    def come(self, *, special: bool = False) -> None:
        self.borrowers.append(borrower := Borrower(len(self.borrowers) + 1 if special else 0))
        borrower.give_up = self._begin(partial(borrower.borrow, self.pool, self.smithy))

    async def act(self, action: str, number: int) -> None:
        """Do one thing; `number` chooses who does it, or to what."""
        match action:
            case "take":
                self.come(special=number % 3 == 0)
            case "end" if lent := self.those("lent"):
                lent[number % len(lent)].may_end.set()
            case "give up" if present := self.those("coming", "waiting", "lent"):
                present[number % len(present)].give_up()
            case "die" if live := self.smithy.live:
                live[number % len(live)].alive = False
            case "break down" if live := self.smithy.live:
                self.smithy.break_down(live[number % len(live)])
            case "renew":
                self.pool.renew()
            case "tick":
                await checkpoint()
            case "pass":
                await anyio.sleep((0.001, 0.3, 1.0, 4.0, 25.0)[number % 5])
            case _:
                pass
        self.check()

    def check(self) -> None:
        stats, lent = self.pool.stats, self.those("lent")
        workers = [borrower.worker for borrower in self.borrowers if borrower.worker is not None]
        assert len(workers) == len(set(workers)), "a worker serves once"
        assert not any(borrower.worker and borrower.worker.resting for borrower in lent)
        assert all(b.worker.number == b.number for b in self.borrowers if b.worker), "one's own is nobody else's"
        assert stats.warm <= self.warm
        assert min(stats.size, stats.starting) >= 0 and stats.leased >= len(lent) - len(self._broken())
        errors = [b.error for b in self.borrowers if b.error is not None]
        assert len(errors) == len(set(errors)), "a failure is one caller's"

    def _broken(self) -> list[Borrower]:
        """Those whose worker is gone, though they have not ended their loan."""
        return [borrower for borrower in self.those("lent") if borrower.worker not in self.smithy.live]

    async def come_to_rest(self) -> None:
        """End every loan, and see that whoever waits is served, and that as many stand ready as should."""
        for borrower in self.borrowers:
            borrower.may_end.set()
        await settled()
        at_rest = PoolStats(size=self.warm, warm=self.warm, starting=0, leased=0)
        for _ in range(200):
            if self.pool.stats == at_rest and not self.those("waiting", "lent"):
                break
            await anyio.sleep(0.7)  # starts that fail or take long, and workers that grow old, disturb it
        assert self.those("waiting", "lent") == []
        assert self.pool.stats == at_rest
        assert self.pool.workers == set(self.smithy.live)
        assert [worker.number for worker in self.smithy.live] == [0] * self.warm


STARTS = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.01, 0.5, 3.0]), st.sampled_from([False, False, False, True])))
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            [*["take"] * 4, *["end"] * 3, "give up", "give up", "die", "break down", "renew", "tick", "pass", "pass"]
        ),
        st.integers(0, 20),
    ),
    min_size=15,
    max_size=60,
)


async def storm(
    warm: int,
    starts: list[tuple[float, bool]],
    actions: list[tuple[str, int]],
    crowd: AbstractAsyncContextManager[Begin],
) -> None:
    async with crowd as begin:
        shop = Shop(warm, starts, begin)
        async with shop.pool.open():
            for action, number in actions:
                await shop.act(action, number)
            await shop.come_to_rest()
        assert (shop.pool.stats, shop.smithy.live) == (NOTHING_LEFT, [])
    event(f"{sorted({borrower.state for borrower in shop.borrowers})}")
    assert {b.error for b in shop.borrowers if b.error is not None} <= set(shop.smithy.failures)


@given(warm=st.integers(0, 3), starts=STARTS, actions=ACTIONS)
@in_virtual_time
async def test_whoever_gives_up_in_whatever_tick_no_worker_is_lost_or_lent_twice(
    warm: int, starts: list[tuple[float, bool]], actions: list[tuple[str, int]]
) -> None:
    await storm(warm, starts, actions, in_scopes())


@given(warm=st.integers(0, 3), starts=STARTS, actions=ACTIONS)
@in_virtual_asyncio_time
async def test_whatever_task_is_cancelled_in_whatever_tick_no_worker_is_lost_or_lent_twice(
    warm: int, starts: list[tuple[float, bool]], actions: list[tuple[str, int]]
) -> None:
    await storm(warm, starts, actions, in_tasks())


@given(warm=st.integers(0, 3), starts=STARTS, actions=ACTIONS)
@in_virtual_time
async def test_a_pool_that_closes_at_any_moment_refuses_whoever_waits_and_leaves_nothing_alive(
    warm: int, starts: list[tuple[float, bool]], actions: list[tuple[str, int]]
) -> None:
    async with in_scopes() as begin:
        shop = Shop(warm, starts, begin)
        async with shop.pool.open():
            for action, number in actions:
                if action != "break down":  # what fails in that very moment comes out, on trio
                    await shop.act(action, number)
            waiting = shop.those("waiting")
        assert shop.smithy.live == []
        await settled()
        assert shop.those("coming", "waiting") == []
        assert all(
            isinstance(borrower.error, ServiceError) and borrower.error.code == "cancelled"
            for borrower in waiting
            if borrower.state == "refused"
        )
        for borrower in shop.borrowers:
            borrower.may_end.set()
    assert shop.pool.stats == NOTHING_LEFT


@given(starts=st.lists(st.tuples(st.integers(1, 20), st.booleans()), unique_by=lambda start: start[0], max_size=6))
@in_virtual_time
async def test_how_a_start_ends_is_told_at_once_to_who_waits_longest(starts: list[tuple[int, bool]]) -> None:
    ends: list[tuple[int, float, bool]] = []
    pool = Pool(Smithy([(seconds, fails) for seconds, fails in starts]), warm=0)

    async def take(number: int) -> None:
        try:
            loan = await pool.take()
        except ServiceError:
            ends.append((number, round(anyio.current_time(), 1), True))
        else:
            loan.end()
            ends.append((number, round(anyio.current_time(), 1), False))

    async with pool.open(), anyio.create_task_group() as tasks:
        for number in range(len(starts)):
            tasks.start_soon(take, number)
            await settled()
    assert ends == [(number, seconds, fails) for number, (seconds, fails) in enumerate(sorted(starts))]
