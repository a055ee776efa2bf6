"""The Messages API itself, for programs that speak it: `POST /v1/messages` and `GET /v1/models`.

In: HTTP requests as Anthropic's SDKs send them, behind the door. Out: the answers that Anthropic's API would give:
a message, its stream events as they come, or an error in its form with its status. What the CLI cannot honour is
refused by name, unless leaving it out changes nothing about the answer. Nothing is translated: the engine speaks the
same language, so this room knows only the envelope.
"""

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from claude_max_mcp.background import beside
from claude_max_mcp.errors import ClaudeMaxError, InvalidRequest, RequestError, ServiceError, Unsupported, to_error_type
from claude_max_mcp.front.request import answer_unless_gone, identify_caller, read_object, wait_for_disconnect
from claude_max_mcp.messages import Json
from claude_max_mcp.models import ALIASES
from claude_max_mcp.results import AskResult, ErrorInfo
from claude_max_mcp.service.journal import make_request_id
from claude_max_mcp.service.service import Service
from claude_max_mcp.wire import MAX_TIMEOUT, AskRequest, parse_request

NEEDED = ("model", "max_tokens", "messages")
"""The fields that the Messages API does not do without."""

CARRIED = frozenset({*NEEDED, "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"})
"""The fields that reach Claude."""

LEFT_OUT = frozenset({"stream", "metadata", "service_tier"})
"""Fields about delivery and accounting: the answer is the same without them."""

NO_CHANGE: dict[str, Any] = {"temperature": 1, "top_p": 1, "speed": "standard"}
"""Fields that can only be left out, and the one value with which that changes nothing; an empty one never does."""

TOOL_FIELDS = frozenset({"type", "name", "description", "input_schema", "cache_control", "eager_input_streaming"})
"""What a tool may have; the last two are about caching and delivery."""

FOR_OTHERS = ("anthropic-user-profile-id", "anthropic-workspace-id")
"""Headers that name somebody else to account to, which a subscription cannot do."""

QUIET_SECONDS = 15.0
"""Seconds of silence until a stream says that it is alive. Before its first event, the status is decided then."""

LEAVE_OUT = "The claude CLI has no way to honour it; leave it out."

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class NoThread(RequestError):
    """The request wants its conversation held here. Told in these words, Anthropic's SDK sends the whole of it."""

    details: ClassVar[Json] = {"details": {"error_code": "thread_unsupported_request"}}

    def __init__(self) -> None:
        super().__init__("unsupported", "`thread` is not supported by this server. Send all messages each time.")


Ask: TypeAlias = Callable[..., Awaitable[AskResult]]
"""`Service.ask` of one request; it takes what gets the events."""


def make_messages_routes(service: Service, *, quiet: float = QUIET_SECONDS) -> list[Route]:
    """The routes below `/v1`; where the setting is off, they only say how to turn it on."""
    if not service.settings.messages_api:
        return [Route("/v1/{path:path}", _refuse_disabled, methods=METHODS)]
    return [
        Route("/v1/messages", _serve_messages(service, quiet), methods=["POST"]),
        Route("/v1/models", _serve_models),
        Route("/v1/{path:path}", _refuse_path, methods=METHODS),
    ]


def _serve_messages(service: Service, quiet: float) -> Callable[[Request], Any]:
    async def answer_messages(request: Request) -> Response | Streamed:
        request_id = make_request_id()
        try:
            body = _read(await request.body())
            streamed = _is_streamed(body)
            seconds = _choose_timeout(request.headers, service.settings.timeout, streamed=streamed)
            _check_headers(request.headers)
            asked = _make_request(body, seconds)
        except ClaudeMaxError as error:
            return _respond_error(
                ErrorInfo.from_error(error), request_id, **(NoThread.details if type(error) is NoThread else {})
            )
        ask = partial(service.ask, asked, keeper="caller", caller=identify_caller(request), request_id=request_id)
        if streamed:
            return Streamed(ask, request, request_id, quiet)
        return _respond(await answer_unless_gone(ask, partial(wait_for_disconnect, request)), request_id)

    return answer_messages


def _read(body: bytes) -> Json:
    """The fields of a body; one that is null is one that is left out."""
    fields = read_object(body, "with the fields of the Messages API")
    return {name: value for name, value in fields.items() if value is not None}


def _is_streamed(body: Json) -> bool:
    if not isinstance(streamed := body.get("stream", False), bool):
        raise InvalidRequest("stream: true or false is needed.")
    return streamed


def _choose_timeout(headers: Headers, default: float, *, streamed: bool) -> float:
    """How long the answer may take: what the SDK waits for, by its own word; for a stream that is only a silence."""
    try:
        waits = float(headers.get("x-stainless-timeout", default))
    except ValueError:
        waits = default
    seconds = max(waits, default) if streamed else waits
    return min(seconds, MAX_TIMEOUT) if seconds > 0 else default


def _make_request(body: Json, seconds: float) -> AskRequest:
    """The request, once nothing in it would be ignored that changes the answer.

    Raises:
        RequestError: what cannot be honoured, by its name.
    """
    _check_fields(body)
    carried = {name: value for name, value in body.items() if name in CARRIED}
    if "output_format" in body:  # what `output_config.format` was called once
        carried["output_schema"] = _read_schema(body["output_format"])
    asked = parse_request({**carried, "stream": "events", "timeout": seconds})
    for at, tool in enumerate(asked.tools or []):
        _check_tool(tool, f"tools.{at}")
    return asked


