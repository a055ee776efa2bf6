"""What it costs that any server may get any request: tool loops at one server, and behind nginx at one and at two.

In: how many agents at once, how many calls each, how often. Out: a table, and JSON. With two servers in turn, the next
request of a loop comes to the one that does not hold its process, so it starts from its history; that is measured
against the process per request that everybody else pays for. All is on this machine, so two servers have no more cores
than one: what the table shows is the cost alone, and nothing of what a second machine brings.
"""

import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import anyio
import httpx2
import typer

from bench.callers import spawned
from bench.figures import Facts, Verdict, show, table, write
from bench.processes import (
    Idle,
    Server,
    cpu_seconds,
    for_cli,
    forget_login,
    interruptible,
    proportional,
    served_pool_full,
    server,
    standin,
    ticks,
)
from bench.proxy import MISSING, in_front_of, installed
from throughput import AGENTS, CALLS, Level, loops, run_level

DEADLINE = 1800.0
"""Seconds for all of it."""


@dataclass
class Way:
    """One way to the servers, and what loops took on it, once for each round."""

    title: str
    servers: int
    proxy: bool
    rates: list[float] = field(default_factory=list[float])
    """Requests per second."""
    cpu: list[float] = field(default_factory=list[float])
    """CPU seconds of a request, in servers and processes."""
    shares: list[float] = field(default_factory=list[float])
    """The part that the less busy server has in that."""
    left: list[float] = field(default_factory=list[float])
    """Megabytes of the processes that are there afterwards."""


@dataclass
class Measured:
    """Everything that was measured."""

    spawned: list[float] = field(default_factory=list[float])
    """Requests per second of a process per request, as many at once as there are agents."""
    ways: list[Way] = field(
        default_factory=lambda: [
            Way("one server", 1, proxy=False),
            Way("nginx, one server", 1, proxy=True),
            Way("nginx, two servers in turn", 2, proxy=True),
        ]
    )


@asynccontextmanager
async def reached(way: Way, upstream: str, home: str, agents: int) -> AsyncGenerator[tuple[list[Server], str]]:
    """The servers of a way, idle, and the address at which they are asked."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=30, trust_env=False))
        started = [server(upstream, home, concurrency=agents) for _ in range(way.servers)]
        servers = [await stack.enter_async_context(one) for one in started]
        address = servers[0].root
        if way.proxy:
            address = await stack.enter_async_context(in_front_of(*(one.root for one in servers)))
        await Idle(*(partial(served_pool_full, http, one.root) for one in servers))()
        yield servers, f"{address}/mcp"


async def go(way: Way, upstream: str, home: str, agents: int, calls: int) -> None:
    """Run the loops once on this way."""
    async with reached(way, upstream, home, agents) as (servers, url):
        before = [cpu_seconds(one.process.pid) for one in servers]
        way.rates.append(await loops(url, agents, calls))
        spent = [cpu_seconds(one.process.pid) - at for one, at in zip(servers, before, strict=True)]
        way.cpu.append(sum(spent) / (agents * (calls + 1)))
        way.shares.append(min(spent) / (sum(spent) or 1))
        processes = {pid for one in servers for pid in ticks(one.process.pid)}
        way.left.append(sum(map(proportional, processes)) / 1e6)


async def measure(rounds: int, agents: int, calls: int) -> Measured:
    """Go all ways in turn, so often."""
    found = Measured()
    with tempfile.TemporaryDirectory(prefix="claude-max-bench-") as home:
        async with standin(home) as upstream:
            for _ in range(rounds):
                level = await run_level(Level(agents), 2 * agents, partial(_spawned, for_cli(upstream, home), home))
                found.spawned.append(level.rate)
                for way in found.ways:
                    await go(way, upstream, home, agents, calls)
    return found


async def _spawned(environment: dict[str, str], folder: str) -> None:
    await spawned(environment, folder)


def against(rates: Sequence[float], control: Sequence[float]) -> float:
    """The median of the ratios within each round, in which both met the same neighbours on the machine."""
    return median(rate / beside for rate, beside in zip(rates, control, strict=True))


def verdicts(found: Measured) -> list[Verdict]:
    alone, behind, in_turn = found.ways
    through, cold = against(behind.rates, alone.rates), against(in_turn.rates, found.spawned)
    return [
        Verdict("nginx before one server, requests/s of those without it", through, 0.9, "", True),
        Verdict("two servers in turn, requests/s against spawning", cold, 0.8, "times", True),
        Verdict("two servers in turn, part of the less busy one", median(in_turn.shares), 0.25, "", True),
    ]


def rows(found: Measured) -> Iterator[tuple[object, ...]]:
    control = found.ways[0].rates
    for way in found.ways:
        cost = f"{median(way.cpu) * 1000:.0f}", f"{median(way.left):.0f}"
        yield way.title, f"{median(way.rates):.2f}", f"{against(way.rates, control):.2f}", *cost
    spawning = f"{median(found.spawned):.2f}", f"{against(found.spawned, control):.2f}"
    yield "spawn: a process per request", *spawning, "", ""


async def benchmark(rounds: int, agents: int, calls: int) -> Measured:
    with anyio.fail_after(DEADLINE):
        return await measure(rounds, agents, calls)


def main(
    n: Annotated[int, typer.Option("--n", min=1, help="Rounds; medians are shown.")] = 3,
    agents: Annotated[int, typer.Option(min=1, help="Agents at once.")] = AGENTS,
    calls: Annotated[int, typer.Option(min=1, help="Calls of a tool that each makes in turn.")] = CALLS,
    file: Annotated[Path | None, typer.Option("--json", help="Also write what was measured to this file.")] = None,
) -> None:
    """Measure what it costs that any server may get any request. Needs nginx, and no login."""
    forget_login()
    interruptible()
    facts = Facts.now()
    if installed() is None:
        print(f"Nothing was measured, as {MISSING}.")
        write(file, facts, [])
        return
    found = anyio.run(benchmark, n, agents, calls)
    judged = verdicts(found)
    columns = (f"{agents} agents, {calls} calls each", "requests/s", "of one server", "CPU ms each", "MB afterwards")
    show(table("Replicas", columns, rows(found)), facts, judged)
    measured: dict[str, Any] = vars(found)
    write(file, facts, judged, **measured)


if __name__ == "__main__":
    typer.run(main)
