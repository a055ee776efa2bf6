"""What conversations cost of the limits: through this server, and by a direct request with prompt caching.

In: how long the conversations are. Out: one table, and JSON. The stand-in bills each request by Anthropic's published
rules (`bench.billing`), by a clock that is turned, not waited for; the CLI, the server, MCP and Pydantic AI are real.
Both sides are Pydantic AI agents that do the same with the same settings: a direct one has `AnthropicModel`, with
breakpoints on system prompt, tools and the latest message. Costs are characters of plain input.

Times are no matter here, so a machine that does something else changes nothing.
"""

import os
import signal
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import anyio
import typer
from anyio.abc import TaskGroup, TaskStatus
from pydantic_ai import Agent, BinaryContent
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.usage import RunUsage

from bench.billing import CHARACTERS, Biller
from bench.figures import Facts, Verdict, show, table, write
from bench.processes import for_cli
from claude_max_mcp.front.http import served
from claude_max_mcp.front.listener import bind
from claude_max_mcp.service.service import Service
from claude_max_mcp.settings import Settings
from claude_max_mcp.standin import Recorded, Reply, StandIn, Text, ToolUse
from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

Ttl: TypeAlias = Literal["5m", "1h"]
TTLS: tuple[Ttl, ...] = ("5m", "1h")

MODEL = "claude-sonnet-5-5"
DEADLINE = 1800.0
"""Seconds for the whole run."""

LIMIT = 1.1
"""How much more than directly a conversation may cost."""

MINUTE = 60.0


class Server:
    """One server, which can be restarted at its address."""

    def __init__(self, tasks: TaskGroup, upstream: StandIn, home: Path, *, keeps: bool) -> None:
        self._tasks = tasks
        self._upstream = upstream
        self._home = home
        self._keeps = keeps
        self._port = 0
        self._stop = anyio.Event()
        self._stopped = anyio.Event()
        self.service: Service | None = None

    @property
    def model(self) -> Model:
        return ClaudeMaxModel("sonnet", provider=ClaudeMaxProvider(base_url=f"http://127.0.0.1:{self._port}/mcp"))

    async def start(self) -> None:
        self._stop, self._stopped = anyio.Event(), anyio.Event()
        await self._tasks.start(self._serve)

    async def stop(self) -> None:
        self._stop.set()
        await self._stopped.wait()

    async def _serve(self, *, task_status: TaskStatus[None]) -> None:
        minutes = 60.0 if self._keeps else 0.0
        settings = Settings(warm=0, state_dir=self._home / "state", transcript_minutes=minutes)
        environment = for_cli(self._upstream.url, str(self._home))
        async with Service.running(settings, environment) as service:
            listener = bind("127.0.0.1", self._port)
            self.service, self._port = service, listener.getsockname()[1]
            async with served(service, listener):
                task_status.started()
                await self._stop.wait()
        self._stopped.set()

    async def end_processes(self) -> None:
        assert self.service is not None
        pids = self.service.pids
        for pid in pids:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        while any([await anyio.Path(f"/proc/{pid}").exists() for pid in pids]):  # noqa: ASYNC110 - the kernel sends no event
            await anyio.sleep(0.01)


class World:
    """One side: its model, its bill, and what can happen to what it runs on.

    Args:
        upstream: what answers and bills.
        ttl: how long Anthropic is asked to keep what it has read.
        servers: through which requests go; none for direct requests.
    """

    def __init__(self, upstream: StandIn, ttl: Ttl, servers: Sequence[Server] = ()) -> None:
        self.biller = Biller()
        self.settings = AnthropicModelSettings(
            anthropic_cache=ttl, anthropic_cache_instructions=ttl, anthropic_cache_tool_definitions=ttl
        )
        self._upstream = upstream
        self._servers = list(servers)
        self._checked = 0

    @property
    def model(self) -> Model:
        """The model as it is reached now."""
        if self._servers:
            return self._servers[0].model
        return AnthropicModel(MODEL, provider=AnthropicProvider(base_url=self._upstream.url, api_key="none"))

    async def end_processes(self) -> None:
        """Let the processes that hold conversations end."""
        for server in self._servers:
            await server.end_processes()

    async def restart(self) -> None:
        """Let the server be stopped and started anew."""
        for server in self._servers:
            await server.stop()
            await server.start()

    async def switch(self) -> None:
        """Go on at the other server, where there are two."""
        self._servers.reverse()

    def check(self, usage: RunUsage) -> None:
        """See that a run has reported what it was billed."""
        bills, self._checked = self.biller.bills[self._checked :], len(self.biller.bills)
        read, written = sum(bill.read for bill in bills), sum(sum(bill.written.values()) for bill in bills)
        assert usage.requests == len(bills), "one request is one message"
        assert (usage.cache_read_tokens, usage.cache_write_tokens) == (read, written)
        assert usage.input_tokens == read + written + sum(bill.plain for bill in bills)

    async def pass_time(self, seconds: float) -> None:
        """Turn the clock."""
        self.biller.now += seconds


