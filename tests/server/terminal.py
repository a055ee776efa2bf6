"""The real program in a terminal of its own."""

import os
import pty
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process

from tests.server.program import PROGRAM, surroundings


@dataclass
class Terminal:
    """A process in a terminal of its own."""

    process: Process
    screen: int

    async def shows(self, text: str) -> str:
        """All that comes to the screen until `text` does: words may be placed by control sequences, not by spaces."""
        seen = b""
        with anyio.fail_after(60):
            while text not in seen.decode(errors="replace"):
                await anyio.wait_readable(self.screen)
                seen += os.read(self.screen, 65536)
        return seen.decode(errors="replace")

    def facts(self, name: str) -> list[str]:
        """`cmdline` or `environ` of the process, part by part."""
        return Path(f"/proc/{self.process.pid}/{name}").read_text().rstrip("\0").split("\0")

    async def ended(self) -> int:
        with anyio.fail_after(60):
            return await self.process.wait()


@asynccontextmanager
async def in_a_terminal(home: Path, *arguments: str, **environment: str) -> AsyncGenerator[Terminal]:
    """The program with a terminal for standard input, output and error; what is left of it is killed."""
    screen, keyboard = pty.openpty()
    try:
        process = await anyio.open_process(
            [*PROGRAM, *arguments],
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            env=surroundings(home, TERM="xterm-256color", **environment),
            cwd=home,
            start_new_session=True,
        )
    finally:
        os.close(keyboard)
    try:
        yield Terminal(process, screen)
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
        os.close(screen)
