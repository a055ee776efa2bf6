"""What went wrong, read off what the CLI says.

In: the CLI's own account of a failed run (`Result`, the `error` of its message, the last limits). Out: one typed
error. Structured fields decide; the text decides only where there is no field. Each row was seen with the real CLI
(tests/server/test_failures.py shows them).
"""

import time

from claude_max_mcp.claude.protocol import AssistantMessage, RateLimitInfo, Result
from claude_max_mcp.errors import ClaudeMaxError, Code, error_class, without_credentials

LOGIN = (
    "Log in with `claude-max login` (in Docker: `docker exec -it claude-max-api claude auth login`, or put what "
    "`docker exec -it claude-max-api claude setup-token` prints into `.env`)."
)

ADVICE: dict[Code, str] = {
    "not_authenticated": f"Nobody is logged in: authentication is missing. {LOGIN}",
    "auth_expired": f"The login is no longer good: authentication failed. {LOGIN}",
    "account_blocked": "This account may not use a subscription here. Ask its administrator, or log in with another.",
    "api_key_billing": "The API account was asked to pay, not the subscription. Remove the API key from this login.",
    "usage_limit": "The subscription's usage limit is reached. Wait until it resets.",
    "throttled": "Anthropic is limiting requests for a moment; this is not your usage limit. Try again shortly.",
    "overloaded": "Anthropic has no capacity just now. Try again shortly.",
    "prompt_too_long": "The prompt is too long for the model. Shorten it, or send less history.",
    "request_too_large": "The request is larger than the API takes (32 MB). Send fewer or smaller images.",
    "model_not_found": "There is no such model, or this account may not use it. Try sonnet, opus or haiku.",
    "invalid_request": "The API refused the request as malformed. Mend it before sending it again.",
    "cli_failed": "The CLI failed in a way it has not failed before. Try again; if it stays, please report it.",
}
"""What to do, for people. The CLI's own text follows it."""

_BY_STATUS: dict[int, Code] = {
    401: "auth_expired",
    403: "account_blocked",
    404: "model_not_found",
    413: "request_too_large",
}


def failure(
    result: Result, message: AssistantMessage | None, limits: RateLimitInfo | None, request_id: str | None
) -> ClaudeMaxError:
    """The error that a failed run amounts to."""
    code = _code(result, message.error if message else None, limits)
    resets_at = limits.resets_at if limits and code == "usage_limit" else None
    return error_class(code)(
        code,
        f"{ADVICE.get(code, '')} (The CLI said: {without_credentials(result.result)})",
        status=result.api_error_status if code == "overloaded" else None,
        retry_after=max(0.0, resets_at - time.time()) if resets_at else None,
        resets_at=resets_at,
        request_id=request_id,
    )


def _code(result: Result, error: str | None, limits: RateLimitInfo | None) -> Code:
    status = result.api_error_status
    # The CLI says so itself, without a status and without a request, where its own estimate exceeds the model's window.
    if result.terminal_reason == "prompt_too_long" or result.result.startswith("Prompt is too long"):
        return "prompt_too_long"
    if error == "billing_error":
        return "api_key_billing"
    if status == 429:
        limit = result.api_error == "usage_limit_reached" or bool(limits and limits.resets_at)
        return "usage_limit" if limit else "throttled"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if error == "authentication_failed":
        return "not_authenticated"
    if status is not None and status >= 500:
        return "overloaded"
    if status is not None:
        return "invalid_request"
    # Without a status the API did not answer: the connection broke, or what came was no event stream.
    lost = result.api_error == "connection_failed" or "Stream ended" in result.result
    return "overloaded" if lost else "cli_failed"
