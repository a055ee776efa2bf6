"""Conversations that wait, and what becomes of each, compared with a model that is a plain list."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from hypothesis import event, given
from hypothesis import strategies as st

from claude_max_mcp.claude.launch import MB, PROCESS_MB
from claude_max_mcp.claude.process import ClaudeProcess
from claude_max_mcp.claude.worker import Worker
from claude_max_mcp.engine.conversation import Conversation
from claude_max_mcp.engine.idle import IDLE_SECONDS, SETTLE_SECONDS, IdleConversations
from claude_max_mcp.engine.options import Options
from claude_max_mcp.pool.pool import Loan
from tests.properties.recorded_process import RecordedProcess, make_recording
from tests.virtual import in_virtual_asyncio_time, settled

PARK_SECONDS = 300.0

OPTIONS = (Options("sonnet"), Options("opus"))


class QuietProcess(ClaudeProcess):
    """A process that only notes whether it rests."""

    def __init__(self, memory: int) -> None:
        super().__init__(RecordedProcess())
        self._memory = memory
        self.resting = False

    @property
    def memory(self) -> int:
        return self._memory if self.alive else 0

    def rest(self) -> None:
        self.resting = True

    def wake(self) -> None:
        self.resting = False

    def kill(self) -> None:
        self._ended = True


@dataclass(eq=False)
class Guest:
    """A conversation and what a test sees of it."""

    conversation: Conversation
    process: QuietProcess
    retired: anyio.Event
    key: str | None = None
    since: float = 0.0

    @property
    def ended(self) -> bool:
        return self.retired.is_set()


@dataclass
class Limits:
    """How the module under test is set up."""

    most: int
    memory: int | None
    reuse: bool


@dataclass
class Model:
    """What should wait, the first to be ended first."""

    limits: Limits
    everyone: list[Guest] = field(default_factory=list[Guest])
    waiting: list[Guest] = field(default_factory=list[Guest])
    ended: set[Guest] = field(default_factory=set[Guest])

    def end(self, guest: Guest) -> None:
        if guest in self.waiting:
            self.waiting.remove(guest)
        self.ended.add(guest)

    def keep(self, key: str | None, guest: Guest) -> None:
        guest.key, guest.since = key, anyio.current_time()
        if key is None and not (self.limits.reuse and guest.conversation.can_rewind):
            self.end(guest)
            return
        for same in [other for other in self.waiting if key is not None and other.key == key]:
            self.end(same)
        self.waiting.insert(0 if key is None else len(self.waiting), guest)
        while self.waiting and (len(self.waiting) > self.limits.most or self.excess() > 0):
            self.end(self.waiting[0])

    def excess(self, further: int = 0) -> int:
        if self.limits.memory is None:
            return 0
        taken = sum(guest.process.memory for guest in self.everyone if guest not in self.ended)
        return taken + further - self.limits.memory

    def take(self, key: str, message: Any) -> Guest | None:
        for guest in self.waiting:
            if guest.key == key and guest.process.alive and guest.conversation.can_take(message):
                self.waiting.remove(guest)
                return guest
        return None

    def take_for_rewind(self, options: Options, *, pressed: bool) -> Guest | None:
        full = len(self.waiting) >= self.limits.most or self.excess(PROCESS_MB * MB) > 0
        candidates = self.waiting if pressed else self.waiting[: int(full)]
        for guest in candidates if self.limits.reuse else []:
            able = guest.conversation.can_rewind and guest.process.alive
            if able and guest.conversation.options.key == options.key:
                self.waiting.remove(guest)
                return guest
        return None

    def expire(self) -> None:
        for guest in list(self.waiting):
            patience = PARK_SECONDS if guest.conversation.pending else IDLE_SECONDS
            if anyio.current_time() >= guest.since + patience:
                self.end(guest)


class Room:
    """What is tested, and the model beside it."""

    def __init__(self, limits: Limits, stack: ExitStack) -> None:
        self.model = Model(limits)
        self.idle = IdleConversations(
            most=limits.most,
            park_seconds=PARK_SECONDS,
            memory=limits.memory,
            workers=lambda: [guest.conversation.worker for guest in self.model.everyone],
            reuse=limits.reuse,
        )
        self._stack = stack

    def make_guest(self, number: int) -> Guest:
        """A conversation; the number decides what it is like."""
        process, retired = QuietProcess((60 + 40 * (number % 3)) * MB), anyio.Event()
        worker = Worker(process)
        self._stack.callback(worker.close)
        conversation = Conversation(
            Loan(worker, retired),
            OPTIONS[number % 2],
            make_recording(),
            blank=number % 5 > 0,
            first="message" if number % 7 else None,
            pending=frozenset({"call"}) if number % 4 == 0 else frozenset(),
        )
        self.model.everyone.append(guest := Guest(conversation, process, retired))
        return guest

    async def act(self, action: str, number: int) -> None:
        """Do one thing with both, and see that the same comes of it."""
        key = "abc"[number % 3]
        match action:
            case "keep":
                guest, named = self.make_guest(number), None if number % 8 == 7 else key
                self.model.keep(named, guest)
                self.idle.keep(named, guest.conversation)
            case "take":
                if self.model.waiting and number % 4:  # else whoever: mostly there is none
                    key = self.model.waiting[number % len(self.model.waiting)].key or key
                self.see_taken(self.model.take(key, message_of(number)), self.idle.take(key, message_of(number)))
            case "rewind":
                options, pressed = OPTIONS[number % 2], number % 3 > 0
                wanted = self.model.take_for_rewind(options, pressed=pressed)
                self.see_taken(wanted, self.idle.take_for_rewind(options.key, pressed=pressed))
            case "die" if self.model.waiting:
                self.model.waiting[number % len(self.model.waiting)].process.kill()
            case "pass":
                await anyio.sleep((0.5, SETTLE_SECONDS, 30.0, IDLE_SECONDS, PARK_SECONDS)[number % 5])
                self.model.expire()
            case "clear" if number % 4 == 0:
                self.idle.clear()
                for guest in list(self.model.waiting):
                    self.model.end(guest)
            case _:
                pass
        await settled()
        self.check()

    def see_taken(self, wanted: Guest | None, taken: Conversation | None) -> None:
        assert taken is (None if wanted is None else wanted.conversation)
        if wanted is not None:
            event("taken")
            assert not wanted.process.resting

    def check(self) -> None:
        model, now = self.model, anyio.current_time()
        assert {guest for guest in model.everyone if guest.ended} == model.ended
        assert all(not guest.process.alive for guest in model.ended)
        assert len(self.idle) == len(model.waiting)
        assert not model.waiting or model.excess() <= 0
        for guest in model.waiting:
            assert guest.process.resting == (now > guest.since + SETTLE_SECONDS)


def message_of(number: int) -> Any:
    """A message with a result of a tool, or with text."""
    result = {"type": "tool_result", "tool_use_id": "call", "content": "sunny"}
    return {"role": "user", "content": [result if number % 5 == 0 else {"type": "text", "text": "hello"}]}


@contextmanager
def furnished(limits: Limits) -> Generator[Room]:
    with ExitStack() as stack:
        yield Room(limits, stack)


LIMITS = st.builds(
    Limits, most=st.integers(0, 4), memory=st.none() | st.sampled_from([150 * MB, 400 * MB]), reuse=st.booleans()
)
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from([*["keep"] * 6, *["take"] * 3, *["rewind"] * 3, "die", "pass", "pass", "clear"]),
        st.integers(0, 839),
    ),
    min_size=20,
    max_size=80,
)


@given(limits=LIMITS, actions=ACTIONS)
@in_virtual_asyncio_time
async def test_each_conversation_waits_is_taken_or_is_ended_as_it_should(
    limits: Limits, actions: list[tuple[str, int]]
) -> None:
    with furnished(limits) as room:
        async with room.idle.open():
            for action, number in actions:
                await room.act(action, number)
            waiting = list(room.model.waiting)
        assert all(guest.ended for guest in waiting)
        assert len(room.idle) == 0


@given(limits=LIMITS, number=st.integers(0, 839))
@in_virtual_asyncio_time
async def test_what_comes_after_the_end_is_ended_at_once(limits: Limits, number: int) -> None:
    with furnished(limits) as room:
        async with room.idle.open():
            pass
        guest = room.make_guest(number)
        room.idle.keep("key", guest.conversation)
        assert guest.ended and len(room.idle) == 0


@in_virtual_asyncio_time
async def test_where_there_is_no_memory_for_one_more_process_the_one_that_would_end_next_is_used_again() -> None:
    for spare, is_reused in ((PROCESS_MB * MB, False), (PROCESS_MB * MB - 1, True)):
        with furnished(Limits(most=4, memory=60 * MB + spare, reuse=True)) as room:
            async with room.idle.open():
                guest = room.make_guest(6)
                room.idle.keep("key", guest.conversation)
                taken = room.idle.take_for_rewind(guest.conversation.options.key, pressed=False)
                assert taken is (guest.conversation if is_reused else None)


@in_virtual_asyncio_time
async def test_one_byte_too_many_ends_the_first() -> None:
    with furnished(Limits(most=4, memory=120 * MB - 1, reuse=True)) as room:
        async with room.idle.open():
            room.idle.keep("a", (first := room.make_guest(3)).conversation)
            assert not first.ended
            room.idle.keep("b", (second := room.make_guest(6)).conversation)
            assert (first.ended, second.ended) == (True, False)
