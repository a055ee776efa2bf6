"""Standard input as lines that can be waited for, and no longer waited for.

In: file descriptor 0. Out: its lines. The SDK reads it in a thread, which nothing can end while the client keeps the
other end open: a signal would stop nothing. Here the event loop waits, and a cancellation ends the wait.
"""

import os
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress

import anyio

from claude_max_mcp.lines import split_lines

CHUNK = 65536
"""The most bytes that are read at once."""


@contextmanager
def claimed_stdin() -> Generator[int]:
    """A descriptor of our own for standard input; meanwhile 0 is empty, so that no child reads what is ours."""
    own, empty = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    try:
        yield own
    finally:
        os.dup2(own, 0)
        os.close(own)
        os.close(empty)


async def read_lines(descriptor: int) -> AsyncGenerator[str]:
    """The lines of a descriptor until its end."""
    async for line in split_lines(_read_chunks(descriptor)):
        yield line.decode(errors="replace")


async def _read_chunks(descriptor: int) -> AsyncGenerator[bytes]:
    while True:
        with suppress(PermissionError):  # a regular file: always readable
            await anyio.wait_readable(descriptor)
        if not (chunk := os.read(descriptor, CHUNK)):
            return
        yield chunk
