"""How long until the first text, by each way to Claude, beside a direct request.

In: how many rounds. Out: one table, and JSON with every sample. The model is the stand-in, so the times are what each
way adds and nothing else; the CLI, the server, MCP and Pydantic AI are real. Each round measures every way once, in
turn, so that whatever else the machine does hits all of them alike.

Three processes, as in real use: this one is the caller, the server and the stand-in have one each. Before each
measurement the workers that stand ready have finished starting: their CPU time has stopped growing (on Linux; elsewhere
they get a fixed time). The run is bounded in time, and its processes end with it.
"""

import statistics
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Annotated

import anyio
import httpx2
import typer
from mcp import Client
from rich.console import Console

from bench.callers import ERA, TOOL, Conversation, Sample, as_text, direct, engine, pydantic_ai, spawned, through_mcp
from bench.figures import Facts, Samples, Verdict, show, table, write
from bench.processes import Idle, for_cli, forget_login, interruptible, served_pool_full, server, standin
from claude_max_mcp.service.service import Service
from claude_max_mcp.settings import Settings

SETUP_SECONDS = 60.0
ROUND_SECONDS = 40.0
"""The run is given up after the first, and as many times the second as there are rounds."""

STREAMS = 8
"""Requests that stream while `health` is asked."""

HEALTH_ASKED = 200
"""Times that it is asked."""


@dataclass
class Way:
    """One way to Claude, and its samples."""

    key: str
    title: str
    sample: Sample
    samples: Samples = field(default_factory=Samples)


class Talks:
    """What comes after the first text of a conversation, over MCP.

    Args:
        client: a client of the server.
        idle: waits until the machine is quiet, so that a turn is measured as a person's next one would be.
    """

    def __init__(self, client: Client, idle: Idle) -> None:
        self._client = client
        self._idle = idle
        self._numbers = count()

    async def next_turn(self) -> float:
        """The second message of a conversation whose process waits for it."""
        talk = Conversation(self._client)
        await talk.ask(f"Number {next(self._numbers)}.")
        await self._idle()
        return await talk.ask("And now?")

    async def tool_return(self) -> float:
        """The result of a tool, brought to the process that waits for it."""
        talk = Conversation(self._client, {"tools": [TOOL]})
        await talk.ask(f"Number {next(self._numbers)}, calls=1")
        await self._idle()
        return await talk.ask(talk.results())

    async def cold_history(self) -> float:
        """A conversation of seven messages that no process holds."""
        talk = Conversation(self._client)
        for at in range(3):
            said = f"Number {next(self._numbers)}, question {at}."
            talk.messages += [{"role": "user", "content": said}, {"role": "assistant", "content": f"Answer {at}."}]
        return await talk.ask("And now?")


@dataclass(frozen=True)
class Run:
    """Everything that is measured, ready to be."""

    ways: list[Way]
    idle: Idle
    root: str
    http: httpx2.AsyncClient
    client: Client
    cli_version: str | None
    health: Samples = field(default_factory=Samples)

    def by_key(self, key: str) -> Samples:
        return next(way.samples for way in self.ways if way.key == key)


@asynccontextmanager
async def set_up() -> AsyncGenerator[Run]:
    """Start what is needed: the stand-in, an engine, and servers.

    One keeps workers ready, one does not; one has room for a single conversation, so that each begins in the process
    of the one before.
    """
    async with AsyncExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="claude-max-bench-"))
        upstream = await stack.enter_async_context(standin(home))
        warm = await stack.enter_async_context(server(upstream, home, reuse=0))
        cold = await stack.enter_async_context(server(upstream, home, reuse=0, warm=0))
        used = await stack.enter_async_context(server(upstream, home, concurrency=1, warm=1))
        at_cli = for_cli(upstream, home)
        service = await stack.enter_async_context(Service.running(Settings(reuse=False), at_cli))
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=30, trust_env=False))
        client = await stack.enter_async_context(Client(warm.mcp, mode=ERA))
        to_cold = await stack.enter_async_context(Client(cold.mcp, mode=ERA))
        to_used = await stack.enter_async_context(Client(used.mcp, mode=ERA))
        agent = await stack.enter_async_context(pydantic_ai(warm.mcp))
        idle = Idle(
            partial(served_pool_full, http, warm.root),
            partial(_own_pool_full, service),
            partial(served_pool_full, http, used.root),
        )
        talks = Talks(client, idle)
        ways = [
            Way("control", "control: the direct request", partial(direct, http, upstream)),
            Way("mcp_warm", "MCP, a worker stands ready", partial(through_mcp, client)),
            Way("mcp_text", "MCP, asked by `prompt`, as text", partial(as_text, client)),
            Way("pydantic_ai", "Pydantic AI, a worker stands ready", agent),
            Way("engine", "engine without MCP, same", partial(engine, service)),
            Way("mcp_used", "MCP, a used process begins anew", partial(through_mcp, to_used)),
            Way("next_turn", "MCP, next turn", talks.next_turn),
            Way("tool_return", "MCP, return of a tool's result", talks.tool_return),
            Way("cold_history", "MCP, history that no process holds", talks.cold_history),
            Way("mcp_cold", "MCP, no worker ready", partial(through_mcp, to_cold)),
            Way("spawn", "spawn: a process per request", partial(spawned, at_cli, home)),
        ]
        yield Run(ways, idle, warm.root, http, client, (await service.health()).cli_version)


