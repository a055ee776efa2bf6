"""What the CLI says on its standard output, as typed messages.

In: one line of the stream-json protocol. Out: one of the models below, with only the fields that this project
acts on. Stream events stay the plain JSON that the Messages API sent: they are the caller's, not ours. Measured on
the CLI bundled with the pinned `claude-agent-sdk`; a field that a later version adds is ignored.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from claude_max_mcp.messages import Json


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _SaidInCamelCase(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True)


class Account(_SaidInCamelCase):
    """Who would pay, as the answer to `initialize` names it before any prompt is sent."""

    token_source: str = "none"
    """Where the login comes from; not said of one that the CLI keeps itself."""
    subscription_type: str | None = None
    """What a login pays with that the CLI keeps itself."""
    api_key_source: str | None = None
    api_provider: str = "firstParty"

    @property
    def payer(self) -> Literal["subscription", "api_key", "none"]:
        """Who pays: an API key wins over every other login, and cloud providers bill like one."""
        if self.api_provider != "firstParty" or self.api_key_source not in (None, "none"):
            return "api_key"
        if self.token_source != "none":
            return "subscription" if self.token_source in SUBSCRIPTION_TOKENS else "api_key"
        if self.subscription_type is None:
            return "none"
        return "subscription" if self.subscription_type in SUBSCRIPTIONS else "api_key"

    @property
    def method(self) -> str:
        """The login by its name: the key's or the token's source, or `claude.ai` for one that the CLI keeps."""
        kept = "claude.ai" if self.token_source == "none" and self.subscription_type else self.token_source
        return self.api_key_source or kept


SUBSCRIPTION_TOKENS = frozenset(
    {
        "claude.ai",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
        "CCR_OAUTH_TOKEN_FILE",
    }
)
"""The token sources that the CLI itself counts as a subscription's login."""

SUBSCRIPTIONS = frozenset({"Claude Pro", "Claude Max", "Claude Team", "Claude Enterprise"})
"""What the CLI says of a login that it keeps itself; it has `Claude API` for one without a subscription."""


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


class Rewound(_SaidInCamelCase):
    """The answer to `rewind_conversation`."""

    rewound: bool
    preceding_assistant_uuid: str | None = None

    @property
    def to_the_beginning(self) -> bool:
        """Whether nothing is left of what was said."""
        return self.rewound and self.preceding_assistant_uuid is None


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
