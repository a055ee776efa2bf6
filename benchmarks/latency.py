"""How long until the first text of a new conversation, by each way to Claude, beside a direct request.

In: how many rounds. Out: one table, and JSON with every sample. The model is the stand-in, so the times are what each
way adds and nothing else; the CLI, the server, MCP and Pydantic AI are real. Each round measures every way once, in
turn, so that whatever else the machine does hits all of them alike.

Three processes, as in real use: this one is the caller, the server and the stand-in have one each. Everything is on
loopback, no login of yours is read, and the children's environments are made here from nothing. Before each
measurement the workers that stand ready have finished starting: their CPU time has stopped growing (on Linux; elsewhere
they get a fixed time). The run is bounded in time, and its processes end with it.
"""

import json
import math
import os
import platform
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, TypeAlias

import anyio
import httpx2
import typer
from anyio.abc import Process
from mcp import Client
from rich.console import Console
from rich.table import Table

from claude_max_mcp.service import Service
from claude_max_mcp.settings import Settings
from claude_max_mcp.wire import parse_request
from claude_max_mcp.worker import find_cli

Environment: TypeAlias = Mapping[str, str]
FirstText: TypeAlias = Callable[[], Awaitable[float]]
"""Starts a new conversation, reads its whole answer, and gives the seconds until its first text."""

TARGET_MS = 110.0
"""The most that the first text through MCP may take beyond the control's."""

PROMPT = "Say hello."
MODEL = "sonnet"
ERA = "2026-07-28"
"""The MCP version spoken."""

SETUP_SECONDS = 60.0
ROUND_SECONDS = 20.0
"""The run is given up after the first, and as many times the second as there are rounds."""

STEP = 0.1
"""Seconds between two looks at the CPU times."""
QUIET_TICKS = 2
"""Growth of all CPU times together, in clock ticks, that passes for idle within one step."""
QUIET_STEPS = 2
"""How many such steps in a row make sure of it."""
BLIND_SECONDS = 0.7
"""What workers get to finish starting where there is no /proc to see it in."""

PROC = Path("/proc")
SEES_TICKS = (PROC / "self" / "stat").exists()

SPAWN = (
    "--print",
    *("--output-format", "stream-json"),
    "--include-partial-messages",
    "--verbose",
    *("--tools", ""),
    *("--setting-sources", ""),
    "--strict-mcp-config",
    "--no-session-persistence",
    *("--model", MODEL),
)
"""The leanest way to start one process for one request."""

STANDIN = """
import anyio, sys
from claude_max_mcp.standin import StandIn
async def main():
    async with StandIn.running() as standin:
        print(standin.url, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)
anyio.run(main)
"""
"""The stand-in as a program: it says where it is, and ends when its standard input does."""


@dataclass
class Way:
    """One way to Claude, and its samples in seconds."""

    key: str
    title: str
    first_text: FirstText
    samples: list[float] = field(default_factory=list[float])

    @property
    def median(self) -> float:
        return statistics.median(self.samples) * 1000

    @property
    def p95(self) -> float:
        return sorted(self.samples)[math.ceil(len(self.samples) * 0.95) - 1] * 1000

    @property
    def least(self) -> float:
        return min(self.samples) * 1000


class Stopwatch:
    """Runs from its creation to the first call of `text`."""

    def __init__(self) -> None:
        self._began = perf_counter()
        self._first: float | None = None

    def text(self) -> None:
        if self._first is None:
            self._first = perf_counter() - self._began

    @property
    def seconds(self) -> float:
        if self._first is None:
            raise RuntimeError("there was an answer without any text")
        return self._first


# The ways


async def direct(client: httpx2.AsyncClient, upstream: str) -> float:
    """The control: the streaming request itself, to the stand-in."""
    body = {
        "model": MODEL,
        "max_tokens": 1024,
        "stream": True,
        "messages": [{"role": "user", "content": PROMPT}],
    }
    watch = Stopwatch()
    async with client.stream("POST", f"{upstream}/v1/messages", json=body) as response:
        await _read(response.raise_for_status().aiter_bytes(), watch)
    return watch.seconds


async def through_mcp(client: Client) -> float:
    watch = Stopwatch()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        if message:
            watch.text()

    result = await client.call_tool("ask_claude", {"prompt": PROMPT}, progress_callback=on_progress)
    if result.is_error:
        raise RuntimeError(f"the server answered with an error: {result.structured_content}")
    return watch.seconds


