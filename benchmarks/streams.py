"""Many answers that stream at once: does every word arrive, in order, and how late?

In: how many streams, words each, words a second. Out: a table, and JSON. The stand-in writes into each word when it
sent it, on the clock that all processes of a machine share; this program reads that clock when the word has come. What
a word waits because words are joined into at most 20 messages a second is allowed for; the rest is lateness. The
streams begin when all of them are there, so that no process starts while others stream.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import anyio
import typer
from mcp import Client

from bench.callers import connected
from bench.figures import Facts, Samples, Verdict, show, table, write
from bench.processes import Server, cpu_seconds, forget_login, interruptible, server, standin
from claude_max_mcp.front.progress import DELTA_INTERVAL
from claude_max_mcp.results import AskResult

ROUNDS = ("new processes", "used processes")
"""Each streams twice: a process that has streamed before takes half the CPU time for it."""

DEADLINE = 600.0
"""Seconds for all of it."""


@dataclass
class Stream:
    """One answer, as it came."""

    heard: str = ""
    whole: str = ""
    error: str | None = None
    lateness: list[float] = field(default_factory=list[float])

    def hear(self, text: str) -> None:
        """Take what has come, and compare the time written into each word with the time now."""
        now = monotonic()
        said = [(number, float(sent)) for number, _, sent in (word.partition("@") for word in text.split())]
        self.heard += text
        self.lateness += [now - sent for number, sent in said if number != "0"]

    @property
    def numbers(self) -> list[int]:
        return [int(word.partition("@")[0]) for word in self.heard.split()]


@dataclass
class Measured:
    """What was measured, and what it took."""

    words: int
    streams: list[Stream]
    cpu: dict[str, float]
    """CPU seconds of the server and of its CLI processes, from the first word on."""

    @property
    def lateness(self) -> Samples:
        return Samples([late for stream in self.streams for late in stream.lateness])

    def wrong(self) -> int:
        """Streams in which a word is missing, out of order, or other than in the whole answer."""
        right = list(range(self.words))
        return sum(stream.numbers != right or stream.heard != stream.whole for stream in self.streams)


async def read(client: Client, prompt: str, on_word: Callable[[], object]) -> Stream:
    stream = Stream()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        on_word()
        stream.hear(message or "")

    result = await client.call_tool("ask_claude", {"prompt": prompt}, progress_callback=on_progress)
    answer = AskResult.model_validate(result.structured_content)
    stream.whole, stream.error = answer.response, answer.error.code if answer.error else None
    return stream


async def measure(streams: int, words: int, rate: float) -> list[Measured]:
    """Let them all stream at once, in processes that were just started, and once more in the same ones."""
    prompt = f"stamped={words} pace={1 / rate} together={streams}"
    with tempfile.TemporaryDirectory(prefix="claude-max-bench-") as home:
        async with (
            standin(home) as upstream,
            server(upstream, home, concurrency=streams, queue=0) as there,
            connected(there.mcp) as client,
        ):
            return [await at_once(there, client, prompt, streams, words) for _ in ROUNDS]


async def at_once(there: Server, client: Client, prompt: str, streams: int, words: int) -> Measured:
    found: list[Stream] = []
    before: dict[str, float] = {}

    def on_word() -> None:
        if not before:
            before.update(cpu(there))

    async def one(number: int) -> None:
        found.append(await read(client, f"Stream {number}. {prompt}", on_word))

    async with anyio.create_task_group() as tasks:
        for number in range(streams):
            tasks.start_soon(one, number)
    return Measured(words, found, {name: seconds - before[name] for name, seconds in cpu(there).items()})


def cpu(there: Server) -> dict[str, float]:
    whole = cpu_seconds(there.process.pid)
    alone = cpu_seconds(there.process.pid, children=False)
    return {"server": alone, "CLI processes": whole - alone}


def verdicts(found: Measured, title: str) -> list[Verdict]:
    beyond = found.lateness.quantile(0.99) - DELTA_INTERVAL * 1000
    failed = sum(stream.error is not None for stream in found.streams)
    return [
        Verdict(f"{title}: streams that failed", failed, 0, ""),
        Verdict(f"{title}: streams with a word lost, doubled or out of order", found.wrong(), 0, ""),
        Verdict(f"{title}: p99 of lateness beyond the window in which words are joined", beyond, 150),
    ]


def row(found: Measured, title: str) -> tuple[object, ...]:
    late, thousands = found.lateness, found.words * len(found.streams) / 1000
    spent = (f"{seconds / thousands:.2f}" for seconds in found.cpu.values())
    return title, late.median, late.quantile(0.95), late.quantile(0.99), late.quantile(1.0), *spent


def main(
    n: Annotated[int, typer.Option("--n", min=1, help="Streams at once.")] = 64,
    words: Annotated[int, typer.Option(min=1, help="Words in each.")] = 500,
    rate: Annotated[float, typer.Option(min=0.1, help="Words a second in each.")] = 50.0,
    file: Annotated[Path | None, typer.Option("--json", help="Also write what was measured to this file.")] = None,
) -> None:
    """Measure how many answers that stream at once keep up. Needs no login."""
    forget_login()
    interruptible()

    async def benchmark() -> tuple[list[Measured], Facts]:
        facts = Facts.now()
        with anyio.fail_after(DEADLINE):
            return await measure(n, words, rate), facts

    found, facts = anyio.run(benchmark)
    rounds = dict(zip(ROUNDS, found, strict=True))
    judged = [verdict for title, one in rounds.items() for verdict in verdicts(one, title)]
    cores = rounds[ROUNDS[-1]].cpu["CLI processes"] / words * rate
    columns = (
        "lateness of a word, ms",
        "median",
        "p95",
        "p99",
        "max",
        "server, CPU s for 1,000 words",
        "CLI, the same",
    )
    show(
        table(f"{n} streams of {rate:g} words a second", columns, [row(one, title) for title, one in rounds.items()]),
        facts,
        judged,
        [f"the CLI alone kept {cores:.1f} of {os.cpu_count()} cores busy for each second of the used processes' words"],
    )
    measured: dict[str, Any] = {
        title: {"cpu_seconds": one.cpu, "lateness_ms": one.lateness} for title, one in rounds.items()
    }
    write(file, facts, judged, streams=n, words=words, rounds=measured)


if __name__ == "__main__":
    typer.run(main)
