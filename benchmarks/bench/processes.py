"""The processes that are measured: the stand-in, a server, CLI processes; and when all of them are idle.

In: environments made from nothing. Out: running children, for the length of a block. Everything is on loopback, no
login of yours is read, and leaving a block ends the child and all that it started.
"""

import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
import httpx2
from anyio.abc import Process

from claude_max_mcp.background import beside

Environment: TypeAlias = Mapping[str, str]

UPSTREAM = Path(__file__).parent / "upstream.py"

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
    async with process(sys.executable, str(UPSTREAM), environment=bare(home), folder=home) as child:
        assert child.stdout is not None
        yield (await _said(child.stdout, until="\n")).strip()


@dataclass(frozen=True)
class Server:
    """A running server: its address without a path, and its process."""

    root: str
    process: Process

    @property
    def mcp(self) -> str:
        """Where MCP is."""
        return f"{self.root}/mcp"


@asynccontextmanager
async def server(
    upstream: str, home: str, *, port: int = 0, environment: Environment | None = None, **settings: object
) -> AsyncGenerator[Server]:
    """A server in a process of its own, as users run it; `settings` are those of `CLAUDE_MAX_…`."""
    chosen = {f"CLAUDE_MAX_{name.upper()}": str(value) for name, value in settings.items()}
    environment = {**bare(home), "CLAUDE_MAX_UPSTREAM_URL": upstream, **chosen, **(environment or {})}
    command = (sys.executable, "-m", "claude_max_mcp", "serve", "--port", str(port))
    async with process(*command, environment=environment, folder=home) as child:
        assert child.stderr is not None
        said = await _said(child.stderr, until="/mcp,")
        async with beside(partial(_drained, child.stderr)):
            yield Server(said.rpartition("/mcp,")[0].rpartition(" ")[2], child)


async def _drained(stream: AsyncIterable[bytes]) -> None:
    """Read what nobody wants to know, so that its writer never waits."""
    async for _ in stream:
        pass


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
        quiet, before = 0, ticks()
        while quiet < QUIET_STEPS:
            await anyio.sleep(STEP)
            now = ticks()
            grown = sum(spent - before.get(pid, 0) for pid, spent in now.items())
            quiet, before = (quiet + 1 if grown <= QUIET_TICKS else 0), now


def cpu_seconds(pid: int, *, children: bool = True) -> float:
    """CPU seconds so far of a process, with those of its children, the dead and the living; 0 without /proc."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    own, dead = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
    living = sum(ticks(pid).values())
    return (own + (dead + living if children else 0)) / os.sysconf("SC_CLK_TCK")


def ticks(ancestor: int | None = None) -> dict[int, int]:
    """The CPU time so far, in clock ticks, of each process that descends from `ancestor`, by default this one."""
    table = {pid: stat for pid, stat in map(_stat, PROC.glob("[0-9]*/stat")) if stat is not None}
    found: dict[int, int] = {}
    parents = {ancestor or os.getpid()}
    while parents:
        children = {pid: spent for pid, (parent, spent) in table.items() if parent in parents}
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


async def served_pool_full(client: httpx2.AsyncClient, root: str) -> bool:
    pool = (await client.get(f"{root}/health")).json()["pool"]
    return pool["warm"] > 0 and pool["starting"] == 0


def interruptible() -> None:
    """Let Ctrl-C and SIGTERM leave the blocks that hold processes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
    signal.signal(signal.SIGTERM, _like_ctrl_c)


def _like_ctrl_c(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


def resident(pid: int) -> int:
    """Bytes of a process that are in memory; 0 where there is no /proc to see it in."""
    return _kilobytes(PROC / str(pid) / "status", "VmRSS") * 1024


def proportional(pid: int) -> int:
    """Bytes of a process that are in memory, those that several share divided among them."""
    return _kilobytes(PROC / str(pid) / "smaps_rollup", "Pss") * 1024


def _kilobytes(file: Path, name: str) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
