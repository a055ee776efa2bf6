"""A pool of warm workers, each lent once.

A worker is anything slow to start that serves one lease in its life. In: how to start one, how many to keep warm.
Out: a worker, for the length of a block. How many leases may run at once is not decided here (`admission`).

* Each worker belongs to one keeper task, which starts it, waits for its retirement and closes it.
* A lease ends by plain assignment. Nothing is awaited, so nothing can interrupt it.
* No `await` stands between reading the pool's state and changing it, so there is no lock.
"""

import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup

from claude_max_mcp.background import beside
from claude_max_mcp.errors import ClaudeMaxError, ServiceError

logger = logging.getLogger(__name__)


class Pooled(Protocol):
    """What the pool asks of a worker."""

    @property
    def alive(self) -> bool:
        """Whether it can still serve a lease."""
        ...

    def rest(self) -> None:
        """Nobody will need it for a while."""
        ...

    def wake(self) -> None:
        """It is needed now."""
        ...


W = TypeVar("W", bound=Pooled)
Start: TypeAlias = Callable[[], AbstractAsyncContextManager[W]]


@dataclass(frozen=True)
class PoolStats:
    """The pool at one instant: every worker, those standing ready, those starting, those leased."""

    size: int
    warm: int
    starting: int
    leased: int


@dataclass
class PoolHistory:
    """What became of workers since the pool was made: how many started, were replaced untaken, failed."""

    started: int = 0
    replaced: int = 0
    failed: int = 0


@dataclass(eq=False)
class _Slot(Generic[W]):
    worker: W
    retired: anyio.Event = field(default_factory=anyio.Event)


@dataclass(frozen=True)
class Loan(Generic[W]):
    """A worker that was taken from the pool; whoever took it ends the loan, once."""

    worker: W
    _wait_for_retirement: anyio.Event

    def end(self) -> None:
        """Let the worker go. Nothing is awaited."""
        self._wait_for_retirement.set()


@dataclass(eq=False)
class _Waiter(Generic[W]):
    slot: _Slot[W] | None = None
    error: Exception | None = None
    gone: bool = False
    settled: anyio.Event = field(default_factory=anyio.Event)


