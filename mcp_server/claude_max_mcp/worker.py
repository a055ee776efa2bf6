"""One unmodified `claude` process: how it is started, spoken to and ended.

In: how to launch (`Launch`), control requests, user messages. Out: typed messages (`protocol`), in the order in
which the CLI says them. A worker starts blank and becomes one conversation; what the conversation is about is not
known here. This is the only module that knows of `claude_agent_sdk`, and it takes just the bundled binary from it.

The process leads a session of its own, so that ending it ends everything it started, and on Linux the kernel ends
it when this server dies, however that happens.
"""

import json
import math
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process
from pydantic import ValidationError
from pydantic_core import from_json

from claude_max_mcp.beside import beside
from claude_max_mcp.caller_tools import SERVER, CallerTools
from claude_max_mcp.errors import ServiceError, without_credentials
from claude_max_mcp.protocol import ControlReply, ControlRequest, ControlResponse, Json, Message, StreamEvent, parse

ARGUMENTS = (
    "--print",
    *("--input-format", "stream-json"),
    *("--output-format", "stream-json"),
    "--verbose",
    "--include-partial-messages",
    *("--setting-sources", ""),
    "--strict-mcp-config",
    "--no-session-persistence",
    *("--permission-mode", "dontAsk"),
    *("--allowedTools", f"mcp__{SERVER}"),
)
"""What makes a process blank, beside having no tools: no settings, no memory of its own, nothing asked of a person."""

MAX_RETRIES = 2
"""How often the CLI tries again when Anthropic is overloaded; its own default of ten takes three minutes."""

FIXED_ENVIRONMENT = {
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": str(MAX_RETRIES),
    # One request is one message: no second attempt without streaming, no comment sent after a refusal.
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1",
    # A long conversation goes as it is; the CLI would summarise it first, by a request of its own.
    "DISABLE_AUTO_COMPACT": "1",
    "DISABLE_COMPACT": "1",
    # Thinking comes as the Messages API gives it, not reworded for a terminal.
    "CLAUDE_CODE_THINKING_DISPLAY_UPDATES": "0",
    # The caller's tools keep their names, and one that is named like a built-in draws no reminder about git.
    "CLAUDE_AGENT_SDK_MCP_NO_PREFIX": "1",
    "CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS": "1",
    "CLAUDE_CODE_SUPPRESS_SESSION_ATTRIBUTION": "1",
    "MAX_MCP_OUTPUT_TOKENS": "1000000",
    "ENABLE_TOOL_SEARCH": "false",
    "BUN_JSC_useDFGJIT": "0",
}
"""Set for every process. The last one turns an optimiser off that short lives do not repay: it saved 12 % of a
process's CPU time on one machine, and nothing that could be seen on a slower one."""

TESTED_VERSION = "2.1.330"
"""The CLI whose behaviour the tests record: the one in the wheel that `pyproject.toml` pins."""

PROCESS_MB = 110
"""Megabytes that a process takes for itself."""

CLOSE_DEADLINE = 5.0
"""Seconds within which the kernel must have ended a killed process."""


@dataclass(frozen=True)
class Launch:
    """How a process is started: the binary, its whole environment, its working folder, the model it starts with."""

    cli: Path
    environment: Mapping[str, str]
    folder: Path
    model: str
    further: tuple[str, ...] = ()
    """More arguments, for a process that is not to be blank."""
    tools: str = ""
    """The CLI's own tools that it has, comma-separated."""
    login_file: Path | None = None
    """Holds the login; it is handed over open, and read by the CLI alone."""

    def command(self) -> list[str]:
        command = [str(self.cli), *ARGUMENTS, "--tools", self.tools, "--model", self.model, *self.further]
        setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
        return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command

    @contextmanager
    def login(self) -> Generator[tuple[dict[str, str], tuple[int, ...]]]:
        """The whole environment of a process, and the open files that it is to inherit.

        Raises:
            ServiceError: `cli_failed`, the file with the login cannot be opened.
        """
        if self.login_file is None:
            yield dict(self.environment), ()
            return
        try:
            file = self.login_file.open("rb")
        except OSError as error:
            raise ServiceError(
                "cli_failed",
                f"The login cannot be read from {self.login_file} ({error.strerror}). CLAUDE_CODE_OAUTH_TOKEN_FILE "
                "names a file with what `claude setup-token` printed.",
            ) from None
        with file:
            yield {**self.environment, LOGIN_DESCRIPTOR: str(file.fileno())}, (file.fileno(),)


LOGIN_DESCRIPTOR = "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR"
"""The CLI's own variable for a login that it reads from an open file."""


def find_cli(configured: Path | None = None) -> Path:
    """The `claude` binary to run: the configured one, else the one in the wheel of `claude-agent-sdk`.

    Raises:
        ServiceError: `cli_missing`, there is no such file.
    """
    path = configured or _bundled_cli()
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise ServiceError(
            "cli_missing",
            f"There is no claude CLI at {path}. Reinstall claude-agent-sdk, or let CLAUDE_MAX_CLI_PATH name one.",
        )
    return path


def _bundled_cli() -> Path:
    # The package is found and not imported: it would take a second, and all that is wanted is a file of its wheel.
    spec = find_spec("claude_agent_sdk")
    folder = Path(spec.origin).parent if spec and spec.origin else Path("claude_agent_sdk")
    return folder / "_bundled" / "claude"


@dataclass(eq=False)
class _Waiter:
    settled: anyio.Event = field(default_factory=anyio.Event)
    reply: ControlReply | None = None


class Worker:
    """A running process. `started(launch)` gives one."""

    def __init__(self, process: Process) -> None:
        self._process = process
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

    async def control(self, *requests: Json) -> list[Json]:
        """Send control requests in one go and wait for all their replies.

        Raises:
            ServiceError: `cli_failed`, the CLI refused one or died.
        """
        waiters = [(request, self._number(request)) for request in requests]
        await self._write(*(numbered for _, (numbered, _) in waiters))
        return [await self._settled(request, waiter) for request, (_, waiter) in waiters]

    async def say(self, content: str | list[Json]) -> None:
        """Send a user message, verbatim: `client_composed` keeps `/`, `@` and `!` from meaning anything."""
        message = {"role": "user", "content": content}
        await self._write({"type": "user", "message": message, "parent_tool_use_id": None, "client_composed": True})

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

    def kill(self) -> None:
        """End the process and all it started, at once. Nothing is awaited, so nothing can get in between."""
        self.alive = False
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def forget(self) -> None:
        """Drop what nobody read. Its keeper calls this, last."""
        self._outgoing.close()
        self._incoming.close()

    def failure(self) -> ServiceError:
        """Why the process is gone, as far as it said so."""
        last = self._stderr.decode(errors="replace").strip().rpartition("\n")[2]
        said = f" Its last words: {without_credentials(last)[:300]!r}." if last else ""
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
                "cli_failed", f"The CLI refused {request['subtype']!r}: {without_credentials(waiter.reply.error)}"
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
    worker = Worker(process)
    try:
        async with beside(worker.listen, worker.collect_stderr):
            yield worker
    finally:
        worker.kill()
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_DEADLINE):
            await process.aclose()
        worker.forget()


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[bytes]:
    """Split a stream at its line ends, without a limit on the length of a line."""
    parts: list[bytes] = []
    async for chunk in stream:
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*parts, line])
            parts.clear()
        parts.append(rest)
