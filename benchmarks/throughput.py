"""How many requests go through, when many come at once.

In: how many requests at each level. Out: a table, and JSON. Three questions. *Load*: with a model that takes a second
to begin, how near is the rate to what the cost of a process allows? That cost is measured beside it: the CPU time of
a bare process from its start to its answer. *Loops*: agents that call tools in turn, against a process per request.
*Crowd*: far more callers at once than may run: who is answered, who is told `busy`, and is any lost?
"""

import os
import resource
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import anyio
import httpx2
import typer
from mcp import Client

from bench.callers import connected, spawned
from bench.figures import Facts, Samples, Verdict, show, table, write
from bench.processes import (
    Idle,
    Server,
    for_cli,
    forget_login,
    interruptible,
    resident,
    served_pool_full,
    server,
    standin,
)
from claude_max_mcp.results import AskResult

LEVELS = (1, 4, 8, 16)
"""Requests at once."""

WAIT = 1.0
"""Seconds until the model begins."""

AGENTS, CALLS = 8, 10
"""Agents at once, and the calls that each makes in turn: one request more than calls."""

RUNS = ("first run", "second run", "third run")
"""The agents' runs: the first begins in new processes, the others in used ones."""

DEADLINE = 1200.0
"""Seconds for all of it."""


@dataclass
class Level:
    """What one level of load gave."""

    at_once: int
    seconds: float = 0.0
    samples: Samples = field(default_factory=Samples)
    failed: list[str] = field(default_factory=list[str])
    allowed: float = 0.0
    """The rate that the cost of processes allows."""

    @property
    def rate(self) -> float:
        return len(self.samples.seconds) / self.seconds


@dataclass
class Measured:
    """Everything that was measured."""

    cpu: float = 0.0
    """CPU seconds of one process for one request."""
    levels: list[Level] = field(default_factory=list[Level])
    spawned: Level = field(default_factory=lambda: Level(AGENTS))
    loops: list[float] = field(default_factory=list[float])
    """Requests per second of the agents: of their first runs, which begin in new processes, and of two more."""
    crowd: Level = field(default_factory=lambda: Level(0))
    busy: int = 0
    grown: dict[str, float] = field(default_factory=dict[str, float])
    """Megabytes by which client and server grew from the first crowd to the third."""


async def run_level(level: Level, requests: int, ask: Callable[[], Awaitable[str | None]]) -> Level:
    """Keep `at_once` requests running until so many were made; `ask` gives the reason where there is no answer."""
    numbers = iter(range(requests))

    async def worker() -> None:
        for _ in numbers:
            began = perf_counter()
            if (reason := await ask()) is None:
                level.samples.add(perf_counter() - began)
            else:
                level.failed.append(reason)

    began = perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(level.at_once):
            tasks.start_soon(worker)
    level.seconds = perf_counter() - began
    return level


async def through_mcp(client: Client, numbers: "count[int]", wait: float) -> str | None:
    """One request; why it was not answered right, if so."""
    say = f"n{next(numbers)}"
    result = await client.call_tool("ask_claude", {"prompt": f"say={say} wait={wait}"})
    answer = AskResult.model_validate(result.structured_content)
    if answer.error is not None:
        return answer.error.code
    return None if answer.response == f"{say} w0" else f"wrong answer: {answer.response}"


