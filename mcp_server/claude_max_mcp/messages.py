"""The Messages API: the shapes of its blocks, messages and tools, and conversations in one form.

In: `messages` as callers write them, of the shapes below. Out: the same with every content a list of blocks,
consecutive messages of one role joined (as the Messages API itself does), and no cache breakpoints. What a shape does
not name stays in it as it is. Who sends a message, and where it goes, is not known here.
"""

from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypeGuard, TypeVar, cast

from pydantic import ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator, with_config
from typing_extensions import TypedDict

from claude_max_mcp.errors import InvalidRequest
from claude_max_mcp.pictures import SIGNATURE_BYTES, detect_picture
from claude_max_mcp.refusals import Need, as_branch, choose_by, choose_text_or_list

Json: TypeAlias = dict[str, Any]
"""A JSON object whose fields this project does not name."""

T = TypeVar("T")


def is_object(value: object) -> TypeGuard[Json]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


@with_config(ConfigDict(strict=True, extra="allow"))
class Shape(TypedDict):
    """An object of the Messages API. It may hold more than the fields that are named."""


class TextBlock(Shape):
    type: Literal["text"]
    text: str


class Base64Source(Shape):
    type: Literal["base64"]
    media_type: Annotated[str, Field(description="`image/png`, `image/jpeg`, `image/gif` or `image/webp`.")]
    data: str


class UrlSource(Shape):
    type: Literal["url"]
    url: str


class ImageBlock(Shape):
    type: Literal["image"]
    source: Annotated[
        Annotated[Base64Source, as_branch("base64")] | Annotated[UrlSource, as_branch("url")],
        choose_by("type", need=Need("`base64` with `data` and `media_type`, or `url` with `url` is needed")),
    ]


class DocumentSource(Shape):
    """A PDF: `base64` with `data` and `media_type`, or `url`. Text: `text` with `data` and `media_type`."""

    type: str
    media_type: NotRequired[str | None]
    data: NotRequired[str | None]
    url: NotRequired[str | None]


class DocumentBlock(Shape):
    type: Literal["document"]
    source: DocumentSource
    title: NotRequired[str | None]
    context: NotRequired[str | None]


class ThinkingBlock(Shape):
    """Claude's, as it came."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Shape):
    """Claude's, as it came."""

    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Shape):
    """Claude's call of one of `tools`."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: Json


class OtherBlock(Shape):
    """A block that this project passes on without knowing it."""

    type: str


ResultBlock: TypeAlias = Annotated[
    Annotated[TextBlock, as_branch("text")]
    | Annotated[ImageBlock, as_branch("image")]
    | Annotated[DocumentBlock, as_branch("document")]
    | Annotated[OtherBlock, as_branch("other")],
    choose_by("type", default="other", known={"text", "image", "document"}),
]

TextOr: TypeAlias = Annotated[
    Annotated[str, as_branch("text")] | Annotated[list[T], Field(fail_fast=True), as_branch("list")],
    choose_text_or_list(),
]
"""Text, or a list of blocks."""


class ToolResultBlock(Shape):
    """Your answer to a call, in the very next message."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: NotRequired[TextOr[ResultBlock] | None]
    is_error: NotRequired[bool | None]


Block: TypeAlias = (
    TextBlock | ImageBlock | DocumentBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock
)

UserBlock: TypeAlias = Annotated[
    Annotated[TextBlock, as_branch("text")]
    | Annotated[ImageBlock, as_branch("image")]
    | Annotated[DocumentBlock, as_branch("document")]
    | Annotated[ToolResultBlock, as_branch("tool_result")],
    choose_by(
        "type",
        default="text",
        need=Need("A message of the user may hold document, image, text, tool_result.", "unsupported"),
    ),
]

AssistantBlock: TypeAlias = Annotated[
    Annotated[TextBlock, as_branch("text")]
    | Annotated[ThinkingBlock, as_branch("thinking")]
    | Annotated[RedactedThinkingBlock, as_branch("redacted_thinking")]
    | Annotated[ToolUseBlock, as_branch("tool_use")],
    choose_by(
        "type",
        default="text",
        need=Need("A message of the assistant may hold redacted_thinking, text, thinking, tool_use.", "unsupported"),
    ),
]


class UserMessage(Shape):
    role: Annotated[Literal["user"], Need("`user` or `assistant` is needed; the system prompt goes into `system`")]
    content: TextOr[UserBlock]


class AssistantMessage(Shape):
    role: Literal["assistant"]
    content: TextOr[AssistantBlock]


SentMessage: TypeAlias = Annotated[
    Annotated[UserMessage, as_branch("user")] | Annotated[AssistantMessage, as_branch("assistant")],
    choose_by("role", default="user", known={"user", "assistant"}),
]


class ToolDefinition(Shape):
    type: NotRequired[
        Annotated[Literal["custom"] | None, Need("Only the caller's own tools can be offered.", "unsupported")]
    ]
    name: str
    description: NotRequired[str | None]
    input_schema: Json


