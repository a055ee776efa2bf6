"""Standard input as lines that can be waited for, and no longer waited for.

In: file descriptor 0. Out: its lines. The SDK reads it in a thread, which nothing can end while the client keeps the
other end open: a signal would stop nothing. Here the event loop waits, and a cancellation ends the wait.
"""

import os
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress

import anyio

CHUNK = 65536


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


async def lines(descriptor: int) -> AsyncGenerator[str]:
    """The lines of a descriptor until its end."""
    rest = b""
    while True:
        with suppress(PermissionError):  # a regular file: always readable
            await anyio.wait_readable(descriptor)
        chunk = os.read(descriptor, CHUNK)
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
        if not chunk:
            if rest:
                yield rest.decode(errors="replace")
            return
