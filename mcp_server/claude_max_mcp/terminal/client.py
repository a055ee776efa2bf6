"""A client of a running server, for the command line: one question, or its health, over MCP.

In: where the server is and the token. Out: results as `wire` has them, and on the way the raw stream events. Programs
use the provider's client, which does much more; this one makes one call and ends.
"""

import json
from collections.abc import Callable

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.messages import Json
from claude_max_mcp.results import AskResult, Health
from claude_max_mcp.terminal.reachability import NotRunning, find_obstacle
from claude_max_mcp.wire import MAX_TIMEOUT, WANTS_SESSION

ERA = "2026-07-28"
"""The protocol version spoken: the first in which closing a call cancels it."""

CONNECT_SECONDS = 5.0


async def ask(url: str, token: str | None, arguments: Json, on_event: Callable[[Json], None]) -> AskResult:
    """Ask the server at `url`.

    Args:
        url: of MCP.
        token: what the server wants to be shown, if anything.
        arguments: those of `ask_claude`.
        on_event: gets the raw stream events as they come, and a `retry` event when the CLI tries again.

    Raises:
        ServiceError: the server is not running, does not take our calls, or was lost.
    """

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        if message:
            on_event(json.loads(message))

    return AskResult.model_validate(
        await _call(url, token, "ask_claude", {**arguments, "stream": "events"}, on_progress)
    )


async def fetch_health(url: str, token: str | None) -> Health:
    """How the server at `url` is.

    Raises:
        ServiceError: the server is not running, does not take our calls, or was lost.
    """
    return Health.model_validate(await _call(url, token, "health", {}, None))


async def _call(url: str, token: str | None, tool: str, arguments: Json, on_progress: ProgressFnT | None) -> Json:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = httpx2.Timeout(CONNECT_SECONDS, read=MAX_TIMEOUT)
    try:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=timeout) as http,
            Client(streamable_http_client(url, http_client=http, max_sse_event_size=None), mode=ERA) as client,
        ):
            result = await client.call_tool(tool, arguments, progress_callback=on_progress, meta={WANTS_SESSION: True})
            return result.structured_content
    except* (httpx2.ConnectError, httpx2.ConnectTimeout) as group:
        raise NotRunning(url) from group
    except* httpx2.TransportError as group:
        problem = f"The server at {url} was lost while it was asked."
        raise ServiceError("internal", problem, "`claude-max doctor` looks at the whole chain.") from group
    except* MCPError as group:
        raise await _explain_refusal(url, headers) from group


async def _explain_refusal(url: str, headers: dict[str, str]) -> ServiceError:
    """Why the server does not take our calls: it is asked once more, plainly, as the SDK does not tell."""
    async with httpx2.AsyncClient(headers=headers, timeout=CONNECT_SECONDS) as http:
        obstacle = await find_obstacle(http, url)
    return obstacle or ServiceError(
        "internal", f"{url} is no claude-max server.", "Its address ends with /mcp: see CLAUDE_MAX_URL."
    )