class ToolChoice(Shape):
    type: Annotated[Literal["auto", "none"], Need("Use `auto` or `none`; the CLI cannot force a call.", "unsupported")]


class OutputFormat(Shape):
    type: Literal["json_schema"]
    schema: Json


def _return_input(value: T, validate: ValidatorFunctionWrapHandler) -> T:
    validate(value)
    return value


AS_SENT = WrapValidator(_return_input)
"""Validates and keeps the value itself: pydantic's copy of it would have its fields in another order."""

Messages: TypeAlias = Annotated[list[SentMessage], Field(fail_fast=True), AS_SENT]
"""A conversation as a caller sends it."""


class Message(TypedDict):
    """A message in the one form of `normalise`."""

    role: Literal["user", "assistant"]
    content: list[Block]


def normalise(messages: Sequence[SentMessage], *, first: int = 0) -> list[Message]:
    """Bring a conversation into one form.

    Args:
        messages: valid ones.
        first: the number of the first message, as the caller counts them.

    Raises:
        RequestError: `invalid_request`, with the place that breaks a rule of the Messages API.
    """
    joined: list[Message] = []
    numbers: list[int] = []
    for number, message in enumerate(messages, first):
        blocks = _list_blocks(message["content"], f"messages.{number}.content")
        if joined and joined[-1]["role"] == message["role"]:
            joined[-1]["content"].extend(blocks)
        else:
            joined.append(Message(role=message["role"], content=blocks))
            numbers.append(number)
    if not joined:
        raise InvalidRequest("messages: at least one is needed.")
    if joined[0]["role"] != "user" or joined[-1]["role"] != "user":
        raise InvalidRequest("messages: the first and the last message must be the user's.")
    for number, message, earlier in zip(numbers, joined, [None, *joined], strict=False):
        _check_answers(message, earlier, f"messages.{number}")
    return joined


def list_calls(message: Message) -> list[str]:
    """The ids of the tool calls in a message."""
    return [block["id"] for block in message["content"] if block["type"] == "tool_use"]


def collect_results(message: Message) -> dict[str, ToolResultBlock]:
    """The tool results in a message, by the id of their call."""
    return {block["tool_use_id"]: block for block in message["content"] if block["type"] == "tool_result"}


def _list_blocks(content: str | Sequence[Block], place: str) -> list[Block]:
    """The content as blocks that are free of what is not content."""
    if isinstance(content, str):
        _check_not_blank(content, place)
        return [TextBlock(type="text", text=content)]
    if not content:
        raise InvalidRequest(f"{place}: text or a list of blocks is needed.")
    for at, block in enumerate(content):
        if block["type"] == "text":
            _check_not_blank(block["text"], f"{place}.{at}.text")
        elif block["type"] == "image":
            _check_picture(block["source"], f"{place}.{at}.source")
    return [cast("Block", _strip(block)) for block in content]


def _check_not_blank(text: str, place: str) -> None:
    if not text or text.isspace():
        raise InvalidRequest(f"{place}: text that says something is needed; leave out what is blank.")


def _check_picture(source: Base64Source | UrlSource, place: str) -> None:
    """Refuse what is no picture; the CLI would put a remark of its own in its place."""
    if source["type"] == "url":
        return
    try:
        start = b64decode(source["data"][: SIGNATURE_BYTES // 3 * 4], validate=True)
    except ValueError:
        start = b""
    if detect_picture(start) is None:
        raise InvalidRequest(f"{place}.data: a PNG, JPEG, GIF or WebP in base64 is needed.")


def _strip(block: Mapping[str, Any]) -> Json:
    """The block without what is not content: cache breakpoints are the CLI's, and nulls say nothing."""
    kept = {name: value for name, value in block.items() if name != "cache_control" and value is not None}
    if kept["type"] == "tool_result" and isinstance(kept.get("content"), list):
        kept["content"] = [_strip(part) for part in kept["content"]]
    return kept


def find_breakpoints(parts: Iterable[Any]) -> Iterator[object]:
    """What callers wrote as `cache_control` of tools, blocks, or the blocks of messages and tool results."""
    for part in parts:
        if (mark := part.get("cache_control")) is not None:
            yield mark
        if isinstance(content := part.get("content"), list):
            yield from find_breakpoints(cast("list[Any]", content))


def _check_answers(message: Message, earlier: Message | None, place: str) -> None:
    """Every call is answered in the very next message, as the Messages API wants it; the CLI would invent an answer."""
    called = set(list_calls(earlier)) if earlier else set[str]()
    answered = set(collect_results(message))
    if missing := called - answered:
        raise InvalidRequest(f"{place}: the tool call {min(missing)} has no `tool_result`.")
    if stray := answered - called:
        raise InvalidRequest(f"{place}: the `tool_result` {min(stray)} answers no call of the message before it.")
