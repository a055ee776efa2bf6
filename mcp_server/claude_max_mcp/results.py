"""The contract, second half: what comes back, an `AskResult` or a `Health`.

In: values and errors. Out: models, which the fronts turn into JSON. How an answer came about is not known here.
"""

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from claude_max_mcp.errors import ClaudeMaxError, Code
from claude_max_mcp.messages import Json


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Window(_Strict):
    """One usage window of the subscription."""

    utilization: float | None = Field(default=None, description="How much of it is used, 0 to 1.")
    resets_at: int | None = Field(default=None, description="When it opens anew, in seconds since 1970.")


class RateLimit(_Strict):
    """The subscription's limits, as Anthropic last reported them."""

    status: str = Field(description="`allowed`, `allowed_warning` or `rejected`.")
    type: str | None = Field(default=None, description="The window that decides.")
    resets_at: int | None = None
    windows: dict[str, Window] = {}


class ErrorInfo(_Strict):
    """A typed error, for programs; `message` is for people, and is `problem` and `advice` in one."""

    code: Code
    message: str = Field(description="What happened and what to do next.")
    problem: str = Field(description="What happened.")
    advice: str = Field(description="What to do next; may be empty.")
    status: int = Field(description="The HTTP status that says the same.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    retry_after: float | None = Field(default=None, description="Seconds to wait before that.")
    resets_at: int | None = Field(default=None, description="When the limit opens anew, in seconds since 1970.")
    upstream_request_id: str | None = Field(default=None, description="Anthropic's id of the request.")
    request_id: str | None = Field(
        default=None,
        description="Deprecated, gone after one release: the same as `upstream_request_id`.",
        json_schema_extra={"deprecated": True},
    )

    @classmethod
    def from_error(cls, error: ClaudeMaxError) -> "ErrorInfo":
        """The error as a caller sees it."""
        return cls(
            code=error.code,
            message=error.message,
            problem=error.problem,
            advice=error.advice,
            status=error.status,
            retryable=error.retryable,
            retry_after=error.retry_after,
            resets_at=error.resets_at,
            upstream_request_id=error.upstream_request_id,
            request_id=error.upstream_request_id,
        )


BilledTo: TypeAlias = Literal["subscription", "api_key"]


class AskResult(_Strict):
    """What `ask_claude` answers with."""

    success: bool = Field(description="Whether there is an answer; if not, `error` says why.")
    response: str = Field(default="", description="Claude's text.")
    model: str | None = Field(default=None, description="The model that answered.")
    stop_reason: str | None = Field(default=None, description="Why it ended: `end_turn`, `max_tokens`, `tool_use`, …")
    session_id: str | None = Field(default=None, description="Send it with the next `prompt` to go on with this.")
    request_id: str | None = Field(default=None, description="This server's id of the request, as in its logs.")
    usage: Json | None = Field(default=None, description="Token counts, as in the Messages API.")
    message: Json | None = Field(default=None, description="The whole Messages API message.")
    structured_output: Any = Field(default=None, description="The answer as data, where a schema was given.")
    billed_to: BilledTo | None = Field(default=None, description="Who pays.")
    rate_limit: RateLimit | None = None
    duration_ms: int = Field(default=0, description="Milliseconds from the question to the whole answer.")
    error: ErrorInfo | None = None

    @classmethod
    def from_error(cls, error: ClaudeMaxError) -> "AskResult":
        """The result of a request that failed before there was a message."""
        return cls(success=False, error=ErrorInfo.from_error(error))


class Auth(_Strict):
    """The login: how, and whether it is only configured or proven by an answered request."""

    method: str | None = None
    state: Literal["none", "configured", "proven", "unknown"] = "unknown"
    configured: bool = False
    proven: bool = False
    proven_at: int | None = Field(default=None, description="When a request was last answered, in seconds since 1970.")


class PoolState(_Strict):
    """The CLI processes."""

    size: int
    warm: int
    starting: int
    leased: int
    kept: int


Status: TypeAlias = Literal["healthy", "degraded", "unhealthy"]


class Health(_Strict):
    """What `health` answers with."""

    status: Status
    cause: Code | None = Field(description="What keeps it from being healthy, as the code of an error.")
    claude_cli: Literal["available", "unavailable"]
    workspace_root: str | None
    purpose: str = "Max subscription integration via MCP"
    message: str
    cli_version: str | None
    auth: Auth
    billed_to: BilledTo | None
    rate_limit: RateLimit | None
    pool: PoolState
    in_flight: int
    queued: int
    last_error: ErrorInfo | None
    storage_problem: str | None = Field(default=None, description="Why no conversation outlives its process, if so.")
    uptime: float = Field(description="Seconds since the server started.")
