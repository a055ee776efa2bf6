"""The one family of errors, split by whose fault it is.

Every error carries a stable `code`, the HTTP status that says the same, whether trying again can help and when, and
for people what happened (`problem`) and what to do next (`advice`). Programs branch on the code, never on a text.
Nothing here knows where an error came from: `engine.cli_errors` makes those that the CLI reports, the other modules
raise their own.
"""

import re
from typing import ClassVar, Literal, TypeAlias

Code: TypeAlias = Literal[
    "not_authenticated",
    "auth_expired",
    "account_blocked",
    "billing_guard",
    "api_key_billing",
    "usage_limit",
    "throttled",
    "overloaded",
    "prompt_too_long",
    "request_too_large",
    "model_not_found",
    "invalid_request",
    "unsupported",
    "timeout",
    "busy",
    "cancelled",
    "cli_missing",
    "cli_failed",
    "empty_answer",
    "internal",
]

STATUS: dict[Code, int] = {
    "not_authenticated": 401,
    "auth_expired": 401,
    "account_blocked": 403,
    "billing_guard": 403,
    "api_key_billing": 402,
    "usage_limit": 429,
    "throttled": 429,
    "overloaded": 529,
    "prompt_too_long": 400,
    "request_too_large": 413,
    "model_not_found": 404,
    "invalid_request": 400,
    "unsupported": 400,
    "timeout": 504,
    "busy": 503,
    "cancelled": 499,
    "cli_missing": 503,
    "cli_failed": 502,
    "empty_answer": 502,
    "internal": 500,
}
"""The HTTP status of each code, unless Anthropic itself gave another."""

RETRYABLE: frozenset[Code] = frozenset(
    {"usage_limit", "throttled", "overloaded", "timeout", "busy", "cancelled", "cli_failed", "empty_answer"}
)
"""Codes where the same request may succeed later."""

_TYPES: dict[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def to_error_type(status: int) -> str:
    """The Messages API's name for an error with this HTTP status."""
    return _TYPES.get(status, "invalid_request_error" if status < 499 else "api_error")


class ClaudeMaxError(Exception):
    """An error that is reported to the caller.

    Attributes:
        code: one of `Code`, for programs.
        problem: what happened, in whole sentences for people.
        advice: what to do next, in whole sentences for people; empty where nothing is known to help.
        status: the HTTP status that fits.
        retryable: whether the same request may succeed later.
        retry_after: seconds to wait before that, if known.
        resets_at: when a usage window opens again, in seconds since 1970, if known.
        upstream_request_id: Anthropic's id of the request, if it reached them.
    """

    codes: ClassVar[frozenset[Code]] = frozenset()

    def __init__(
        self,
        code: Code,
        problem: str,
        advice: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        resets_at: int | None = None,
        upstream_request_id: str | None = None,
    ) -> None:
        super().__init__(code, problem, advice)
        self.code: Code = code
        self.problem = problem
        self.advice = advice
        self.status = status or STATUS[code]
        self.retryable = code in RETRYABLE
        self.retry_after = retry_after
        self.resets_at = resets_at
        self.upstream_request_id = upstream_request_id

    def __str__(self) -> str:
        return self.message

    @property
    def message(self) -> str:
        """What happened and what to do next, as one text."""
        return f"{self.problem} {self.advice}" if self.advice else self.problem


class RequestError(ClaudeMaxError):
    """The caller's: the request cannot be carried as it is."""

    codes = frozenset({"prompt_too_long", "request_too_large", "model_not_found", "invalid_request", "unsupported"})


class InvalidRequest(RequestError):
    """The request is malformed; `problem` names the argument and what it takes."""

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__("invalid_request", problem, advice)


class Unsupported(RequestError):
    """The request has something that this version cannot carry; `subject` names it."""

    def __init__(self, subject: str, advice: str) -> None:
        super().__init__("unsupported", f"{subject} is not supported by this server.", advice)


class AccountError(ClaudeMaxError):
    """The owner's: signing in, who pays, or how much is left."""

    codes = frozenset(
        {
            "not_authenticated",
            "auth_expired",
            "account_blocked",
            "billing_guard",
            "api_key_billing",
            "usage_limit",
        }
    )


class UpstreamError(ClaudeMaxError):
    """Anthropic's: no capacity, no answer."""

    codes = frozenset({"throttled", "overloaded", "empty_answer"})


class ServiceError(ClaudeMaxError):
    """Ours, or this machine's: no room, no time, no CLI."""

    codes = frozenset({"timeout", "busy", "cancelled", "cli_missing", "cli_failed", "internal"})


class NoRoom(ServiceError):
    """There is no room on the disk for what the CLI must read; nothing was sent. `subject` names it."""

    def __init__(self, subject: str, cause: OSError) -> None:
        super().__init__(
            "busy",
            f"{subject} cannot be written down for the CLI ({cause.strerror}).",
            "Make room in the server's temporary folder, or in its memory, and send the request again.",
        )


def find_error_class(code: Code) -> type[ClaudeMaxError]:
    """The class of the family that a code belongs to."""
    for family in (RequestError, AccountError, UpstreamError):
        if code in family.codes:
            return family
    return ServiceError


def hide_credentials(text: str) -> str:
    """`text` from elsewhere, with whatever looks like one of Anthropic's credentials cut short."""
    return re.sub(r"sk-ant-[\w-]+", "sk-ant-…", text)