async def engine(service: Service) -> float:
    """What is below MCP and HTTP, in this process."""
    watch = Stopwatch()

    def on_event(event: dict[str, Any]) -> None:
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            watch.text()

    result = await service.ask(parse_request({"prompt": PROMPT}), on_event)
    if result.error is not None:
        raise RuntimeError(f"the engine answered with an error: {result.error.message}")
    return watch.seconds


async def spawned(environment: Environment, folder: str) -> float:
    """A process for this request alone, started and asked as every script does it."""
    watch = Stopwatch()
    async with process(str(find_cli()), *SPAWN, environment=environment, folder=folder) as cli:
        assert cli.stdin is not None and cli.stdout is not None
        await cli.stdin.send(PROMPT.encode())
        await cli.stdin.aclose()
        await _read(cli.stdout, watch)
        await cli.wait()
    return watch.seconds


@asynccontextmanager
async def pydantic_ai(url: str) -> AsyncGenerator[FirstText]:
    """A Pydantic AI agent on the provider, with the session that an entered agent keeps.

    Raises:
        ImportError: the provider is not installed.
    """
    from pydantic_ai import Agent

    from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

    agent = Agent(ClaudeMaxModel(MODEL, provider=ClaudeMaxProvider(base_url=url)))

    async def first_text() -> float:
        watch = Stopwatch()
        async with agent.run_stream(PROMPT) as answer:
            async for _ in answer.stream_text(delta=True, debounce_by=None):
                watch.text()
        return watch.seconds

    async with agent:
        yield first_text


async def _read(chunks: AsyncIterable[bytes], watch: Stopwatch) -> None:
    """Read stream events, of whatever framing, to their end."""
    seen = b""
    async for chunk in chunks:
        seen += chunk
        if b'"text_delta"' in seen:
            watch.text()


# The processes


@asynccontextmanager
async def process(*command: str, environment: Environment, folder: str) -> AsyncGenerator[Process]:
    """A child for the length of a block; leaving it ends the child and all that it started."""
    child = await anyio.open_process(command, env=environment, cwd=folder, start_new_session=True)
    try:
        yield child
    finally:
        with anyio.CancelScope(shield=True):
            await _end(child)


async def _end(child: Process) -> None:
    """Ask politely, then do not ask. The child leads its own group, and is not reaped before it is done with."""
    if child.returncode is None:
        child.terminate()
        with anyio.move_on_after(5):
            await child.wait()
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.aclose()


@asynccontextmanager
async def standin(home: str) -> AsyncGenerator[str]:
    """A stand-in in a process of its own; its address."""
    async with process(sys.executable, "-c", STANDIN, environment=bare(home), folder=home) as child:
        assert child.stdout is not None
        yield (await _said(child.stdout, until="\n")).strip()


@asynccontextmanager
async def server(environment: Environment, home: str) -> AsyncGenerator[str]:
    """A server in a process of its own, as users run it; its address without a path."""
    command = (sys.executable, "-m", "claude_max_mcp", "serve", "--port", "0")
    async with process(*command, environment=environment, folder=home) as child:
        assert child.stderr is not None
        said = await _said(child.stderr, until="/mcp,")
        yield said.rpartition("/mcp,")[0].rpartition(" ")[2]


async def _said(stream: AsyncIterable[bytes], *, until: str) -> str:
    said = ""
    async for chunk in stream:
        said += chunk.decode(errors="replace")
        if until in said:
            return said
    raise RuntimeError(f"a process ended at its start and said: {said.strip()}")


def bare(home: str) -> dict[str, str]:
    """A whole environment, of which nothing is inherited but where programs are."""
    return {"PATH": os.defpath, "HOME": home, "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-invented"}


def for_cli(upstream: str, home: str) -> dict[str, str]:
    """The environment of a CLI that talks to the stand-in alone."""
    quiet = ("DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER", "DISABLE_ERROR_REPORTING")
    quiet += ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",)
    return {**bare(home), "ANTHROPIC_BASE_URL": upstream, **dict.fromkeys(quiet, "1")}


def forget_login() -> None:
    """Drop from our own environment whatever could change, or pay for, what is measured."""
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC", "CLAUDE", "WORKSPACE_ROOT"))]:
        del os.environ[name]


# When nothing is starting


