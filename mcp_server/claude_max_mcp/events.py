"""What the Messages API answers with: a message, and the stream events that it comes in.

In and out: nothing but shapes. They are not checked, as they come from the API itself and go on to the caller as they
are; a field or an event that a later API adds is no error.
"""

from typing import Literal, NotRequired, TypeAlias, TypeGuard

from claude_max_mcp.messages import Block, Json, Shape


class Usage(Shape):
    """The tokens of an answer; the input's are those that no cache held."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: NotRequired[int | None]
    cache_read_input_tokens: NotRequired[int | None]


class AnswerMessage(Shape):
    """What the Messages API answers with."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[Block]
    stop_reason: str | None
    stop_sequence: str | None
    usage: Usage


class MessageStart(Shape):
    type: Literal["message_start"]
    message: AnswerMessage


class BlockStart(Shape):
    type: Literal["content_block_start"]
    index: int
    content_block: Block


class TextDelta(Shape):
    type: Literal["text_delta"]
    text: str


class ThinkingDelta(Shape):
    type: Literal["thinking_delta"]
    thinking: str


class SignatureDelta(Shape):
    type: Literal["signature_delta"]
    signature: str


class InputJsonDelta(Shape):
    type: Literal["input_json_delta"]
    partial_json: str


class CitationsDelta(Shape):
    type: Literal["citations_delta"]
    citation: Json


Delta: TypeAlias = TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta | CitationsDelta


class BlockDelta(Shape):
    type: Literal["content_block_delta"]
    index: int
    delta: Delta


class BlockStop(Shape):
    type: Literal["content_block_stop"]
    index: int


class MessageEnd(Shape):
    stop_reason: str | None
    stop_sequence: NotRequired[str | None]


class MessageDelta(Shape):
    type: Literal["message_delta"]
    delta: MessageEnd
    usage: Usage


class MessageStop(Shape):
    type: Literal["message_stop"]


class Ping(Shape):
    type: Literal["ping"]


class ErrorEvent(Shape):
    type: Literal["error"]
    error: Json


KnownEvent: TypeAlias = (
    MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Ping | ErrorEvent
)

KNOWN_EVENTS = frozenset(
    {
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop", "ping", "error"),
    }
)


class RetryNotice(Shape):
    """An event of this server's own among the API's: the CLI is about to send the request again.

    `attempt` counts from 1, `delay_ms` is the time until then. `error` is the CLI's name for what went wrong, such as
    `overloaded`, and `status` its HTTP status.
    """

    type: Literal["retry"]
    attempt: int
    max_retries: int
    delay_ms: int
    error: str | None
    status: int | None


class OtherEvent(Shape):
    """An event of a type that a later API adds: passed on as it is."""

    type: str


Event: TypeAlias = KnownEvent | RetryNotice | OtherEvent
"""A stream event. Events are the API's own and are not validated."""


def is_known(event: Event) -> TypeGuard[KnownEvent]:
    """Whether this project knows what the event means; then its `type` tells its shape."""
    return event["type"] in KNOWN_EVENTS
