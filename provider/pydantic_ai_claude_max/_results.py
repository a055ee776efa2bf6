"""The arguments of `ask_claude` and the results of the server's two tools, as types.

Fields that a server leaves out have defaults, and fields that it adds are kept or ignored: client and server need not
be of one release. The server has its own copy of these types; `tests/test_parity.py` compares them.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict

from pydantic import BaseModel, ConfigDict, JsonValue

from ._errors import ErrorDetail

Json: TypeAlias = dict[str, JsonValue]


class AskArguments(TypedDict, total=False):
    """The arguments of `ask_claude` beside `prompt`; those named as in the Messages API have its meaning."""

    messages: Sequence[Mapping[str, JsonValue]]
    system: str | Sequence[Mapping[str, JsonValue]]
    model: str
    max_tokens: int
    tools: Sequence[Mapping[str, JsonValue]]
    tool_choice: Mapping[str, JsonValue]
    thinking: Mapping[str, JsonValue]
    output_config: Mapping[str, JsonValue]
    cache_control: Mapping[str, JsonValue]
    output_schema: Mapping[str, JsonValue]
    session_id: str
    workspace: Literal["none", "read"]
    timeout: float
    stream: Literal["text", "events"]


class AskResult(BaseModel):
    """The result of `ask_claude`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    success: bool
    response: str = ""
    """The text of the answer."""
    model: str | None = None
    """The id of the model that answered."""
    stop_reason: str | None = None
    session_id: str | None = None
    """Pass it as `session_id` to continue this conversation."""
    request_id: str | None = None
    """The server's id of the request, as in its logs."""
    usage: Json | None = None
    """The usage, as the Messages API reports it."""
    message: Json | None = None
    """The whole Messages API message."""
    structured_output: JsonValue = None
    billed_to: str | None = None
    """`subscription` or `api_key`."""
    rate_limit: Json | None = None
    duration_ms: float | None = None
    error: ErrorDetail | None = None


class Health(BaseModel):
    """The result of `health`; it may have more fields than these."""

    model_config = ConfigDict(frozen=True, extra="allow")

    status: str
    """`healthy`, `degraded` or `unhealthy`."""
    claude_cli: str | None = None
    """`available` or `unavailable`."""
    workspace_root: str | None = None
    purpose: str | None = None
    message: str | None = None
    cli_version: str | None = None
    auth: Json | None = None
    billed_to: str | None = None
    in_flight: int | None = None
    queued: int | None = None
