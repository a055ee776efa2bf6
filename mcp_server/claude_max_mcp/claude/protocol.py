"""The CLI's stream-json protocol, as types: what it says, what it asks, and what it can be asked.

In: one decoded line of its standard output. Out: one of the models below, with only the fields that this project
acts on. Stream events stay the plain JSON that the Messages API sent: they are the caller's, not ours. Measured on
the CLI bundled with the pinned `claude-agent-sdk` (`tests/cli`); a field that a later version adds is ignored.
"""

from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypedDict

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter
from pydantic.alias_generators import to_camel

from claude_max_mcp.messages import Json, is_object


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _CamelCaseModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True)


# What the CLI can be asked: control requests. The functions of `engine.options` fill them.


class Initialize(TypedDict):
    """Makes a blank process one conversation's; the first one holds for the life of the process."""

    subtype: Literal["initialize"]
    hooks: Json | None
    skills: list[str]
    systemPrompt: list[str]
    jsonSchema: NotRequired[Json]
    sdkMcpServers: NotRequired[list[str]]
    sdkMcpServerManifests: NotRequired[dict[str, Json]]


class FlagSettings(TypedDict, total=False):
    """Settings that take effect with the next request."""

    model: str
    effortLevel: str
    env: dict[str, str]


class ApplyFlagSettings(TypedDict):
    subtype: Literal["apply_flag_settings"]
    settings: FlagSettings


class SetThinking(TypedDict):
    """The bound of thinking, 0 for none, and how it is shown."""

    subtype: Literal["set_max_thinking_tokens"]
    max_thinking_tokens: NotRequired[int]
    thinking_display: NotRequired[str]


class RewindConversation(TypedDict):
    """Goes back to before a message of the user, named by its uuid."""

    subtype: Literal["rewind_conversation"]
    target_message_uuid: str | None
    last_seen_user_message_uuid: str | None


# What it replies.


class Account(_CamelCaseModel):
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


class ModelFacts(_CamelCaseModel):
    """What the CLI knows of one model."""

    value: str
    resolved_model: str | None = None
    supports_adaptive_thinking: bool = False
    supports_thinking_off: bool = True
    supported_effort_levels: list[str] = []
    """Empty for a model that takes no effort: the CLI then leaves it out without a word."""


class Initialized(_Model):
    """The answer to `initialize`."""

    account: Account = Account()
    models: list[ModelFacts] = []
    """The newest ones, and the one that is chosen by then."""

    def find_model(self, model: str) -> ModelFacts | None:
        """What the CLI knows of `model`, named by alias or id; None if it lists no such model."""
        return next((m for m in self.models if model in (m.value, m.resolved_model)), None)


class Rewound(_CamelCaseModel):
    """The answer to `rewind_conversation`."""

    rewound: bool
    preceding_assistant_uuid: str | None = None

    @property
    def to_the_beginning(self) -> bool:
        """Whether nothing is left of what was said."""
        return self.rewound and self.preceding_assistant_uuid is None


class ControlReply(_Model):
    """The CLI's reply to one control request."""

    subtype: Literal["success", "error"]
    request_id: str
    response: Json = {}
    error: str = ""


class ControlResponse(_Model):
    type: Literal["control_response"]
    response: ControlReply


# What it asks of its host.


class McpMessage(_Model):
    """A message of MCP for the server of the caller's tools."""

    subtype: Literal["mcp_message"]
    message: Json


class ToolCheck(_Model):
    """The arguments with which one of the CLI's own tools is about to run."""

    tool_name: str
    tool_input: Json = {}


class HookCallback(_Model):
    """A hook that `initialize` has registered: `HOOKS` asks before a tool runs."""

    subtype: Literal["hook_callback"]
    input: ToolCheck


class OtherRequest(_Model):
    """Anything else; it is answered with an error."""

    subtype: str = ""


def _find_subtype(request: object) -> str:
    kind = request.get("subtype") if is_object(request) else getattr(request, "subtype", None)
    return kind if kind in ("mcp_message", "hook_callback") else "other"


HostRequest: TypeAlias = McpMessage | HookCallback | OtherRequest


class ControlRequest(_Model):
    """Something the CLI asks of its host."""

    type: Literal["control_request"]
    request_id: str
    request: Annotated[
        Annotated[McpMessage, Tag("mcp_message")]
        | Annotated[HookCallback, Tag("hook_callback")]
        | Annotated[OtherRequest, Tag("other")],
        Discriminator(_find_subtype),
    ]


HOOKS: Json = {"PreToolUse": [{"matcher": "*", "hookCallbackIds": ["check"]}]}
"""The `hooks` of `initialize` with which the host is asked before a tool runs."""


# What it says.


class StreamEvent(_Model):
    """One raw stream event of the Messages API."""

    type: Literal["stream_event"]
    event: Json


class System(_Model):
    """News about the run; `api_retry` is the one that matters."""

    type: Literal["system"]
    subtype: str
    attempt: int = 0
    max_retries: int = 0
    retry_delay_ms: float = 0
    error_status: int | None = None
    error: str | None = None


class CliWindow(_CamelCaseModel):
    """One usage window: how much of it is used (0 to 1), and when it opens anew (seconds since 1970)."""

    utilization: float | None = None
    resets_at: int | None = None


class RateLimitInfo(_CamelCaseModel):
    """The subscription's limits as Anthropic reported them with an answer."""

    status: str
    rate_limit_type: str | None = None
    resets_at: int | None = None
    unified_windows: dict[str, CliWindow] = {}


class RateLimitEvent(_Model):
    type: Literal["rate_limit_event"]
    rate_limit_info: RateLimitInfo


class AssistantMessage(_Model):
    """A message, or the CLI's own account of why there is none (`error` is set then)."""

    type: Literal["assistant"]
    error: str | None = None
    request_id: str | None = None


class Result(_Model):
    """The end of a run. `is_error` decides: `subtype` says `success` even for a failed one."""

    type: Literal["result"]
    is_error: bool = False
    result: str = ""
    terminal_reason: str | None = None
    api_error_status: int | None = None
    api_error_type: str | None = None
    api_error: str | None = None
    structured_output: Any = None


class TranscriptMirror(_Model):
    """Lines that the CLI has just added to its transcript. They come before the `result` of a run."""

    type: Literal["transcript_mirror"]
    entries: list[Json] = []


class Other(_Model):
    """Anything else; nothing depends on it."""

    type: str


_Typed: TypeAlias = (
    ControlResponse
    | ControlRequest
    | StreamEvent
    | System
    | RateLimitEvent
    | AssistantMessage
    | Result
    | TranscriptMirror
)
Output: TypeAlias = _Typed | Other
"""One message of the CLI."""

_KNOWN: TypeAdapter[_Typed] = TypeAdapter(Annotated[_Typed, Field(discriminator="type")])
_TYPES = frozenset(
    {
        "control_response",
        "control_request",
        "stream_event",
        "system",
        "rate_limit_event",
        "assistant",
        "result",
        "transcript_mirror",
    }
)


def parse_output(message: object) -> Output:
    """Type one decoded line.

    Raises:
        ValueError: it is not a message, or one of a known type that lacks what it has always had.
    """
    if not is_object(message):
        raise ValueError("a message is a JSON object")
    kind = message.get("type")
    if kind == "stream_event" and type(event := message.get("event")) is dict:
        return StreamEvent.model_construct(type="stream_event", event=event)  # most are these: no need to validate
    known = isinstance(kind, str) and kind in _TYPES
    return _KNOWN.validate_python(message) if known else Other.model_validate(message)
