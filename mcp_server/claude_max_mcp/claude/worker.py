"""The dialogue with one `claude` process: control requests and their replies, user messages, and what the CLI asks.

In: control requests, user messages, and a `Host`, given when the worker is lent. Out: the host hears every message of
the CLI, in order, while its line is read. A worker starts blank and becomes a conversation's; what the conversation
is about is not known here.
"""

import json
import logging
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias
from uuid import uuid4

import anyio
from pydantic_core import from_json

from claude_max_mcp.background import beside
from claude_max_mcp.claude.launch import Launch
from claude_max_mcp.claude.process import ClaudeProcess, running_process
from claude_max_mcp.claude.protocol import (
    ControlReply,
    ControlRequest,
    ControlResponse,
    HostRequest,
    Output,
    StreamEvent,
    System,
    parse_output,
)
from claude_max_mcp.errors import ServiceError, hide_credentials
from claude_max_mcp.messages import Block, Json

logger = logging.getLogger(__name__)

Control: TypeAlias = Mapping[str, object]
"""A control request: one of those in `protocol`."""


class Host(Protocol):
    """What serves a process while it is lent. Its methods are called while a line is read: they must not block."""

    def hear(self, message: Output) -> None:
        """Take the next message."""
        ...

    def answer(self, request_id: str, asked: HostRequest) -> Json | None:
        """The answer to what the CLI asks; None if it comes later, by `Worker.reply`.

        Raises:
            LookupError: there is no answer to such a request.
        """
        ...

    def lose(self, error: ServiceError) -> None:
        """The process has ended, and nothing more will come; `error` says why."""
        ...


@dataclass(eq=False)
class _Waiter:
    settled: anyio.Event = field(default_factory=anyio.Event)
    reply: ControlReply | None = None