class Pool(Generic[W]):
    """Keeps `warm` workers ready, and replaces in the background what is taken.

    Args:
        start: gives a worker for the length of a block, in one task.
        warm: how many stand ready.
        max_age: seconds after which a worker that nobody took is replaced.
        settle: seconds after which a worker that stands ready has settled, and may rest.
        refill_delay: seconds after which a worker that was taken is replaced, so that its start does not slow the
            request down that took it.
        retry_delay: seconds between attempts when starting one fails.
    """

    def __init__(
        self,
        start: Start[W],
        *,
        warm: int,
        max_age: float = 3600.0,
        settle: float = 3.0,
        refill_delay: float = 0.25,
        retry_delay: float = 1.0,
    ) -> None:
        self._start = start
        self._warm = warm
        self._max_age = max_age
        self._settle = settle
        self._refill_delay = refill_delay
        self._retry_delay = retry_delay
        self._tasks: TaskGroup | None = None  # None unless open
        self._idle: deque[_Slot[W]] = deque()  # oldest first: the one that has had most time to get ready
        self._waiters: deque[_Waiter[W]] = deque()
        self._workers: set[W] = set()
        self._size = 0
        self._starting = 0
        self._reported = ""
        self.history = PoolHistory()

    def __repr__(self) -> str:
        now = self.stats
        return f"<Pool warm={now.warm} starting={now.starting} leased={now.leased}>"

    @property
    def stats(self) -> PoolStats:
        """The pool at this instant."""
        leased = self._size - len(self._idle) - self._starting
        return PoolStats(self._size, len(self._idle), self._starting, leased)

    @property
    def workers(self) -> frozenset[W]:
        """Every worker that has started and is not closed yet."""
        return frozenset(self._workers)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Run the pool for the length of a block; leaving it closes every worker."""
        async with beside() as tasks:
            self._tasks = tasks
            self._fill()
            try:
                yield
            finally:
                self._tasks = None
                while self._waiters:
                    self._fail(self._waiters.popleft(), _make_closed())

    async def take(self, start: Start[W] | None = None) -> Loan[W]:
        """Take a worker; it is never lent again.

        Args:
            start: starts the worker that is wanted, where none of those that stand ready will do.

        Raises:
            ServiceError: the pool is closed.
            Exception: whatever kept a worker from starting.
        """
        slot = await self._take(start)
        return Loan(slot.worker, slot.retired)

    def renew(self) -> None:
        """Replace the workers that stand ready: what they knew when they started no longer holds."""
        while self._idle:
            self._idle.popleft().retired.set()
            self.history.replaced += 1
        self._fill()

    async def _take(self, start: Start[W] | None) -> _Slot[W]:
        if self._tasks is None:
            raise _make_closed()
        while self._idle and start is None:
            slot = self._idle.popleft()
            if slot.worker.alive:
                slot.worker.wake()
                self._tasks.start_soon(self._fill_later)
                return slot
            slot.retired.set()
            self.history.replaced += 1
        waiter = _Waiter[W]()
        if start is None:
            self._waiters.append(waiter)
            self._fill()
        else:
            self._size += 1
            self._tasks.start_soon(self._keep_special, start, waiter)
        try:
            await waiter.settled.wait()
        except BaseException:
            waiter.gone = True
            # The worker may have been handed over in the very tick of the cancellation.
            if waiter.slot is not None:
                self._return(waiter.slot, special=start is not None)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise
        if waiter.slot is None:
            raise waiter.error or _make_closed()
        return waiter.slot

    def _return(self, slot: _Slot[W], *, special: bool) -> None:
        if special:
            slot.retired.set()
        else:
            self._hand_over(slot)

    def _hand_over(self, slot: _Slot[W]) -> None:
        """Pass an unused worker to the oldest waiter, or set it aside, or let it go."""
        if self._tasks is None or not slot.worker.alive:
            slot.retired.set()
        elif self._waiters:
            waiter = self._waiters.popleft()
            waiter.slot = slot
            waiter.settled.set()
        elif len(self._idle) < self._warm:
            self._idle.append(slot)
        else:
            slot.retired.set()

    def _fill(self) -> None:
        """Start workers for the waiters and for those that should stand ready."""
        if self._tasks is None:
            return
        for _ in range(len(self._waiters) + self._warm - len(self._idle) - self._starting):
            self._size += 1
            self._starting += 1
            self._tasks.start_soon(self._keep)

    async def _fill_later(self) -> None:
        """Replace a worker that was taken, once the request that took it has had the processor to itself."""
        await anyio.sleep(self._refill_delay)
        self._fill()

    async def _keep(self) -> None:
        """Own one worker, from its start to its close."""
        starting = True
        try:
            async with self._start() as worker:
                self._starting -= 1
                starting = False
                slot = _Slot(worker)
                with self._known(worker):
                    self._hand_over(slot)
                    await self._wait_for_retirement(slot)
        except Exception as error:
            self._report(error)
            if starting and self._waiters:
                self._fail(self._waiters.popleft(), error)
            await anyio.sleep(self._retry_delay)
        finally:
            self._size -= 1
            self._starting -= starting
            self._fill()

    @contextmanager
    def _known(self, worker: W) -> Generator[None]:
        self._workers.add(worker)
        self.history.started += 1
        try:
            yield
        finally:
            self._workers.discard(worker)

    async def _keep_special(self, start: Start[W], waiter: _Waiter[W]) -> None:
        """Own a worker that was started for one waiter."""
        try:
            async with start() as worker:
                waiter.slot = slot = _Slot(worker)
                waiter.settled.set()
                with self._known(worker):
                    if not waiter.gone:
                        await slot.retired.wait()
        except Exception as error:
            self._report(error)
            self._fail(waiter, error)
        finally:
            self._size -= 1
            if not waiter.settled.is_set():
                self._fail(waiter, _make_closed())  # it was cancelled

    async def _wait_for_retirement(self, slot: _Slot[W]) -> None:
        """Wait until a worker has served its lease, or until nobody took it for too long."""
        try:
            with anyio.move_on_after(self._max_age):
                with anyio.move_on_after(self._settle):
                    await slot.retired.wait()
                if slot in self._idle:
                    slot.worker.rest()
                await slot.retired.wait()
        finally:
            # Too old, broken down, or the pool is closing: from here on nobody may take it.
            if untaken := slot in self._idle:
                self._idle.remove(slot)
                self.history.replaced += 1
        if not untaken:
            await slot.retired.wait()

    def _report(self, error: Exception) -> None:
        self.history.failed += 1
        if str(error) == self._reported:
            return  # a binary that is missing is missing every second: said once
        self._reported = str(error)
        expected = isinstance(error, ClaudeMaxError)
        logger.error("a worker failed: %s", error, exc_info=None if expected else error)

    def _fail(self, waiter: _Waiter[W], error: Exception) -> None:
        waiter.error = error
        waiter.settled.set()


def _make_closed() -> ServiceError:
    return ServiceError("cancelled", "The server is stopping. Try again when it runs again.")