def write_text(name: str, length: int) -> str:
    """A text that is another one for each name."""
    return (f"{name}. " * (length // (len(name) + 2) + 1))[:length]


SYSTEM = write_text("You are a careful assistant", 3000)

Happening: TypeAlias = Callable[[World], Awaitable[None]]


async def nothing(world: World) -> None:
    """Nothing happens between two turns."""


@dataclass(frozen=True)
class Size:
    """How long the conversations are."""

    chat: int
    long_chat: int
    calls: int
    questions: int


async def chat(world: World, turns: int, happening: Happening = nothing, minutes: float = 3.0) -> None:
    """Turns of 2,000 characters and answers as long, so many minutes apart."""
    history: list[ModelMessage] = []
    for turn in range(turns):
        history = await go_on(world, history, write_text(f"Message {turn}", 2000))
        await world.pass_time(minutes * MINUTE)
        await happening(world)


async def go_on(world: World, history: list[ModelMessage], said: str) -> list[ModelMessage]:
    agent = Agent(world.model, instructions=SYSTEM)
    result = await agent.run(said, message_history=history, model_settings=world.settings)
    world.check(result.usage)
    return result.all_messages()


async def branch(world: World, turns: int) -> None:
    """Three callers go on differently from one conversation, in turns."""
    history: list[ModelMessage] = []
    for turn in range(turns):
        history = await go_on(world, history, write_text(f"Message {turn}", 2000))
    branches = [history] * 3
    for turn in range(turns):
        for at, earlier in enumerate(branches):
            branches[at] = await go_on(world, earlier, write_text(f"Branch {at} {turn}", 2000))
            await world.pass_time(MINUTE)
            await world.end_processes()


async def run_tools(world: World, calls: int, happening: Happening = nothing) -> None:
    """A loop of tool calls, ten seconds each; in the middle something happens."""
    agent = Agent(world.model, instructions=SYSTEM)

    @agent.tool_plain
    async def look_up(number: int) -> str:  # pyright: ignore[reportUnusedFunction]
        """Look a number up."""
        await world.pass_time(10.0)
        if number == calls // 2:
            await happening(world)
        return write_text(f"Found {number}", 2000)

    result = await agent.run(f"Look everything up, calls={calls}", model_settings=world.settings)
    world.check(result.usage)


async def ask_once(world: World, questions: int, minutes: float) -> None:
    """Single questions with one long system prompt."""
    agent = Agent(world.model, instructions=write_text("You know all the rules", 20_000))
    for number in range(questions):
        result = await agent.run(write_text(f"Question {number}", 400), model_settings=world.settings)
        world.check(result.usage)
        await world.pass_time(minutes * MINUTE)


async def read_documents(world: World, questions: int) -> None:
    """Single questions, each about a long document of its own."""
    for number in range(questions):
        document = BinaryContent(write_text(f"Page {number}", 30_000).encode(), media_type="text/plain")
        agent = Agent(world.model, instructions="Be terse.")
        result = await agent.run([document, "What does it say?"], model_settings=world.settings)
        world.check(result.usage)
        await world.pass_time(MINUTE)


@dataclass(frozen=True)
class Row:
    """One conversation, on both sides."""

    title: str
    talk: Callable[[World], Awaitable[None]]
    servers: int = 1
    shared: bool = True
    """Whether servers keep conversations, in one folder."""
    must: bool = True
    """Whether it may cost no more than directly."""


def make_rows(size: Size) -> list[Row]:
    def end(world: World) -> Awaitable[None]:
        return world.end_processes()

    def restart(world: World) -> Awaitable[None]:
        return world.restart()

    def switch(world: World) -> Awaitable[None]:
        return world.switch()

    n, q = size.chat, size.questions
    return [
        Row(f"chat of {n}, its process lives", lambda w: chat(w, n)),
        Row(f"chat of {size.long_chat}, its process lives", lambda w: chat(w, size.long_chat)),
        Row(f"chat of {n}, its process gone at each turn", lambda w: chat(w, n, end)),
        Row(f"chat of {n}, the same, 20 minutes apart", lambda w: chat(w, n, end, 20.0)),
        Row(f"chat of {n}, restarted at each turn", lambda w: chat(w, n, restart)),
        Row(f"chat of {n}, two servers in turn, one folder", lambda w: chat(w, n, switch), servers=2),
        Row(f"chat of {n}, the same, nothing kept", lambda w: chat(w, n, switch), 2, shared=False, must=False),
        Row("three branches, their processes gone", lambda w: branch(w, max(1, n // 3))),
        Row(f"loop of {size.calls} tool calls", lambda w: run_tools(w, size.calls)),
        Row(f"loop of {size.calls} tool calls, restarted in it", lambda w: run_tools(w, size.calls, restart)),
        # Here the CLI's announcement, behind each first message, is as long as the question itself.
        Row(f"{q} questions, a long system prompt", lambda w: ask_once(w, q, 1.0), must=False),
        Row(f"{q} questions, the same, 20 minutes apart", lambda w: ask_once(w, q, 20.0), must=False),
        Row(f"{q} questions, a long document each", lambda w: read_documents(w, q)),
    ]


def make_script(biller: Biller) -> Callable[[Recorded], Reply]:
    """Answers that carry what they cost."""

    def answer(request: Recorded) -> Reply:
        usage = biller.bill(request.body).usage
        given = sum("tool_result" in str(message["content"]) for message in request.messages)
        _, asked, calls = str(request.messages[0]["content"]).partition("calls=")
        if asked and given < int("".join(c for c in calls[:4] if c.isdigit())):
            return Reply(content=(ToolUse("look_up", {"number": given}),), usage=usage)
        return Reply(content=(Text(write_text(f"Answer {len(biller.bills)}", 2000)),), usage=usage)

    return answer


@asynccontextmanager
async def opened_world(row: Row, upstream: StandIn, ttl: Ttl, home: Path) -> AsyncGenerator[World]:
    async with anyio.create_task_group() as tasks:
        servers = [Server(tasks, upstream, home, keeps=row.shared) for _ in range(row.servers)]
        for server in servers:
            await server.start()
        yield World(upstream, ttl, servers)
        for server in servers:
            await server.stop()


async def measure(row: Row, upstream: StandIn, ttl: Ttl) -> tuple[float, float]:
    """What a conversation costs directly, and through this server, in characters."""
    upstream.reset()
    direct = World(upstream, ttl)
    upstream.script(make_script(direct.biller))
    await row.talk(direct)
    with tempfile.TemporaryDirectory(prefix="claude-max-bench-") as home:
        async with opened_world(row, upstream, ttl, Path(home)) as ours:
            upstream.script(make_script(ours.biller))
            await row.talk(ours)
    return direct.biller.cost * CHARACTERS, ours.biller.cost * CHARACTERS


async def run(size: Size, json: Path | None, ttls: tuple[Ttl, ...]) -> None:
    facts = Facts.now()
    rows, measured, verdicts = make_rows(size), dict[str, dict[str, Any]](), list[Verdict]()
    with anyio.fail_after(DEADLINE):
        async with StandIn.running() as upstream:
            for row in rows:
                measured[row.title] = {}
                for ttl in ttls:
                    direct, ours = await measure(row, upstream, ttl)
                    measured[row.title][ttl] = {"direct": direct, "ours": ours, "ratio": ours / direct}
                    if row.must:
                        verdicts.append(Verdict(f"{row.title} ({ttl})", ours / direct, LIMIT, "times"))
    columns = ["characters of input", *(f"{name} {ttl}" for ttl in ttls for name in ("direct", "here", "times"))]
    cells = [
        [title, *(cell for ttl in ttls for cell in format_costs(by_ttl[ttl]))] for title, by_ttl in measured.items()
    ]
    totals = {ttl: sum(by_ttl[ttl]["ours"] for by_ttl in measured.values()) for ttl in ttls}
    further = [f"all rows through this server, kept for {ttl}: {total:,.0f}" for ttl, total in totals.items()]
    show(table("What a conversation costs", columns, cells), facts, verdicts, further)
    write(json, facts, verdicts, rows=measured)


def format_costs(costs: dict[str, float]) -> list[str]:
    return [f"{costs['direct']:,.0f}", f"{costs['ours']:,.0f}", f"{costs['ratio']:.2f}"]


def main(
    n: Annotated[int, typer.Option(help="Turns of a chat, and questions.")] = 12,
    calls: Annotated[int, typer.Option(help="Tool calls of a loop.")] = 10,
    json: Annotated[Path | None, typer.Option(help="A file for what was measured.")] = None,
) -> None:
    """Measure what conversations cost."""
    size = Size(chat=n, long_chat=max(2, n * 10 // 3), calls=calls, questions=n)
    anyio.run(run, size, json, TTLS)


if __name__ == "__main__":
    typer.run(main)
