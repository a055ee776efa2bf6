"""One unmodified `claude` process, from its start to its end: it is spoken to, and it is heard.

In: how to launch (`Launch`), control requests, user messages. Out: typed messages (`protocol`), in the order in
which the CLI says them. A worker starts blank and becomes a conversation; what the conversation is about is not
known here.

The process leads a session and a group of its own, and is ended with its group; on Linux the kernel ends it when this
server dies, however that happens.
"""

import json
import math
import os
import resource
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import anyio
from anyio.abc import ByteReceiveStream, Process
from pydantic import ValidationError
from pydantic_core import from_json

from claude_max_mcp.background import beside
from claude_max_mcp.claude.caller_tools import CallerTools
from claude_max_mcp.claude.launch import Launch, find_cli
from claude_max_mcp.claude.protocol import ControlReply, ControlRequest, ControlResponse, Message, StreamEvent, parse
from claude_max_mcp.errors import ServiceError, hide_credentials
from claude_max_mcp.messages import Json

CLOSE_DEADLINE = 5.0
"""Seconds within which the kernel must have ended a killed process."""


@dataclass(eq=False)
class _Waiter:
    settled: anyio.Event = field(default_factory=anyio.Event)
    reply: ControlReply | None = None


class Worker:
    """A running process. `started(launch)` gives one."""

    def __init__(self, process: Process, *, may_rest: bool = False) -> None:
        self._process = process
        self._may_rest = may_rest
        self._outgoing, self._incoming = anyio.create_memory_object_stream[Message](math.inf)
        self._waiters: dict[str, _Waiter] = {}
        self._requests = 0
        self._stderr = b""
        self._asked: dict[str, object] = {}  # id of the CLI's request: id of the MCP message in it
        self.tools = CallerTools([])
        """The caller's tools; set before they are declared."""
        self.tripwire: Callable[[Json], bool] = lambda event: False
        """Asked of every stream event as it is read; the process is killed at once where it says so."""
        self.refusal: Callable[[str, Json], str | None] = lambda tool, arguments: None
        """Asked before the CLI runs a tool of its own, where `initialize` registered `HOOKS`; a text is a refusal."""
        self.alive = True
        """Whether the process can still be spoken to."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def memory(self) -> int:
        """Bytes of memory that are this process's own, without what it shares with others; 0 where nobody can tell."""
        try:
            _, resident, shared, *_ = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0
        return (int(resident) - int(shared)) * resource.getpagesize()

    async def control(self, *requests: Json) -> list[Json]:
        """Send control requests in one go and wait for all their replies.

        Raises:
            ServiceError: `cli_failed`, the CLI refused one or died.
        """
        waiters = [(request, self._number(request)) for request in requests]
        await self._write(*(numbered for _, (numbered, _) in waiters))
        return [await self._settled(request, waiter) for request, (_, waiter) in waiters]

    async def say(self, content: str | list[Json]) -> str:
        """Send a user message, verbatim: `client_composed` keeps `/`, `@` and `!` from meaning anything.

        Returns:
            What the CLI calls the message from now on.
        """
        message, name = {"role": "user", "content": content}, str(uuid4())
        said = {"type": "user", "uuid": name, "message": message, "parent_tool_use_id": None}
        await self._write({**said, "client_composed": True})
        return name

    async def give(self, results: dict[str, Json]) -> None:
        """Hand over what the caller's tools returned, as MCP results by the id of their `tool_use`."""
        for number, result in self.tools.give(results).items():
            await self._answer(number, result)

    async def _answer(self, number: str, result: Json) -> None:
        answer = {"mcp_response": {"jsonrpc": "2.0", "id": self._asked.pop(number), "result": result}}
        reply = {"subtype": "success", "request_id": number, "response": answer}
        await self._write({"type": "control_response", "response": reply})

    async def messages(self) -> AsyncIterator[Message]:
        """What the CLI says from here on, until it ends."""
        async for message in self._incoming:
            yield message

    def rest(self) -> None:
        """Stop the process while nobody needs it: merely waiting, it takes some 10 ms of CPU time a second.

        Not where it would outlive this one: stopped, it could not notice that nobody is there any more.
        """
        if self.alive and self._may_rest:
            self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let the process go on where it rests."""
        if self.alive:
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process and all it started, at once. Nothing is awaited, so nothing can get in between."""
        self.alive = False
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def forget(self) -> None:
        """Drop what nobody read. Its keeper calls this, last."""
        self._outgoing.close()
        self._incoming.close()

    def failure(self) -> ServiceError:
        """Why the process is gone, as far as it said so."""
        last = self._stderr.decode(errors="replace").strip().rpartition("\n")[2]
        said = f" Its last words: {hide_credentials(last)[:300]!r}." if last else ""
        code = self._process.returncode
        return ServiceError(
            "cli_failed",
            f"The claude process ended before it answered (exit code {code}).{said} "
            "Try again; if it stays, look at `claude-max status`.",
        )

    def _number(self, request: Json) -> tuple[Json, _Waiter]:
        self._requests += 1
        number = str(self._requests)
        waiter = self._waiters[number] = _Waiter()
        return {"type": "control_request", "request_id": number, "request": request}, waiter

    async def _settled(self, request: Json, waiter: _Waiter) -> Json:
        await waiter.settled.wait()
        if waiter.reply is None:
            raise self.failure()
        if waiter.reply.subtype == "error":
            raise ServiceError(
                "cli_failed", f"The CLI refused {request['subtype']!r}: {hide_credentials(waiter.reply.error)}"
            )
        return waiter.reply.response

    async def _write(self, *messages: Json) -> None:
        lines = "".join(json.dumps(message) + "\n" for message in messages)
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send(lines.encode())
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise self.failure() from None

    async def listen(self) -> None:
        """Read what the process says until it ends. Its keeper runs this, once."""
        assert self._process.stdout is not None
        try:
            async for line in _lines(self._process.stdout):
                await self._hear(line)
        finally:
            self.alive = False
            self._outgoing.close()
            for waiter in self._waiters.values():
                waiter.settled.set()

    async def _hear(self, line: bytes) -> None:
        try:
            message = parse(from_json(line))
        except (ValueError, ValidationError):
            return  # not a message: some runtimes print warnings on the same stream
        match message:
            case ControlResponse(response=reply):
                if (waiter := self._waiters.pop(reply.request_id, None)) is not None:
                    waiter.reply = reply
                    waiter.settled.set()
            case StreamEvent(event=event):
                if self.tripwire(event):
                    self.kill()
                self._outgoing.send_nowait(message)
            case ControlRequest(request_id=number, request={"subtype": "mcp_message", "message": asked}):
                self._asked[number] = asked.get("id")
                if (answer := self.tools.hear(number, asked)) is not None:
                    await self._answer(number, answer)
            case ControlRequest(request_id=number, request={"subtype": "hook_callback", "input": asked}):
                decision = _decision(self.refusal(asked["tool_name"], asked["tool_input"]))
                reply = {"subtype": "success", "request_id": number, "response": decision}
                await self._write({"type": "control_response", "response": reply})
            case ControlRequest(request_id=number, request=request):
                error = f"this host does not answer {request.get('subtype')!r}"
                reply = {"subtype": "error", "request_id": number, "error": error}
                await self._write({"type": "control_response", "response": reply})
            case _:
                self._outgoing.send_nowait(message)

    async def collect_stderr(self) -> None:
        """Keep the end of what the process complains about. Its keeper runs this, once."""
        assert self._process.stderr is not None
        async for chunk in self._process.stderr:
            self._stderr = (self._stderr + chunk)[-4096:]