async def cpu_of_a_process(environment: dict[str, str], folder: str, times: int) -> float:
    """CPU seconds that a bare process takes from its start to the end of its answer."""
    await spawned(environment, folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(times):
        await spawned(environment, folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / times


async def loops(url: str, agents: int = AGENTS, calls: int = CALLS) -> float:
    """Agents at once, each with a tool loop of its own; their requests per second."""
    from pydantic_ai import Agent

    from pydantic_ai_claude_max import ClaudeMaxModel, ClaudeMaxProvider

    def step() -> str:
        """Make a step."""
        return "made"

    async with ClaudeMaxProvider(base_url=url) as provider:
        agent = Agent(ClaudeMaxModel("sonnet", provider=provider), tools=[step])

        async def run(number: int) -> None:
            result = await agent.run(f"say=done{number} calls={calls}")
            assert result.output == f"done{number} w0" and result.usage.requests == calls + 1

        began = perf_counter()
        async with anyio.create_task_group() as tasks:
            for number in range(agents):
                tasks.start_soon(run, number)
        return agents * (calls + 1) / (perf_counter() - began)


async def crowd(found: Measured, there: Server, callers: int) -> None:
    """All at once on one client, three times; the memory of both sides after the first time and after the last."""
    numbers = count()
    sizes: list[dict[str, int]] = []
    async with connected(there.mcp) as client:
        for _ in range(3):
            level = await run_level(Level(callers), callers, partial(through_mcp, client, numbers, 0.0))
            found.busy += level.failed.count("busy")
            found.crowd.failed += [reason for reason in level.failed if reason != "busy"]
            found.crowd.samples.seconds += level.samples.seconds
            found.crowd.seconds += level.seconds
            sizes.append({"client": resident(os.getpid()), "server": resident(there.process.pid)})
    found.grown = {side: (sizes[-1][side] - sizes[0][side]) / 1e6 for side in sizes[0]}


async def measure(requests: int, callers: int) -> Measured:
    """Start what is needed, and measure it all."""
    found = Measured(crowd=Level(callers))
    with tempfile.TemporaryDirectory(prefix="claude-max-bench-") as home:
        async with standin(home) as upstream, httpx2.AsyncClient(timeout=30, trust_env=False) as http:
            at_cli = for_cli(upstream, home)
            found.cpu = await cpu_of_a_process(at_cli, home, times=max(2, requests // 6))
            plain = partial(_spawned, at_cli, home)
            found.spawned = await run_level(Level(AGENTS), max(AGENTS, requests // 2), plain)
            async with server(upstream, home, concurrency=max(LEVELS)) as there:
                idle = Idle(partial(served_pool_full, http, there.root))
                await idle()
                async with connected(there.mcp) as client:
                    numbers = count()
                    for at_once in LEVELS:
                        ask = partial(through_mcp, client, numbers, WAIT)
                        level = await run_level(Level(at_once), requests, ask)
                        level.allowed = min(at_once / WAIT, (os.cpu_count() or 1) / found.cpu)
                        found.levels.append(level)
                        await idle()
                for _ in RUNS:
                    found.loops.append(await loops(there.mcp))
            async with server(upstream, home) as there:
                await crowd(found, there, callers)
    return found


async def _spawned(environment: dict[str, str], folder: str) -> None:
    await spawned(environment, folder)


def verdicts(found: Measured) -> list[Verdict]:
    lost = 3 * found.crowd.at_once - found.busy - len(found.crowd.samples.seconds)
    failed = sum(len(level.failed) for level in found.levels) + len(found.crowd.failed)
    return [
        *(
            Verdict(
                f"rate of {level.at_once} at once, of what processes allow", level.rate / level.allowed, 0.9, "", True
            )
            for level in found.levels
        ),
        Verdict("requests that failed", failed, 0, ""),
        *(
            Verdict(f"tool loops, {title}, against spawning", rate / found.spawned.rate, 5, "times", True)
            for title, rate in zip(RUNS, found.loops, strict=True)
        ),
        Verdict(f"callers of {found.crowd.at_once} lost", lost, 0, ""),
        Verdict("longest wait in the crowd", found.crowd.samples.quantile(1.0) / 1000, 30, "s"),
        *(Verdict(f"growth of the {side} by two more crowds", grown, 10, "MB") for side, grown in found.grown.items()),
    ]


def rows(found: Measured) -> list[tuple[object, ...]]:
    def row(title: str, level: Level, allowed: str) -> tuple[object, ...]:
        rate, samples = f"{level.rate:.2f}", level.samples
        return title, rate, allowed, samples.median, samples.quantile(0.95), len(level.failed)

    return [
        *(
            row(f"{level.at_once} at once, model begins after 1 s", level, f"{level.allowed:.2f}")
            for level in found.levels
        ),
        *(
            (f"{AGENTS} agents, {CALLS} calls each, {title}", f"{rate:.2f}", "", "", "", "")
            for title, rate in zip(RUNS, found.loops, strict=True)
        ),
        row(f"spawn: a process per request, {AGENTS} at once", found.spawned, ""),
        row(f"{found.crowd.at_once} at once, three times, 8 run and 32 wait", found.crowd, f"{found.busy} busy"),
    ]


async def benchmark(requests: int, callers: int) -> tuple[Measured, Facts]:
    facts = Facts.now()
    with anyio.fail_after(DEADLINE):
        return await measure(requests, callers), facts


def main(
    n: Annotated[int, typer.Option("--n", min=1, help="Requests at each level.")] = 60,
    callers: Annotated[int, typer.Option("--crowd", min=1, help="Callers at once, where 8 run and 32 wait.")] = 256,
    file: Annotated[Path | None, typer.Option("--json", help="Also write what was measured to this file.")] = None,
) -> None:
    """Measure how many requests go through when many come at once. Needs no login."""
    forget_login()
    interruptible()
    found, facts = anyio.run(benchmark, n, callers)
    judged = verdicts(found)
    columns = ("load", "requests/s", "allowed", "median ms", "p95 ms", "failed")
    further = [f"one process for one request: {found.cpu:.2f} s of CPU"]
    show(table("Throughput", columns, rows(found)), facts, judged, further)
    measured: dict[str, Any] = vars(found)
    write(file, facts, judged, **measured)


if __name__ == "__main__":
    typer.run(main)
