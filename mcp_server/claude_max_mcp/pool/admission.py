"""Who may run now, who waits, and who is turned away.

In: how many run at once, how many may wait; for each place, who asks for it. Out: a place, for the length of a block.
Callers take turns, and each one's own requests are served in the order in which they came. A full queue has room for
whoever has less in it: who has most in it loses the last of it. What a caller is, and what is done in a place, it does
not know.

No `await` stands between reading its state and changing it, so there is no lock; a place is passed on by plain
assignment, so a cancellation cannot lose one.
"""

from collections import deque
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from claude_max_mcp.errors import ServiceError

RETRY_AFTER = 2.0
"""Seconds after which a caller that was turned away may sensibly try again."""


@dataclass(eq=False)
class _Waiter:
    caller: Hashable
    admitted: bool = False
    turned_away: bool = False
    called: anyio.Event = field(default_factory=anyio.Event)


class Admission:
    """At most `running` places taken at once, at most `queue` callers waiting for one."""

    def __init__(self, *, running: int, queue: int) -> None:
        self._limit = running
        self._queue = queue
        self._taken = 0
        self._waiting: dict[Hashable, deque[_Waiter]] = {}  # in the order of the callers' turns; none is empty

    def __repr__(self) -> str:
        return f"<Admission running={self.in_flight}/{self._limit} waiting={self.queued}/{self._queue}>"

    @property
    def in_flight(self) -> int:
        """Places taken now."""
        return self._taken

    @property
    def queued(self) -> int:
        """Callers waiting now."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def place(self, caller: Hashable = None) -> AsyncGenerator[None]:
        """Hold a place for one block, waiting for it if need be.

        Args:
            caller: who asks; whatever is equal takes one turn.

        Raises:
            ServiceError: `busy`, too many are waiting already.
        """
        await self._enter(caller)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, caller: Hashable) -> None:
        if self._taken < self._limit:
            self._taken += 1
            return
        if self.queued >= self._queue and not self._make_room(caller):
            raise self._make_busy()
        waiter = _Waiter(caller)
        self._waiting.setdefault(caller, deque()).append(waiter)
        try:
            await waiter.called.wait()
        except BaseException:
            # The place may have been handed over in the very tick of the cancellation.
            if waiter.admitted:
                self._leave()
            elif not waiter.turned_away:
                self._drop(waiter)
            raise
        if waiter.turned_away:
            raise self._make_busy()

    def _make_room(self, caller: Hashable) -> bool:
        """Turn away the latest request of whoever waits with most; whether that is more than `caller` would then have.

        Of those who wait with equally many, the one whose turn is latest loses.
        """
        most = max(reversed(self._waiting), key=lambda other: len(self._waiting[other]), default=None)
        if most is None or len(self._waiting[most]) <= len(self._waiting.get(caller, ())) + 1:
            return False
        waiter = self._waiting[most][-1]
        self._drop(waiter)
        waiter.turned_away = True
        waiter.called.set()
        return True

    def _drop(self, waiter: _Waiter) -> None:
        self._waiting[waiter.caller].remove(waiter)
        if not self._waiting[waiter.caller]:
            del self._waiting[waiter.caller]

    def _leave(self) -> None:
        if not self._waiting:
            self._taken -= 1
            return
        caller = next(iter(self._waiting))
        waiting = self._waiting.pop(caller)
        waiter = waiting.popleft()
        if waiting:
            self._waiting[caller] = waiting  # behind all others
        waiter.admitted = True
        waiter.called.set()

    def _make_busy(self) -> ServiceError:
        return ServiceError(
            "busy",
            f"{self._taken} requests are running and {self.queued} are waiting. Try again in a moment, "
            "or raise CLAUDE_MAX_CONCURRENCY or CLAUDE_MAX_QUEUE.",
            retry_after=RETRY_AFTER,
        )
