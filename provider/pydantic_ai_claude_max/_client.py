"""The client: ask the server, typed, from any program.

In: a prompt or a Messages API conversation. Out: an `AskResult`, or an `Answer` that brings it piece by
piece, or a `ClaudeMaxError`. It knows the server's two tools and how long a call may take, not how a server is
reached.
"""

import functools
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self, TypeVar, Unpack

import anyio
from mcp import Client
from mcp.types import CallToolResult, RequestParamsMeta, TextContent
from pydantic import BaseModel, ValidationError

from ._answer import Answer, Notify, require_success
from ._connection import Connection, Route
from ._errors import AnswerTimeout, ErrorDetail, ProtocolError
from ._http import make_http_route
from ._mcp_errors import translating_errors
from ._results import AskArguments, AskResult, Health

Result = TypeVar("Result", bound=BaseModel)

DEFAULT_URL: Final = "http://127.0.0.1:47291/mcp"
"""The address of a server with default settings."""
LONGEST: Final = 3600.0
"""Seconds that the server gives a request at most."""
HEALTH_SECONDS: Final = 10.0
"""Seconds that the tool `health` may take; without `probe` it asks nothing of Claude."""
GRACE: Final = 1.0
"""Seconds beyond the server's own deadline in which its error may still arrive."""

_WANTS_PROGRESS: Final = RequestParamsMeta(progress_token=0)
"""Over HTTP the SDK puts a token of its own here; an embedded server would not see that progress is wanted."""


class ClaudeMaxClient:
    """Asks Claude through a claude-max server.

    Entered (`async with`), it keeps one connection for all its calls, which may be any number at once; otherwise
    every call opens one. It belongs to one asyncio event loop while it is entered.

    Args:
        url: the server's MCP endpoint; `CLAUDE_MAX_URL` or `http://127.0.0.1:47291/mcp` by default.
        token: the token that the server was started with; `CLAUDE_MAX_TOKEN` by default.
        route: another way to a server than HTTP, as `embedded()` makes one; instead of both.

    Raises:
        ValueError: `url` is no HTTP address.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, route: Route | None = None) -> None:
        self._route = route or make_route(url, token)
        self.url = self._route.address
        self._entered = 0
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self.url!r})"

    async def __aenter__(self) -> Self:
        self._entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        if self._entered == 0 and self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.aclose()

    async def ask(self, prompt: str | None = None, **arguments: Unpack[AskArguments]) -> AskResult:
        """Ask, and wait for the whole answer.

        Args:
            prompt: text for Claude, taken verbatim; or give `messages`.
            arguments: those of the server's tool `ask_claude`.

        Raises:
            ClaudeMaxError: there is no answer; `code` says why.
        """
        return require_success(await self._ask(prompt, arguments))

    def stream(
        self, prompt: str | None = None, *, idle: float | None = None, **arguments: Unpack[AskArguments]
    ) -> Answer:
        """Ask, and get the answer while it is written: `async with client.stream(…) as answer`.

        Args:
            prompt: text for Claude, taken verbatim; or give `messages`.
            idle: seconds without any piece after which the request is cancelled.
            arguments: those of the server's tool `ask_claude`.
        """
        return Answer(functools.partial(self._ask, prompt, arguments, idle=idle))

    async def health(self, *, probe: bool = False) -> Health:
        """The state of the server; with `probe`, it asks the smallest model for one word first.

        Raises:
            ClaudeMaxError: the server did not answer.
        """
        result = await self._call_tool("health", {"probe": probe}, seconds=LONGEST if probe else HEALTH_SECONDS)
        return _read_result(result, Health, url=self.url)

    async def _ask(
        self,
        prompt: str | None,
        arguments: AskArguments,
        notify: Notify | None = None,
        *,
        idle: float | None = None,
    ) -> AskResult:
        given = {**arguments} if prompt is None else {"prompt": prompt, **arguments}
        timeout = arguments.get("timeout")
        seconds = float(timeout) if isinstance(timeout, int | float) else LONGEST
        result = await self._call_tool("ask_claude", given, seconds=seconds, notify=notify, idle=idle)
        if result.is_error and result.structured_content is None:
            return AskResult(success=False, error=ErrorDetail(code="internal", message=_join_text(result)))
        return _read_result(result, AskResult, url=self.url)

    async def _call_tool(
        self,
        tool: str,
        arguments: Mapping[str, object],
        *,
        seconds: float,
        notify: Notify | None = None,
        idle: float | None = None,
    ) -> CallToolResult:
        """Call a tool; give up after `seconds` and `GRACE`, or after `idle` seconds without progress."""
        end = anyio.current_time() + seconds + GRACE

        def find_deadline() -> float:
            return end if idle is None else min(end, anyio.current_time() + idle)

        # Nothing is awaited in here: each notification is a task of its own, and this keeps their order.
        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            scope.deadline = find_deadline()
            if notify and message:
                notify(message)

        callback, meta = (None, None) if notify is None else (on_progress, _WANTS_PROGRESS)
        with anyio.CancelScope(deadline=find_deadline()) as scope, translating_errors(self.url):
            async with self._connecting() as client:
                return await client.call_tool(tool, dict(arguments), progress_callback=callback, meta=meta)
        raise AnswerTimeout(seconds=seconds, idle=idle)

    @asynccontextmanager
    async def _connecting(self) -> AsyncGenerator[Client]:
        """An MCP client: that of the connection that is kept, or of one for this block alone."""
        if self._entered or self._route.lasting:
            if self._connection is None or not self._connection.alive:
                self._connection = Connection(self._route.connect, lasting=not self._entered)
            yield await self._connection.get_client()
            return
        connection = Connection(self._route.connect)
        try:
            yield await connection.get_client()
        finally:
            await connection.aclose()


def make_route(url: str | None, token: str | None) -> Route:
    """The route to the server, from the arguments or else from `CLAUDE_MAX_URL` and `CLAUDE_MAX_TOKEN`.

    Raises:
        ValueError: the address is no HTTP address.
    """
    address = url or os.environ.get("CLAUDE_MAX_URL") or DEFAULT_URL
    if not address.startswith(("http://", "https://")):
        raise ValueError(f"{address!r} is not the address of a server; it looks like {DEFAULT_URL}")
    return make_http_route(address, token or os.environ.get("CLAUDE_MAX_TOKEN") or None)


def _read_result(result: CallToolResult, kind: type[Result], *, url: str) -> Result:
    try:
        return kind.model_validate(result.structured_content)
    except ValidationError as error:
        raise ProtocolError(url, _join_text(result) or str(error)) from error


def _join_text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))
