"""The contract, first half: what a caller may ask.

In: the arguments of the tool `ask_claude`, validated here and nowhere else. Out: an `AskRequest`. What a request says
stays the plain JSON of the Messages API: it is checked against the shapes of `messages` and for what cannot be
carried, and otherwise passed on as it is.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, TypeAdapter

from claude_max_mcp.errors import InvalidRequest, Unsupported
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


WANTS_SESSION = "claude-max/session"
"""A key of a call's `_meta`: true gives a `session_id` to one who sends `messages` and asks for `events`, too.

Without it such a caller is a program that sends the whole conversation each time, and needs no id to go on with it.
"""


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
