"""Know when the client of a request has closed the connection.

An ASGI middleware: it marks each request with an event that is set when whatever serves the request is told of the
disconnect. Nothing polls, and nothing else reads the connection.
"""

from typing import Any, TypeAlias

import anyio
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY = "claude_max.gone"


class Disconnects:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        event = scope[_KEY] = anyio.Event()

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                event.set()
            return message

        await self._app(scope, watched, send)


async def cancel_when_gone(request: Request, answering: anyio.CancelScope) -> None:
    """Wait until the client of a plain HTTP request has closed the connection, and cancel what answers it."""
    event = gone(request)
    while event is not None and not event.is_set():
        await request.receive()
    answering.cancel()


def gone(request: Any) -> anyio.Event | None:
    """The event of a request; None where there is no connection of its own, as over stdio."""
    return request.scope.get(_KEY) if hasattr(request, "scope") else None


Caller: TypeAlias = tuple[str | None, ...]


def caller_of(request: Any, program: str | None = None) -> Caller:
    """Who asks, as far as turns go: an address, and a program by its own word, in MCP (`program`) and in HTTP.

    That keeps a busy program from holding up another one. It is no protection from one that lies, and needs none: all
    who are let in are the owner's.
    """
    if request is None:
        return (program,)
    return (request.client.host if request.client else None, program, request.headers.get("user-agent"))
