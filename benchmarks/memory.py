"""What memory the server and its CLI processes take.

In: how many of a kind. Out: a table, and JSON: the server alone, processes blank, after an answer, waiting for a tool's
result, and how many wait when they may only take so much. Linux only: elsewhere nobody tells.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import anyio
import httpx2
import typer

from bench.callers import TOOL, Conversation, connected
from bench.figures import Facts, Verdict, show, table, write
from bench.processes import (
    Idle,
    Server,
    cpu_seconds,
    forget_login,
    interruptible,
    proportional,
    resident,
    server,
    standin,
    ticks,
)

DEADLINE = 300.0
"""Seconds for all of it."""

BUDGET = 400
"""Megabytes that the processes may take in the last part."""


@dataclass
class Measured:
    """Megabytes, and CPU milliseconds a second."""

    watch: float
    """Seconds in which the CPU time of processes that wait is counted."""
    alone: float = 0.0
    parts: dict[str, tuple[int, float, float]] = field(default_factory=dict[str, tuple[int, float, float]])
    """What they do: how many processes, their PSS together, the CPU they take."""
    kept: int = 0
    kept_mb: float = 0.0
    went_on: bool = False
    """Whether a conversation whose process was given up went on all the same."""


async def measure(talks: int, watch: float) -> Measured:
    found = Measured(watch)
    with tempfile.TemporaryDirectory(prefix="claude-max-bench-") as home:
        async with standin(home) as upstream, httpx2.AsyncClient(timeout=30, trust_env=False) as http:
            async with server(upstream, home, warm=0) as there:
                await _health(http, there)
                found.alone = resident(there.process.pid) / 1e6
                await _talking(found, there, talks)
            async with server(upstream, home, warm=talks) as there:
                await _full(http, there, talks)
                found.parts["blank"] = await _taken(there, found.watch)
            async with server(upstream, home, warm=0, memory=BUDGET) as there:
                await _pressed(found, http, there)
    return found


async def _talking(found: Measured, there: Server, talks: int) -> None:
    async with connected(there.mcp) as client:
        for number in range(talks):
            await Conversation(client).ask(f"Number {number}.")
        found.parts["after an answer"] = await _taken(there, found.watch)
        for number in range(talks, 8 + talks):  # these push the others out
            await Conversation(client, {"tools": [TOOL]}).ask(f"Number {number} calls=1")
        found.parts["waiting for a tool's result"] = await _taken(there, found.watch)


async def _pressed(found: Measured, http: httpx2.AsyncClient, there: Server) -> None:
    async with connected(there.mcp) as client:
        first = Conversation(client)
        await first.ask("Number 0.")
        for number in range(1, 8):
            await Conversation(client).ask(f"Number {number}.")
        found.kept = (await _health(http, there))["pool"]["kept"]
        found.kept_mb = (await _taken(there, found.watch))[1]
        await first.ask("And now?")
        found.went_on = len(first.messages) == 4


async def _taken(there: Server, watch: float) -> tuple[int, float, float]:
    """The server's processes once they are idle: how many, their PSS in MB, their CPU time in ms a second."""
    await Idle()()
    before = cpu_seconds(there.process.pid)
    await anyio.sleep(watch)
    spent = (cpu_seconds(there.process.pid) - before) * 1000 / watch
    processes = ticks(there.process.pid)
    return len(processes), sum(map(proportional, processes)) / 1e6, spent


async def _health(http: httpx2.AsyncClient, there: Server) -> dict[str, Any]:
    return (await http.get(f"{there.root}/health")).json()


async def _full(http: httpx2.AsyncClient, there: Server, warm: int) -> None:
    while (await _health(http, there))["pool"]["warm"] < warm:  # noqa: ASYNC110 (a server can only be asked)
        await anyio.sleep(0.05)


def verdicts(found: Measured) -> list[Verdict]:
    return [
        Verdict("memory of the server without any process", found.alone, 80, "MB"),
        Verdict("memory of the processes that may take so much", found.kept_mb, BUDGET * 1.25, "MB"),
        Verdict("conversations lost because their process was given up", not found.went_on, 0, ""),
    ]


def rows(found: Measured) -> list[tuple[object, ...]]:
    each = [(f"processes {name}", count, mb / count, cpu / count) for name, (count, mb, cpu) in found.parts.items()]
    return [("the server alone (RSS)", 1, found.alone, ""), *each]


def main(
    n: Annotated[int, typer.Option("--n", min=1, max=8, help="Processes of a kind.")] = 4,
    watch: Annotated[float, typer.Option(min=0.1, help="Seconds to watch what waiting costs, each time.")] = 5.0,
    file: Annotated[Path | None, typer.Option("--json", help="Also write what was measured to this file.")] = None,
) -> None:
    """Measure what memory the server and its processes take. Needs no login."""
    forget_login()
    interruptible()

    async def benchmark() -> tuple[Measured, Facts]:
        facts = Facts.now()
        with anyio.fail_after(DEADLINE):
            return await measure(n, watch), facts

    found, facts = anyio.run(benchmark)
    judged = verdicts(found)
    further = [
        f"with {BUDGET} MB for them: {found.kept} of 8 conversations keep a process, {found.kept_mb:.0f} MB in all"
    ]
    columns = ("what", "how many", "MB each (PSS)", "CPU ms/s each")
    show(table("Memory, and CPU time while waiting", columns, rows(found)), facts, judged, further)
    write(file, facts, judged, **vars(found))


if __name__ == "__main__":
    typer.run(main)
