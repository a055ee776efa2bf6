"""The transport under Anthropic's SDK: `POST /v1/messages` becomes a call of `ask_claude`.

In: the SDK's HTTP requests. Out: the HTTP responses that Anthropic's API would give, streamed where asked
for. The response begins with the first event, so an error before it has its own HTTP status.
"""

import asyncio
import json
import logging
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import cast

import httpx2
from anthropic import APIConnectionError

from ._answer import Answer, failure
from ._client import ClaudeMaxClient
from ._connection import Route
from ._errors import AnswerLost, AskFailed, ClaudeMaxError, ErrorDetail, ServerNotRunning
from ._messages import ask_arguments, error_body, error_response, sse, uncarried
from ._results import Json

logger = logging.getLogger(__name__)


class MessagesTransport(httpx2.AsyncBaseTransport):
    """Carries Messages API requests over MCP, with one client for each event loop."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, ClaudeMaxClient] = (
            weakref.WeakKeyDictionary()
        )

    def client(self) -> ClaudeMaxClient:
        """The client of the running event loop; unless someone entered it, each call has its own session."""
        loop = asyncio.get_running_loop()
        if (client := self._clients.get(loop)) is None:
            client = self._clients[loop] = ClaudeMaxClient(route=self._route)
        return client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if (request.method, request.url.path) != ("POST", "/v1/messages"):
            return error_response(_no_such_endpoint(request))
        body = cast(dict[str, object], json.loads(await request.aread()))
        if (detail := uncarried(body)) is not None:
            return error_response(detail)
        read_timeout = cast(float | None, request.extensions.get("timeout", {}).get("read"))
        answer = self.client().stream(**ask_arguments(body, read_timeout=read_timeout))
        try:
            with _connection_errors(request):
                return await (_streamed(answer, request) if body.get("stream") else _whole(answer))
        except ClaudeMaxError as error:
            return error_response(error.detail)


async def _whole(answer: Answer) -> httpx2.Response:
    async with answer:
        return httpx2.Response(200, json=await _message(answer))


async def _streamed(answer: Answer, request: httpx2.Request) -> httpx2.Response:
    answer.start()
    try:
        if (first := await _next_event(answer)) is None:
            await _message(answer)
            raise AnswerLost("it sent a message, but not its events")
    except BaseException:
        await answer.aclose()
        raise
    headers = {"content-type": "text/event-stream"}
    return httpx2.Response(200, headers=headers, stream=EventStream(answer, first, request))


class EventStream(httpx2.AsyncByteStream):
    """The events of an answer as the body of a response; closing it cancels the answer."""

    def __init__(self, answer: Answer, first: Json, request: httpx2.Request) -> None:
        self._answer = answer
        self._first = first
        self._request = request

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        event: Json | None = self._first
        try:
            with _connection_errors(self._request):
                while event is not None:
                    yield sse(event)
                    event = await _next_event(self._answer)
                await _message(self._answer)
        except ClaudeMaxError as error:
            yield sse(error_body(error.detail))

    async def aclose(self) -> None:
        await self._answer.aclose()


async def _next_event(answer: Answer) -> Json | None:
    """The next event that the SDK knows; `None` at the end."""
    async for piece in answer:
        event = cast(Json, json.loads(piece))
        # An error is reported by the result, which knows more about it. A ping shows only that the server is there, and
        # may come before an error, whose status must still be the response's.
        if event["type"] not in ("retry", "error", "ping"):
            return event
        logger.info("Claude does not answer yet: %s", piece)
    return None


async def _message(answer: Answer) -> Json:
    """The message that the answer ends with.

    Raises:
        ClaudeMaxError: there is none.
    """
    result = await answer.outcome()
    # Pydantic AI has its own way with an empty answer: it looks at the stop reason, and asks again.
    if result.message is not None and (result.success or failure(result).code == "empty_answer"):
        return result.message
    raise AskFailed(failure(result))


@contextmanager
def _connection_errors(request: httpx2.Request) -> Generator[None]:
    """Raise what stands for a failed connection where there is no response to speak of.

    The SDK passes its own errors on as they are, and would hide the text of any other. The cause tells
    Pydantic AI how far the request got.
    """
    try:
        yield
    except ServerNotRunning as error:
        raise APIConnectionError(message=str(error), request=request) from httpx2.ConnectError(str(error))
    except AnswerLost as error:
        raise APIConnectionError(message=str(error), request=request) from httpx2.ReadError(str(error))
    except ClaudeMaxError as error:
        if error.code == "timeout":
            raise httpx2.ReadTimeout(str(error), request=request) from error
        raise


def _no_such_endpoint(request: httpx2.Request) -> ErrorDetail:
    endpoint = f"{request.method} {request.url.path}"
    message = f"{endpoint} has no counterpart in the Claude CLI; only messages are carried."
    return ErrorDetail(code="unsupported", message=message, status=400)
