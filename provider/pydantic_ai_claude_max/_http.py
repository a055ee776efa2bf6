"""The route to a server over HTTP.

In: an address and a token. Out: a `Route`. The only module that knows httpx2's transports. It resends a request only
while connecting, when the server cannot have seen it. A failure of one request does not touch the others.
"""

import functools
import json
import os
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from ._connection import PROTOCOL, Route

REFUSED: Final = -32010
"""The JSON-RPC code of the errors that `Guard` makes; their `data` has `kind` and `status`."""

# A call is one HTTP connection for its whole length, and waits for no other; the server closes an idle one after
# 65 s, so one that is reused before 30 s cannot be closed by the server in the very moment in which a request
# is written to it.
LIMITS: Final = httpx2.Limits(max_connections=1024, max_keepalive_connections=64, keepalive_expiry=30)
# The server writes at least every 15 s.
TIMEOUT: Final = httpx2.Timeout(connect=5, read=45, write=45, pool=None)
_JSON: Final = {"content-type": "application/json"}


def make_http_route(url: str, token: str | None) -> Route:
    """The route to the server at `url`, with `token` as `Authorization: Bearer …`."""
    return Route(url, functools.partial(_connecting, url, token))


@asynccontextmanager
async def _connecting(url: str, token: str | None) -> AsyncGenerator[Client]:
    """An MCP client of the server at `url`. Nothing is sent yet."""
    async with (
        _make_http_client(url, token) as http,
        Client(streamable_http_client(url, http_client=http, max_sse_event_size=None), mode=PROTOCOL) as client,
    ):
        yield client


def _make_http_client(url: str, token: str | None) -> httpx2.AsyncClient:
    transport = httpx2.AsyncHTTPTransport(
        verify=_load_tls(httpx2.URL(url).scheme),
        limits=LIMITS,
        retries=2,  # of connecting only: at once and after half a second, while a server restarts
    )
    # It distinguishes this program from others: where requests have to wait, the server serves programs in turn.
    program = {"user-agent": f"pydantic-ai-claude-max (process {os.getpid()})"}
    return httpx2.AsyncClient(
        transport=Guard(transport),
        headers=program | ({"authorization": f"Bearer {token}"} if token else {}),
        timeout=TIMEOUT,
        trust_env=False,  # proxies of the environment would be mounted beside the guard
    )


@functools.cache
def _load_tls(scheme: str) -> ssl.SSLContext:
    # Loading the certificate authorities takes 25 ms, so it happens once, and never for plain HTTP.
    return httpx2.create_ssl_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Guard(httpx2.AsyncBaseTransport):
    """Turns a transport error of a request into that request's JSON-RPC error.

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
            return _make_refusal(type(error).__name__, 503, str(error))
        if response.status_code < 400 or (response.status_code not in (401, 403) and _is_jsonrpc(body)):
            return httpx2.Response(response.status_code, headers=_JSON, content=body)
        return _make_refusal("HTTPStatus", response.status_code, body[:500].decode(errors="replace"))

    async def aclose(self) -> None:
        await self._inner.aclose()


def _is_json(response: httpx2.Response) -> bool:
    return response.headers.get("content-type", "").lower().startswith("application/json")


def _is_jsonrpc(body: bytes) -> bool:
    try:
        return "jsonrpc" in json.loads(body)
    except (ValueError, TypeError):
        return False


def _make_refusal(kind: str, status: int, message: str) -> httpx2.Response:
    error = {"code": REFUSED, "message": message or kind, "data": {"kind": kind, "status": status}}
    return httpx2.Response(status, json={"jsonrpc": "2.0", "id": None, "error": error})
