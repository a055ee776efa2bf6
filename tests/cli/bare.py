"""The CLI alone: one real process, a stand-in upstream, and nothing of this project above `claude`.

In: flags and variables that differ from a blank launch. Out: a `Cli`, a host that keeps what its process said,
typed. A process that falls silent, which is how a fact moves most often, is an error within `DEADLINE`.
"""

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast
from uuid import uuid4

import anyio

from claude_max_mcp.claude.caller_tools import SERVER, CallerTools, make_manifest
from claude_max_mcp.claude.home import HomeMaker, name_login_folder
from claude_max_mcp.claude.launch import FIXED_ENVIRONMENT, Launch, find_cli
from claude_max_mcp.claude.protocol import (
    AssistantMessage,
    HookCallback,
    HostRequest,
    Initialized,
    McpMessage,
    Output,
    RateLimitEvent,
    RateLimitInfo,
    Result,
    StreamEvent,
    System,
)
from claude_max_mcp.claude.worker import Worker, running_worker
from claude_max_mcp.errors import ServiceError
from claude_max_mcp.messages import Block, Json
from claude_max_mcp.standin import Recorded, StandIn
from tests.house import cli_environment

DEADLINE = 20.0
"""Seconds for all that a test does with one process; the slowest, which tries three times, takes three."""

Changed: TypeAlias = Mapping[str, str | None]
"""Variables of the environment that are to be others, or none."""

UNCHANGED: Changed = {}

SONNET = "claude-sonnet-5-5"
"""What the alias `sonnet` stands for."""


@dataclass(frozen=True)
class Bare:
    """How processes are started here, and what they reach upstream."""

    upstream: StandIn
    home: Path

    @property
    def folder(self) -> Path:
        """Where the processes work."""
        folder = self.home / "work"
        folder.mkdir(exist_ok=True)
        return folder

    def launch(self, *further: str, tools: str = "", model: str = "sonnet", changed: Changed = UNCHANGED) -> Launch:
        """A blank launch but for more arguments, and variables that are changed, or removed by None."""
        own = {**cli_environment(self.upstream.url, self.home), **FIXED_ENVIRONMENT, **changed}
        environment = {name: value for name, value in own.items() if value is not None}
        homes = self.home / "homes"
        homes.mkdir(exist_ok=True)
        return Launch(
            find_cli(),
            environment,
            self.folder,
            model,
            extra_arguments=further,
            cli_tools=tools,
            homes=HomeMaker(homes, name_login_folder(environment), "{}"),
        )

    @asynccontextmanager
    async def running(
        self, *further: str, tools: str = "", model: str = "sonnet", changed: Changed = UNCHANGED
    ) -> AsyncGenerator["Cli"]:
        """A process for the length of a block, which must end in time."""
        async with self.launched(self.launch(*further, tools=tools, model=model, changed=changed)) as cli:
            yield cli

    @asynccontextmanager
    async def launched(self, launch: Launch) -> AsyncGenerator["Cli"]:
        """The same, of a launch that was made already."""
        async with running_worker(launch) as worker:
            cli = Cli(worker)
            try:
                with anyio.fail_after(DEADLINE):
                    yield cli
            except TimeoutError:
                raise AssertionError(self._silence()) from None
            finally:
                cli.close()

    def _silence(self) -> str:
        count = len(self.upstream.requests)
        last = f", the last with {str(self.arrived[-1])[:300]}" if count else ""
        return f"The CLI did not go on for {DEADLINE:g} s. {count} requests had reached upstream by then{last}."

    async def piped(self, *lines: Json) -> tuple[int, list[Json]]:
        """Hand a process these lines and close its input: its exit code, and all it said, unparsed."""
        launch = self.launch()
        sent = "".join(json.dumps(line) + "\n" for line in lines).encode()
        with anyio.fail_after(DEADLINE):
            command = launch.make_command(str(uuid4()))
            done = await anyio.run_process(
                command, input=sent, check=False, env=dict(launch.environment), cwd=launch.folder
            )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    @property
    def bodies(self) -> list[Json]:
        """The requests that reached upstream."""
        return [request.body for request in self.upstream.requests]

    @property
    def arrived(self) -> list[Json]:
        """The conversation of the last request, as it reached upstream."""
        return conversation(self.upstream.requests[-1])


