"""The way to the server: one MCP client, kept alive whatever happens to a single request.

In: a `Route`, such as an address and a token make one. Out: a `Session` whose MCP client any task of the event loop
may use. The only module that knows httpx2's transports. It resends a request only while connecting, when the server
cannot have seen it.
"""

import asyncio
import atexit
import functools
import json
import os
import ssl
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[Client]]


@dataclass(frozen=True)
class Route:
    """How to reach a server, and what it is called in messages and telemetry."""

    address: str
    connect: Connect
    lasting: bool = False
    """Whether a session stays open between the calls of a client that nobody entered: where opening one is dear."""


PROTOCOL: Final = "2026-07-28"
"""Pinned: closing a response cancels its request, and there is no session that a restart of the server could
lose."""
REFUSED: Final = -32010
"""The JSON-RPC code of the errors that `Guard` makes; their `data` has `kind` and `status`."""
CLOSING: Final = 2.0
"""Seconds until a session that does not end is left to the event loop."""

# A call is one connection for its whole length, and waits for no other; the server closes an idle one after
# 65 s, so one that is reused before 30 s cannot be closed by the server in the very moment in which a request
# is written to it.
_LIMITS: Final = httpx2.Limits(max_connections=1024, max_keepalive_connections=64, keepalive_expiry=30)
# The server writes at least every 15 s.
_TIMEOUT: Final = httpx2.Timeout(connect=5, read=45, write=45, pool=None)


class Guard(httpx2.AsyncBaseTransport):
    """Turn what goes wrong with one request into that request's JSON-RPC error.

    The MCP client lets a transport error end all of its requests, whichever had it.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._inner.handle_async_request(request)
            if response.status_code < 400 and not _is_json(response):
                return response
            # Read here, where a body that breaks off is still this request's error alone.
            body = await response.aread()
        except httpx2.TransportError as error:
            return _refusal(type(error).__name__, 503, str(error))
        if response.status_code < 400 or (response.status_code not in (401, 403) and _is_jsonrpc(body)):
            return httpx2.Response(response.status_code, headers=_JSON, content=body)
        return _refusal("HTTPStatus", response.status_code, body[:500].decode(errors="replace"))

    async def aclose(self) -> None:
        await self._inner.aclose()


_JSON: Final = {"content-type": "application/json"}


def _is_json(response: httpx2.Response) -> bool:
    return response.headers.get("content-type", "").lower().startswith("application/json")


def _is_jsonrpc(body: bytes) -> bool:
    try:
        return "jsonrpc" in json.loads(body)
    except (ValueError, TypeError):
        return False


def _refusal(kind: str, status: int, message: str) -> httpx2.Response:
    error = {"code": REFUSED, "message": message or kind, "data": {"kind": kind, "status": status}}
    return httpx2.Response(status, json={"jsonrpc": "2.0", "id": None, "error": error})


@functools.cache
def _tls(scheme: str) -> ssl.SSLContext:
    # Loading the certificate authorities takes 25 ms, so it happens once, and never for plain HTTP.
    return httpx2.create_ssl_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _http_client(url: str, token: str | None) -> httpx2.AsyncClient:
    transport = httpx2.AsyncHTTPTransport(
        verify=_tls(httpx2.URL(url).scheme),
        limits=_LIMITS,
        retries=2,  # of connecting only: at once and after half a second, while a server restarts
    )
    # Two programs are told apart by it: where requests have to wait, the server lets them take turns.
    program = {"user-agent": f"pydantic-ai-claude-max (process {os.getpid()})"}
    return httpx2.AsyncClient(
        transport=Guard(transport),
        headers=program | ({"authorization": f"Bearer {token}"} if token else {}),
        timeout=_TIMEOUT,
        trust_env=False,  # proxies of the environment would be mounted beside the guard
    )


def over_http(url: str, token: str | None) -> Route:
    """The route to the server at `url`."""
    return Route(url, functools.partial(_connected, url, token))


@asynccontextmanager
async def _connected(url: str, token: str | None) -> AsyncGenerator[Client]:
    """An MCP client of the server at `url`. Nothing is sent yet."""
    async with (
        _http_client(url, token) as http,
        Client(streamable_http_client(url, http_client=http, max_sse_event_size=None), mode=PROTOCOL) as client,
    ):
        yield client


class Session:
    """An MCP client that a task of its own enters and leaves.

    The client's cancel scopes belong to the task that entered it, but its users come and go in any task, and
    the provider is entered in one and left in another. Hence the owner is a plain asyncio task: no task group
    spans both. It ends by `aclose`, or with its event loop; a `lasting` one also with the process, as `run_sync`
    leaves a loop behind that nobody closes.
    """

    def __init__(self, connect: Connect, *, lasting: bool = False) -> None:
        self._opened = anyio.Event()
        self._leave = anyio.Event()
        self._client: Client | None = None
        self._failure: Exception | None = None
        self._lasting = lasting
        self._owner = asyncio.create_task(self._own(connect))

    @property
    def alive(self) -> bool:
        """Whether the client may still be used."""
        return not self._owner.done()

    async def client(self) -> Client:
        """The client, once it is entered.

        Raises:
            MCPError: the server cannot be reached, or does not speak the protocol.
        """
        await self._opened.wait()
        if self._client is None:
            raise self._failure or ConnectionError("the session is closed")
        return self._client

    async def aclose(self) -> None:
        """Leave the client; requests that are still running are cancelled."""
        self._leave.set()
        await wound_down(self._owner)

    async def _own(self, connect: Connect) -> None:
        try:
            async with connect() as client:
                if await self._listed(client):
                    self._client = client
                    self._opened.set()
                    if self._lasting:
                        _close_at_exit(self)  # only now: what was opened first is to be closed last
                    await self._leave.wait()
        except Exception as error:  # whatever ends the client ends this session, and the next call opens another
            self._failure = error
        finally:
            self._client = None
            self._opened.set()

    async def _listed(self, client: Client) -> bool:
        # The client checks results and fills headers by the list of tools, and would ask for it behind the
        # first call. An error must not leave the block that entered the client: task groups would wrap it.
        try:
            await client.list_tools()
        except MCPError as error:
            self._failure = error
            return False
        return True


def _close_at_exit(session: Session) -> None:
    loop = asyncio.get_running_loop()
    reference = weakref.ref(session)

    def close() -> None:
        left = reference()
        if left is not None and left.alive and not loop.is_closed() and not loop.is_running():
            loop.run_until_complete(left.aclose())

    atexit.register(close)


async def wound_down(task: asyncio.Task[object]) -> None:
    """Wait for the end of `task`, however often the caller is cancelled meanwhile, but not for long.

    `asyncio.wait` passes no cancellation on, as `gather` would: into the request whose own cancellation is
    just on its way to the server.
    """
    with anyio.CancelScope(shield=True):
        await asyncio.wait([task], timeout=CLOSING)
