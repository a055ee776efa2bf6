"""The door: which requests come in at all.

In: every HTTP request. Out: the same, or a refusal with a typed error. It checks, on every route, that the request
is meant for this server (`Host`), that no foreign web page sent it (`Origin`, and no body but JSON, which a page
cannot send without asking), that the caller knows the token where there is one, that head and body are not too large,
and that the body comes. Two things are open to those who show no token at all: whether the server is alive, and the
page that asks for the token. Their routes are told who they are.
"""

import hmac
import re
from collections import deque
from collections.abc import Iterable
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from claude_max_mcp.errors import to_error_type
from claude_max_mcp.settings import LOOPBACK

MAX_BODY = 32 * 1024 * 1024
"""The most bytes in a request's body: what the Messages API itself takes."""

MAX_HEADERS = 100
MAX_HEAD = 64 * 1024
"""The most header fields of a request, and the most bytes in them."""

BODY_SECONDS = 30.0
"""Seconds within which the body must be there."""

KEY_ROUTES = "/v1/"
"""Below this path the token may also be an `x-api-key`: what speaks the Messages API knows no other way."""

LIVENESS = ("GET", "/health")
"""A request that needs no token; what it may be told is up to the route."""

PAGE = ("GET", "/")
"""Another one, for a browser alone: the page is the same for everybody."""


def wants_page(headers: Headers) -> bool:
    """Whether a browser asks, which shows pages to people."""
    return "text/html" in headers.get("accept", "")


def is_anonymous(scope: Scope) -> bool:
    """Whether the request came in without the token that everybody else had to show."""
    return bool(scope.get("claude_max.stranger"))


class Door:
    """The middleware.

    Args:
        app: what is behind the door.
        token: what callers must send as a bearer token; None asks for nothing.
        hosts: `Host` names that are this server's, besides the loopback ones; with or without a port.
        origins: `Origin` values that may call, besides loopback pages.
        body_seconds: within which a body must be there.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._app = app
        self._token = token.encode() if token else None
        self._hosts = frozenset(host.lower() for host in hosts) | LOOPBACK
        self._origins = frozenset(origins)
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        scope["claude_max.stranger"] = self._is_anonymous(scope, headers)
        refused: ASGIApp | None = self._find_refusal(scope, headers)
        if refused is None and _has_body(headers):
            with anyio.move_on_after(self._body_seconds) as reading:
                receive, refused = await _read_ahead(receive)
            refused = _refuse_slow(self._body_seconds) if reading.cancelled_caught else refused
        await (refused or self._app)(scope, receive, send)

    def _is_anonymous(self, scope: Scope, headers: Headers) -> bool:
        wanted = (scope["method"], scope["path"])
        is_open = wanted == LIVENESS or (wanted == PAGE and wants_page(headers))
        return self._token is not None and is_open and not scope["query_string"] and "authorization" not in headers

    def _find_refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        if len(headers.raw) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEAD:
            return _refuse(
                431, "request_too_large", "head", f"At most {MAX_HEADERS} fields, {MAX_HEAD} bytes, are taken."
            )
        if not all(map(self._is_host, headers.getlist("host") or [""])):
            return _refuse(
                421, "wrong_host", "Host", "Add the name to CLAUDE_MAX_ALLOWED_HOSTS if it is this server's."
            )
        if not all(map(self._is_origin, headers.getlist("origin"))):
            return _refuse(
                403,
                "foreign_origin",
                "Origin",
                "Add it to CLAUDE_MAX_ALLOWED_ORIGINS if you trust that page.",
            )
        if self._token is not None and not is_anonymous(scope) and not self._is_admitted(scope, headers):
            return _refuse_unauthorized()
        if (
            scope["method"] == "POST"
            and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json"
        ):
            return _refuse(415, "wrong_content_type", "Content-Type", "Send `application/json`.")
        if (length := headers.get("content-length", "0")).isdigit() and int(length) > MAX_BODY:
            return _refuse_large("Content-Length")
        return None

    def _is_host(self, host: str) -> bool:
        host = host.lower()
        return host in self._hosts or _remove_port(host) in self._hosts

    def _is_origin(self, origin: str) -> bool:
        scheme, _, host = origin.partition("://")
        loopback = scheme in ("http", "https") and _remove_port(host.lower()) in LOOPBACK
        return loopback or origin in self._origins

    def _is_admitted(self, scope: Scope, headers: Headers) -> bool:
        """Whether the token is shown, and nothing else beside it."""
        keys = headers.getlist("x-api-key") if scope["path"].startswith(KEY_ROUTES) else []
        shown = [*map(self._is_bearer, headers.getlist("authorization")), *map(self._is_token, keys)]
        return bool(shown) and all(shown)

    def _is_bearer(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._is_token(token)  # the scheme is no secret

    def _is_token(self, shown: str) -> bool:
        # Compared as bytes and in constant time.
        return hmac.compare_digest(shown.strip().encode(), self._token or b"")


_HOST = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::[0-9]*)?", re.ASCII)


def _remove_port(host: str) -> str:
    """The name or address of `host`, or nothing if that is not what it is."""
    match = _HOST.fullmatch(host)
    return (match[1] or match[2] or "") if match else ""


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _read_ahead(receive: Receive) -> tuple[Receive, ASGIApp | None]:
    """Read a body: what gives it again, and what to answer instead if it is too large or its sender is gone."""
    messages: deque[Message] = deque()
    size, more = 0, True
    while more and size <= MAX_BODY:
        messages.append(message := await receive())
        if message["type"] == "http.disconnect":
            return receive, _answer_nothing
        size += len(message.get("body", b""))
        more = message.get("more_body", False)

    async def receive_again() -> Message:
        return messages.popleft() if messages else await receive()

    return receive_again, _refuse_large("body") if size > MAX_BODY else None


async def _answer_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer to somebody who is gone."""


def _refuse(status: int, code: str, header: str, advice: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error: dict[str, Any] = {
        "type": to_error_type(status),
        "code": code,
        "message": f"The request's {header} is not accepted. {advice}",
        "status": status,
    }
    return JSONResponse({"type": "error", "success": False, "error": error}, status_code=status, headers=headers)


def _refuse_large(part: str) -> JSONResponse:
    return _refuse(413, "request_too_large", part, f"At most {MAX_BODY} bytes are taken.")


def _refuse_slow(seconds: float) -> JSONResponse:
    advice = f"It must be there within {seconds:g} s. Send it in one go, or over a faster connection."
    return _refuse(408, "timeout", "body", advice, {"Connection": "close"})


def _refuse_unauthorized() -> JSONResponse:
    advice = (
        "Send `Authorization: Bearer …`, or below /v1 the header `x-api-key`, with the token that the server has in "
        "CLAUDE_MAX_TOKEN, and with no other."
    )
    return _refuse(401, "unauthorized", "Authorization", advice, {"WWW-Authenticate": "Bearer"})