class Idle:
    """Waits until every pool is full and no child of ours works any more.

    Args:
        pools: each says whether its workers stand ready.
    """

    def __init__(self, *pools: Callable[[], Awaitable[bool]]) -> None:
        self._pools = pools

    async def __call__(self) -> None:
        for full in self._pools:
            while not await full():  # noqa: ASYNC110 (a server can only be asked)
                await anyio.sleep(STEP / 5)
        if not SEES_TICKS:
            await anyio.sleep(BLIND_SECONDS)
            return
        quiet, before = 0, _ticks()
        while quiet < QUIET_STEPS:
            await anyio.sleep(STEP)
            now = _ticks()
            grown = sum(ticks - before.get(pid, 0) for pid, ticks in now.items())
            quiet, before = (quiet + 1 if grown <= QUIET_TICKS else 0), now


def _ticks() -> dict[int, int]:
    """The CPU time so far of each process that descends from this one."""
    table = {pid: stat for pid, stat in map(_stat, PROC.glob("[0-9]*/stat")) if stat is not None}
    found: dict[int, int] = {}
    parents = {os.getpid()}
    while parents:
        children = {pid: ticks for pid, (parent, ticks) in table.items() if parent in parents}
        found |= children
        parents = set(children)
    return found


def _stat(file: Path) -> tuple[int, tuple[int, int] | None]:
    """A process, its parent and its CPU time; None for one that has just gone."""
    pid = int(file.parent.name)
    try:
        fields = file.read_text().rpartition(")")[2].split()
    except OSError:
        return pid, None
    return pid, (int(fields[1]), int(fields[11]) + int(fields[12]))


async def _served_pool_full(client: httpx2.AsyncClient, root: str) -> bool:
    pool = (await client.get(f"{root}/health")).json()["pool"]
    return pool["warm"] > 0 and pool["starting"] == 0


async def _own_pool_full(service: Service) -> bool:
    pool = (await service.health()).pool
    return pool.warm > 0 and pool.starting == 0


# The run


@dataclass(frozen=True)
class Run:
    """Everything that is measured, ready to be."""

    ways: list[Way]
    skipped: list[str]
    idle: Idle
    cli_version: str | None


@asynccontextmanager
async def set_up() -> AsyncGenerator[Run]:
    """Start what is needed: the stand-in, a server that keeps workers ready, one that does not, and an engine."""
    async with AsyncExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="claude-max-bench-"))
        upstream = await stack.enter_async_context(standin(home))
        at_server = {**bare(home), "CLAUDE_MAX_UPSTREAM_URL": upstream}
        warm = await stack.enter_async_context(server(at_server, home))
        cold = await stack.enter_async_context(server({**at_server, "CLAUDE_MAX_WARM": "0"}, home))
        at_cli = for_cli(upstream, home)
        service = await stack.enter_async_context(Service.running(Settings(), at_cli))
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=30, trust_env=False))
        to_agent, skipped = await _to_agent(stack, warm)
        ways = [
            Way("control", "control: the direct request", partial(direct, http, upstream)),
            Way("mcp_warm", "MCP, a worker stands ready", await _to_server(stack, warm)),
            *to_agent,
            Way("engine", "engine without MCP, same", partial(engine, service)),
            Way("mcp_cold", "MCP, no worker ready", await _to_server(stack, cold)),
            Way("spawn", "spawn: a process per request", partial(spawned, at_cli, home)),
        ]
        idle = Idle(partial(_served_pool_full, http, warm), partial(_own_pool_full, service))
        yield Run(ways, skipped, idle, (await service.health()).cli_version)


async def _to_server(stack: AsyncExitStack, root: str) -> FirstText:
    return partial(through_mcp, await stack.enter_async_context(Client(f"{root}/mcp", mode=ERA)))


async def _to_agent(stack: AsyncExitStack, root: str) -> tuple[list[Way], list[str]]:
    """The way with Pydantic AI, or why it is left out."""
    try:
        first_text = await stack.enter_async_context(pydantic_ai(f"{root}/mcp"))
    except ImportError as error:
        return [], [f"Pydantic AI: its provider cannot be imported ({error})."]
    return [Way("pydantic_ai", "Pydantic AI, a worker stands ready", first_text)], []


async def measure(run: Run, rounds: int) -> None:
    """Take the samples: every way once a round, after one round that does not count."""
    with Console(stderr=True).status("warming up") as status:
        for number in range(rounds + 1):
            for way in run.ways:
                await run.idle()
                seconds = await way.first_text()
                if number:
                    way.samples.append(seconds)
            status.update(f"round {number} of {rounds}")


