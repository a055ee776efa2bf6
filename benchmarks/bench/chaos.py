"""What goes wrong around a server: it is stopped or killed, its processes die, its disk is full, its clock jumps.

In: a random source. Out: faults, one at a time, until they are told to end; and what was left behind. Linux only, as
only there a process can be looked at and limited from outside. The clock of the machine is nobody's to change: the
server alone sees another, where the library `libfaketime` (Debian's package `faketime`) is installed.
"""

import os
import random
import resource
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from bench.processes import PROC, Server, resident, server, ticks
from claude_max_mcp.background import beside
from claude_max_mcp.front.listener import bind

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

JUMPS = ("+0", "+2d", "-3h", "+40d")
"""What the server's clock may show, beside the machine's."""


SETTLED = 30
"""Looks at what a server holds, a tenth of a second apart."""


@dataclass(eq=False)
class Standing:
    """A server that is started again whenever it has ended, always at the same place.

    Args:
        upstream: where its CLI sends requests.
        home: its home; everything that it leaves is below.
        settings: those of `CLAUDE_MAX_…`.
    """

    upstream: str
    home: Path
    settings: dict[str, object]
    port: int = field(default_factory=lambda: _free_port())
    now: Server | None = None
    """The running server, or None between two."""
    starts: int = 0
    _ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def clock(self) -> Path:
        """The file that says what the server's clock shows."""
        return self.home / "clock"

    @asynccontextmanager
    async def kept_up(self) -> AsyncGenerator[None]:
        """Keep it running for the length of a block."""
        self.clock.write_text(JUMPS[0])
        (self.home / "tmp").mkdir(exist_ok=True)
        async with beside(self._keep_up):
            await self.up()
            yield
            if self.now is not None:
                await self.end(signal.SIGTERM, again=False)

    async def up(self) -> Server:
        """The server, once it runs."""
        while self.now is None:  # noqa: ASYNC110 (it is a process that comes up)
            await anyio.sleep(0.02)
        return self.now

    async def end(self, number: signal.Signals, *, again: bool = True) -> int:
        """End the server by a signal; its exit code."""
        there = await self.up()
        os.kill(there.process.pid, number)
        self.now = None
        code = await there.process.wait()
        if again:
            self._ended.set()
        return code

    async def _keep_up(self) -> None:
        environment = {"TMPDIR": str(self.home / "tmp")}
        if FAKETIME is not None:
            environment |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_NO_CACHE": "1",
                "DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        while True:
            started = server(self.upstream, str(self.home), port=self.port, environment=environment, **self.settings)
            async with started as self.now:
                self.starts += 1
                self._ended = anyio.Event()
                await self._ended.wait()


@dataclass
class Chaos:
    """Faults around a standing server.

    Args:
        there: the server.
        random: decides what happens, and when.
        calm: seconds between two faults, on average.
    """

    there: Standing
    random: random.Random
    calm: float
    did: Counter[str] = field(default_factory=Counter[str])
    ends: bool = True
    """Whether the server itself may end."""

    async def rage(self) -> None:
        """Do one fault after another, for ever."""
        while True:
            await anyio.sleep(self.random.expovariate(1 / self.calm))
            await self._one()

    async def _one(self) -> None:
        fault = self.random.choices(
            ("kill a process", "full disk", "clock", "stop", "kill the server"), (8, 2, 1, self.ends, self.ends)
        )[0]
        match fault:
            case "kill a process":
                if not await self._kill_a_process():
                    return
            case "full disk":
                await self._fill_the_disk()
            case "clock":
                if FAKETIME is None:
                    return
                await anyio.Path(self.there.clock).write_text(self.random.choice(JUMPS))
            case "stop":
                await self.there.end(signal.SIGTERM)
            case _:
                await self.there.end(signal.SIGKILL)
        self.did[fault] += 1

    async def _kill_a_process(self) -> bool:
        now = await self.there.up()
        processes = sorted(ticks(now.process.pid))
        if processes:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(processes), signal.SIGKILL)
        return bool(processes)

    async def _fill_the_disk(self) -> None:
        """For a moment the server cannot write to any file, and what it starts meanwhile never can."""
        pid = (await self.there.up()).process.pid
        with suppress(ProcessLookupError):
            most = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
            try:
                await anyio.sleep(self.random.uniform(0.2, 1.0))
            finally:  # the faults may end in the middle of this one
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


@dataclass(frozen=True)
class Held:
    """What a server holds, beside what each of its processes needs."""

    descriptors: int
    megabytes: float

    @classmethod
    async def settled(cls, there: Server) -> "Held":
        """The least of what it holds within a moment: connections that were given up take one to be closed."""
        seen: list[Held] = []
        for _ in range(SETTLED):
            await anyio.sleep(0.1)
            seen.append(cls.by(there))
        return min(seen, key=lambda held: held.descriptors)

    @classmethod
    def by(cls, there: Server) -> "Held":
        """What it holds at this instant."""
        pid = there.process.pid
        pipes = 3 * len(ticks(pid))
        return cls(len(list((PROC / str(pid) / "fd").iterdir())) - pipes, resident(pid) / 1e6)


def orphans(home: Path) -> list[int]:
    """Processes that were started for a server below `home` and still live."""
    found: list[int] = []
    for process in PROC.glob("[0-9]*"):
        with suppress(OSError):
            if f"{home}/tmp/claude-max-".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def _free_port() -> int:
    with bind("127.0.0.1", 0) as listener:
        return listener.getsockname()[1]
