"""Who may run now, who waits, and who is turned away.

In: how many run at once, how many may wait. Out: a place, for the length of a block. First come, first served. It
knows nothing of what is done in a place.

No `await` stands between reading its state and changing it, so there is no lock; a place is passed on by plain
assignment, so a cancellation cannot lose one.
"""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from claude_max_mcp.errors import ServiceError

RETRY_AFTER = 2.0
"""Seconds after which a caller that was turned away may sensibly try again."""


@dataclass(eq=False)
class _Waiter:
    admitted: bool = False
    called: anyio.Event = field(default_factory=anyio.Event)


class Admission:
    """At most `running` places taken at once, at most `queue` callers waiting for one."""

    def __init__(self, *, running: int, queue: int) -> None:
        self._limit = running
        self._queue = queue
        self._taken = 0
        self._waiting: deque[_Waiter] = deque()

    @property
    def in_flight(self) -> int:
        """Places taken now."""
        return self._taken

    @property
    def queued(self) -> int:
        """Callers waiting now."""
        return len(self._waiting)

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Hold a place for one block, waiting for it if need be.

        Raises:
            ServiceError: `busy`, too many are waiting already.
        """
        await self._enter()
        try:
            yield
        finally:
            self._leave()

    async def _enter(self) -> None:
        if self._taken < self._limit:
            self._taken += 1
            return
        if len(self._waiting) >= self._queue:
            raise ServiceError(
                "busy",
                f"{self._taken} requests are running and {len(self._waiting)} are waiting. Try again in a moment, "
                "or raise CLAUDE_MAX_CONCURRENCY or CLAUDE_MAX_QUEUE.",
                retry_after=RETRY_AFTER,
            )
        waiter = _Waiter()
        self._waiting.append(waiter)
        try:
            await waiter.called.wait()
        except BaseException:
            # The place may have been handed over in the very tick of the cancellation.
            if waiter.admitted:
                self._leave()
            else:
                self._waiting.remove(waiter)
            raise

    def _leave(self) -> None:
        if self._waiting:
            waiter = self._waiting.popleft()
            waiter.admitted = True
            waiter.called.set()
        else:
            self._taken -= 1
