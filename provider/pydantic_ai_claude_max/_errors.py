"""The errors of a request that gets no answer, as one family.

Every error carries an `ErrorDetail`, the shape in which the server itself reports errors, so a caller
branches on `code` and `retryable` whether the server refused or could not be reached. Texts name the next step.
"""

from typing import Any, Final

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

START: Final = "start it with `claude-max serve`, or `docker compose up -d`"
LOG_IN: Final = "log in with `claude-max login`, or `docker exec -it claude-max-api claude setup-token`"

LOGIN_CODES: Final = frozenset({"not_authenticated", "auth_expired"})


class ErrorDetail(BaseModel):
    """An error as the server reports it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    """Which error it is, for programs: one of the server's codes, or one of this module's classes' own."""
    message: str
    """What happened and what to do next, for people."""
    status: int = 500
    """The HTTP status that says the same."""
    retryable: bool = False
    """Whether the same request may succeed later."""
    retry_after: float | None = None
    """Seconds to wait before that, if known."""
    resets_at: float | None = None
    """When a usage window opens again, in seconds since 1970, if known."""
    request_id: str | None = Field(default=None, validation_alias=AliasChoices("upstream_request_id", "request_id"))
    """Anthropic's id of the request, if it got there."""

    @property
    def text(self) -> str:
        """The message, completed by the words that callers look for, where the server left them out."""
        said = self.message.lower()
        if self.code in LOGIN_CODES and not ("authentication" in said and "claude-max login" in said):
            return f"{self.message} (No valid authentication: {LOG_IN}.)"
        if self.code == "prompt_too_long" and "prompt is too long" not in said:
            return f"prompt is too long: {self.message}"
        return self.message


class ClaudeMaxError(Exception):
    """A request that has no answer; the root of this package's errors."""

    def __init__(self, detail: ErrorDetail) -> None:
        super().__init__(detail.text)
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        # The subclasses have other parameters, which the default would be called with.
        return _restore, (type(self), self.detail)

    @property
    def code(self) -> str:
        """Which error it is, for programs."""
        return self.detail.code

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.detail.retryable

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before that, if known."""
        return self.detail.retry_after


class AskFailed(ClaudeMaxError):
    """The server reports an error instead of an answer."""


class ServerNotRunning(ClaudeMaxError):
    """Nothing accepts connections at the server's address, so the request was never sent."""

    def __init__(self, url: str) -> None:
        message = f"The claude-max server is not running at {url}: {START}; CLAUDE_MAX_URL names another address."
        super().__init__(ErrorDetail(code="not_running", message=message, status=503, retryable=True))


class TokenRejected(ClaudeMaxError):
    """The server does not admit this client."""

    def __init__(self, url: str, *, status: int) -> None:
        message = (
            f"The claude-max server at {url} refused this client (HTTP {status}): authentication needs "
            "the token that the server was started with. Set CLAUDE_MAX_TOKEN to it, or pass `token=`."
        )
        super().__init__(ErrorDetail(code="token_rejected", message=message, status=status))


class AnswerLost(ClaudeMaxError):
    """The connection ended without an answer. The request may have run, so it is not sent again."""

    def __init__(self, reason: str) -> None:
        message = f"The claude-max server was lost while it answered ({reason}); the request may have run."
        super().__init__(ErrorDetail(code="answer_lost", message=message, status=502, retryable=True))


class AnswerTimeout(ClaudeMaxError, TimeoutError):
    """The answer did not come in time; the request was cancelled on the server."""

    def __init__(self, *, seconds: float, idle: float | None) -> None:
        silence = f", or nothing for {idle:g} s" if idle is not None else ""
        message = f"No answer within {seconds:g} s{silence}. Allow more with `timeout=`."
        super().__init__(ErrorDetail(code="timeout", message=message, status=504, retryable=True))


class ProtocolError(ClaudeMaxError):
    """The answer is not one of a claude-max server that this package understands."""

    def __init__(self, url: str, reason: str, *, status: int = 502) -> None:
        hint = "" if url.endswith("/mcp") else " Its address ends with /mcp: see CLAUDE_MAX_URL."
        message = f"{url} did not answer like a claude-max server: {reason}.{hint}"
        super().__init__(ErrorDetail(code="protocol", message=message, status=status))


def _restore(kind: type[ClaudeMaxError], detail: ErrorDetail) -> ClaudeMaxError:
    error = kind.__new__(kind)
    ClaudeMaxError.__init__(error, detail)
    return error
