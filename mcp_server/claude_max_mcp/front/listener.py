"""Serve an ASGI application on a bound socket, for the length of a block.

In: an application, a listening socket, how long running requests may take to end. Out: nothing; leaving the block
stops accepting, lets requests finish for `grace` seconds, cancels the rest. It installs no signal handlers (whoever
owns the process does) and runs no lifespan (whoever opens the block owns what the application uses).

A peer that opens a connection and sends nothing, or a request that never gets whole, or reads no answer, is given up;
and there is a limit on how many connections there are, beyond which idle ones make room. Nobody needs to be let in to
be held to that.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from claude_max_mcp.background import beside

BACKLOG = 2048
"""Connections that may wait to be accepted."""

STOP_MARGIN = 1.0
"""Seconds beyond `grace` until a server that does not stop is abandoned."""


PATIENCE = 35.0
"""Seconds that a peer has for the head of a request, and again for its body."""

UNREAD = 300.0
"""Seconds that a peer may leave its answer unread once no more of it can be sent."""

CONNECTIONS = 800
"""Connections that there may be at once; many systems allow a process 1024 open files, and each CLI needs some."""


class Connection(H11Protocol):
    """A connection whose peer has to get on with its request.

    uvicorn by itself waits for ever for a head, and for a body, that do not come. The parser is h11 whatever else is
    installed: its limit on the size of a head is the one that is tested.
    """

    patience = PATIENCE
    unread = UNREAD
    most = CONNECTIONS
    _owed: Any = None
    _deadline: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most and not self._make_room():
            transport.abort()
        else:
            self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(self.unread, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        if self._stuck is not None:
            self._stuck.cancel()
        super().connection_lost(exc)

    def _make_room(self) -> bool:
        """End a connection on which nothing is asked; whether there was one."""
        idle = (other for other in self.connections if other is not self and _is_idle(other))
        if (one := next(idle, None)) is None:
            return False
        one.transport.abort()
        return True

    def _expect(self) -> None:
        """Set a deadline for what the peer still has to send, once for each part of a request."""
        owed = self.conn.their_state
        if owed is self._owed:
            return
        self._forget()
        self._owed = owed
        if owed in (h11.IDLE, h11.SEND_BODY):
            self._deadline = self.loop.call_later(self.patience, self.transport.abort)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()


def _is_idle(connection: Any) -> bool:
    return isinstance(connection, Connection) and connection.conn.their_state is h11.IDLE


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def listening(
    app: Any,
    listener: socket.socket,
    *,
    grace: int = 1,
    keep_alive: int = 65,
    log_level: str = "error",
    connection: type[Connection] = Connection,
) -> AsyncGenerator[None]:
    """Serve `app` on `listener` until the block is left.

    Args:
        app: the ASGI application.
        listener: a bound socket; it is closed at the end.
        grace: seconds that running requests get to finish; the rest is cancelled.
        keep_alive: seconds that an idle connection stays open.
        log_level: what uvicorn reports.
        connection: how long a peer may take, and how many there may be.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=connection,
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