class Cli:
    """The host of one process: it keeps what the process says until somebody reads it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._outgoing, self._incoming = anyio.create_memory_object_stream[Output](math.inf)
        self.tools = CallerTools()
        """The server of the caller's tools."""
        self.refusal: Callable[[str, Json], str | None] = lambda tool, arguments: None
        """Asked before the CLI runs a tool of its own; a text is a refusal."""
        self.lost = ServiceError("internal", "the process has not ended")
        worker.serve(self)

    @property
    def pid(self) -> int:
        return self._worker.pid

    def kill(self) -> None:
        self._worker.kill()

    async def control(self, *requests: Mapping[str, object]) -> list[Json]:
        return await self._worker.control(*requests)

    def say(self, content: str | list[Json]) -> str:
        return self._worker.say(content if isinstance(content, str) else cast("list[Block]", content))

    def give(self, results: dict[str, Json]) -> None:
        for request_id, answer in self.tools.accept_results(results).items():
            self._worker.reply(request_id, answer)

    async def messages(self) -> AsyncIterator[Output]:
        """What the CLI says from here on, until it ends."""
        async for message in self._incoming:
            yield message

    def hear(self, message: Output) -> None:
        with suppress(anyio.ClosedResourceError):  # it goes on for a moment when nobody reads any more
            self._outgoing.send_nowait(message)

    def answer(self, request_id: str, asked: HostRequest) -> Json | None:
        match asked:
            case McpMessage(message=message):
                return self.tools.answer(request_id, message)
            case HookCallback(input=check):
                reason = self.refusal(check.tool_name, check.tool_input)
                denied = {"permissionDecision": "deny", "permissionDecisionReason": reason}
                return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **denied}} if reason else {}
            case _:
                raise LookupError(asked.subtype)

    def lose(self, error: ServiceError) -> None:
        self.lost = error
        self._outgoing.close()

    def close(self) -> None:
        """Drop what was not read."""
        self._outgoing.close()
        self._incoming.close()


def conversation(request: Recorded) -> list[Json]:
    """The messages without the CLI's cache breakpoints, every content a list."""
    return [{"role": message["role"], "content": _plain(message["content"])} for message in request.messages]


def _plain(content: str | list[Json]) -> list[Json]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks]


def user(*content: Json | str) -> Json:
    return {"role": "user", "content": [{"type": "text", "text": c} if isinstance(c, str) else c for c in content]}


def assistant(*content: Json | str) -> Json:
    return {**user(*content), "role": "assistant"}


@dataclass
class Run:
    """What the CLI said from one message of ours to its result."""

    result: Result
    events: list[Json] = field(default_factory=list[Json])
    retries: list[System] = field(default_factory=list[System])
    limits: RateLimitInfo | None = None
    said: AssistantMessage | None = None


@dataclass(frozen=True)
class Hello:
    """A bare hello, from start to end."""

    known: Initialized
    before: int
    """Requests that had reached upstream when `initialize` was answered."""
    run: Run
    requests: list[Recorded]
    others: list[Recorded]


async def said_hello(bare: Bare) -> Hello:
    """Say `hello` to a process that was initialized with nothing."""
    async with bare.running() as worker:
        known = await initialize(worker)
        before = len(bare.upstream.requests) + len(bare.upstream.others)
        run = await ask(worker, "hello")
    return Hello(known, before, run, list(bare.upstream.requests), list(bare.upstream.others))


async def initialize(worker: Cli, *tools: Json, **more: Any) -> Initialized:
    """Make a blank process a conversation; `more` are further fields of the request."""
    if tools:
        worker.tools = CallerTools(tools)
    opening: Json = {"subtype": "initialize", "hooks": None, "skills": [], "systemPrompt": []}
    (reply,) = await worker.control(opening | declare(make_manifest(worker.tools.definitions)) | more)
    return Initialized.model_validate(reply)


def declare(manifest: Json) -> Json:
    """The fields of `initialize` that declare the server of the caller's tools."""
    return {"sdkMcpServers": [SERVER], "sdkMcpServerManifests": {SERVER: manifest}}


async def ask(worker: Cli, content: str | list[Json] = "hello") -> Run:
    """Say something and read to its result."""
    worker.say(content)
    return await heard(worker)


async def heard(worker: Cli) -> Run:
    """Read what the CLI says up to its result.

    Raises:
        ServiceError: it ended without one.
    """
    run = Run(Result(type="result"))
    async for message in worker.messages():
        match message:
            case StreamEvent(event=event):
                run.events.append(event)
            case System(subtype="api_retry"):
                run.retries.append(message)
            case RateLimitEvent(rate_limit_info=limits):
                run.limits = limits
            case AssistantMessage():
                run.said = message
            case Result():
                run.result = message
                return run
            case _:
                pass
    raise worker.lost


async def events_until(worker: Cli, kind: str) -> list[Json]:
    """Read the stream events up to the first of a kind.

    Raises:
        ServiceError: the process ended before.
    """
    events: list[Json] = []
    async for message in worker.messages():
        if isinstance(message, StreamEvent):
            events.append(message.event)
            if message.event["type"] == kind:
                return events
    raise worker.lost