def _check_fields(body: Json) -> None:
    for name in NEEDED:
        if name not in body:
            raise InvalidRequest(f"{name}: the field is needed.")
    if "thread" in body:
        raise NoThread
    for name in sorted(body.keys() - CARRIED - LEFT_OUT - {"output_format"}):
        if body[name] not in (NO_CHANGE.get(name), [], {}):
            raise Unsupported(f"`{name}`", LEAVE_OUT)


def _check_tool(tool: Mapping[str, Any], where: str) -> None:
    for name in sorted(tool.keys() - TOOL_FIELDS):
        if tool[name] not in (None, False, [], ["direct"]):
            raise Unsupported(f"`{where}.{name}`", LEAVE_OUT)


def _check_headers(headers: Headers) -> None:
    for name in FOR_OTHERS:
        if name in headers:
            raise Unsupported(f"The header `{name}`", "The owner's subscription pays for the answer; leave it out.")


def _read_schema(output_format: Any) -> Json:
    match output_format:
        case {"type": "json_schema", "schema": dict()}:
            return output_format["schema"]
        case _:
            raise InvalidRequest("output_format: `{type: json_schema, schema: …}` is needed.")


class Streamed:
    """An answer whose events are sent as they come, as an ASGI application.

    Before the first event nothing is sent, so that an error has its own status; once there was silence for `quiet`
    seconds, a `ping` is the first event. An error after that is an event too.
    """

    def __init__(self, ask: Ask, request: Request, request_id: str, quiet: float) -> None:
        self._ask = ask
        self._http_request = request
        self._request_id = request_id
        self._quiet = quiet
        self._result = AskResult.from_error(ServiceError("internal", "The server failed. Please report it."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said, heard = anyio.create_memory_object_stream[Json](math.inf)
        with said, heard:
            async with beside(partial(self._answer, said)):
                if (first := await self._receive(heard)) is None:
                    await _respond(self._result, self._request_id)(scope, receive, send)
                else:
                    await self._send(first, heard, send)

    async def _answer(self, said: MemoryObjectSendStream[Json]) -> None:
        def on_event(event: Json) -> None:
            if event["type"] not in ("retry", "error"):  # the result knows more about an error than its event
                said.send_nowait(event)

        with said:
            ask = partial(self._ask, on_event)
            self._result = await answer_unless_gone(ask, partial(wait_for_disconnect, self._http_request))

    async def _receive(self, heard: MemoryObjectReceiveStream[Json]) -> Json | None:
        """The next event, or a ping after a while; None at the end."""
        with anyio.move_on_after(self._quiet):
            try:
                return await heard.receive()
            except anyio.EndOfStream:
                return None
        return {"type": "ping"}

    async def _send(self, first: Json, heard: MemoryObjectReceiveStream[Json], send: Send) -> None:
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        fields = {**headers, "request-id": self._request_id}.items()
        raw = [(name.encode(), value.encode()) for name, value in fields]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        event: Json | None = first
        while event is not None:
            await send({"type": "http.response.body", "body": _as_sse(event), "more_body": True})
            event = await self._receive(heard)
        error = self._result.error if self._result.message is None else None
        last = _as_sse(_make_error_body(error, self._request_id)) if error else b""
        await send({"type": "http.response.body", "body": last, "more_body": False})


def _respond(result: AskResult, request_id: str) -> Response:
    """The message that a request ended with, an empty one too, as the API itself would give it; else the error."""
    if result.message is None and result.error is not None:
        return _respond_error(result.error, request_id)
    return JSONResponse(result.message, 200, {"request-id": request_id})


def _respond_error(error: ErrorInfo, request_id: str, **details: Json) -> Response:
    headers = {"request-id": request_id}
    if error.retry_after is not None:
        headers["retry-after"] = str(round(error.retry_after))
    if not error.retryable or error.code == "usage_limit":  # SDKs would try again within seconds
        headers["x-should-retry"] = "false"
    return JSONResponse(_make_error_body(error, request_id, **details), error.status, headers)


def _make_error_body(error: ErrorInfo, request_id: str, **details: Json) -> Json:
    """An error as the Messages API puts it; what else this server knows of it stands beside."""
    known = error.model_dump(mode="json", exclude_none=True)
    said = {"type": to_error_type(error.status), **known, **details}
    return {"type": "error", "error": said, "request_id": request_id}


def _as_sse(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


async def _serve_models(_: Request) -> Response:
    """What the CLI's aliases stand for; when they were released it does not say."""
    unknown = {"created_at": "1970-01-01T00:00:00Z", "lifecycle": "active"}
    data = [
        {"type": "model", "id": model, "display_name": f"Claude {alias.capitalize()}", **unknown}
        for alias, model in ALIASES.items()
    ]
    page = {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}
    return JSONResponse(page, 200, {"request-id": make_request_id()})


async def _refuse_path(request: Request) -> Response:
    there = "There are `POST /v1/messages` and `GET /v1/models`; the claude CLI can do no more."
    return _respond_not_found(f"There is no `{request.method} {request.url.path}` here. {there}")


async def _refuse_disabled(_: Request) -> Response:
    return _respond_not_found(
        "The Messages API is turned off. Start the server with CLAUDE_MAX_MESSAGES_API=1 to use it."
    )


def _respond_not_found(message: str) -> Response:
    return _respond_error(ErrorInfo.from_error(RequestError("unsupported", message, status=404)), make_request_id())
