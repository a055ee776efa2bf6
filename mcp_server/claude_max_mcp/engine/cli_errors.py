"""What went wrong, as the CLI reports it.

In: the CLI's own account of a failed run (`Result`, the `error` of its message, the last limits). Out: one typed
error. Structured fields decide; the CLI's text decides only where there is no field, and nowhere else in this project
does a text decide anything. Each row was seen with the real CLI (tests/server/test_failures.py shows them).
"""

import time
from typing import NamedTuple

from claude_max_mcp.claude.protocol import AssistantMessage, RateLimitInfo, Result
from claude_max_mcp.errors import ClaudeMaxError, Code, find_error_class, hide_credentials

LOGIN = (
    "Log in with `claude-max login` (in Docker: `docker exec -it claude-max-api claude auth login`, or put what "
    "`docker exec -it claude-max-api claude setup-token` prints into `.env`)."
)


class Explanation(NamedTuple):
    """An error in words, for people: what happened, and what to do next."""

    problem: str
    advice: str


EXPLANATIONS: dict[Code, Explanation] = {
    "not_authenticated": Explanation("Nobody is logged in: authentication is missing.", LOGIN),
    "auth_expired": Explanation("The login is no longer good: authentication failed.", LOGIN),
    "account_blocked": Explanation(
        "This account may not use a subscription here.", "Ask its administrator, or log in with another."
    ),
    "api_key_billing": Explanation(
        "The API account was asked to pay, not the subscription.", "Remove the API key from this login."
    ),
    "usage_limit": Explanation("The subscription's usage limit is reached.", "Wait until it resets."),
    "throttled": Explanation(
        "Anthropic is limiting requests for a moment; this is not your usage limit.", "Try again shortly."
    ),
    "overloaded": Explanation("Anthropic has no capacity just now.", "Try again shortly."),
    "prompt_too_long": Explanation("The prompt is too long for the model.", "Shorten it, or send less history."),
    "request_too_large": Explanation(
        "The request is larger than the API takes (32 MB).", "Send fewer or smaller images."
    ),
    "model_not_found": Explanation(
        "There is no such model, or this account may not use it.", "Try sonnet, opus or haiku."
    ),
    "invalid_request": Explanation("The API refused the request as malformed.", "Mend it before sending it again."),
    "cli_failed": Explanation(
        "The CLI failed in a way it has not failed before.", "Try again; if it stays, please report it."
    ),
}
"""Each error that the CLI can report. Its own words are added to what happened."""

_BY_STATUS: dict[int, Code] = {
    401: "auth_expired",
    403: "account_blocked",
    404: "model_not_found",
    413: "request_too_large",
}


def classify_failure(
    result: Result, message: AssistantMessage | None, limits: RateLimitInfo | None, upstream_request_id: str | None
) -> ClaudeMaxError:
    """The error that a failed run amounts to.

    Args:
        result: the end of the run.
        message: the CLI's account of why there is no answer, if it gave one.
        limits: the limits that came with the run, if any.
        upstream_request_id: Anthropic's id of the request, if it reached them.
    """
    code = _find_code(result, message.error if message else None, limits)
    problem, advice = EXPLANATIONS[code]
    resets_at = limits.resets_at if limits and code == "usage_limit" else None
    return find_error_class(code)(
        code,
        f"{problem} (The CLI said: {hide_credentials(result.result)})",
        advice,
        status=result.api_error_status if code == "overloaded" else None,
        retry_after=max(0.0, resets_at - time.time()) if resets_at else None,
        resets_at=resets_at,
        upstream_request_id=upstream_request_id,
    )


def _find_code(result: Result, error: str | None, limits: RateLimitInfo | None) -> Code:
    status = result.api_error_status
    # Where its own estimate exceeds the model's window, the CLI sends no request and has no status: only this text.
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
    # Without a status the API did not answer: the connection broke, which has a field, or what came was no event
    # stream, which has none.
    lost = result.api_error == "connection_failed" or "Stream ended" in result.result
    return "overloaded" if lost else "cli_failed"
