"""A connection to a server: one MCP client, kept open whatever happens to a single request.

In: a `Route`, such as an address and a token make one. Out: a `Connection` whose MCP client any task of the event
loop may use. It does not know how a route reaches its server; over HTTP, `_http` does.
"""

import asyncio
import atexit
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio
from mcp import Client, MCPError

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[Client]]


@dataclass(frozen=True)
class Route:
    """How to reach a server, and its name in messages and telemetry."""

    address: str
    connect: Connect
    lasting: bool = False
    """Whether a connection stays open between the calls of a client that is not entered: where opening one is slow."""


PROTOCOL: Final = "2026-07-28"
"""The MCP revision spoken, pinned: closing a response cancels its request, and there is no session that a restart of
the server could lose."""
CLOSING: Final = 2.0
"""Seconds until a task that does not end is left to the event loop."""


class Connection:
    """An MCP client that a task of its own enters and leaves.

    The client's cancel scopes belong to the task that entered it, but its users come and go in any task, and
    the provider is entered in one and left in another. Hence the owner is a plain asyncio task: no task group
    spans both. It ends by `aclose`, or with its event loop; a `lasting` one also with the process, as `run_sync`
    leaves a loop behind that is never closed.
    """

    def __init__(self, connect: Connect, *, lasting: bool = False) -> None:
        self._opened = anyio.Event()
        self._leave = anyio.Event()
        self._client: Client | None = None
        self._failure: Exception | None = None
        self._lasting = lasting
        self._owner = asyncio.create_task(self._hold(connect))

    def __repr__(self) -> str:
        state = "closed" if not self.alive else "opening" if self._client is None else "open"
        return f"<{type(self).__name__} {state}>"

    @property
    def alive(self) -> bool:
        """Whether the client may still be used."""
        return not self._owner.done()

    async def get_client(self) -> Client:
        """The client, once it is entered.

        Raises:
            MCPError: the server cannot be reached, or does not speak the protocol.
        """
        await self._opened.wait()
        if self._client is None:
            raise self._failure or ConnectionError("the connection is closed")
        return self._client

    async def aclose(self) -> None:
        """Leave the client; requests that are still running are cancelled."""
        self._leave.set()
        await wait_for_end(self._owner)

    async def _hold(self, connect: Connect) -> None:
        try:
            async with connect() as client:
                if await self._list_tools(client):
                    self._client = client
                    self._opened.set()
                    if self._lasting:
                        _close_at_exit(
                            self
                        )  # only now: exit handlers run in reverse, so this closes before its parts do
                    await self._leave.wait()
        except Exception as error:  # whatever ends the client ends this connection, and the next call opens another
            self._failure = error
        finally:
            self._client = None
            self._opened.set()

    async def _list_tools(self, client: Client) -> bool:
        # The client checks results and fills headers by the list of tools, and would ask for it behind the
        # first call. An error must not leave the block that entered the client: task groups would wrap it.
        try:
            await client.list_tools()
        except MCPError as error:
            self._failure = error
            return False
        return True


def _close_at_exit(connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    reference = weakref.ref(connection)

    def close() -> None:
        left = reference()
        if left is not None and left.alive and not loop.is_closed() and not loop.is_running():
            loop.run_until_complete(left.aclose())

    atexit.register(close)


async def wait_for_end(task: asyncio.Task[object]) -> None:
    """Wait for the end of `task`, at most `CLOSING` seconds, however often the caller is cancelled meanwhile.

    `asyncio.wait` passes no cancellation on, as `gather` would: into the request whose own cancellation is
    just on its way to the server.
    """
    with anyio.CancelScope(shield=True):
        await asyncio.wait([task], timeout=CLOSING)
