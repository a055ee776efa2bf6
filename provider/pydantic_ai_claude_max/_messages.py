"""The Messages API on one side, `ask_claude` on the other: bodies, errors and events, translated.

Pure functions. What the tool has no argument for is refused by name, unless leaving it out changes nothing
about the answer.
"""

import json
from collections.abc import Mapping
from typing import Final, cast

import httpx2

from ._client import LONGEST
from ._errors import ErrorDetail
from ._results import AskArguments

CARRIED: Final = frozenset(
    {"messages", "system", "model", "max_tokens", "tools", "tool_choice", "thinking", "output_config"}
)
"""The fields of a request that are arguments of `ask_claude`."""

DROPPED: Final = frozenset({"stream", "metadata", "service_tier", "cache_control"})
"""Fields about delivery, accounting and caching, which the CLI arranges itself."""

ERROR_TYPES: Final[Mapping[str, str]] = {
    "not_authenticated": "authentication_error",
    "auth_expired": "authentication_error",
    "token_rejected": "authentication_error",
    "account_blocked": "permission_error",
    "billing_guard": "permission_error",
    "api_key_billing": "billing_error",
    "usage_limit": "rate_limit_error",
    "throttled": "rate_limit_error",
    "overloaded": "overloaded_error",
    "prompt_too_long": "invalid_request_error",
    "invalid_request": "invalid_request_error",
    "unsupported": "invalid_request_error",
    "request_too_large": "request_too_large",
    "model_not_found": "not_found_error",
}
"""Anthropic's name for each error; a code that is not here is an `api_error`.

Inside a stream the name is all that Pydantic AI has to tell errors apart: the status was 200 by then."""


def ask_arguments(body: Mapping[str, object], *, read_timeout: float | None) -> AskArguments:
    """The arguments of `ask_claude` for a Messages API request."""
    arguments = {name: value for name, value in body.items() if name in CARRIED}
    if read_timeout is not None:
        arguments["timeout"] = min(read_timeout, LONGEST)
    return cast(AskArguments, {**arguments, "stream": "events"})


def uncarried(body: Mapping[str, object]) -> ErrorDetail | None:
    """The error of a request that asks for something `ask_claude` cannot be told."""
    names = sorted(body.keys() - CARRIED - DROPPED)
    if not names:
        return None
    message = f"The Claude CLI has no way to honour {', '.join(map(repr, names))}: leave the setting out."
    return ErrorDetail(code="unsupported", message=message, status=400)


def error_body(detail: ErrorDetail) -> dict[str, object]:
    """`detail` as Anthropic's API puts it, with what else is known beside."""
    kind = ERROR_TYPES.get(detail.code, "api_error")
    extras = detail.model_dump(include={"code", "retryable", "retry_after", "resets_at"}, exclude_none=True)
    return {
        "type": "error",
        "error": {"type": kind, "message": detail.text, **extras},
        "request_id": detail.request_id,
    }


def error_response(detail: ErrorDetail) -> httpx2.Response:
    """`detail` as the HTTP response of Anthropic's API."""
    headers: dict[str, str] = {}
    if detail.retry_after is not None:
        headers["retry-after-ms"] = str(round(detail.retry_after * 1000))
    if detail.request_id is not None:
        headers["request-id"] = detail.request_id
    return httpx2.Response(detail.status, headers=headers, json=error_body(detail))


def sse(event: Mapping[str, object]) -> bytes:
    """`event` as a server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
