"""The real program in a process of its own, with a complete environment of its own."""

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process

from tests.house import MEASURED, PATH

PROGRAM = [sys.executable, "-m", "claude_max_mcp"]


def surroundings(home: Path, **extra: str) -> dict[str, str]:
    """A complete environment, with a temporary folder in which everything that is left can be seen."""
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    common = {"PATH": PATH, "HOME": str(home), "LANG": "C.UTF-8", "TMPDIR": str(home / "tmp")}
    return {**common, **MEASURED, "CLAUDE_MAX_WARM": "0", **extra}


def left_behind(home: Path) -> list[str]:
    """Our own leavings; the CLI has a folder of its own, which it shares with every other one."""
    return [path.name for path in (home / "tmp").glob("claude-max-*")]


@dataclass
class Server:
    """A serving process and its first line."""

    process: Process
    first_line: str

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return re.findall(r"http://[^/ ]+", self.first_line)[0]

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]

    async def ended(self) -> int:
        with anyio.fail_after(60):
            return await self.process.wait()


@asynccontextmanager
async def serving(home: Path, *arguments: str, **environment: str) -> AsyncGenerator[Server]:
    """A serving process on a free port, from the line on that says where; what is left of it is killed."""
    command = [*PROGRAM, "serve", "--port", "0", *arguments]
    process = await anyio.open_process(command, env=surroundings(home, **environment), cwd=home)
    assert process.stderr
    try:
        said = b""
        with anyio.fail_after(60):
            while b"\n" not in said.partition(b" serves MCP ")[2]:
                said += await process.stderr.receive()
        yield Server(process, next(line for line in said.decode().splitlines(True) if " serves MCP " in line))
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def run(home: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the program to its end: exit code, standard output, standard error."""
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [*PROGRAM, *arguments], env=surroundings(home, **environment), cwd=home, check=False
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()
