"""An HTTP request from the outside: who sent it, and whether its client still waits.

An ASGI middleware marks each request with an event that is set when whatever serves the request is told that the
client has closed the connection. Nothing polls, and nothing else reads the connection.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import anyio
from pydantic_core import from_json
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from claude_max_mcp.background import beside
from claude_max_mcp.errors import InvalidRequest
from claude_max_mcp.messages import Json, is_object
from claude_max_mcp.results import AskResult
from claude_max_mcp.service.service import make_cancelled_result

_DISCONNECTED = "claude_max.disconnected"


class Disconnects:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        event = scope[_DISCONNECTED] = anyio.Event()

        async def receive_watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                event.set()
            return message

        await self._app(scope, receive_watched, send)


Wait: TypeAlias = Callable[[], Awaitable[object]]


def find_disconnect(request: Any) -> Wait | None:
    """What waits until the client of a request that something else reads has gone; None without a connection."""
    event = request.scope.get(_DISCONNECTED) if hasattr(request, "scope") else None
    return event.wait if event is not None else None


async def wait_for_disconnect(request: Request) -> None:
    """Wait until the client of a plain HTTP request, whose body was read, has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def answer_unless_gone(ask: Callable[[], Awaitable[AskResult]], wait: Wait | None) -> AskResult:
    """The result of `ask`; if its client goes first, `ask` is cancelled, and the result says so.

    Args:
        ask: asks.
        wait: returns when the client has gone; None where that cannot be known.
    """
    if wait is None:
        return await ask()
    result = make_cancelled_result()
    with anyio.CancelScope() as scope:
        async with beside(partial(_cancel_after, wait, scope)):
            result = await ask()
    return result


async def _cancel_after(wait: Wait, scope: anyio.CancelScope) -> None:
    await wait()
    scope.cancel()


def read_object(body: bytes, form: str) -> Json:
    """The JSON object in the body of a request.

    Args:
        body: the body.
        form: what the object holds, as the refusal of anything else says it.

    Raises:
        RequestError: `invalid_request`, it is not an object in JSON.
    """
    try:
        value: object = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"The body is not JSON that can be sent on: {error}.") from None
    if not is_object(value):
        raise InvalidRequest(f"The body is an object {form}.")
    return value


Caller: TypeAlias = tuple[str | None, ...]


def identify_caller(request: Any, program: str | None = None) -> Caller:
    """Who asks, as far as turns go: an address, and a program by its own word, in MCP (`program`) and in HTTP.

    That keeps a busy program from holding up another one. It is no protection from one that lies, and needs none: all
    who have the token are the owner's.
    """
    if request is None:
        return (program,)
    return (request.client.host if request.client else None, program, request.headers.get("user-agent"))
