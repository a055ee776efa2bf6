"""The errors that the Messages API gives, as the CLI meets them.

Status, body and headers are those seen with the real CLI; each function is one row of the table of errors
that the server classifies.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error response: its HTTP status, the Messages API's error type and text, and its headers."""

    status: int
    kind: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def make_body(self) -> dict[str, Any]:
        return {"type": "error", "error": {"type": self.kind, "message": self.message}}


def authentication_failed() -> Failure:
    """A token that is no longer good."""
    return Failure(
        status=401,
        kind="authentication_error",
        message="OAuth token has expired. Please obtain a new token or refresh your existing token.",
    )


def account_blocked() -> Failure:
    """An organisation that may not use a subscription here."""
    return Failure(
        status=403,
        kind="permission_error",
        message="OAuth authentication is currently not allowed for this organization.",
    )


def credit_too_low() -> Failure:
    """What the API account says when it, and not the subscription, was asked to pay."""
    return Failure(
        status=400,
        kind="invalid_request_error",
        message=(
            "Your credit balance is too low to access the Anthropic API. "
            "Please go to Plans & Billing to upgrade or purchase credits."
        ),
    )


def usage_limit(*, resets_in: float = 3600.0, window: str = "five_hour") -> Failure:
    """The subscription's own limit: `resets_in` seconds until the window named `window` opens again."""
    return Failure(
        status=429,
        kind="rate_limit_error",
        message="This request would exceed your account's rate limit. Please try again later.",
        headers={
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": str(int(time.time() + resets_in)),
            "anthropic-ratelimit-unified-representative-claim": window,
            "retry-after": str(int(resets_in)),
            "x-should-retry": "false",
        },
    )


def throttled(*, retry_after: int = 1) -> Failure:
    """Too many requests at once: no limit of the subscription."""
    return Failure(
        status=429,
        kind="rate_limit_error",
        message="Number of concurrent connections has exceeded your rate limit.",
        headers={"retry-after": str(retry_after)},
    )


def overloaded() -> Failure:
    """Anthropic has no capacity just now."""
    return Failure(status=529, kind="overloaded_error", message="Overloaded")


def server_error() -> Failure:
    """Something broke upstream."""
    return Failure(status=500, kind="api_error", message="Internal server error")


def prompt_too_long() -> Failure:
    """More tokens than the model's window."""
    return Failure(
        status=400,
        kind="invalid_request_error",
        message="prompt is too long: 1200000 tokens > 1000000 maximum",
    )


def request_too_large() -> Failure:
    """More bytes than the API takes."""
    return Failure(status=413, kind="request_too_large", message="Request exceeds the maximum size")


def model_not_found(model: str = "claude-nonesuch-9") -> Failure:
    """A model id that does not exist, or that this account may not use."""
    return Failure(status=404, kind="not_found_error", message=f"model: {model}")


def invalid_request(message: str = "messages.0: all messages must have non-empty content") -> Failure:
    """A request that the API will not take as it is."""
    return Failure(status=400, kind="invalid_request_error", message=message)