HOOKS: Json = {"PreToolUse": [{"matcher": "*", "hookCallbackIds": ["refusal"]}]}
"""The `hooks` of `initialize` that let `Worker.refusal` be asked."""


def _decision(refusal: str | None) -> Json:
    if refusal is None:
        return {}
    denied = {"permissionDecision": "deny", "permissionDecisionReason": refusal}
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **denied}}


@asynccontextmanager
async def started(launch: Launch) -> AsyncGenerator[Worker]:
    """Run a blank process for the length of a block; leaving it kills the process.

    Raises:
        ServiceError: `cli_missing`, the binary cannot be run.
    """
    find_cli(launch.cli)
    try:
        with launch.login() as (environment, files):
            process = await anyio.open_process(
                launch.command(), env=environment, cwd=launch.folder, start_new_session=True, pass_fds=files
            )
    except OSError as error:
        raise ServiceError("cli_missing", f"The claude CLI at {launch.cli} cannot be run: {error}.") from error
    worker = Worker(process, may_rest=launch.ends_with_us)
    try:
        async with beside(worker.listen, worker.collect_stderr):
            yield worker
    finally:
        worker.kill()
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_DEADLINE):
            await process.aclose()
        worker.forget()
        _remove_session(launch, process.pid)


def _remove_session(launch: Launch, pid: int) -> None:
    """Remove what the CLI notes of a running process in its own folder; one that is killed cannot do it itself."""
    for path in (launch.config / "sessions").glob(f"{pid}.*"):
        with suppress(OSError):
            path.unlink()


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[bytes]:
    """Split a stream at its line ends, without a limit on the length of a line."""
    parts: list[bytes] = []
    async for chunk in stream:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*parts, line])
            parts.clear()
        parts.append(rest)
