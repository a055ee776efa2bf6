"""Conversations that wait for their next message, each with its process, and what becomes of them.

In: conversations as they are answered, by the key of all that was said. Out: the one that goes on; where processes are
short, the one that has waited longest, so that another can begin in its process; and an end to those whose time is
over, or whose memory is needed. Nothing is lost by that end: the caller sends everything again.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice

import anyio
from anyio.abc import TaskGroup

from claude_max_mcp.background import beside
from claude_max_mcp.claude.launch import MB, PROCESS_MB
from claude_max_mcp.claude.worker import Worker
from claude_max_mcp.engine.conversation import Conversation
from claude_max_mcp.messages import Message

IDLE_SECONDS = 120.0
"""Seconds that a process waits for the next message after a finished answer."""

SETTLE_SECONDS = 2.0
"""Seconds that a process gets for what it does after an answer; then it rests until it is needed."""


@dataclass(eq=False)
class _Entry:
    """A conversation that waits; without a key only its process is of use."""

    conversation: Conversation
    key: str | None
    removed: anyio.Event = field(default_factory=anyio.Event)


class IdleConversations:
    """The conversations that wait. Use it inside `open()`.

    Args:
        most: conversations that may wait.
        park_seconds: seconds that a process waits for the caller's tool results.
        memory: bytes that all processes may take together, as far as those that wait can be ended for it.
        workers: all processes.
        reuse: whether a conversation may begin in a process that held another.
    """

    def __init__(
        self,
        *,
        most: int,
        park_seconds: float,
        memory: int | None,
        workers: Callable[[], Collection[Worker]],
        reuse: bool,
    ) -> None:
        self._most = most
        self._park_seconds = park_seconds
        self._memory = memory
        self._workers = workers
        self._reuse = reuse
        self._order: OrderedDict[_Entry, None] = OrderedDict()  # first the one that is ended first
        self._by_key: dict[str, _Entry] = {}
        self._tasks: TaskGroup | None = None  # None unless open

    def __len__(self) -> int:
        return len(self._order)

    def __repr__(self) -> str:
        parked = sum(bool(entry.conversation.pending) for entry in self._order)
        return f"<IdleConversations waiting={len(self)} parked={parked}>"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Keep conversations for the length of a block; leaving it ends every one of them."""
        async with beside() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                self.clear()

    def clear(self) -> None:
        """End all of them; callers who come back go on from history."""
        while self._order:
            self._end_first()

    def take(self, key: str, message: Message) -> Conversation | None:
        """The conversation of that key, if it can take `message`; its process is woken, and it waits no more."""
        entry = self._by_key.get(key)
        if entry is None or not entry.conversation.worker.alive or not entry.conversation.can_take(message):
            return None
        return self._wake(entry)

    def keep(self, key: str | None, conversation: Conversation) -> None:
        """Let a conversation wait for its next message.

        Args:
            key: by which it is found; without one only its process is kept, for another conversation.
            conversation: what is kept.
        """
        if self._tasks is None or (key is None and not (self._reuse and conversation.can_rewind)):
            conversation.end()
            return
        if key is not None and (same := self._by_key.get(key)) is not None:
            self._remove(same).end()
        entry = _Entry(conversation, key)
        self._order[entry] = None
        if key is None:
            self._order.move_to_end(entry, last=False)
        else:
            self._by_key[key] = entry
        self._tasks.start_soon(self._expire, entry)
        self.make_room()

    def take_for_rewind(self, options_key: str, *, pressed: bool) -> Conversation | None:
        """One with these options in whose process another can begin; it is woken, and waits no more.

        A caller may still come back to it. So it is the one that would be ended next, if there is no room for one
        more; only where processes are short, it may be any, the oldest first.

        Args:
            options_key: the key of the options.
            pressed: whether processes are short.
        """
        if not self._reuse:
            return None
        full = len(self._order) >= self._most or self._measure_excess(PROCESS_MB * MB) > 0
        for entry in islice(self._order, None if pressed else int(full)):
            conversation = entry.conversation
            if conversation.options.key == options_key and conversation.can_rewind and conversation.worker.alive:
                return self._wake(entry)
        return None

    def make_room(self) -> None:
        """End those that waited longest, until no more wait and no more memory is taken than may be."""
        while len(self._order) > self._most:
            self._end_first()
        excess = self._measure_excess()
        while self._order and excess > 0:
            excess -= self._end_first()

    def _measure_excess(self, further: int = 0) -> int:
        """Bytes that all processes, and `further`, take beyond what they may."""
        if self._memory is None:
            return 0
        return sum(worker.memory for worker in self._workers() if worker.alive) + further - self._memory

    def _wake(self, entry: _Entry) -> Conversation:
        self._remove(entry).worker.wake()
        return entry.conversation

    def _end_first(self) -> int:
        """End the first; the bytes that its process took."""
        conversation = self._remove(next(iter(self._order)))
        memory = conversation.worker.memory
        conversation.end()
        return memory

    def _remove(self, entry: _Entry) -> Conversation:
        del self._order[entry]
        if entry.key is not None:
            del self._by_key[entry.key]
        entry.removed.set()
        return entry.conversation

    async def _expire(self, entry: _Entry) -> None:
        """Let a process rest once it has settled, and end it when its time is over."""
        conversation = entry.conversation
        with anyio.move_on_after(self._park_seconds if conversation.pending else IDLE_SECONDS):
            with anyio.move_on_after(SETTLE_SECONDS):
                await entry.removed.wait()
            if not entry.removed.is_set():
                conversation.worker.rest()
            await entry.removed.wait()
        if not entry.removed.is_set():
            self._remove(entry).end()
