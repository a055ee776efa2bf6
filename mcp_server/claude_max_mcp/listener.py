"""Serve an ASGI application on a bound socket, for the length of a block.

In: an application, a listening socket, how long running requests may take to end. Out: nothing; leaving the block
stops accepting, lets requests finish for `grace` seconds, cancels the rest. It installs no signal handlers (whoever
owns the process does) and runs no lifespan (whoever opens the block owns what the application uses).
"""

import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import uvicorn

from claude_max_mcp.beside import beside

BACKLOG = 2048
"""Connections that may wait to be accepted."""

STOP_MARGIN = 1.0
"""Seconds beyond `grace` until a server that does not stop is abandoned."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def listening(
    app: Any, listener: socket.socket, *, grace: int = 1, keep_alive: int = 65, log_level: str = "error"
) -> AsyncGenerator[None]:
    """Serve `app` on `listener` until the block is left.

    Args:
        app: the ASGI application.
        listener: a bound socket; it is closed at the end.
        grace: seconds that running requests get to finish; the rest is cancelled.
        keep_alive: seconds that an idle connection stays open.
        log_level: what uvicorn reports.
    """
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level=log_level,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=grace,
            timeout_keep_alive=keep_alive,
        )
    )
    stopped = anyio.Event()

    async def serve() -> None:
        try:
            await server.serve([listener])
        finally:
            stopped.set()

    async with beside(serve):
        try:
            yield
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True), anyio.move_on_after(grace + STOP_MARGIN):
                await stopped.wait()


def bind(host: str, port: int) -> socket.socket:
    """A listening TCP socket on `host`:`port`; port 0 takes a free one.

    Raises:
        OSError: the address is in use or is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named so that asyncio turns Nagle's algorithm off; unnamed, each answer waits some 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
