"""The contract: what a caller may ask, and what comes back.

In: the arguments of the tool `ask_claude`, validated here and nowhere else. Out: `AskRequest`, `AskResult`,
`Health`. What a request says stays the plain JSON of the Messages API: it is checked against the shapes of `messages`
and for what cannot be carried, and otherwise passed on as it is.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, TypeAdapter

from claude_max_mcp.errors import ClaudeMaxError, Code, InvalidRequest, Unsupported
from claude_max_mcp.messages import (
    AS_SENT,
    Json,
    Message,
    Messages,
    OutputFormat,
    SentMessage,
    TextBlock,
    TextOr,
    ToolChoice,
    ToolDefinition,
    UserMessage,
    find_breakpoints,
    normalise,
)
from claude_max_mcp.refusals import Need, Place, name_place, validate

CacheTtl: TypeAlias = Literal["5m", "1h"]
"""How long Anthropic keeps what it has read, since it last did."""

MAX_TIMEOUT = 3600.0
"""The longest that one request may take, in seconds."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Argument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Thinking(_Argument):
    """The Messages API's `thinking`."""

    type: Literal["adaptive", "enabled", "disabled"]
    budget_tokens: int | None = Field(default=None, ge=1024)
    display: Literal["summarized", "omitted"] | None = None


class CacheControl(_Argument):
    """The Messages API's `cache_control`."""

    type: Literal["ephemeral"]
    ttl: CacheTtl | None = None


class OutputConfig(_Argument):
    """The Messages API's `output_config`."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class AskRequest(_Argument):
    """The arguments of `ask_claude`."""

    prompt: Annotated[
        str | None, Field(description="The question and all that it needs, as plain text; it arrives verbatim.")
    ] = None
    messages: Annotated[
        Messages | None,
        Field(
            description="Instead of `prompt`: a conversation as in the Messages API; images and documents can be in it."
        ),
    ] = None
    system: Annotated[
        TextOr[TextBlock] | None,
        AS_SENT,
        Field(description="Who Claude is to be and how to answer: text, or text blocks."),
    ] = None
    model: Annotated[
        Annotated[
            str,
            Field(max_length=200, pattern=r"^[\w.:@\[\]/-]+$"),
            Need("`sonnet`, `opus`, `haiku` or the full id of a model is needed"),
        ]
        | None,
        Field(description="`sonnet` (balanced), `opus` (most capable), `haiku` (fastest), or a full model id."),
    ] = None
    tools: Annotated[
        Annotated[list[ToolDefinition], Field(fail_fast=True), AS_SENT] | None,
        Field(
            description="Tools that you run yourself: on `stop_reason` `tool_use`, send their results in `messages`."
        ),
    ] = None
    tool_choice: Annotated[ToolChoice | None, AS_SENT, Field(description="Whether Claude may call your `tools`.")] = (
        None
    )
    thinking: Annotated[
        Thinking | None, Field(description="As in the Messages API. Default: what the CLI gives the model.")
    ] = None
    output_config: Annotated[
        OutputConfig | None, Field(description="`effort` (how hard Claude works), and `format` as in the Messages API.")
    ] = None
    output_schema: Annotated[
        Json | None, Field(description="A JSON schema for the answer, which then comes as `structured_output`.")
    ] = None
    max_tokens: Annotated[
        int | None, Field(description="The most tokens to answer with. Default: what the model can.", ge=1)
    ] = None
    cache_control: Annotated[
        CacheControl | None,
        Field(description="How long Anthropic keeps what it has read: `ttl` `5m` or `1h`. Default: the server's."),
    ] = None
    session_id: Annotated[
        str | None,
        Field(description="An earlier answer's, to go on with it; its `system` and `model` stay unless given."),
    ] = None
    workspace: Annotated[
        Literal["none", "read"],
        Field(description="`read` lets Claude read and search the folder that the server's owner opened."),
    ] = "none"
    timeout: Annotated[
        float | None, Field(description="Seconds until giving up. Default: the server's.", gt=0, le=MAX_TIMEOUT)
    ] = None
    stream: Annotated[
        Literal["text", "events"],
        Field(description="What progress messages hold: text or, for programs, raw stream events as JSON."),
    ] = "text"

    _conversation: list[Message] | None = PrivateAttr(default=None)

    @property
    def conversation(self) -> list[Message]:
        """All that was said, in the one form of `normalise`; the last message is the user's.

        Raises:
            RequestError: it breaks a rule of the Messages API.
        """
        if self._conversation is None:
            self._conversation = normalise(self._said)
        return self._conversation

    @property
    def _said(self) -> Sequence[SentMessage]:
        if self.messages is not None:
            return self.messages
        return [UserMessage(role="user", content=self.prompt or "")]

    def continue_from(
        self, earlier: list[Json], *, system: TextOr[TextBlock] | None, model: str | None
    ) -> "AskRequest":
        """This request as one that sends `earlier` itself, and `system` and `model` where it has none.

        Raises:
            RequestError: it does not fit what was said before.
        """
        options = {"system": system if self.system is None else self.system, "model": self.model or model}
        if not earlier:
            return self.model_copy(update=options)
        messages = [*validate(_MESSAGES, earlier, ("messages",)), *self._said]
        going_on = self.model_copy(update={"prompt": None, "messages": messages, **options})
        going_on._conversation = normalise(messages, first=-len(earlier))
        return going_on

    @property
    def offered_tools(self) -> list[Json]:
        """The caller's tools, unless it does not want them called."""
        if self.tool_choice and self.tool_choice["type"] == "none":
            return []
        return [{**tool} for tool in self.tools or []]

    @property
    def wanted_schema(self) -> Json | None:
        """The JSON schema that the answer must fit, if any."""
        if self.output_schema is not None:
            return self.output_schema
        wanted = self.output_config.format if self.output_config else None
        return wanted["schema"] if wanted else None

    @property
    def wanted_cache(self) -> CacheTtl | None:
        """How long Anthropic is to keep this request: the longest that a breakpoint in it asks for, if there is one.

        Raises:
            RequestError: a breakpoint is none.
        """
        marked: list[Any] = [*(self.tools or []), *(self.messages or [])]
        marked += [] if self.system is None or isinstance(self.system, str) else self.system
        marks = [validate(_CACHE_CONTROL, mark, ("cache_control",)) for mark in find_breakpoints(marked)]
        if self.cache_control is not None:
            marks.append(self.cache_control)
        return max((mark.ttl or "5m" for mark in marks), key=["5m", "1h"].index, default=None)

    @property
    def system_prompt(self) -> list[str]:
        """The system prompt's texts, in order."""
        if self.system is None or isinstance(self.system, str):
            return [self.system] if self.system else []
        return [block["text"] for block in self.system]


