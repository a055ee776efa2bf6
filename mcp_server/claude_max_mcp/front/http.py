"""The service over HTTP: MCP at `/mcp`, and for people and scripts `/`, `/health` and `/claude`.

In: a running service. Out: an ASGI application behind the door. The MCP transport is the SDK's, in SSE mode: closing
the response ends the call.
"""

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from claude_max_mcp.errors import ClaudeMaxError, InvalidRequest
from claude_max_mcp.front.door import BODY_SECONDS, MAX_BODY, Door, is_anonymous
from claude_max_mcp.front.listener import listening
from claude_max_mcp.front.mcp import make_mcp_server
from claude_max_mcp.front.messages_api import make_messages_routes
from claude_max_mcp.front.page import make_page_routes
from claude_max_mcp.front.request import (
    Disconnects,
    answer_unless_gone,
    identify_caller,
    read_object,
    wait_for_disconnect,
)
from claude_max_mcp.messages import Json
from claude_max_mcp.results import AskResult, Health
from claude_max_mcp.service.health import READY
from claude_max_mcp.service.service import Service
from claude_max_mcp.tracing import continuing_trace
from claude_max_mcp.wire import parse_request

ENDPOINTS = {
    "/mcp": "MCP over streamable HTTP, with the tools ask_claude and health",
    "/health": "GET: how the service is",
    "/requests": "GET: what became of the latest requests, in numbers",
    "/metrics": "GET: the service in numbers, for Prometheus",
    "/claude": 'POST {"prompt", "model", "timeout"}: one answer as {"response", "model", "success"}',
    "/v1/messages": "POST: the Messages API, for SDKs that speak it, where CLAUDE_MAX_MESSAGES_API=1 turns it on",
    "/connect": "GET: what each client needs in order to use this server",
    "/": "in a browser a page, for programs this list",
}


@asynccontextmanager
async def served(service: Service, listener: socket.socket, *, grace: float = 0.0) -> AsyncGenerator[None]:
    """Serve a running service on a bound socket, for the length of a block.

    Leaving it lets requests finish for `grace` seconds, then cancels them and tells their callers, then closes.
    """
    async with application(service) as app, listening(app, listener):
        try:
            yield
        finally:
            await service.drain(grace)


@asynccontextmanager
async def application(
    service: Service, *, body_seconds: float = BODY_SECONDS, mcp: Server[Any] | None = None
) -> AsyncGenerator[ASGIApp]:
    """The ASGI application of a running service, for the length of a block.

    Args:
        service: what answers.
        body_seconds: within which a request's body must be there.
        mcp: another MCP server at `/mcp`, by which tests show what all of them get from this one's HTTP.
    """
    sessions = StreamableHTTPSessionManager(mcp or make_mcp_server(service), max_request_body_size=MAX_BODY)
    routes = [
        *make_page_routes(service.settings, ENDPOINTS),
        Route("/health", _serve_health(service)),
        Route("/requests", _serve_requests(service)),
        Route("/metrics", _serve_metrics(service)),
        Route("/claude", _serve_claude(service), methods=["POST"]),
        Route("/mcp", StreamableHTTPASGIApp(sessions)),
        *make_messages_routes(service),
    ]
    settings = service.settings
    door = Door(
        _trace(Disconnects(Starlette(routes=routes))),
        token=settings.token.get_secret_value() if settings.token else None,
        hosts=settings.allowed_hosts,
        origins=settings.allowed_origins,
        body_seconds=body_seconds,
    )
    async with sessions.run():
        yield door


def _serve_health(service: Service) -> Callable[[Request], Any]:
    async def answer_health(request: Request) -> Response:
        report = await service.health(probe=request.query_params.get("probe") in ("1", "true"))
        status = 503 if report.status == "unhealthy" else 200
        told = _report_liveness(report) if is_anonymous(request.scope) else report.model_dump(mode="json")
        return JSONResponse(told, status_code=status)

    return answer_health


def _serve_requests(service: Service) -> Callable[[Request], Any]:
    async def answer_requests(_: Request) -> Response:
        return JSONResponse({"requests": [entry.model_dump() for entry in service.journal.entries]})

    return answer_requests


def _serve_metrics(service: Service) -> Callable[[Request], Any]:
    async def answer_metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(service.metrics.registry), headers={"Content-Type": media_type})

    return answer_metrics


def _trace(app: ASGIApp) -> ASGIApp:
    """The same, each request in the trace that its `traceparent` names."""

    async def answer_traced(scope: Scope, receive: Receive, send: Send) -> None:
        with continuing_trace(Headers(scope=scope)):
            await app(scope, receive, send)

    return answer_traced


def _report_liveness(report: Health) -> dict[str, Any]:
    """What anybody may know: nothing of the account, its limits or its errors."""
    told = report.model_dump(include={"status", "claude_cli", "workspace_root", "purpose", "message"})
    told["message"] = READY
    if report.status != "healthy":
        told["message"] = "`claude-max status` says what is wrong, or this address, to those who send the token."
    return told


def _serve_claude(service: Service) -> Callable[[Request], Any]:
    async def answer_claude(request: Request) -> Response:
        try:
            asked = parse_request(_read_arguments(await request.body()))
        except ClaudeMaxError as error:
            return _answer(AskResult.from_error(error))
        ask = partial(service.ask, asked, caller=identify_caller(request))
        return _answer(await answer_unless_gone(ask, partial(wait_for_disconnect, request)))

    return answer_claude


def _read_arguments(body: bytes) -> Json:
    arguments = read_object(body, "with `prompt`, and if need be `model`, `system`, `timeout`")
    if unknown := arguments.keys() - {"prompt", "model", "timeout", "system"}:
        raise InvalidRequest(
            f"{min(unknown)}: there is no such field here, only `prompt`, `model`, `system`, `timeout`."
        )
    return arguments


def _answer(result: AskResult) -> JSONResponse:
    body = {"response": result.response, "model": result.model, "success": result.success}
    # Always our own: an id that the caller sent is not taken over, so nobody can write into the logs.
    headers = {"X-Request-Id": result.request_id} if result.request_id else {}
    if result.error is None:
        return JSONResponse(body, headers=headers)
    if result.error.retry_after:
        headers["Retry-After"] = str(round(result.error.retry_after))
    error = result.error.model_dump(mode="json")
    return JSONResponse({**body, "error": error}, status_code=result.error.status, headers=headers)