async def _own_pool_full(service: Service) -> bool:
    pool = (await service.health()).pool
    return pool.warm > 0 and pool.starting == 0


async def measure(run: Run, rounds: int) -> None:
    """Take the samples: every way once a round, after one round that does not count."""
    with Console(stderr=True).status("warming up") as status:
        for number in range(rounds + 1):
            for way in run.ways:
                await run.idle()
                seconds = await way.sample()
                if number:
                    way.samples.add(seconds)
            status.update(f"round {number} of {rounds}")
    await run.idle()
    await measure_health(run)


async def measure_health(run: Run) -> None:
    """Ask for `health` again and again while requests stream, from when all of them do."""
    starting, all_stream = list(range(STREAMS)), anyio.Event()

    def streams() -> None:
        starting.pop()
        if not starting:
            all_stream.set()

    async with anyio.create_task_group() as tasks:
        for number in range(STREAMS):
            tasks.start_soon(Conversation(run.client).ask, f"Stream {number}, words=1000 pace=0.02", streams)
        await all_stream.wait()
        for _ in range(HEALTH_ASKED):
            began = perf_counter()
            (await run.http.get(f"{run.root}/health")).raise_for_status()
            run.health.add(perf_counter() - began)
        tasks.cancel_scope.cancel()


def verdicts(run: Run) -> list[Verdict]:
    """What this is for. The share of MCP compares the same `prompt` by both ways in each round, as it is small."""

    def added(key: str) -> float:
        return run.by_key(key).median - run.by_key("control").median

    pairs = zip(run.by_key("mcp_text").seconds, run.by_key("engine").seconds, strict=True)
    cold_spawn = run.by_key("mcp_cold").median / run.by_key("spawn").median
    return [
        Verdict("first text of a new conversation, beyond the control", added("mcp_warm"), 95),
        Verdict("the same in a used process, beyond the control", added("mcp_used"), 95),
        Verdict("next turn, beyond the control", added("next_turn"), 35),
        Verdict("return of a tool's result, beyond the control", added("tool_return"), 35),
        Verdict("history that no process holds, beyond the control", added("cold_history"), 450),
        Verdict("no worker ready, against a process per request", cold_spawn, 1.1, "times"),
        Verdict("share of MCP and HTTP", statistics.median(a - b for a, b in pairs) * 1000, 5),
        Verdict(f"p99 of health while {STREAMS} requests stream", run.health.quantile(0.99), 20),
    ]


def rows(run: Run) -> list[tuple[object, ...]]:
    control, spawn = run.by_key("control").median, run.by_key("spawn").median
    return [
        (
            way.title,
            *(way.samples.median, way.samples.quantile(0.95), way.samples.least),
            f"{way.samples.median - control:+.1f}",
            f"{way.samples.median / spawn:.2f}",
        )
        for way in run.ways
    ]


async def benchmark(rounds: int) -> tuple[Run, Facts]:
    with anyio.fail_after(SETUP_SECONDS + rounds * ROUND_SECONDS):
        async with set_up() as run:
            facts = Facts.now(run.cli_version)
            await measure(run, rounds)
    return run, facts


def main(
    n: Annotated[int, typer.Option("--n", min=1, help="Rounds; each takes some eight seconds.")] = 30,
    file: Annotated[Path | None, typer.Option("--json", help="Also write every sample to this file.")] = None,
) -> None:
    """Measure the time to the first text, by each way to Claude. Needs no login."""
    forget_login()
    interruptible()
    run, facts = anyio.run(benchmark, n)
    judged = verdicts(run)
    columns = ("way", "median", "p95", "min", "added", "of spawn")
    show(table(f"First text, in milliseconds, N = {n}", columns, rows(run)), facts, judged)
    write(file, facts, judged, unit="ms", samples={way.key: way.samples for way in run.ways}, health=run.health)


if __name__ == "__main__":
    typer.run(main)