_REQUEST = TypeAdapter(AskRequest)
_MESSAGES: TypeAdapter[list[SentMessage]] = TypeAdapter(Messages)
_CACHE_CONTROL = TypeAdapter(CacheControl)


def parse_request(arguments: Json) -> AskRequest:
    """Validate the arguments of `ask_claude`.

    Raises:
        RequestError: `invalid_request`, with the argument's name and what it takes; `unsupported`, with what to do.
    """
    _check_characters(arguments, ())
    request = validate(_REQUEST, arguments)
    if (request.prompt is None) == (request.messages is None):
        raise InvalidRequest("Give either `prompt` or `messages`.")
    if request.prompt is not None and not request.prompt.strip():
        raise InvalidRequest("The prompt is empty. Say something.")
    _check_options(request)
    _ = request.wanted_cache
    if request.session_id is None:
        _ = request.conversation  # else it is checked with what was said before
    return request


def _check_options(request: AskRequest) -> None:
    """Refuse by name what the CLI or this version cannot carry."""
    if request.tool_choice and request.tool_choice.get("disable_parallel_tool_use"):
        raise Unsupported(
            "`disable_parallel_tool_use`", "Leave it out; the CLI cannot keep Claude from parallel calls."
        )
    if request.output_schema is not None and request.output_config and request.output_config.format:
        raise InvalidRequest("Give either `output_schema` or `output_config.format`.")
    names = {tool["name"] for tool in request.tools or []}
    if request.workspace == "read" and (taken := {"Read", "Grep", "Glob"} & names):
        raise Unsupported(f"A tool named {min(taken)} together with `workspace`", "Claude has one of that name there.")


def _check_characters(value: JsonValue, place: Place) -> None:
    """Refuse text that cannot be sent as UTF-8, or to a process; names of fields are text too."""
    match value:
        case str():
            if "\x00" in value or not _is_encodable(value):
                raise InvalidRequest(
                    f"{name_place(place)}: a NUL character or half a surrogate pair cannot be sent. Remove it."
                )
        case dict():
            for name, item in value.items():
                _check_characters(name, place)
                _check_characters(item, (*place, name))
        case list():
            for at, item in enumerate(value):
                _check_characters(item, (*place, at))
        case _:
            pass


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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


WANTS_SESSION = "claude-max/session"
"""A key of a call's `_meta`: true gives a `session_id` to one who sends `messages` and asks for `events`, too.

Without it such a caller is a program that sends the whole conversation each time, and nothing is kept for it.
"""


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