@dataclass(frozen=True)
class Facts:
    """Where and when this was measured."""

    date: str
    cores: int
    system: str
    python: str
    cli: str | None
    rounds: int
    load: float
    """Processes that wanted a core when it began, on average over a minute: 0 is an idle machine."""

    @classmethod
    def now(cls, cli: str | None, rounds: int) -> "Facts":
        date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        system, python = f"{platform.system()} {platform.machine()}", platform.python_version()
        return cls(date, os.cpu_count() or 0, system, python, cli, rounds, os.getloadavg()[0])

    def __str__(self) -> str:
        machine = f"{self.cores} cores, {self.system}, load {self.load:.1f}, Python {self.python}"
        return f"{self.date}; {machine}; claude {self.cli}; N = {self.rounds}"


def table(ways: list[Way]) -> Table:
    by_key = {way.key: way for way in ways}
    grid = Table(title="First text of a new conversation, in milliseconds")
    grid.add_column("way", no_wrap=True)
    for name in ("median", "p95", "min", "added", "of spawn"):
        grid.add_column(name, justify="right")
    for way in ways:
        added = way.median - by_key["control"].median
        share = way.median / by_key["spawn"].median
        grid.add_row(
            way.title,
            *(f"{ms:.1f}" for ms in (way.median, way.p95, way.least)),
            f"{added:+.1f}",
            f"{share:.2f}",
        )
    return grid


def summary(ways: list[Way]) -> dict[str, float]:
    """What the table is for, in milliseconds; `mcp_layer` compares the samples of each round, as it is small."""
    by_key = {way.key: way for way in ways}
    control, mcp, below = (by_key[key] for key in ("control", "mcp_warm", "engine"))
    return {
        "mcp_added": mcp.median - control.median,
        "mcp_added_min": mcp.least - control.least,
        "mcp_layer": statistics.median(a - b for a, b in zip(mcp.samples, below.samples, strict=True)) * 1000,
        "mcp_layer_min": mcp.least - below.least,
    }


def in_words(found: Mapping[str, float]) -> str:
    verdict = "within" if found["mcp_added"] <= TARGET_MS else "NOT within"
    return (
        f"Through MCP the first text comes {found['mcp_added']:.1f} ms after the control's "
        f"(fastest of each: {found['mcp_added_min']:.1f}), {verdict} the {TARGET_MS:.0f} ms asked for.\n"
        f"Of that, MCP and HTTP take {found['mcp_layer']:.1f} ms (fastest of each: {found['mcp_layer_min']:.1f})."
    )


def as_json(run: Run, facts: Facts) -> str:
    ways = {way.key: {"title": way.title, "median": way.median, "p95": way.p95, "min": way.least} for way in run.ways}
    samples = {way.key: [second * 1000 for second in way.samples] for way in run.ways}
    summed = {"facts": vars(facts), "ways": ways, "summary": summary(run.ways), "skipped": run.skipped}
    return json.dumps({"unit": "ms", **summed, "samples": samples}, indent=2) + "\n"


async def benchmark(rounds: int) -> tuple[Run, Facts]:
    with anyio.fail_after(SETUP_SECONDS + rounds * ROUND_SECONDS):
        async with set_up() as run:
            facts = Facts.now(run.cli_version, rounds)
            await measure(run, rounds)
    return run, facts


def show(run: Run, facts: Facts) -> None:
    out = Console()
    out.print(table(run.ways))
    out.print(str(facts), *(f"Skipped: {reason}" for reason in run.skipped), sep="\n", markup=False, highlight=False)
    out.print(in_words(summary(run.ways)), highlight=False)


def main(
    n: Annotated[int, typer.Option("--n", min=1, help="Rounds; each takes four to six seconds.")] = 30,
    file: Annotated[Path | None, typer.Option("--json", help="Also write every sample to this file.")] = None,
) -> None:
    """Measure the time to the first text of a new conversation, by each way to Claude. Needs no login."""
    forget_login()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
    signal.signal(signal.SIGTERM, _like_ctrl_c)
    run, facts = anyio.run(benchmark, n)
    show(run, facts)
    if file is not None:
        file.write_text(as_json(run, facts))


def _like_ctrl_c(*_: object) -> None:
    """Let the blocks that hold processes be left, as Ctrl-C does."""
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    typer.run(main)
