"""What the CLI says on its standard output, as typed messages.

In: one line of the stream-json protocol. Out: one of the models below, with only the fields that this project
acts on. Stream events stay the plain JSON that the Messages API sent: they are the caller's, not ours. Measured on
the CLI bundled with the pinned `claude-agent-sdk`; a field that a later version adds is ignored.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

Json: TypeAlias = dict[str, Any]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _SaidInCamelCase(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True)


class Account(_SaidInCamelCase):
    """Who would pay, as the answer to `initialize` names it before any prompt is sent."""

    token_source: str | None = None
    """Where the token is from; `none` without one. A login that the CLI's own dialogue has stored is not named."""
    subscription_type: str | None = None
    api_key_source: str | None = None
    api_provider: str = "firstParty"

    @property
    def payer(self) -> Literal["subscription", "api_key", "none"]:
        """Who pays: an API key wins over every other login, and cloud providers bill like one."""
        if self.api_provider != "firstParty" or self.api_key_source not in (None, "none"):
            return "api_key"
        if self.login == "none":
            return "none"
        return "subscription" if self.login in SUBSCRIPTION_TOKENS else "api_key"

    @property
    def login(self) -> str:
        """How the CLI is logged in, in its own words."""
        if self.token_source is not None or self.subscription_type is None:
            return self.token_source or "none"
        return self.subscription_type if self.subscription_type == NO_SUBSCRIPTION else "claude.ai"


NO_SUBSCRIPTION = "Claude API"
"""What the CLI calls the plan of a stored login that has none; any other name is that of a subscription."""

SUBSCRIPTION_TOKENS = frozenset(
    {
        "claude.ai",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
        "CCR_OAUTH_TOKEN_FILE",
    }
)
"""The token sources that the CLI itself counts as a subscription's login."""


class ModelFacts(_SaidInCamelCase):
    """What the CLI knows of one model."""

    value: str
    resolved_model: str | None = None
    supports_adaptive_thinking: bool = False
    supports_thinking_off: bool = True


class Initialized(_Said):
    """The answer to `initialize`."""

    account: Account = Account()
    models: list[ModelFacts] = []

    def facts(self, model: str) -> ModelFacts | None:
        """What the CLI knows of `model`, named by alias or id; None if it lists no such model."""
        return next((m for m in self.models if model in (m.value, m.resolved_model)), None)


class ControlReply(_Said):
    """The CLI's reply to one control request."""

    subtype: Literal["success", "error"]
    request_id: str
    response: Json = {}
    error: str = ""


class ControlResponse(_Said):
    type: Literal["control_response"]
    response: ControlReply


class ControlRequest(_Said):
    """Something the CLI asks of its host."""

    type: Literal["control_request"]
    request_id: str
    request: Json


class StreamEvent(_Said):
    """One raw stream event of the Messages API."""

    type: Literal["stream_event"]
    event: Json


class System(_Said):
    """News about the run; `api_retry` and `init` are the ones that matter."""

    type: Literal["system"]
    subtype: str
    attempt: int = 0
    max_retries: int = 0
    retry_delay_ms: float = 0
    error_status: int | None = None
    error: str | None = None


class Window(_SaidInCamelCase):
    """One usage window: how much of it is used (0 to 1), and when it opens anew (seconds since 1970)."""

    utilization: float | None = None
    resets_at: int | None = None


class RateLimitInfo(_SaidInCamelCase):
    """The subscription's limits as Anthropic reported them with an answer."""

    status: str
    rate_limit_type: str | None = None
    resets_at: int | None = None
    unified_windows: dict[str, Window] = {}


class RateLimitEvent(_Said):
    type: Literal["rate_limit_event"]
    rate_limit_info: RateLimitInfo


class AssistantMessage(_Said):
    """A message, or the CLI's own account of why there is none (`error` is set then)."""

    type: Literal["assistant"]
    error: str | None = None
    request_id: str | None = None


class Result(_Said):
    """The end of a run. `is_error` decides: `subtype` says `success` even for a failed one."""

    type: Literal["result"]
    is_error: bool = False
    result: str = ""
    terminal_reason: str | None = None
    api_error_status: int | None = None
    api_error_type: str | None = None
    api_error: str | None = None
    structured_output: Any = None


class Other(_Said):
    """Anything else; nothing hangs on it."""

    type: str


Message: TypeAlias = (
    ControlResponse | ControlRequest | StreamEvent | System | RateLimitEvent | AssistantMessage | Result | Other
)

_KNOWN: TypeAdapter[Message] = TypeAdapter(
    Annotated[
        ControlResponse | ControlRequest | StreamEvent | System | RateLimitEvent | AssistantMessage | Result,
        Field(discriminator="type"),
    ]
)
_TYPES = frozenset(
    {
        "control_response",
        "control_request",
        "stream_event",
        "system",
        "rate_limit_event",
        "assistant",
        "result",
    }
)


def parse(message: Json) -> Message:
    """Type one decoded line.

    Raises:
        pydantic.ValidationError: a message of a known type lacks what it has always had.
    """
    if message.get("type") == "stream_event":  # most messages are these, and they need no validation
        return StreamEvent.model_construct(type="stream_event", event=message["event"])
    return _KNOWN.validate_python(message) if message.get("type") in _TYPES else Other.model_validate(message)
