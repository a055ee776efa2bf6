"""The client: ask the server, typed, from any program.

In: a prompt or a Messages API conversation. Out: an `AskResult`, or an `Answer` that brings it piece by
piece, or a `ClaudeMaxError`. The only module that knows how MCP reports things.
"""

import functools
import os
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Final, Self, TypeVar, Unpack

import anyio
from mcp import MCPError
from mcp.types import CallToolResult, RequestParamsMeta, TextContent
from pydantic import BaseModel, ValidationError

from ._answer import Answer, Notify, succeeded
from ._connection import REFUSED, Route, Session, over_http
from ._errors import (
    AnswerLost,
    AnswerTimeout,
    ClaudeMaxError,
    ErrorDetail,
    ProtocolError,
    ServerNotRunning,
    TokenRejected,
)
from ._results import AskArguments, AskResult, Health

Result = TypeVar("Result", bound=BaseModel)

DEFAULT_URL: Final = "http://127.0.0.1:47291/mcp"
LONGEST: Final = 3600.0
"""Seconds that the server gives a request at most."""
GRACE: Final = 1.0
"""Seconds beyond the server's own deadline in which its word about it may still arrive."""

_NEVER_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
_WANTS_PROGRESS: Final = RequestParamsMeta(progress_token=0)
"""Over a wire the SDK puts a token of its own here; an embedded server would not see that anybody listens."""
_LOST: Final = frozenset({-32000, -32700})
"""JSON-RPC: the connection was closed; the message is cut off."""


class ClaudeMaxClient:
    """Asks Claude through a claude-max server.

    Entered (`async with`), it keeps one session for all its calls, which may be any number at once; otherwise
    every call opens one. It belongs to one asyncio event loop while it is entered.

    Args:
        url: the server's MCP endpoint; `CLAUDE_MAX_URL` or `http://127.0.0.1:47291/mcp` by default.
        token: what the server asks callers for; `CLAUDE_MAX_TOKEN` by default.
        route: another way to a server than HTTP, as `embedded()` makes one; instead of both.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, route: Route | None = None) -> None:
        self._route = route or server_route(url, token)
        self.url = self._route.address
        self._entered = 0
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self.url!r})"

    async def __aenter__(self) -> Self:
        self._entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        if self._entered == 0 and self._session is not None:
            session, self._session = self._session, None
            await session.aclose()

    async def ask(self, prompt: str | None = None, **arguments: Unpack[AskArguments]) -> AskResult:
        """Ask, and wait for the whole answer.

        Args:
            prompt: text for Claude, taken verbatim; or give `messages`.
            arguments: those of the server's tool `ask_claude`.

        Raises:
            ClaudeMaxError: there is no answer; `code` says why.
        """
        return succeeded(await self._ask(_with_prompt(prompt, arguments)))

    def stream(
        self, prompt: str | None = None, *, idle: float | None = None, **arguments: Unpack[AskArguments]
    ) -> Answer:
        """Ask, and get the answer while it is written: `async with client.stream(…) as answer`.

        Args:
            prompt: text for Claude, taken verbatim; or give `messages`.
            idle: seconds without any piece after which the request is cancelled.
            arguments: those of the server's tool `ask_claude`.
        """
        return Answer(functools.partial(self._ask, _with_prompt(prompt, arguments), idle=idle))

    async def health(self, *, probe: bool = False) -> Health:
        """How the server is; with `probe`, whether Claude really answers (one word of the smallest model).

        Raises:
            ClaudeMaxError: the server cannot say.
        """
        result = await self._call("health", {"probe": probe}, seconds=LONGEST if probe else 10.0)
        return _read(result, Health, url=self.url)

    async def _ask(
        self, arguments: Mapping[str, object], notify: Notify | None = None, *, idle: float | None = None
    ) -> AskResult:
        timeout = arguments.get("timeout")
        seconds = float(timeout) if isinstance(timeout, int | float) else LONGEST
        result = await self._call("ask_claude", arguments, notify=notify, seconds=seconds, idle=idle)
        if result.is_error and result.structured_content is None:
            return AskResult(success=False, error=ErrorDetail(code="internal", message=_text(result)))
        return _read(result, AskResult, url=self.url)

    async def _call(
        self,
        tool: str,
        arguments: Mapping[str, object],
        *,
        seconds: float,
        notify: Notify | None = None,
        idle: float | None = None,
    ) -> CallToolResult:
        end = anyio.current_time() + seconds + GRACE

        def deadline() -> float:
            return end if idle is None else min(end, anyio.current_time() + idle)

        # Nothing is awaited in here: each notification is a task of its own, and this keeps their order.
        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            scope.deadline = deadline()
            if notify and message:
                notify(message)

        with anyio.CancelScope(deadline=deadline()) as scope, _reported(self.url):
            async with self._opened() as session:
                client = await session.client()
                if notify is None:
                    return await client.call_tool(tool, dict(arguments))
                return await client.call_tool(
                    tool, dict(arguments), progress_callback=on_progress, meta=_WANTS_PROGRESS
                )
        raise AnswerTimeout(seconds=seconds, idle=idle)

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[Session]:
        if self._entered or self._route.lasting:
            if self._session is None or not self._session.alive:
                self._session = Session(self._route.connect, lasting=not self._entered)
            yield self._session
            return
        session = Session(self._route.connect)
        try:
            yield session
        finally:
            await session.aclose()


def server_route(url: str | None, token: str | None) -> Route:
    """The route to the server, as given or as the environment says.

    Raises:
        ValueError: the address is no HTTP address.
    """
    return over_http(server_url(url), token or os.environ.get("CLAUDE_MAX_TOKEN") or None)


def server_url(url: str | None) -> str:
    """The address of the server: `url`, or `CLAUDE_MAX_URL`, or the default.

    Raises:
        ValueError: it is no HTTP address.
    """
    address = url or os.environ.get("CLAUDE_MAX_URL") or DEFAULT_URL
    if not address.startswith(("http://", "https://")):
        raise ValueError(f"{address!r} is not the address of a server; it looks like {DEFAULT_URL}")
    return address


def _with_prompt(prompt: str | None, arguments: AskArguments) -> dict[str, object]:
    return {**arguments} if prompt is None else {"prompt": prompt, **arguments}


def _read(result: CallToolResult, kind: type[Result], *, url: str) -> Result:
    try:
        return kind.model_validate(result.structured_content)
    except ValidationError as error:
        raise ProtocolError(url, _text(result) or str(error)) from error


def _text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


@contextmanager
def _reported(url: str) -> Generator[None]:
    """Turn what the MCP client raises into this package's errors."""
    try:
        yield
    except MCPError as error:
        raise _meaning(error, url) from error
    # The result does not match the tool's own schema; or the session came to an end as a whole.
    except (RuntimeError, ValidationError, OSError, ExceptionGroup) as error:
        raise ProtocolError(url, str(error)) from error


def _meaning(error: MCPError, url: str) -> ClaudeMaxError:
    match error.data if error.code == REFUSED else None:
        case {"kind": str(kind)} if kind in _NEVER_SENT:
            return ServerNotRunning(url)
        case {"status": 401 | 403 as status}:
            return TokenRejected(url, status=status)
        case {"kind": "HTTPStatus", "status": int(status)}:
            return ProtocolError(url, f"HTTP {status}: {error.message}", status=status)
        case {"kind": str(kind)}:
            return AnswerLost(f"{kind}: {error.message}")
        case _ if error.code in _LOST:
            return AnswerLost(error.message)
        case _:
            return ProtocolError(url, error.message)