class Worker:
    """A running process that can be spoken to. `running_worker(launch)` gives one."""

    def __init__(self, process: ClaudeProcess) -> None:
        self._process = process
        self._lines, self._unsent = anyio.create_memory_object_stream[str](math.inf)
        self._waiters: dict[str, _Waiter] = {}
        self._requests = 0
        self._host: Host | None = None
        self._early: list[Output] = []  # what came before there was a host
        self._end: ServiceError | None = None

    def __repr__(self) -> str:
        return f"<Worker {self.pid} {'alive' if self.alive else 'ended'}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def memory(self) -> int:
        """Bytes of memory that are the process's own; 0 where that is unknown."""
        return self._process.memory

    @property
    def alive(self) -> bool:
        """Whether the process can still be spoken to."""
        return self._process.alive

    def rest(self) -> None:
        """Stop the process while it is not needed."""
        self._process.rest()

    def wake(self) -> None:
        """Let the process go on where it rests."""
        self._process.wake()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def serve(self, host: Host) -> None:
        """Let `host` hear the CLI from here on, beginning with what it has said already."""
        self._host = host
        early, self._early = self._early, []
        for message in early:
            self._hand_over(message)
        if self._end is not None:
            host.lose(self._end)

    async def control(self, *requests: Control) -> list[Json]:
        """Send control requests in one go and wait for all their replies.

        Raises:
            ServiceError: `cli_failed`, the CLI refused one or died.
        """
        if not self.alive:
            raise self._end or self._process.explain_end()
        waiters = [(str(request["subtype"]), *self._number(request)) for request in requests]
        self._send(*(numbered for _, numbered, _ in waiters))
        return [await self._settle(subtype, waiter) for subtype, _, waiter in waiters]

    def say(self, content: str | Sequence[Block]) -> str:
        """Send a user message, verbatim: `client_composed` keeps `/`, `@` and `!` from meaning anything.

        Returns:
            What the CLI calls the message from now on.
        """
        message, name = {"role": "user", "content": content}, str(uuid4())
        said = {"type": "user", "uuid": name, "message": message, "parent_tool_use_id": None}
        self._send({**said, "client_composed": True})
        return name

    def reply(self, request_id: str, answer: Json) -> None:
        """Answer what the CLI asked earlier."""
        self._respond({"subtype": "success", "request_id": request_id, "response": answer})

    def _number(self, request: Control) -> tuple[Json, _Waiter]:
        self._requests += 1
        number = str(self._requests)
        waiter = self._waiters[number] = _Waiter()
        return {"type": "control_request", "request_id": number, "request": request}, waiter

    async def _settle(self, subtype: str, waiter: _Waiter) -> Json:
        await waiter.settled.wait()
        if waiter.reply is None:
            raise self._end or self._process.explain_end()
        if waiter.reply.subtype == "error":
            raise ServiceError("cli_failed", f"The CLI refused {subtype!r}: {hide_credentials(waiter.reply.error)}")
        return waiter.reply.response

    def _respond(self, response: Json) -> None:
        self._send({"type": "control_response", "response": response})

    def _send(self, *messages: Json) -> None:
        """Queue messages for the task that writes. Where the process is gone, the reader is the one to say so."""
        if logger.isEnabledFor(logging.DEBUG):
            for message in messages:
                logger.debug("worker %d > %s", self.pid, _name_sent(message))
        self._lines.send_nowait("".join(json.dumps(message) + "\n" for message in messages))

    async def write(self) -> None:
        """Write what is queued, until the process does not read any more. Its keeper runs this, once."""
        async for lines in self._unsent:
            try:
                await self._process.write(lines.encode())
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    async def read(self) -> None:
        """Read what the process says until it ends. Its keeper runs this, once."""
        try:
            async for line in self._process.read_lines():
                self._hear(line)
        finally:
            self._lose()

    def _lose(self) -> None:
        self._end = self._process.explain_end()
        for waiter in self._waiters.values():
            waiter.settled.set()
        logger.debug("worker %d ended", self.pid)
        if self._host is not None:
            self._host.lose(self._end)

    def close(self) -> None:
        """Drop what was not sent. Its keeper calls this, last."""
        self._lines.close()
        self._unsent.close()

    def _hear(self, line: bytes) -> None:
        try:
            message = parse_output(from_json(line))
        except ValueError:
            return  # not a message: some runtimes print warnings on the same stream
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("worker %d < %s", self.pid, _name_heard(message))
        if isinstance(message, ControlResponse):
            if (waiter := self._waiters.pop(message.response.request_id, None)) is not None:
                waiter.reply = message.response
                waiter.settled.set()
        elif self._host is None:
            self._early.append(message)
        else:
            self._hand_over(message)

    def _hand_over(self, message: Output) -> None:
        assert self._host is not None
        if not isinstance(message, ControlRequest):
            self._host.hear(message)
            return
        try:
            answer = self._host.answer(message.request_id, message.request)
        except LookupError:
            error = f"this host does not answer {message.request.subtype!r}"
            self._respond({"subtype": "error", "request_id": message.request_id, "error": error})
        else:
            if answer is not None:
                self.reply(message.request_id, answer)


def _name_sent(message: Json) -> str:
    """What a message of ours is, without what it says."""
    match message:
        case {"type": "control_request", "request": {"subtype": str(subtype)}}:
            return subtype
        case _:
            return message["type"]


def _name_heard(message: Output) -> str:
    """What a message of the CLI is, without what it says."""
    match message:
        case StreamEvent(event=event):
            return str(event.get("type"))
        case System(subtype=subtype):
            return f"system {subtype}"
        case ControlRequest(request=asked):
            return f"asks {asked.subtype}"
        case _:
            return message.type


@asynccontextmanager
async def running_worker(launch: Launch) -> AsyncGenerator[Worker]:
    """Run a process for the length of a block; leaving it kills the process.

    Raises:
        ServiceError: `cli_missing`, the binary cannot be run.
    """
    async with running_process(launch) as process:
        worker = Worker(process)
        try:
            async with beside(worker.read, worker.write, process.collect_stderr):
                yield worker
        finally:
            worker.close()
