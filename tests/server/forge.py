"""Fake workers for the tests of the pool, and a count of them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from claude_max_mcp.pool.pool import Pool, PoolStats

NOTHING_LEFT = PoolStats(size=0, warm=0, starting=0, leased=0)


@dataclass(eq=False)
class FakeWorker:
    number: int
    alive: bool = True
    resting: bool = False

    def rest(self) -> None:
        self.resting = True

    def wake(self) -> None:
        self.resting = False


@asynccontextmanager
async def borrowed(pool: Pool[FakeWorker]) -> AsyncGenerator[FakeWorker]:
    """A worker on loan for one block."""
    loan = await pool.take()
    try:
        yield loan.worker
    finally:
        loan.end()


class Forge:
    """Starts fake workers and keeps count of them.

    Args:
        takes: virtual seconds that a start takes.
        fails: how many of the first starts fail.
    """

    def __init__(self, takes: Callable[[], float] = lambda: 0.0, fails: int = 0) -> None:
        self._takes = takes
        self._fails = fails
        self.started = 0
        self.live: set[int] = set()

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[FakeWorker]:
        self.started += 1
        number = self.started
        self.live.add(number)
        try:
            if seconds := self._takes():
                await anyio.sleep(seconds)
            if number <= self._fails:
                raise OSError("cannot start")
            yield FakeWorker(number)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()  # closing one takes a while, and is not interrupted
            self.live.discard(number)
