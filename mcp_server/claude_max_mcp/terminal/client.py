"""A caller of a running server, for the command line: one question, or its health, over MCP.

In: where the server is and the token. Out: results as `wire` has them. Programs use the provider's client, which
does much more; this one makes one call and ends.
"""

from collections.abc import Callable

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from claude_max_mcp.errors import ServiceError
from claude_max_mcp.front.progress import is_notice
from claude_max_mcp.messages import Json
from claude_max_mcp.wire import MAX_TIMEOUT, AskResult, Health

ERA = "2026-07-28"
"""The protocol version spoken: the first in which closing a call cancels it."""


async def ask(
    url: str, token: str | None, arguments: Json, on_text: Callable[[str], None], on_notice: Callable[[str], None]
) -> AskResult:
    """Ask the server at `url`; `on_text` gets the text as it comes, `on_notice` why there is none yet.

    Raises:
        ServiceError: the server is not running, does not let us in, or was lost.
    """

    async def on_progress(_: float, __: float | None, message: str | None) -> None:
        if message:
            (on_notice if is_notice(message) else on_text)(message)

    return AskResult.model_validate(await _call(url, token, "ask_claude", arguments, on_progress))


async def health(url: str, token: str | None) -> Health:
    """How the server at `url` is."""
    return Health.model_validate(await _call(url, token, "health", {}, None))


async def _call(url: str, token: str | None, tool: str, arguments: Json, on_progress: object) -> Json:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = httpx2.Timeout(5.0, read=MAX_TIMEOUT)
    try:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=timeout) as http,
            Client(streamable_http_client(url, http_client=http, max_sse_event_size=None), mode=ERA) as client,
        ):
            result = await client.call_tool(tool, arguments, progress_callback=on_progress)  # pyright: ignore[reportArgumentType]
            return result.structured_content
    except* (httpx2.ConnectError, httpx2.ConnectTimeout) as group:
        message = f"The server is not running at {url}. Start it with `claude-max serve`; CLAUDE_MAX_URL names another."
        raise ServiceError("internal", message) from group
    except* httpx2.TransportError as group:
        message = f"The server at {url} was lost while it was asked. `claude-max doctor` looks at the whole chain."
        raise ServiceError("internal", message) from group
    except* MCPError as group:
        raise ServiceError("internal", await _refusal(url, headers)) from group


async def _refusal(url: str, headers: dict[str, str]) -> str:
    """Why the server at `url` does not take our calls: it is asked once more, plainly, as the SDK does not tell."""
    async with httpx2.AsyncClient(headers=headers, timeout=5.0) as http:
        try:
            reply = await http.post(url, json={})
        except httpx2.TransportError as error:
            return f"The server at {url} was lost: {error}."
    if reply.status_code in (401, 403):
        return f"The server at {url} does not let us in (HTTP {reply.status_code}). Set CLAUDE_MAX_TOKEN to its token."
    if reply.status_code == 421:
        return f"The server at {url} does not know itself by that name. Add it to its CLAUDE_MAX_ALLOWED_HOSTS."
    return f"{url} is no claude-max server (HTTP {reply.status_code}). Its address ends with /mcp: see CLAUDE_MAX_URL."
