"""The Messages API on one side, `ask_claude` on the other: bodies, errors and events, translated.

Pure functions: nothing is sent or awaited here. A field that the tool has no argument for is refused by name, unless
the answer is the same without it.
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple, cast

import httpx2

from ._client import LONGEST
from ._errors import ErrorDetail
from ._results import AskArguments

CARRIED: Final = frozenset(
    {"messages", "system", "model", "max_tokens", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
)
"""The fields of a request that are arguments of `ask_claude`."""

DROPPED: Final = frozenset({"stream", "metadata", "service_tier"})
"""Fields about delivery and accounting, which the CLI arranges itself."""

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
    "timeout": "timeout_error",
}
"""Anthropic's name for each error (https://platform.claude.com/docs/en/api/errors); any other code is an `api_error`.

Inside a stream Pydantic AI distinguishes errors by this name alone, as the HTTP status was 200 already."""


def to_arguments(body: Mapping[str, object], *, read_timeout: float | None) -> AskArguments:
    """The arguments of `ask_claude` for a Messages API request; `read_timeout` is in seconds."""
    arguments = {name: value for name, value in body.items() if name in CARRIED}
    if read_timeout is not None:
        arguments["timeout"] = min(read_timeout, LONGEST)
    return cast(AskArguments, {**arguments, "stream": "events"})


def find_unsupported(body: Mapping[str, object]) -> ErrorDetail | None:
    """The error of a request with fields that `ask_claude` has no argument for; `None` if there are none."""
    names = sorted(body.keys() - CARRIED - DROPPED)
    if not names:
        return None
    message = f"The Claude CLI has no way to honour {', '.join(map(repr, names))}: leave the setting out."
    return ErrorDetail(code="unsupported", message=message, status=400)


def to_error_body(detail: ErrorDetail) -> dict[str, object]:
    """`detail` in the form of Anthropic's API, together with the fields that only this server has."""
    kind = ERROR_TYPES.get(detail.code, "api_error")
    extras = detail.model_dump(include={"code", "retryable", "retry_after", "resets_at"}, exclude_none=True)
    return {
        "type": "error",
        "error": {"type": kind, "message": detail.text, **extras},
        "request_id": detail.request_id,
    }


def to_error_response(detail: ErrorDetail) -> httpx2.Response:
    """`detail` as the HTTP response of Anthropic's API."""
    headers: dict[str, str] = {}
    if detail.retry_after is not None:
        headers["retry-after-ms"] = str(round(detail.retry_after * 1000))
    if detail.request_id is not None:
        headers["request-id"] = detail.request_id
    return httpx2.Response(detail.status, headers=headers, json=to_error_body(detail))


class Event(NamedTuple):
    """One event of a stream: its type, and the JSON text of the whole event."""

    type: str
    data: str

    def to_sse(self) -> bytes:
        """The event as a server-sent event, its data as it came."""
        # A line break ends the field; in JSON it can only be white space between tokens.
        data = self.data.replace("\r", " ").replace("\n", " ")
        return f"event: {self.type}\ndata: {data}\n\n".encode()


def read_event(piece: str) -> Event:
    """The event whose JSON text `piece` is.

    Raises:
        ValueError: it is no JSON, or not an object with a name as `type`.
    """
    # The standard library's parser, because Anthropic's SDK uses it too: both accept the same texts.
    match json.loads(piece):
        case {"type": str(kind)} if kind.isidentifier():
            return Event(kind, piece)
        case _:
            raise ValueError("an event is a JSON object with a `type`")


def make_error_event(detail: ErrorDetail) -> Event:
    """The event with which Anthropic's API reports `detail` within a stream."""
    return Event("error", json.dumps(to_error_body(detail)))
