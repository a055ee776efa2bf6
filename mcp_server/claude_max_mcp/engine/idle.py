"""Conversations that wait, each with its process, and what becomes of them.

In: conversations as they are answered, by a name for all that was said. Out: the one that goes on; where processes are
short, the one that has waited longest, for another to begin in its process; and an end to those whose time is over, or
whose memory is needed.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from itertools import count, islice

import anyio
from anyio.abc import TaskGroup

from claude_max_mcp.background import beside
from claude_max_mcp.claude.launch import PROCESS_MB
from claude_max_mcp.claude.process import Worker
from claude_max_mcp.engine.conversation import Conversation
from claude_max_mcp.messages import Json

IDLE_SECONDS = 120.0
"""Seconds that a process waits for the next message after a finished answer."""

SETTLE_SECONDS = 2.0
"""Seconds that a process gets for what it does after an answer; then it rests until it is needed."""


class Kept:
    """What waits. Use it inside `open()`.

    Args:
        most: conversations that may wait.
        park_seconds: seconds that a process waits for the caller's tool results.
        memory: bytes that all processes may take together, as far as those that wait can be given up for it.
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
        self._waiting: OrderedDict[str, Conversation] = OrderedDict()  # by name; first the one to be given up first
        self._tasks: TaskGroup | None = None  # None unless open
        self._nameless = count()

    def __len__(self) -> int:
        return len(self._waiting)

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
        """Give all of them up; callers who come back go on from history."""
        while self._waiting:
            self._give_up()

    def go_on(self, name: str, message: Json) -> Conversation | None:
        """The conversation of that name, if it can take `message`; it is woken, and waits no more."""
        there = self._waiting.get(name)
        return self._leave(name) if there and there.worker.alive and there.waits_for(message) else None

    def keep(self, name: str | None, conversation: Conversation) -> None:
        """Let a conversation wait for its next message.

        Args:
            name: by which it can be found; without one nobody can go on with it, and only its process is kept.
            conversation: what is kept.
        """
        if self._tasks is None or (name is None and not (self._reuse and conversation.can_be_taken_back)):
            conversation.end()
            return
        if name in self._waiting:
            self._waiting.pop(name).end()
        conversation.left = anyio.Event()
        self._waiting[key := name or f"nameless {next(self._nameless)}"] = conversation
        if name is None:
            self._waiting.move_to_end(key, last=False)
        self._tasks.start_soon(self._expire, key, conversation)
        self.make_room()

    def to_be_taken_back(self, shape: str, *, pressed: bool) -> Conversation | None:
        """One with these options in whose process another can begin; it is woken, and waits no more.

        Somebody may still want to go on with it. So it is the one that would be given up next, if there is no room for
        one more; only where processes are short, it may be any, the oldest first.

        Args:
            shape: what the options are called.
            pressed: whether processes are short.
        """
        if not self._reuse:
            return None
        full = len(self._waiting) >= self._most or self._too_much(PROCESS_MB * 1_000_000) > 0
        for name, there in islice(self._waiting.items(), None if pressed else int(full)):
            if there.shape == shape and there.can_be_taken_back and there.worker.alive:
                return self._leave(name)
        return None

    def make_room(self) -> None:
        """Give up those that waited longest, until no more are held and no more memory is taken than may be.

        What they held is not lost: the caller sends it again, and another process begins from it.
        """
        while len(self._waiting) > self._most:
            self._give_up()
        too_much = self._too_much()
        while self._waiting and too_much > 0:
            too_much -= self._give_up()

    def _too_much(self, further: int = 0) -> int:
        """Bytes that all processes, and `further`, take beyond what they may."""
        if self._memory is None:
            return 0
        return sum(worker.memory for worker in self._workers() if worker.alive) + further - self._memory

    def _leave(self, name: str) -> Conversation:
        conversation = self._waiting.pop(name)
        conversation.left.set()
        conversation.worker.wake()
        return conversation

    def _give_up(self) -> int:
        """End the first; the bytes that its process took."""
        _, first = self._waiting.popitem(last=False)
        taken = first.worker.memory
        first.end()
        return taken

    async def _expire(self, name: str, conversation: Conversation) -> None:
        left = conversation.left
        with anyio.move_on_after(self._park_seconds if conversation.pending else IDLE_SECONDS):
            with anyio.move_on_after(SETTLE_SECONDS):
                await left.wait()
            if not left.is_set():
                conversation.worker.rest()
            await left.wait()
        if not left.is_set() and self._waiting.get(name) is conversation:
            del self._waiting[name]
            conversation.end()
