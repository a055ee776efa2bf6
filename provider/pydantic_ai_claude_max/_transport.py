"""The transport under Anthropic's SDK: `POST /v1/messages` becomes a call of `ask_claude`.

In: the SDK's HTTP requests. Out: the HTTP responses that Anthropic's API would give, streamed where asked
for. The response begins with the first event, so an error before it has its own HTTP status. Where there is no server
to speak for, the SDK gets the error of a failed connection instead.
"""

import asyncio
import json
import logging
import weakref
from collections.abc import AsyncGenerator
from typing import Final, NoReturn, cast

import httpx2
from anthropic import APIConnectionError

from ._answer import Answer, find_error
from ._client import ClaudeMaxClient
from ._connection import Route
from ._errors import AnswerLost, ClaudeMaxError, ErrorDetail, ServerNotRunning
from ._messages import Event, find_unsupported, make_error_event, read_event, to_arguments, to_error_response
from ._results import AskResult, Json

logger = logging.getLogger(__name__)

SKIPPED: Final = frozenset({"retry", "error", "ping"})
"""Events that are not passed on. The result knows more about an error than its event. A ping shows only that the
server is there, and may come before an error, whose status must still be the response's."""


class MessagesTransport(httpx2.AsyncBaseTransport):
    """Carries Messages API requests over MCP, with one client for each event loop."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, ClaudeMaxClient] = (
            weakref.WeakKeyDictionary()
        )

    def get_client(self) -> ClaudeMaxClient:
        """The client of the running event loop; unless it was entered, each call opens a connection of its own."""
        loop = asyncio.get_running_loop()
        if (client := self._clients.get(loop)) is None:
            client = self._clients[loop] = ClaudeMaxClient(route=self._route)
        return client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if (request.method, request.url.path) != ("POST", "/v1/messages"):
            return to_error_response(_refuse_endpoint(request))
        body = cast(dict[str, object], json.loads(await request.aread()))
        if (detail := find_unsupported(body)) is not None:
            return to_error_response(detail)
        read_timeout = cast(float | None, request.extensions.get("timeout", {}).get("read"))
        answer = self.get_client().stream(**to_arguments(body, read_timeout=read_timeout))
        return await (_respond_with_events(answer, request) if body.get("stream") else _respond(answer, request))


async def _respond(answer: Answer, request: httpx2.Request) -> httpx2.Response:
    async with answer:
        end = await _read_end(answer, request)
    return to_error_response(end) if isinstance(end, ErrorDetail) else httpx2.Response(200, json=end)


async def _respond_with_events(answer: Answer, request: httpx2.Request) -> httpx2.Response:
    answer.start()
    try:
        first = await _read_event(answer, request)
        end = await _read_end(answer, request) if first is None else None
    except BaseException:
        await answer.aclose()
        raise
    if first is not None:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, stream=EventStream(answer, first, request))
    if isinstance(end, ErrorDetail):
        return to_error_response(end)
    _raise_loss(AnswerLost("it sent a message, but not its events"), request)


class EventStream(httpx2.AsyncByteStream):
    """The events of an answer as the body of a response; closing it cancels the answer."""

    def __init__(self, answer: Answer, first: Event, request: httpx2.Request) -> None:
        self._answer = answer
        self._first = first
        self._request = request

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        event: Event | None = self._first
        while event is not None:
            yield event.to_sse()
            event = await _read_event(self._answer, self._request)
        end = await _read_end(self._answer, self._request)
        if isinstance(end, ErrorDetail):
            yield make_error_event(end).to_sse()

    async def aclose(self) -> None:
        await self._answer.aclose()


async def _read_event(answer: Answer, request: httpx2.Request) -> Event | None:
    """The next event that the SDK knows; `None` at the end.

    Raises:
        APIConnectionError: the server sent something else than events.
    """
    async for piece in answer:
        try:
            event = read_event(piece)
        except ValueError:
            _raise_loss(AnswerLost("it sent something other than events"), request)
        if event.type not in SKIPPED:
            return event
        logger.info("Claude does not answer yet: %s", piece)
    return None


async def _read_end(answer: Answer, request: httpx2.Request) -> Json | ErrorDetail:
    """The message that the answer ends with, or the error for which there is none.

    Raises:
        APIConnectionError: the server is not running, or was lost; the cause tells Pydantic AI how far the request
            got. The SDK passes its own errors on as they are, and would hide the text of any other.
        httpx2.ReadTimeout: the answer did not come in time.
    """
    try:
        result = await answer.outcome()
    except ServerNotRunning as error:
        raise APIConnectionError(message=str(error), request=request) from httpx2.ConnectError(str(error))
    except AnswerLost as error:
        _raise_loss(error, request)
    except ClaudeMaxError as error:
        end = error.detail
    else:
        end = _choose_end(result)
    if isinstance(end, ErrorDetail) and end.code == "timeout":
        raise httpx2.ReadTimeout(end.text, request=request)
    return end


def _choose_end(result: AskResult) -> Json | ErrorDetail:
    error = find_error(result)
    # Pydantic AI handles an empty answer itself: it looks at the stop reason, and asks again.
    if result.message is not None and (result.success or error.code == "empty_answer"):
        return result.message
    return error


def _raise_loss(error: AnswerLost, request: httpx2.Request) -> NoReturn:
    raise APIConnectionError(message=str(error), request=request) from httpx2.ReadError(str(error))


def _refuse_endpoint(request: httpx2.Request) -> ErrorDetail:
    endpoint = f"{request.method} {request.url.path}"
    message = f"{endpoint} has no counterpart in the Claude CLI; only messages are carried."
    return ErrorDetail(code="unsupported", message=message, status=400)
